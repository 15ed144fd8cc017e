// A conversation is a tree of turns: editing a question or asking again grows a branch beside the old one. Pure.
import type { Answer } from "./answer";
import type { Only } from "./backend";

/** A file that goes with a question. */
export type Attachment =
  | { readonly kind: "text"; readonly name: string; readonly text: string }
  | { readonly kind: "image"; readonly name: string; readonly url: string };

/** What a person can set for a conversation. Nothing means the model's usual. */
export interface Options {
  readonly system: string;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
  /** Who may answer at most. */
  readonly only: Only | null;
  /** Only through routers. */
  readonly hides: boolean;
  /** So many providers are asked and compared. */
  readonly answers: number;
}

/** So many can be asked at once. */
export const answerCounts = [1, 2, 3, 5] as const;

export const usual: Options = { system: "", temperature: null, topP: null, topK: null, maxTokens: null, seed: null, only: null, hides: false, answers: 1 };

export interface Conversation {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  readonly updatedMs: number;
  /** The last turn of the branch that is shown. */
  readonly leaf: string | null;
  readonly modelId: string | null;
  readonly options: Options;
}

export interface Turn {
  readonly id: string;
  readonly conversation: string;
  /** The turn before; null for a first one. */
  readonly parent: string | null;
  readonly question: string;
  readonly attachments: readonly Attachment[];
  readonly modelId: string;
  readonly modelLabel: string;
  /** Exchanges of the beginning that were left out, because no question may be longer. */
  readonly leftOut: number;
  /** Milliseconds since the epoch. */
  readonly askedMs: number;
  readonly answer: Answer;
}

export type Turns = ReadonlyMap<string, Turn>;

const TITLE_CHARS_MAX = 60;

/** 128 random bits in hexadecimal. */
export function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newConversation(nowMs: number, from: Partial<Pick<Conversation, "modelId" | "options">> = {}): Conversation {
  return { id: newId(), title: "", createdMs: nowMs, updatedMs: nowMs, leaf: null, modelId: null, options: usual, ...from };
}

/** What a conversation is called: the beginning of its first question. */
export function titleOf(question: string): string {
  const line = question.trim().split("\n", 1)[0]?.trim() ?? "";
  const chars = [...line];
  return chars.length > TITLE_CHARS_MAX ? `${chars.slice(0, TITLE_CHARS_MAX - 1).join("").trimEnd()}…` : line;
}

/** From the first turn to the leaf. A tree that is damaged ends where it is damaged. */
export function pathTo(turns: Turns, leaf: string | null): Turn[] {
  const path: Turn[] = [];
  const seen = new Set<string>();
  for (let turn = leaf === null ? undefined : turns.get(leaf); turn !== undefined && !seen.has(turn.id); ) {
    seen.add(turn.id);
    path.push(turn);
    turn = turn.parent === null ? undefined : turns.get(turn.parent);
  }
  return path.reverse();
}

/** Children of each turn, oldest first; those of `null` are first turns. */
export function childrenOf(turns: Turns): Map<string | null, Turn[]> {
  const children = new Map<string | null, Turn[]>();
  for (const turn of turns.values()) {
    const beside = children.get(turn.parent);
    if (beside === undefined) children.set(turn.parent, [turn]);
    else beside.push(turn);
  }
  for (const beside of children.values()) beside.sort((a, b) => a.askedMs - b.askedMs || (a.id < b.id ? -1 : 1));
  return children;
}

/** Where a branch leads: always the newest way on. */
export function endOf(children: ReadonlyMap<string | null, readonly Turn[]>, from: Turn): Turn {
  let turn = from;
  const seen = new Set<string>();
  for (let next = children.get(turn.id)?.at(-1); next !== undefined && !seen.has(next.id); next = children.get(turn.id)?.at(-1)) {
    seen.add(next.id);
    turn = next;
  }
  return turn;
}

/** What counts as said: neither half an answer that failed nor one that its receipt does not cover. */
export function isSaid({ answer }: Turn): boolean {
  return (answer.phase === "done" || answer.phase === "stopped") && answer.text !== "" && answer.receipt?.at !== "false";
}
