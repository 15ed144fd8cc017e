// Prints what a visitor downloads: every file of dist/, raw and gzipped, in bytes.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const root = new URL("../dist/", import.meta.url).pathname;
let total = 0;
for (const entry of readdirSync(root, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())) {
  const path = join(entry.parentPath, entry.name);
  const bytes = readFileSync(path);
  const packed = gzipSync(bytes, { level: 9 }).length;
  total += packed;
  console.log(`${String(bytes.length).padStart(9)} ${String(packed).padStart(9)}  ${path.slice(root.length)}`);
}
console.log(`total gzipped ${total}`);
