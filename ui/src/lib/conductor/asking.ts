// Carries one question to one provider and runs its machine: signals in, signals out, a timer, a stop.
import { Channel } from "../chat/channel";
import type { Failure } from "../chat/backend";
import { Question } from "../chat/question";
import type { Asked, Effect } from "../chat/question";
import type { Ask, BatchProof, LocalSignal, PeerSignal } from "../generated/types";
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
export type Heard = Exclude<Effect, { type: "send" }>;

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
  const onStop = () => arrivals.push({ type: "stop" });
  const unlisten = wire.listen((signal) => {
    if (equal(signal.from, asked.provider)) arrivals.push({ type: "signal", signal });
  });
  stop.addEventListener("abort", onStop, { once: true });
  try {
    if (stop.aborted) return;
    wire.send(asked.provider, { type: "ask", ...ask }).catch((error: unknown) => {
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
        if (effect.type !== "send") yield withCause(effect, wire);
        // A lost resend is asked for again by the machine.
        else wire.send(asked.provider, effect.signal).catch(() => undefined);
      }
    }
  } finally {
    unlisten();
    stop.removeEventListener("abort", onStop);
    const cancel = question.cancel();
    if (cancel !== null) wire.send(asked.provider, cancel).catch(() => undefined);
  }
}

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

/** Catches the news that the receipt of a question is on the DHT, from now on, however early it comes. */
export function awaitProof(wire: Wire, asked: Asked): { within(ms: number): Promise<BatchProof | null>; end(): void } {
  const proofs = new Channel<BatchProof>(1);
  const end = wire.listen((local) => {
    if (local.type !== "peer" || local.signal.type !== "receipt_published") return;
    if (equal(local.from, asked.provider) && equal(local.signal.id, asked.id)) proofs.push(local.signal.proof);
  });
  return { within: (ms) => proofs.next(ms), end };
}
