// From a conversation to the question that travels. Pure.
import { limits } from "../generated/types";
import type { ChatInput, ChatMessage, Sampling } from "../generated/types";
import type { Failure } from "./backend";
import type { Attachment, Options } from "./conversation";

/** Gemma's recommended settings, as in `ainonymous_types::Sampling`. */
const sampling: Omit<Sampling, "seed"> = { temperature_milli: 1_000, top_p_milli: 950, min_p_milli: 0, top_k: 64 };

const utf8 = new TextEncoder();

/** What a person said. */
export interface Said {
  readonly question: string;
  readonly attachments: readonly Attachment[];
}

/** One exchange that is over. */
export interface Exchanged extends Said {
  readonly answer: string;
}

/** A question, and the images of its messages by their index. */
export interface Composed {
  readonly input: ChatInput;
  readonly images: ReadonlyMap<number, readonly string[]>;
  /** Exchanges of the beginning that do not fit into any question. */
  readonly leftOut: number;
}

/** The newest exchanges that fit beside a question of `saidBytes` and its system prompt. */
function fitting(history: readonly Exchanged[], saidBytes: number): readonly Exchanged[] {
  let bytes = saidBytes;
  let messages = 2;
  let from = history.length;
  for (; from > 0; from -= 1) {
    const past = history[from - 1] as Exchanged;
    bytes += bytesOf(withFiles(past.question, past.attachments)) + bytesOf(past.answer);
    messages += 2;
    if (bytes > limits.PROMPT_BYTES_MAX || messages > limits.CHAT_MESSAGES_MAX) break;
  }
  return history.slice(from);
}

function bytesOf(text: string): number {
  return utf8.encode(text).length;
}

/** `seed`: at least 0 and at most `limits.SEED_MAX`; a seed among the options counts more. */
export function compose(history: readonly Exchanged[], said: Said, options: Options, seed: number): Composed {
  const messages: ChatMessage[] = [];
  const images = new Map<number, string[]>();
  const say = ({ question, attachments }: Said) => {
    const urls = attachments.flatMap((file) => (file.kind === "image" ? [file.url] : []));
    if (urls.length > 0) images.set(messages.length, urls);
    messages.push({ role: "user", content: withFiles(question, attachments), more: null });
  };
  const system = options.system.trim();
  const answered = history.filter(({ answer }) => answer !== "");
  const kept = fitting(answered, bytesOf(withFiles(said.question, said.attachments)) + bytesOf(system));
  if (system !== "") messages.push({ role: "system", content: system, more: null });
  for (const past of kept) {
    say(past);
    messages.push({ role: "assistant", content: past.answer, more: null });
  }
  say(said);
  const chosen: Sampling = {
    ...sampling,
    ...(options.temperature === null ? {} : { temperature_milli: Math.round(options.temperature * 1_000) }),
    ...(options.topP === null ? {} : { top_p_milli: Math.round(options.topP * 1_000) }),
    ...(options.topK === null ? {} : { top_k: options.topK }),
    seed: options.seed ?? seed,
  };
  const input = { messages, sampling: chosen, max_tokens: options.maxTokens ?? 0, stop: [], more: null };
  return { input, images, leftOut: answered.length - kept.length };
}

/** Texts of files before the question, each in a fence that is longer than any in it. */
function withFiles(question: string, attachments: readonly Attachment[]): string {
  const files = attachments.flatMap((file) => (file.kind === "text" ? [file] : []));
  const parts = files.map(({ name, text }) => {
    const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map((run) => run.length));
    const fence = "`".repeat(longest + 1);
    return `${name}\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
  });
  return [...parts, question].join("\n\n");
}

/** Why a question cannot be asked, if so: found here rather than by a provider. */
export function problemOf({ messages }: ChatInput): Failure | null {
  if ((messages.at(-1)?.content.trim() ?? "") === "") return { code: "empty", detail: "" };
  const bytes = messages.reduce((sum, { content }) => sum + bytesOf(content), 0);
  const isTooLong = bytes > limits.PROMPT_BYTES_MAX || messages.length > limits.CHAT_MESSAGES_MAX;
  return isTooLong ? { code: "too_long", detail: "" } : null;
}

/** A seed from 53 random bits. */
export function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return ((high ?? 0) & 0x1f_ffff) * 2 ** 32 + (low ?? 0);
}
