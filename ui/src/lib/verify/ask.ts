// What a conversation's key signs when it asks. The twin of `ainonymous_verify::ask`.
import type { AuditTerms } from "../generated/types";
import { Encoder } from "./canonical";

/** `commitment` is `commit.input` of the question. */
export function canonical(
  id: Uint8Array,
  spec: Uint8Array,
  commitment: Uint8Array,
  sessionKey: Uint8Array,
  audit: AuditTerms,
): Uint8Array {
  return Encoder.bytes("ainonymous/ask/v2")
    .raw(id)
    .raw(spec)
    .raw(commitment)
    .raw(sessionKey)
    .raw(audit.challenge)
    .u32(audit.rate_ppm)
    .u32(audit.auditors_ppm)
    .finish();
}

/** What a question says of a secret that may be told after the receipt. The twin of `ainonymous_verify::audit::draw::challenge`. */
export function challenge(secret: Uint8Array): Uint8Array {
  return Encoder.hash("ainonymous/challenge/v1").raw(secret).finish();
}
