// A receipt as bytes: what its provider signs, and the leaf that stands for it in a batch.
// The twin of `ainonymous_verify::receipt`, with the signature check that Rust does elsewhere.
import type { BatchProof, FinishReason, Receipt, ReceiptBatchRecord, SignedReceipt } from "../generated/types";
import { equal } from "./bytes";
import { Encoder } from "./canonical";
import { verify } from "./ed25519";
import * as merkle from "./merkle";

const finishCode: Record<FinishReason, number> = { stop: 0, length: 1, cancelled: 2 };

/** The bytes that the provider's agent key signs. */
export function canonical(receipt: Receipt): Uint8Array {
  return Encoder.bytes("ainonymous/receipt/v2")
    .raw(receipt.provider)
    .raw(receipt.spec)
    .raw(receipt.session_key)
    .raw(receipt.input)
    .raw(receipt.output)
    .raw(receipt.fingerprint)
    .u32(receipt.prompt_tokens)
    .u32(receipt.completion_tokens)
    .u8(finishCode[receipt.finish])
    .i64(receipt.finished_at)
    .raw(receipt.audit.challenge)
    .u32(receipt.audit.rate_ppm)
    .u32(receipt.audit.auditors_ppm)
    .finish();
}

/** The leaf of a batch's tree: over the receipt and its signature. */
export function leaf(signed: SignedReceipt): Uint8Array {
  return Encoder.hash("ainonymous/receipt-leaf/v1").raw(canonical(signed.receipt)).raw(signed.signature).finish();
}

/** Whether the provider that the receipt names has signed it. */
export function isSigned({ receipt, signature }: SignedReceipt): boolean {
  return verify(agentKey(receipt.provider), canonical(receipt), signature);
}

/** Whether the receipt stands where the proof says, in a batch by the provider that it names. */
export function isInBatch(signed: SignedReceipt, proof: BatchProof, record: ReceiptBatchRecord): boolean {
  return (
    equal(record.author, signed.receipt.provider) &&
    equal(record.batch.spec.entry, signed.receipt.spec) &&
    merkle.isPath(record.batch.root, leaf(signed), proof.index, record.batch.count, proof.path)
  );
}

/** The Ed25519 key inside an agent's 39 bytes: between the prefix of 3 and the location of 4. */
function agentKey(agent: Uint8Array): Uint8Array {
  return agent.subarray(3, 35);
}
