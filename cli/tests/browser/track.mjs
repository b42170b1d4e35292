/**
 * A vehicle that is not there: laps on a small race track, as LEADS would tell of them. Everything follows from the
 * time, so that each run shows the same.
 */

const ORIGIN = { latitude: 50.332, longitude: 6.9475 };
const DEGREE_M = 111_195;
/** Metres east and north, which a smooth line goes through. */
const CORNERS = [
  [-180, -70],
  [-60, -88],
  [70, -78],
  [150, -98],
  [212, -52],
  [176, 8],
  [96, 2],
  [58, 44],
  [112, 92],
  [80, 146],
  [-4, 134],
  [-52, 72],
  [-118, 88],
  [-186, 52],
  [-214, -12],
];
const LINE = line(CORNERS, 24);
const LENGTH_M = LINE.at(-1).m;
const MEAN_MPS = 15.6;
const LAP_S = LENGTH_M / MEAN_MPS;

/** The state at `s` seconds after the start, with `t` as the vehicle's clock. */
export function frame(s, t) {
  const here = place(driven(s));
  const speed = speedAt(s);
  const forward = (speedAt(s + 0.05) - speedAt(s - 0.05)) / 0.1;
  const turn = angle(place(driven(s + 0.3)).heading - place(driven(s - 0.3)).heading) / 0.6;
  const throttle = clamp(0.32 + forward * 0.2, 0, 1);
  const brake = clamp(-forward * 0.28 - 0.06, 0, 1);
  const power = throttle * 1900 + 120;
  return {
    t,
    speed: round(speed * 3.6, 2),
    front_wheel_speed: round(speed * 3.6 * (1 + 0.004 * Math.sin(s * 7)), 2),
    rear_wheel_speed: round(speed * 3.6 * (1 + 0.02 * throttle + 0.004 * Math.sin(s * 9)), 2),
    mileage: round(12.4 + driven(s) / 1000, 4),
    voltage: round(50.6 - power * 0.00042 - s * 0.0006 + 0.02 * Math.sin(s * 11), 3),
    current: round(power / 49.5, 2),
    throttle: round(throttle, 3),
    brake: round(brake, 3),
    steering: round(clamp(turn * 0.9, -1, 1), 3),
    acceleration: {
      forward: round(forward, 3),
      lateral: round(speed * turn, 3),
      vertical: round(9.81 + 0.18 * Math.sin(s * 2.3) + 0.1 * Math.sin(s * 41), 3),
    },
    yaw: round(((here.heading * 180) / Math.PI + 360) % 360, 1),
    gps: {
      valid: true,
      latitude: round(ORIGIN.latitude + here.y / DEGREE_M, 7),
      longitude: round(ORIGIN.longitude + here.x / DEGREE_M / Math.cos((ORIGIN.latitude * Math.PI) / 180), 7),
      ground_speed: round(speed * 3.6 * 0.997, 2),
    },
    motor: { rpm: Math.round(speed * 98), temperature: round(41 + 6 * Math.sin(s / 40) + 3 * throttle, 1) },
    lap: 1 + Math.floor(s / LAP_S),
    lap_time: round(s % LAP_S, 2),
    dtcs: true,
    abs: brake > 0.6,
    hazard: false,
  };
}

/** Metres per second. */
function speedAt(s) {
  const phase = (s / LAP_S) * 2 * Math.PI;
  return MEAN_MPS + 3.6 * Math.sin(4 * phase + 0.6) + 1.9 * Math.sin(7 * phase) + 0.6 * Math.sin(13 * phase + 1);
}

/** Metres: the integral of it. */
function driven(s) {
  const turn = (2 * Math.PI) / LAP_S;
  const part = (size, times, shift) => ((Math.cos(shift) - Math.cos(times * turn * s + shift)) * size) / (times * turn);
  return MEAN_MPS * s + part(3.6, 4, 0.6) + part(1.9, 7, 0) + part(0.6, 13, 1);
}

/** Where one is after so many metres, and the heading in radians, clockwise from north. */
function place(metres) {
  const m = ((metres % LENGTH_M) + LENGTH_M) % LENGTH_M;
  const at = LINE.findIndex((point) => point.m > m);
  const [before, after] = [LINE[at - 1], LINE[at]];
  const part = (m - before.m) / (after.m - before.m);
  return {
    x: before.x + (after.x - before.x) * part,
    y: before.y + (after.y - before.y) * part,
    heading: before.heading + angle(after.heading - before.heading) * part,
  };
}

/** A closed Catmull-Rom spline, `steps` points from corner to corner, each with how far it is from the first. */
function line(corners, steps) {
  const corner = (at) => corners[(at + corners.length) % corners.length];
  const points = [];
  for (let at = 0; at <= corners.length * steps; at++) {
    const [from, u] = [Math.floor(at / steps), (at % steps) / steps];
    const [a, b, c, d] = [corner(from - 1), corner(from), corner(from + 1), corner(from + 2)];
    const value = (i) =>
      b[i] +
      0.5 * u * (c[i] - a[i] + u * (2 * a[i] - 5 * b[i] + 4 * c[i] - d[i] + u * (3 * (b[i] - c[i]) + d[i] - a[i])));
    points.push({ x: value(0), y: value(1), m: 0, heading: 0 });
  }
  points.forEach((point, at) => {
    const [before, after] = [points[Math.max(0, at - 1)], points[Math.min(points.length - 1, at + 1)]];
    point.heading = Math.atan2(after.x - before.x, after.y - before.y);
    point.m = at === 0 ? 0 : before.m + Math.hypot(point.x - before.x, point.y - before.y);
  });
  return points;
}

/** From -π to π. */
function angle(radians) {
  return Math.atan2(Math.sin(radians), Math.cos(radians));
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}

function round(number, digits) {
  return Number(number.toFixed(digits));
}
