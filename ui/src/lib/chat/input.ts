// From a conversation to the question that travels. Pure.
import { limits } from "../generated/types";
import type { ChatInput, ChatMessage, Sampling } from "../generated/types";
import type { Failure } from "./backend";

/** Gemma's recommended settings, as in `ainonymous_types::Sampling`. */
const sampling: Omit<Sampling, "seed"> = { temperature_milli: 1_000, top_p_milli: 950, min_p_milli: 0, top_k: 64 };

const utf8 = new TextEncoder();

/** One exchange that is over. */
export interface Exchanged {
  readonly question: string;
  readonly answer: string;
}

/** `seed`: at least 0 and at most `limits.SEED_MAX`. */
export function chatInput(history: readonly Exchanged[], question: string, seed: number): ChatInput {
  const messages: ChatMessage[] = history
    .filter(({ answer }) => answer !== "")
    .flatMap((past) => [
      { role: "user" as const, content: past.question, more: null },
      { role: "assistant" as const, content: past.answer, more: null },
    ]);
  messages.push({ role: "user", content: question, more: null });
  return { messages, sampling: { ...sampling, seed }, max_tokens: 0, stop: [], more: null };
}

/** Why a question cannot be asked, if so: found here rather than by a provider. */
export function problemOf({ messages }: ChatInput): Failure | null {
  if ((messages.at(-1)?.content.trim() ?? "") === "") return { code: "empty", detail: "" };
  const bytes = messages.reduce((sum, { content }) => sum + utf8.encode(content).length, 0);
  const isTooLong = bytes > limits.PROMPT_BYTES_MAX || messages.length > limits.CHAT_MESSAGES_MAX;
  return isTooLong ? { code: "too_long", detail: "" } : null;
}

/** A seed from 53 random bits. */
export function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return ((high ?? 0) & 0x1f_ffff) * 2 ** 32 + (low ?? 0);
}
