// Stands in for `@bitgo/blake2b` inside `@holochain/client`, which starts WebAssembly that the page's policy forbids.
// It must not be imported by our own code.
import { blake2b } from "@noble/hashes/blake2.js";

export default function create(length: number) {
  const hash = blake2b.create({ dkLen: length });
  return {
    update(bytes: Uint8Array) {
      hash.update(bytes);
      return this;
    },
    digest(out: Uint8Array) {
      out.set(hash.digest());
      return out;
    },
  };
}
