// What the chat page needs from whatever answers it. Today that is the conductor; the sidecar's own API comes later.
// Nothing here may know Holochain.
import type { ChatInput, FinishReason } from "../generated/types";

/** Whoever may answer. */
export interface Provider {
  /** Its agent key as people see it, `uhCAk…`. */
  readonly key: string;
  /** Measured speed of one stream in tokens a second; 0 if not measured. */
  readonly tokensPerS: number;
  /** What computes, for people. */
  readonly device: string;
  /** Whether it is the node of whoever asks. */
  readonly isOwn: boolean;
}

/** A model that somebody serves. */
export interface Model {
  /** Identity of the model spec. */
  readonly id: string;
  readonly name: string;
  readonly quantization: string;
  readonly contextTokens: number;
  /** Fastest first; at least one. */
  readonly providers: readonly Provider[];
}

/** Why the page cannot get further without a person. */
export type Blocked = "no_environment" | "token_refused" | "app_missing" | "not_authorised";

/** Where the connection stands. */
export type BackendState =
  | { readonly at: "connecting" }
  | { readonly at: "offline"; readonly retryInMs: number; readonly attempt: number }
  | { readonly at: "joining" }
  | { readonly at: "ready"; readonly models: readonly Model[] }
  | { readonly at: "blocked"; readonly why: Blocked };

/** Why there is no (further) answer. Each has words in `strings.ts`. */
export type FailureCode =
  | "empty"
  | "too_long"
  | "no_provider"
  | "not_sent"
  | "disconnected"
  | "silent"
  | "gone"
  | "broken"
  | "unknown_model"
  | "busy"
  | "prompt_too_long"
  | "malformed"
  | "draining"
  | "engine_failed"
  | "unknown_request"
  | "not_admitted"
  | "cannot_see"
  | "must_be_known";

export interface Failure {
  readonly code: FailureCode;
  /** What exactly, in the words of whoever noticed; may be empty. */
  readonly detail: string;
}

/** What the provider states about a complete answer. */
export interface Statement {
  readonly finish: FinishReason;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** By the provider's clock, from the arrival of the question. */
  readonly firstTokenMs: number;
  /** Tokens a second after the first; 0 if there was no second. */
  readonly tokensPerS: number;
}

/** How far the receipt of an answer is. */
export type ReceiptState =
  | { readonly at: "signed" }
  | { readonly at: "checked"; readonly action: string }
  | { readonly at: "unpublished" }
  | { readonly at: "unreachable"; readonly action: string }
  | { readonly at: "false"; readonly action: string };

/** What happens to a question, in order. `answered` may be followed by `receipt`; `failed` is the last. */
export type AnswerEvent =
  | { readonly type: "asked"; readonly provider: Provider }
  | { readonly type: "queued"; readonly before: number }
  | { readonly type: "text"; readonly text: string; readonly tokens: number }
  | { readonly type: "passed_on"; readonly from: Provider; readonly failure: Failure }
  | { readonly type: "answered"; readonly statement: Statement }
  | { readonly type: "receipt"; readonly receipt: ReceiptState }
  | { readonly type: "failed"; readonly failure: Failure };

export interface AskOptions {
  /** Questions of one conversation share a key; those of different ones cannot be told to be by the same person. */
  readonly conversation: number;
  readonly model: Model;
  readonly input: ChatInput;
  /** Who is asked first, if possible. */
  readonly prefer: string | null;
  /** Whom not to ask. */
  readonly avoid: ReadonlySet<string>;
  /** Aborting stops the answer and tells the provider. */
  readonly stop: AbortSignal;
}

export interface ChatBackend {
  readonly state: BackendState;
  /** Called at once and at each change, until the returned function is called. */
  subscribe(listener: (state: BackendState) => void): () => void;
  /** Whom to ask: whoever will see the question is named before it is sent. `dice`: at least 0 and less than 1. */
  likelyProvider(model: Model, prefer: string | null, dice: number): Provider | null;
  ask(options: AskOptions): AsyncIterable<AnswerEvent>;
  /** Tries to connect at once instead of waiting. */
  reconnect(): void;
  /** Ends everything, telling providers to stop. */
  close(): void;
}
