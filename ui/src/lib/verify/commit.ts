// Salted commitments: they bind a receipt to a question and an answer without telling either.
// The twin of `ainonymous_verify::commit`.
import type { ChatInput, ChunkMore } from "../generated/types";
import { Encoder } from "./canonical";
import { write } from "./question";

const utf8 = new TextEncoder();

/** Commitment to a question. */
export function input(salt: Uint8Array, question: ChatInput): Uint8Array {
  const encoder = Encoder.hash("ainonymous/input/v2").raw(salt);
  write(encoder, question);
  return encoder.finish();
}

/** Begins a tool call among the bytes of arguments: no UTF-8 has this byte. */
const CALL_BEGINS = 0xff;

/** Commitment to an answer that is still being written: constant memory, however long it gets. */
export class Output {
  readonly #salt: Uint8Array;
  readonly #tokens: Encoder<Uint8Array>;
  readonly #text: Encoder<Uint8Array>;
  readonly #reasoning: Encoder<Uint8Array>;
  readonly #calls: Encoder<Uint8Array>;
  #tokenCount = 0;
  #textBytes = 0;
  #reasoningBytes = 0;
  #callBytes = 0;

  constructor(salt: Uint8Array) {
    this.#salt = salt;
    this.#tokens = Encoder.hash("ainonymous/output-tokens/v1").raw(salt);
    this.#text = Encoder.hash("ainonymous/output-text/v1").raw(salt);
    this.#reasoning = Encoder.hash("ainonymous/output-reasoning/v1").raw(salt);
    this.#calls = Encoder.hash("ainonymous/output-calls/v1").raw(salt);
  }

  /** Tokens so far. */
  get tokenCount(): number {
    return this.#tokenCount;
  }

  /** Length of all that was said, thought and called so far, in bytes. */
  get textBytes(): number {
    return this.#textBytes + this.#reasoningBytes + this.#callBytes;
  }

  /**
   * Adds tokens, text and what came besides. How they are cut into pieces makes no difference. Log-probabilities are no
   * part of it.
   */
  push(tokens: readonly number[], text: string, more: ChunkMore | null = null): void {
    for (const token of tokens) this.#tokens.u32(token);
    const bytes = utf8.encode(text);
    this.#text.raw(bytes);
    this.#tokenCount += tokens.length;
    this.#textBytes += bytes.length;
    if (more === null) return;
    const thought = utf8.encode(more.reasoning);
    this.#reasoning.raw(thought);
    this.#reasoningBytes += thought.length;
    for (const { index, begins, arguments: written } of more.tool_calls) {
      if (begins !== null) {
        this.#call(Encoder.bare().u8(CALL_BEGINS).u32(index).text(begins.id).text(begins.name).finish());
      }
      this.#call(utf8.encode(written));
    }
  }

  #call(bytes: Uint8Array): void {
    this.#calls.raw(bytes);
    this.#callBytes += bytes.length;
  }

  /** The commitment to all that was pushed. */
  finish(): Uint8Array {
    return Encoder.hash("ainonymous/output/v2")
      .raw(this.#salt)
      .u64(this.#tokenCount)
      .raw(this.#tokens.finish())
      .u64(this.#textBytes)
      .raw(this.#text.finish())
      .u64(this.#reasoningBytes)
      .raw(this.#reasoning.finish())
      .u64(this.#callBytes)
      .raw(this.#calls.finish())
      .finish();
  }
}
