// Draws public/icon.png: an A whose corners are nodes and whose strokes are connections. Run again to change it.
import { writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

const SIZE = 512;
const BACKGROUND = [0x1d, 0x5c, 0x8f];
const INK = [0xff, 0xff, 0xff];
const CORNER = 112;
const STROKE = 17;
const nodes = [
  { x: 256, y: 118, r: 46 },
  { x: 128, y: 386, r: 46 },
  { x: 384, y: 386, r: 46 },
];
const bar = 0.62;
const between = (a, b, t) => ({ x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t });
const [top, left, right] = nodes;
const strokes = [
  [top, left],
  [top, right],
  [between(top, left, bar), between(top, right, bar)],
];

/** Distance from a point to a line, negative inside its stroke. */
function toStroke(x, y, [a, b]) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const t = Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy)));
  return Math.hypot(x - a.x - t * dx, y - a.y - t * dy) - STROKE;
}

function toFrame(x, y) {
  const half = SIZE / 2 - CORNER;
  const [dx, dy] = [Math.abs(x - SIZE / 2) - half, Math.abs(y - SIZE / 2) - half];
  return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - CORNER;
}

/** How much of a pixel is covered at this distance from an edge. */
const cover = (distance) => Math.min(1, Math.max(0, 0.5 - distance));

const rows = [];
for (let y = 0; y < SIZE; y++) {
  const row = Buffer.alloc(1 + SIZE * 4);
  for (let x = 0; x < SIZE; x++) {
    const [px, py] = [x + 0.5, y + 0.5];
    const ink = cover(
      Math.min(
        ...nodes.map((node) => Math.hypot(px - node.x, py - node.y) - node.r),
        ...strokes.map((stroke) => toStroke(px, py, stroke)),
      ),
    );
    BACKGROUND.forEach((channel, i) => (row[1 + x * 4 + i] = Math.round(channel + (INK[i] - channel) * ink)));
    row[1 + x * 4 + 3] = Math.round(255 * cover(toFrame(px, py)));
  }
  rows.push(row);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

const header = Buffer.alloc(13);
header.writeUInt32BE(SIZE, 0);
header.writeUInt32BE(SIZE, 4);
header.set([8, 6, 0, 0, 0], 8);
const png = Buffer.concat([
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  chunk("IHDR", header),
  chunk("IDAT", deflateSync(Buffer.concat(rows), { level: 9 })),
  chunk("IEND", Buffer.alloc(0)),
]);
writeFileSync(new URL("../public/icon.png", import.meta.url), png);
console.log(`public/icon.png ${SIZE} px, ${png.length} bytes`);
