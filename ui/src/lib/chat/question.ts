// The requester's side of one question: chunks are put in order, gaps asked for again, silence bounded, and the end
// believed only if the receipt fits what was received. The twin of `sidecar/protocol/src/asking.rs`.
// Pure: no clock, no dice, no sockets. Time is passed in, effects are handed out.
import { limits } from "../generated/types";
import type { AuditTerms, ChunkMore, Done, PeerSignal, TokenChunk } from "../generated/types";
import { equal } from "../verify/bytes";
import { Output } from "../verify/commit";
import { isSigned } from "../verify/receipt";
import type { Said } from "../verify/receipt-file";
import type { Failure } from "./backend";
import { CHUNKS_WAITING_MAX, GAP_MS, NUDGE_MS, RESENDS_MAX, SILENCE_MS } from "./timing";

/** What was asked of whom. */
export interface Asked {
  readonly id: Uint8Array;
  readonly provider: Uint8Array;
  readonly spec: Uint8Array;
  readonly sessionKey: Uint8Array;
  readonly salt: Uint8Array;
  readonly commitment: Uint8Array;
  /** What the receipt must say of a later audit. */
  readonly audit: AuditTerms;
  /** 0 means no bound but the context. */
  readonly maxTokens: number;
}

/** What the machine wants done. */
export type Effect =
  | { readonly type: "ask_again" }
  | { readonly type: "send"; readonly signal: PeerSignal }
  | { readonly type: "queued"; readonly before: number }
  | { readonly type: "text"; readonly text: string; readonly tokens: number; readonly reasoning?: string }
  | { readonly type: "answered"; readonly done: Done; readonly said: Said }
  | { readonly type: "failed"; readonly failure: Failure };

export class Question {
  readonly #asked: Asked;
  readonly #output: Output;
  readonly #waiting = new Map<number, TokenChunk>();
  #accepted = false;
  #ended = false;
  #heardMs: number;
  #nudged = false;
  #gapSinceMs: number | null = null;
  #resends = 0;
  #nextChunk = 0;
  #done: Done | null = null;
  #tokens: number[] = [];
  #text = "";
  #more: ChunkMore | null = null;

  /** The question was sent at `nowMs`. */
  constructor(asked: Asked, nowMs: number) {
    this.#asked = asked;
    this.#output = new Output(asked.salt);
    this.#heardMs = nowMs;
  }

  /** Whether an end was reached; nothing more will happen. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether a part of the answer is here: then another provider cannot simply take over. */
  get begun(): boolean {
    return this.#nextChunk > 0;
  }

  /** When `onTick` has something to do at the earliest. */
  get nextTickMs(): number {
    const silence = this.#heardMs + (this.#nudged ? SILENCE_MS : NUDGE_MS);
    return this.#gapSinceMs === null ? silence : Math.min(silence, this.#gapSinceMs + GAP_MS);
  }

  /** A signal arrived. Those of other agents or about other questions change nothing. */
  onSignal(from: Uint8Array, signal: PeerSignal, nowMs: number): Effect[] {
    if (this.#ended || !equal(from, this.#asked.provider)) return [];
    switch (signal.type) {
      case "accepted":
        return this.#isMine(signal.id) ? this.#onAccepted(signal.queue_position, nowMs) : [];
      case "tokens":
        return this.#isMine(signal.id) ? this.#onChunk(signal, nowMs) : [];
      case "done":
        return this.#isMine(signal.id) ? this.#onDone(signal, nowMs) : [];
      case "refused":
        return this.#isMine(signal.id) ? this.#fail(signal.reason, signal.detail) : [];
      case "ask":
      case "cancel":
      case "resend":
      case "request_posted":
      case "answer_posted":
      case "receipt_published":
        return [];
    }
  }

  /** The conductor dropped something that broke a bound. */
  onRejected(from: Uint8Array, reason: string): Effect[] {
    if (this.#ended || !equal(from, this.#asked.provider)) return [];
    return this.#fail("broken", reason);
  }

  /** Time passed. */
  onTick(nowMs: number): Effect[] {
    if (this.#ended) return [];
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= SILENCE_MS) return this.#fail(this.#accepted ? "gone" : "silent", "");
    if (!this.#nudged && silentMs >= NUDGE_MS) {
      this.#nudged = true;
      return [this.#accepted ? this.#resend() : { type: "ask_again" }];
    }
    if (this.#gapSinceMs !== null && nowMs - this.#gapSinceMs >= GAP_MS) return this.#onGap(nowMs);
    return [];
  }

  /** The asker has lost interest: what to tell the provider, if it still works. */
  cancel(): PeerSignal | null {
    if (this.#ended) return null;
    this.#end();
    return { type: "cancel", id: this.#asked.id };
  }

  #isMine(id: Uint8Array): boolean {
    return equal(id, this.#asked.id);
  }

  #heard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#nudged = false;
  }

  #resend(): Effect {
    return { type: "send", signal: { type: "resend", id: this.#asked.id, from_chunk: this.#nextChunk } };
  }

  #onAccepted(before: number, nowMs: number): Effect[] {
    this.#heard(nowMs);
    this.#accepted = true;
    return this.begun ? [] : [{ type: "queued", before }];
  }

  #onChunk(chunk: TokenChunk, nowMs: number): Effect[] {
    this.#heard(nowMs);
    this.#accepted = true;
    if (chunk.chunk < this.#nextChunk || this.#waiting.has(chunk.chunk)) return [];
    if (chunk.chunk > this.#nextChunk && this.#waiting.size >= CHUNKS_WAITING_MAX) {
      return this.#fail("broken", "It sends parts without the ones before.");
    }
    this.#waiting.set(chunk.chunk, chunk);
    return this.#advance(nowMs);
  }

  #onDone(done: Done, nowMs: number): Effect[] {
    this.#heard(nowMs);
    this.#accepted = true;
    this.#done ??= done;
    return this.#advance(nowMs);
  }

  /** Hands out what is in order, then looks whether that was all. */
  #advance(nowMs: number): Effect[] {
    const effects: Effect[] = [];
    for (let chunk = this.#take(); chunk !== undefined; chunk = this.#take()) {
      this.#output.push(chunk.tokens, chunk.text, chunk.more);
      this.#keep(chunk);
      if (this.#isTooLong()) return [...effects, ...this.#fail("broken", "Its answer is longer than asked for.")];
      const reasoning = chunk.more?.reasoning ?? "";
      if (chunk.text !== "" || reasoning !== "" || chunk.tokens.length > 0) {
        effects.push({ type: "text", text: chunk.text, tokens: chunk.tokens.length, ...(reasoning && { reasoning }) });
      }
    }
    const isMissing = this.#waiting.size > 0 || (this.#done !== null && this.#done.chunks > this.#nextChunk);
    this.#gapSinceMs = isMissing ? (this.#gapSinceMs ?? nowMs) : null;
    if (!isMissing && this.#done !== null) effects.push(...this.#judge(this.#done));
    return effects;
  }

  /** The next chunk in order, if it is here. */
  #take(): TokenChunk | undefined {
    const chunk = this.#waiting.get(this.#nextChunk);
    if (chunk === undefined) return undefined;
    this.#waiting.delete(this.#nextChunk);
    this.#nextChunk += 1;
    this.#resends = 0;
    this.#gapSinceMs = null;
    return chunk;
  }

  /** Adds what was said next. */
  #keep({ tokens, text, more }: TokenChunk): void {
    this.#tokens.push(...tokens);
    this.#text += text;
    if (more === null || (more.reasoning === "" && more.tool_calls.length === 0)) return;
    const { reasoning, tool_calls } = this.#more ?? { reasoning: "", tool_calls: [] };
    this.#more = { reasoning: reasoning + more.reasoning, tool_calls: [...tool_calls, ...more.tool_calls], logprobs: [] };
  }

  #isTooLong(): boolean {
    const tokensMax =
      this.#asked.maxTokens === 0
        ? limits.ANSWER_TOKENS_MAX
        : Math.min(this.#asked.maxTokens, limits.ANSWER_TOKENS_MAX);
    return this.#output.tokenCount > tokensMax || this.#output.textBytes > limits.ANSWER_BYTES_MAX;
  }

  #onGap(nowMs: number): Effect[] {
    if (this.#resends >= RESENDS_MAX) return this.#fail("gone", "");
    this.#resends += 1;
    this.#gapSinceMs = nowMs;
    return [this.#resend()];
  }

  /** A receipt is believed only if it says what was asked and received, and its signer is who answered. */
  #judge(done: Done): Effect[] {
    const problem = this.#problemOf(done);
    if (problem !== null) return this.#fail("broken", problem);
    this.#end();
    return [{ type: "answered", done, said: { tokens: this.#tokens, text: this.#text, more: this.#more } }];
  }

  #problemOf(done: Done): string | null {
    const { receipt } = done.receipt;
    if (done.chunks < this.#nextChunk) return "It sent more parts than it counts.";
    if (!equal(receipt.provider, this.#asked.provider)) return "Its receipt names another provider.";
    if (!equal(receipt.spec, this.#asked.spec)) return "Its receipt names another model.";
    if (!equal(receipt.session_key, this.#asked.sessionKey) || !equal(receipt.input, this.#asked.commitment)) {
      return "Its receipt is about another question.";
    }
    if (!isSame(receipt.audit, this.#asked.audit)) return "Its receipt says something else of an audit than was asked.";
    if (receipt.completion_tokens !== this.#output.tokenCount) return "Its receipt counts other tokens than it sent.";
    if (!equal(receipt.output, this.#output.finish())) return "Its receipt is about another answer.";
    if (!isSigned(done.receipt)) return "Its receipt is not signed by it.";
    return null;
  }

  #fail(code: Failure["code"], detail: string): Effect[] {
    this.#end();
    return [{ type: "failed", failure: { code, detail } }];
  }

  #end(): void {
    this.#ended = true;
    this.#waiting.clear();
  }
}

function isSame(one: AuditTerms, other: AuditTerms): boolean {
  return (
    equal(one.challenge, other.challenge) && one.rate_ppm === other.rate_ppm && one.auditors_ppm === other.auditors_ppm
  );
}
