/** Pictures for a vehicle that has no camera: the browser of the tests draws them. */
import { crc32, deflateSync } from "node:zlib";

/** A black PNG, of few bytes however large it is. */
export function blank(width, height) {
  const chunk = (type, data) => {
    const named = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // One bit for each pixel, in grey.
  head[8] = 1;
  const rows = deflateSync(Buffer.alloc((1 + Math.ceil(width / 8)) * height));
  const begin = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([begin, chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

/** JPEG files, as buffers: what one sees who drives along a road. `noise` makes them larger. */
export async function pictures(page, { count = 24, width = 640, height = 400, noise = 0, quality = 0.8 } = {}) {
  const urls = await page.evaluate(draw, { count, width, height, noise, quality });
  return urls.map((url) => Buffer.from(url.slice(url.indexOf(",") + 1), "base64"));
}

function draw({ count, width, height, noise, quality }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const horizon = height * 0.42;
  const urls = [];
  for (let picture = 0; picture < count; picture++) {
    const part = picture / count;
    const bend = Math.sin(part * 2 * Math.PI) * width * 0.12;
    const sky = context.createLinearGradient(0, 0, 0, horizon);
    sky.addColorStop(0, "#5f8fc0");
    sky.addColorStop(1, "#d9e6ef");
    context.fillStyle = sky;
    context.fillRect(0, 0, width, horizon);
    context.fillStyle = "#41583a";
    context.beginPath();
    context.moveTo(0, horizon);
    for (let x = 0; x <= width; x += 16) {
      context.lineTo(x, horizon - 14 - 12 * Math.sin(x / 61 + 1) - 7 * Math.sin(x / 23 + bend / 60));
    }
    context.lineTo(width, horizon);
    context.fill();
    const grass = context.createLinearGradient(0, horizon, 0, height);
    grass.addColorStop(0, "#7f9a63");
    grass.addColorStop(1, "#4d6b3c");
    context.fillStyle = grass;
    context.fillRect(0, horizon, width, height);
    const edge = (side, y) => {
      const near = (y - horizon) / (height - horizon);
      return width / 2 + bend * (1 - near) ** 2 + side * (6 + near * width * 0.48);
    };
    const strip = (left, right, from, to, colour) => {
      context.fillStyle = colour;
      context.beginPath();
      context.moveTo(edge(left, from), from);
      context.lineTo(edge(right, from), from);
      context.lineTo(edge(right, to), to);
      context.lineTo(edge(left, to), to);
      context.fill();
    };
    for (let y = horizon; y < height; y += 4) {
      strip(-1, 1, y, y + 4.5, "#575b60");
      const near = (y - horizon + 2) / (height - horizon);
      const mark = Math.floor(6 / near ** 0.9 + part * 8) % 2 === 0;
      strip(-1.08, -1, y, y + 4.5, mark ? "#c8322c" : "#ececec");
      strip(1, 1.08, y, y + 4.5, mark ? "#ececec" : "#c8322c");
      if (mark) strip(-0.02, 0.02, y, y + 4.5, "#e6e6e6");
    }
    for (let dot = 0; dot < noise; dot++) {
      context.fillStyle = `rgb(${Math.random() * 255} ${Math.random() * 255} ${Math.random() * 255})`;
      context.fillRect(Math.random() * width, Math.random() * height, 2, 2);
    }
    urls.push(canvas.toDataURL("image/jpeg", quality));
  }
  return urls;
}
