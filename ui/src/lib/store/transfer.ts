// Conversations as a file, and back. What comes in is not ours: it is read field by field, within bounds. Pure.
import { interrupted, unanswered } from "../chat/answer";
import type { Answer } from "../chat/answer";
import type { Only } from "../chat/backend";
import { answerCounts, newId, usual } from "../chat/conversation";
import type { Attachment, Conversation, Options, Turn } from "../chat/conversation";

const FORMAT = "ainonymous-conversations";
const VERSION = 1;
const CONVERSATIONS_MAX = 100_000;
const TURNS_MAX = 1_000_000;
const onlys: readonly Only[] = ["here", "own", "friends", "lan"];
const TEXT_CHARS_MAX = 16 << 20;

export interface Kept {
  readonly conversations: readonly Conversation[];
  readonly turns: readonly Turn[];
}

export function toJson({ conversations, turns }: Kept): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations, turns }, null, 1);
}

/** Null if it is not such a file. Everything gets a new id, so that nothing that is kept is overwritten. */
export function fromJson(json: string, nowMs: number): Kept | null {
  let file: unknown;
  try {
    file = JSON.parse(json);
  } catch {
    return null;
  }
  if (!isMap(file) || file["format"] !== FORMAT || file["version"] !== VERSION) return null;
  const conversations = list(file["conversations"], CONVERSATIONS_MAX);
  const turns = list(file["turns"], TURNS_MAX);
  if (conversations === null || turns === null) return null;
  const ids = new Map<string, string>();
  const renamed = (id: unknown): string | null => {
    if (typeof id !== "string" || id === "") return null;
    const known = ids.get(id) ?? newId();
    ids.set(id, known);
    return known;
  };
  const read: Conversation[] = [];
  for (const one of conversations) {
    const id = renamed(one["id"]);
    if (id === null) continue;
    const createdMs = moment(one["createdMs"], nowMs);
    read.push({
      id,
      title: text(one["title"]).slice(0, 200),
      createdMs,
      updatedMs: moment(one["updatedMs"], createdMs),
      leaf: renamed(one["leaf"]),
      modelId: typeof one["modelId"] === "string" ? one["modelId"] : null,
      options: options(one["options"]),
    });
  }
  const here = new Set(read.map(({ id }) => id));
  const readTurns: Turn[] = [];
  for (const one of turns) {
    const [id, conversation] = [renamed(one["id"]), renamed(one["conversation"])];
    if (id === null || conversation === null || !here.has(conversation)) continue;
    readTurns.push({
      id,
      conversation,
      parent: renamed(one["parent"]),
      question: text(one["question"]),
      attachments: attachments(one["attachments"]),
      modelId: text(one["modelId"]),
      modelLabel: text(one["modelLabel"]),
      leftOut: moment(one["leftOut"], 0),
      askedMs: moment(one["askedMs"], nowMs),
      answer: answer(one["answer"]),
    });
  }
  return { conversations: read, turns: readTurns };
}

/** Only its words: what a file says of receipts and providers was not checked here. */
function answer(value: unknown): Answer {
  if (!isMap(value)) return interrupted(unanswered);
  const said = text(value["text"]);
  const phase = value["phase"] === "done" || value["phase"] === "stopped" ? value["phase"] : "failed";
  const words = { ...unanswered, text: said, reasoning: text(value["reasoning"]) };
  return phase === "failed" ? interrupted(words) : { ...words, phase };
}

function options(value: unknown): Options {
  if (!isMap(value)) return usual;
  const number = (name: string, max: number) => {
    const given = value[name];
    return typeof given === "number" && given >= 0 && given <= max ? given : null;
  };
  return {
    system: text(value["system"]),
    temperature: number("temperature", 5),
    topP: number("topP", 1),
    topK: number("topK", 2 ** 20),
    maxTokens: number("maxTokens", 2 ** 20),
    seed: number("seed", Number.MAX_SAFE_INTEGER),
    only: onlys.find((only) => only === value["only"]) ?? null,
    hides: value["hides"] === true,
    answers: answerCounts.find((count) => count === value["answers"]) ?? 1,
  };
}

function attachments(value: unknown): Attachment[] {
  return (list(value, 64) ?? []).flatMap((file): Attachment[] => {
    const name = text(file["name"]).slice(0, 200);
    if (file["kind"] === "text") return [{ kind: "text", name, text: text(file["text"]) }];
    const url = text(file["url"]);
    return file["kind"] === "image" && /^data:image\/(png|jpeg);base64,/.test(url) ? [{ kind: "image", name, url }] : [];
  });
}

type Fields = Record<string, unknown>;

function isMap(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown, max: number): Fields[] | null {
  return Array.isArray(value) && value.length <= max ? value.filter(isMap) : null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, TEXT_CHARS_MAX) : "";
}

function moment(value: unknown, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : otherwise;
}
