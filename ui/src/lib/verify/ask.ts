// What a conversation's key signs when it asks. The twin of `ainonymous_verify::ask`.
import { Encoder } from "./canonical";

/** `commitment` is `commit.input` of the question. */
export function canonical(
  id: Uint8Array,
  spec: Uint8Array,
  commitment: Uint8Array,
  sessionKey: Uint8Array,
): Uint8Array {
  return Encoder.bytes("ainonymous/ask/v1").raw(id).raw(spec).raw(commitment).raw(sessionKey).finish();
}
