// Carries one question to one provider and runs its machine: signals in, signals out, a timer, a stop.
import { Channel } from "../chat/channel";
import type { Failure } from "../chat/backend";
import { Question } from "../chat/question";
import type { Asked, Effect } from "../chat/question";
import { KEEP_ANSWER_MS } from "../chat/timing";
import { limits } from "../generated/types";
import type { Ask, BatchProof, LocalSignal, PeerSignal, RefuseReason } from "../generated/types";
import { equal } from "../verify/bytes";

/** What carries signals, whatever connection is behind it at the moment. */
export interface Wire {
  send(to: Uint8Array, signal: PeerSignal): Promise<void>;
  /** Until the returned function is called. */
  listen(listener: (signal: LocalSignal) => void): () => void;
  isOpen(): boolean;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

/** What comes out: everything but what was to be sent. */
export type Heard = Exclude<Effect, { type: "send" | "ask_again" }>;

type Arrival =
  | { readonly type: "signal"; readonly signal: LocalSignal }
  | { readonly type: "not_sent"; readonly detail: string }
  | { readonly type: "stop" };

/** Signals that wait to be looked at; a provider that floods faster loses them, and is asked again. */
const ARRIVALS_MAX = 4_096;

/** Ends with `answered` or `failed`, or with neither if stopped. Leaving the loop early stops it too. */
export async function* askProvider(wire: Wire, asked: Asked, ask: Ask, stop: AbortSignal): AsyncGenerator<Heard> {
  const arrivals = new Channel<Arrival>(ARRIVALS_MAX);
  const question = new Question(asked, wire.now());
  /** Whether the provider itself has ended it. */
  let isOver = false;
  const onStop = () => arrivals.push({ type: "stop" });
  const unlisten = wire.listen((signal) => {
    if (equal(signal.from, asked.provider)) arrivals.push({ type: "signal", signal });
  });
  stop.addEventListener("abort", onStop, { once: true });
  try {
    if (stop.aborted) return;
    const sendAsk = () => wire.send(asked.provider, { type: "ask", ...ask });
    sendAsk().catch((error: unknown) => {
      arrivals.push({ type: "not_sent", detail: error instanceof Error ? error.message : "" });
    });
    while (!question.ended) {
      const arrival = await arrivals.next(question.nextTickMs - wire.now());
      if (arrival?.type === "stop" || stop.aborted) return;
      if (arrival?.type === "not_sent") {
        yield failed(wire.isOpen() ? "not_sent" : "disconnected", arrival.detail);
        return;
      }
      for (const effect of effectsOf(question, arrival, wire.now())) {
        // What cannot be sent is a loss like any other: the machine counts on it.
        if (effect.type === "send") wire.send(asked.provider, effect.signal).catch(() => undefined);
        else if (effect.type === "ask_again") sendAsk().catch(() => undefined);
        else {
          isOver = effect.type === "answered" || (effect.type === "failed" && effect.failure.code in refusals);
          yield withCause(effect, wire);
        }
      }
    }
  } finally {
    unlisten();
    stop.removeEventListener("abort", onStop);
    question.cancel();
    // Whoever is no longer listened to need not go on.
    if (!isOver) wire.send(asked.provider, { type: "cancel", id: asked.id }).catch(() => undefined);
  }
}

const refusals: Record<RefuseReason, true> = {
  unknown_model: true,
  busy: true,
  prompt_too_long: true,
  malformed: true,
  draining: true,
  engine_failed: true,
  unknown_request: true,
  not_admitted: true,
  cannot_see: true,
  must_be_known: true,
};

function effectsOf(question: Question, arrival: { signal: LocalSignal } | null, nowMs: number): Effect[] {
  const signal = arrival?.signal;
  const effects =
    signal === undefined
      ? []
      : signal.type === "peer"
        ? question.onSignal(signal.from, signal.signal, nowMs)
        : question.onRejected(signal.from, signal.reason);
  return [...effects, ...question.onTick(nowMs)];
}

/** Silence has another cause if it is our own connection that is gone. */
function withCause(effect: Heard, wire: Wire): Heard {
  const isSilence = effect.type === "failed" && (effect.failure.code === "silent" || effect.failure.code === "gone");
  return isSilence && !wire.isOpen() ? failed("disconnected", "") : effect;
}

function failed(code: Failure["code"], detail: string): Heard {
  return { type: "failed", failure: { code, detail } };
}

/** Waits for the news that a receipt is on the DHT. */
export interface Publication {
  /** Null if it does not come. `chunks`: how many the answer had. */
  wait(chunks: number): Promise<BatchProof | null>;
  end(): void;
}

/** Providers publish receipts in batches, well within the time that they keep an answer. */
const PUBLISH_MS = KEEP_ANSWER_MS + 5_000;
/** Pauses between asking where the receipt stands, in case the news was lost. */
const WHERE_PAUSES_MS = [10_000, 30_000, 60_000];

/** Catches the news from now on, however early it comes. */
export function awaitPublication(wire: Wire, asked: Asked): Publication {
  const proofs = new Channel<BatchProof>(1);
  const end = wire.listen((local) => {
    if (local.type !== "peer" || local.signal.type !== "receipt_published") return;
    if (equal(local.from, asked.provider) && equal(local.signal.id, asked.id)) proofs.push(local.signal.proof);
  });
  const wait = async (chunks: number) => {
    let proof = await proofs.next(PUBLISH_MS);
    for (const pause of WHERE_PAUSES_MS) {
      if (proof !== null) break;
      const from_chunk = Math.min(chunks, limits.ANSWER_CHUNKS_MAX);
      wire.send(asked.provider, { type: "resend", id: asked.id, from_chunk }).catch(() => undefined);
      proof = await proofs.next(pause);
    }
    return proof;
  };
  return { wait, end };
}
