/** The map without a map: metres east and north of a place, which is exact enough for a race track. */

const EARTH_M = 6_371_008.8;
const RADIANS = Math.PI / 180;

/** Whether it is a place; receivers without a fix say 0, 0. */
export function isPlace(latitude, longitude) {
  return (
    Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && (Math.abs(latitude) > 1e-9 || Math.abs(longitude) > 1e-9)
  );
}

/** A function that makes metres of coordinates; a degree of longitude is as long as it is at `origin`. */
export function projection(origin) {
  const east = EARTH_M * RADIANS * Math.cos(origin.latitude * RADIANS);
  const north = EARTH_M * RADIANS;
  return (latitude, longitude) => {
    let degrees = longitude - origin.longitude;
    // The short way over the date line.
    if (degrees > 180) degrees -= 360;
    if (degrees < -180) degrees += 360;
    return { x: degrees * east, y: (latitude - origin.latitude) * north };
  };
}

/**
 * Where to draw, so that everything is seen, in the middle, north up, and as large as the room is.
 *
 * @param {{left: number, right: number, bottom: number, top: number}} bounds in metres
 * @param {number} least metres that are seen at least: a vehicle that stands is no scribble
 */
export function fit(bounds, width, height, padding, least = 20) {
  const [spanX, spanY] = [bounds.right - bounds.left, bounds.top - bounds.bottom];
  const [roomX, roomY] = [Math.max(1, width - 2 * padding), Math.max(1, height - 2 * padding)];
  const metresPerPixel = Math.max(spanX / roomX, spanY / roomY, least / Math.min(roomX, roomY));
  const [middleX, middleY] = [(bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2];
  return {
    metresPerPixel,
    x: (metres) => width / 2 + (metres - middleX) / metresPerPixel,
    y: (metres) => height / 2 - (metres - middleY) / metresPerPixel,
  };
}

/** The longest round length that fits: 1, 2 or 5 of something. */
export function scaleBar(metresPerPixel, mostPixels) {
  const most = metresPerPixel * mostPixels;
  const power = 10 ** Math.floor(Math.log10(most));
  const metres = [5, 2, 1].map((step) => step * power).find((length) => length <= most) ?? power;
  const label = metres >= 1000 ? `${metres / 1000} km` : metres >= 1 ? `${metres} m` : `${Math.round(metres * 100)} cm`;
  return { metres, pixels: metres / metresPerPixel, label };
}
