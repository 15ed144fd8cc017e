// Merkle paths over leaf hashes; the root binds the number of leaves. The twin of `ainonymous_verify::merkle`.
import { equal } from "./bytes";
import { Encoder } from "./canonical";

/** Whether `path` leads from `leaf` at `index` to the `root` over `count` leaves. */
export function isPath(
  root: Uint8Array,
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(count) || index < 0 || index >= count) return false;
  let hash = leaf;
  let at = index;
  let next = 0;
  for (let width = count; width > 1; width = Math.ceil(width / 2)) {
    const isRight = at % 2 === 1;
    if (isRight || at + 1 < width) {
      const sibling = path[next++];
      if (sibling === undefined) return false;
      hash = isRight ? node(sibling, hash) : node(hash, sibling);
    }
    at = Math.floor(at / 2);
  }
  return next === path.length && equal(seal(count, hash), root);
}

function node(left: Uint8Array, right: Uint8Array): Uint8Array {
  return Encoder.hash("ainonymous/node/v1").raw(left).raw(right).finish();
}

function seal(count: number, top: Uint8Array): Uint8Array {
  return Encoder.hash("ainonymous/root/v1").u64(count).raw(top).finish();
}
