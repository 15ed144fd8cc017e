// A receipt for people: one file that says everything about one answer, to be checked anywhere, without this page.
// The twin of `sidecar/node/src/receipt_file`, which says what is in it. It contains question and answer in full, and no key that signs.
import type { BatchProof, ChatInput, ChunkMore, ModelSpec, ReceiptBatchRecord, SignedReceipt } from "../generated/types";
import { toHex } from "./bytes";

const FORMAT = "ainonymous-receipt";
const VERSION = 1;
const ABOUT =
  "One answer and its provider's signed receipt. This file contains the whole question and the whole answer: whoever has it can read them. Check it with `ainonymous verify FILE`.";

/** What was asked, and the secrets that show it. */
export interface AskedInFull {
  readonly id: Uint8Array;
  readonly model: ModelSpec;
  readonly question: ChatInput;
  readonly salt: Uint8Array;
  /** Over the question, by the receipt's session key. */
  readonly signature: Uint8Array;
  /** Behind the receipt's challenge. */
  readonly secret: Uint8Array;
}

/** What was received. */
export interface Said {
  readonly tokens: readonly number[];
  readonly text: string;
  readonly more: ChunkMore | null;
}

/** Where a receipt stands on the DHT. */
export interface Place {
  readonly proof: BatchProof;
  readonly record: ReceiptBatchRecord;
}

/** The whole file. */
export function write(asked: AskedInFull, said: Said, receipt: SignedReceipt, place: Place | null): string {
  const { id, model, question, salt, signature, secret } = asked;
  const batch = place && {
    action: place.proof.batch,
    root: place.record.batch.root,
    count: place.record.batch.count,
    index: place.proof.index,
    path: place.proof.path,
  };
  // Signals carry no fingerprint: whoever checks the file judges by its tokens.
  const file = {
    ...{ format: FORMAT, version: VERSION, about: ABOUT, id, model, question, salt, signature, secret },
    ...{ begun_by: [], ...said, receipt, batch, fingerprint: null },
  };
  return `${JSON.stringify(file, (_, value: unknown) => (value instanceof Uint8Array ? { hex: toHex(value) } : value), 2)}\n`;
}
