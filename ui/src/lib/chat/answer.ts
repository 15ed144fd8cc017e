// What is shown of one answer, folded from the events of its question. Pure.
import type { AnswerEvent, Failure, Provider, ReceiptState, Statement } from "./backend";

export type Phase = "asking" | "queued" | "reading" | "writing" | "done" | "stopped" | "failed";

export interface Answer {
  readonly phase: Phase;
  readonly text: string;
  /** Tokens received so far. */
  readonly tokens: number;
  readonly provider: Provider | null;
  /** Questions before this one at the provider. */
  readonly before: number;
  /** From sending to the first text here, in milliseconds. */
  readonly firstTokenMs: number | null;
  readonly statement: Statement | null;
  readonly receipt: ReceiptState | null;
  readonly failure: Failure | null;
  /** Providers that did not answer, before this one. */
  readonly passedOn: readonly string[];
}

export const unanswered: Answer = {
  phase: "asking",
  text: "",
  tokens: 0,
  provider: null,
  before: 0,
  firstTokenMs: null,
  statement: null,
  receipt: null,
  failure: null,
  passedOn: [],
};

/** Whether the provider still works on it. */
export function isOpen(answer: Answer): boolean {
  return answer.phase === "asking" || answer.phase === "queued" || answer.phase === "reading" || answer.phase === "writing";
}

/** `elapsedMs`: since the question was sent. What arrives after a stop changes nothing. */
export function advance(answer: Answer, event: AnswerEvent, elapsedMs: number): Answer {
  if (answer.phase === "stopped") return answer;
  switch (event.type) {
    case "asked":
      return { ...answer, phase: "asking", provider: event.provider };
    case "queued":
      return { ...answer, phase: event.before > 0 ? "queued" : "reading", before: event.before };
    case "text":
      return {
        ...answer,
        phase: "writing",
        text: answer.text + event.text,
        tokens: answer.tokens + event.tokens,
        firstTokenMs: answer.firstTokenMs ?? elapsedMs,
      };
    case "passed_on":
      return { ...answer, phase: "asking", provider: null, passedOn: [...answer.passedOn, event.from.key] };
    case "answered":
      return { ...answer, phase: "done", statement: event.statement, receipt: { at: "signed" } };
    case "receipt":
      return { ...answer, receipt: event.receipt };
    case "failed":
      return { ...answer, phase: "failed", failure: event.failure };
  }
}

/** The person who asked has had enough. */
export function stopped(answer: Answer): Answer {
  return isOpen(answer) ? { ...answer, phase: "stopped" } : answer;
}
