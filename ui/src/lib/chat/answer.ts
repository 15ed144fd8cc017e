// What is shown of one answer, folded from the events of its question. Pure.
import type { Agreement, AnswerEvent, Asked, AuditReason, AuditState, Failure, Provider, ReceiptState, Statement } from "./backend";

export type Phase = "asking" | "queued" | "reading" | "writing" | "done" | "stopped" | "failed";

export interface Answer {
  readonly phase: Phase;
  readonly text: string;
  /** What the model thought before it wrote, if it told. */
  readonly reasoning: string;
  /** Tokens received so far. */
  readonly tokens: number;
  readonly asked: Asked | null;
  /** Questions before this one at the provider. */
  readonly before: number;
  /** From sending to the first text here, in milliseconds. */
  readonly firstTokenMs: number | null;
  /** From sending to the newest text here, in milliseconds. */
  readonly lastTokenMs: number | null;
  readonly statement: Statement | null;
  readonly receipt: ReceiptState | null;
  /** Absent in what older pages kept. */
  readonly audit?: AuditState;
  readonly auditWhy?: AuditReason | null;
  /** Where the backend replays it, if it does. */
  readonly verifyPath?: string | null;
  /** How several answers compare, if several were asked. */
  readonly agreement?: Agreement | null;
  /** Where the receipt is as a file, if it is anywhere: a path of the backend's, or [`KEPT_HERE`]. */
  readonly receiptFile?: string | null;
  readonly failure: Failure | null;
  /** Providers that did not answer, before this one. */
  readonly passedOn: readonly string[];
}

/** The store of this page has the receipt's file. */
export const KEPT_HERE = "here";

export const unanswered: Answer = {
  phase: "asking",
  text: "",
  reasoning: "",
  tokens: 0,
  asked: null,
  before: 0,
  firstTokenMs: null,
  lastTokenMs: null,
  statement: null,
  receipt: null,
  failure: null,
  passedOn: [],
};

/** Whether the provider still works on it. */
export function isOpen(answer: Answer): boolean {
  return answer.phase === "asking" || answer.phase === "queued" || answer.phase === "reading" || answer.phase === "writing";
}

/** Whether a tab has still to write down something of it: its end, or what its audit found. */
export function isAwaited(answer: Answer): boolean {
  return isOpen(answer) || answer.audit === "running";
}

/** Who wrote it, or was to. */
export function providerOf(answer: Answer): Provider | null {
  return answer.asked?.provider ?? null;
}

/** Tokens a second: as the provider states it, or so far by the clock here; 0 if there is nothing to divide. */
export function speedOf({ statement, tokens, firstTokenMs, lastTokenMs }: Answer): number {
  if (statement !== null) return statement.tokensPerS;
  const ms = (lastTokenMs ?? 0) - (firstTokenMs ?? 0);
  return tokens > 1 && ms > 0 ? ((tokens - 1) * 1_000) / ms : 0;
}

/** `elapsedMs`: since the question was sent. What arrives after a stop changes nothing. */
export function advance(answer: Answer, event: AnswerEvent, elapsedMs: number): Answer {
  if (answer.phase === "stopped") return answer;
  switch (event.type) {
    case "asked": {
      const { type: _, ...asked } = event;
      return { ...answer, phase: "asking", asked };
    }
    case "queued":
      return { ...answer, phase: event.before > 0 ? "queued" : "reading", before: event.before };
    case "text":
      return {
        ...answer,
        phase: "writing",
        text: answer.text + event.text,
        reasoning: answer.reasoning + (event.reasoning ?? ""),
        tokens: answer.tokens + event.tokens,
        firstTokenMs: answer.firstTokenMs ?? elapsedMs,
        lastTokenMs: elapsedMs,
      };
    case "passed_on":
      return { ...answer, phase: "asking", asked: null, passedOn: [...answer.passedOn, event.from.key] };
    case "answered": {
      const asked = event.asked ?? answer.asked;
      return { ...answer, phase: "done", statement: event.statement, asked, agreement: event.agreement ?? null, receipt: { at: "signed" } };
    }
    case "receipt":
      return {
        ...{ ...answer, receipt: event.receipt, audit: event.audit ?? "unaudited", auditWhy: event.why ?? null },
        ...{ receiptFile: event.file ?? null, verifyPath: event.verify ?? null },
      };
    case "audit":
      return { ...answer, audit: event.audit, auditWhy: event.why ?? null };
    case "failed":
      return { ...answer, phase: "failed", failure: event.failure };
  }
}

/** The person who asked has had enough. */
export function stopped(answer: Answer): Answer {
  return isOpen(answer) ? { ...answer, phase: "stopped" } : answer;
}

/** Whoever was writing it, or waited for its audit, is gone: the tab was closed, the machine lost power. */
export function interrupted(answer: Answer): Answer {
  if (answer.audit === "running") return { ...answer, audit: "unaudited" };
  return isOpen(answer) ? { ...answer, phase: "failed", failure: { code: "interrupted", detail: "" } } : answer;
}
