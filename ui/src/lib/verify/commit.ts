// Salted commitments: they bind a receipt to a question and an answer without telling either.
// The twin of `ainonymous_verify::commit`.
import type { ChatInput, ChatRole } from "../generated/types";
import { Encoder } from "./canonical";

const utf8 = new TextEncoder();
const roleCode: Record<ChatRole, number> = { system: 0, user: 1, assistant: 2 };

/** Commitment to a question. */
export function input(salt: Uint8Array, { messages, sampling, max_tokens, stop }: ChatInput): Uint8Array {
  const encoder = Encoder.hash("ainonymous/input/v1").raw(salt).u32(messages.length);
  for (const message of messages) encoder.u8(roleCode[message.role]).text(message.content);
  encoder
    .u32(sampling.temperature_milli)
    .u32(sampling.top_p_milli)
    .u32(sampling.min_p_milli)
    .u32(sampling.top_k)
    .u64(sampling.seed)
    .u32(max_tokens)
    .u32(stop.length);
  for (const text of stop) encoder.text(text);
  return encoder.finish();
}

/** Commitment to an answer that is still being written: constant memory, however long it gets. */
export class Output {
  readonly #salt: Uint8Array;
  readonly #tokens: Encoder<Uint8Array>;
  readonly #text: Encoder<Uint8Array>;
  #tokenCount = 0;
  #textBytes = 0;

  constructor(salt: Uint8Array) {
    this.#salt = salt;
    this.#tokens = Encoder.hash("ainonymous/output-tokens/v1").raw(salt);
    this.#text = Encoder.hash("ainonymous/output-text/v1").raw(salt);
  }

  /** Tokens so far. */
  get tokenCount(): number {
    return this.#tokenCount;
  }

  /** Length of the text so far, in bytes. */
  get textBytes(): number {
    return this.#textBytes;
  }

  /** Adds tokens and text. How they are cut into pieces makes no difference. */
  push(tokens: readonly number[], text: string): void {
    for (const token of tokens) this.#tokens.u32(token);
    const bytes = utf8.encode(text);
    this.#text.raw(bytes);
    this.#tokenCount += tokens.length;
    this.#textBytes += bytes.length;
  }

  /** The commitment to all that was pushed. */
  finish(): Uint8Array {
    return Encoder.hash("ainonymous/output/v1")
      .raw(this.#salt)
      .u64(this.#tokenCount)
      .raw(this.#tokens.finish())
      .u64(this.#textBytes)
      .raw(this.#text.finish())
      .finish();
  }
}
