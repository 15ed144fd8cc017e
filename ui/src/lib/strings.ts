// Every text of the page, in one place: what happened, and what the reader can do. Must not decide when it is shown.
import type { BackendState, Blocked, FailureCode, Provider, ReceiptState, Statement } from "./chat/backend";
import type { FinishReason } from "./generated/types";

export const strings = {
  title: "AInonymous",
  newConversation: "New chat",
  transcript: "Conversation",
  you: "You",
  model: "Model",
  noModel: "No model yet",
  question: "Your question",
  placeholder: "Ask something",
  send: "Send",
  stop: "Stop",
  retry: "Ask again",
  retryElsewhere: "Ask another provider",
  reconnect: "Try now",
  reload: "Reload the page",
  keys: "Enter sends, Shift+Enter starts a new line, Esc stops.",
  welcome: "Ask a model that somebody shares.",
  welcomeDetail:
    "Your question travels from your Holochain node to a node that runs the model, and the answer comes back as it is written. There is no server in between. Each answer has a signed receipt, which this page looks up and checks.",
  stopped: "Stopped.",
  details: "Details",
} as const;

/** A count with its noun. */
function counted(count: number, one: string, many: string): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const wholeNumbers = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function number(value: number): string {
  return wholeNumbers.format(value);
}

/** Two significant digits are enough to compare speeds. */
export function speed(tokensPerS: number): string {
  return `${tokensPerS < 10 ? tokensPerS.toFixed(1) : number(tokensPerS)} tok/s`;
}

/** The beginning and the end of a key: enough to tell nodes apart. */
export function shortKey(key: string): string {
  return key.length > 14 ? `${key.slice(0, 8)}…${key.slice(-4)}` : key;
}

export function modelLabel(name: string, quantization: string): string {
  return quantization === "" ? name : `${name} ${quantization}`;
}

export function modelOption(name: string, quantization: string, providers: readonly Provider[]): string {
  const fastest = Math.max(0, ...providers.map(({ tokensPerS }) => tokensPerS));
  const parts = [modelLabel(name, quantization), counted(providers.length, "provider", "providers")];
  if (fastest > 0) parts.push(`up to ${speed(fastest)}`);
  return parts.join(" · ");
}

/** Whoever will see the question is named before it is sent. */
export function readableBy(provider: Provider): string {
  if (provider.isOwn) return "Your own node answers: nobody else can read your question.";
  return `The node that answers can read your question: ${shortKey(provider.key)} (${provider.device}).`;
}

export interface StateText {
  readonly short: string;
  /** What is going on and what to do; empty when there is nothing to do. */
  readonly long: string;
}

export function stateText(state: BackendState): StateText {
  switch (state.at) {
    case "connecting":
      return { short: "Connecting…", long: "Connecting to the conductor…" };
    case "offline":
      return {
        short: "Offline",
        long: `The conductor does not answer; trying again in ${counted(Math.max(1, Math.round(state.retryInMs / 1000)), "second", "seconds")}. Check that your node runs: “ainonymous status”.`,
      };
    case "joining":
      return {
        short: "Looking for providers…",
        long: "Looking for providers: none online yet. A new node needs up to a minute to hear of others. To share a model yourself, run “ainonymous serve”.",
      };
    case "ready":
      return { short: `Ready · ${counted(state.models.length, "model", "models")}`, long: "" };
    case "blocked":
      return { short: "Not connected", long: blockedText[state.why] };
  }
}

const blockedText: Record<Blocked, string> = {
  no_environment:
    "This page was opened outside of a Holochain runtime. Run “ainonymous up” and open the address that it prints.",
  token_refused: "The conductor no longer accepts this page, for example because it was restarted. Reload the page.",
  app_missing: "The AInonymous app is not installed or not enabled in this conductor.",
  not_authorised: "The conductor does not let this page call the app. Reload the page to get new permission.",
};

export interface FailureText {
  readonly what: string;
  readonly remedy: string;
}

export const failureText: Record<FailureCode, FailureText> = {
  empty: { what: "There is no question.", remedy: "Write something first." },
  too_long: { what: "The conversation is longer than may be sent.", remedy: "Shorten it or start a new chat." },
  no_provider: { what: "No provider serves this model now.", remedy: "Choose another model or ask again later." },
  not_sent: { what: "The question could not be sent.", remedy: "Ask again." },
  disconnected: {
    what: "The connection to the conductor broke.",
    remedy: "It is being restored; ask again when it is.",
  },
  silent: { what: "The provider does not answer.", remedy: "Ask another provider." },
  gone: { what: "The provider fell silent in the middle of the answer.", remedy: "Ask another provider." },
  broken: { what: "The provider broke the protocol, so its answer is not trusted.", remedy: "Ask another provider." },
  unknown_model: { what: "The provider no longer serves this model.", remedy: "Ask another provider." },
  busy: { what: "The provider’s queue is full.", remedy: "Ask another provider, or again in a while." },
  prompt_too_long: {
    what: "The conversation no longer fits into the model’s context.",
    remedy: "Start a new chat or choose a model with more context.",
  },
  malformed: { what: "The provider could not read the question.", remedy: "Reload the page; your node may be older." },
  draining: { what: "The provider is shutting down.", remedy: "Ask another provider." },
  engine_failed: { what: "The provider’s engine failed.", remedy: "Ask another provider." },
  unknown_request: { what: "The provider has lost the question.", remedy: "Ask again." },
  not_admitted: {
    what: "The provider does not hold you for a member of this network.",
    remedy: "Ask again in a moment, or ask a founder whether you were revoked.",
  },
  cannot_see: { what: "The provider’s model sees no images.", remedy: "Ask another provider." },
  must_be_known: { what: "The provider answers only agents that it knows.", remedy: "Ask another provider." },
};

export function passedOnText(count: number): string {
  return `${counted(count, "provider", "providers")} did not answer; asking another.`;
}

export const phaseText = {
  asking: "Asking…",
  queued: (before: number) => `Waiting: ${counted(before, "question is", "questions are")} before yours.`,
  reading: "The model reads…",
  writing: "Writing…",
} as const;

export function tokensText(count: number): string {
  return counted(count, "token", "tokens");
}

/** What there is to say about an answer that is complete. */
export function statementText(statement: Statement, firstTokenMs: number | null): string {
  const parts = [tokensText(statement.completionTokens)];
  if (firstTokenMs !== null) parts.push(`first token ${number(firstTokenMs)} ms`);
  if (statement.tokensPerS > 0) parts.push(speed(statement.tokensPerS));
  return parts.join(" · ");
}

export const finishText: Record<FinishReason, string> = {
  stop: "",
  length: "The answer reached the longest length that fits.",
  cancelled: "The provider ended the answer early.",
};

export interface ReceiptText {
  readonly short: string;
  readonly long: string;
}

export function receiptText(receipt: ReceiptState): ReceiptText {
  switch (receipt.at) {
    case "signed":
      return {
        short: "Receipt signed",
        long: "The provider signed for exactly this question and answer. Waiting for it to publish the receipt.",
      };
    case "checked":
      return {
        short: `Receipt checked ✓ ${shortKey(receipt.action)}`,
        long: `The receipt is signed by the provider, covers exactly this question and answer, and stands in the published batch ${receipt.action}.`,
      };
    case "unpublished":
      return {
        short: "Receipt not published",
        long: "The provider signed a receipt but did not publish it in time.",
      };
    case "unreachable":
      return {
        short: "Receipt not found",
        long: `The provider says that the receipt stands in batch ${receipt.action}, which could not be fetched.`,
      };
    case "false":
      return {
        short: "Receipt false ✗",
        long: `The published batch ${receipt.action} does not contain the receipt that the provider signed.`,
      };
  }
}
