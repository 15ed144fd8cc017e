import { describe, expect, it } from "vitest";
import { limits } from "../generated/types";
import type { PeerSignal } from "../generated/types";
import { filled, testAsk, TestProvider } from "../testing/provider";
import { Question } from "./question";
import type { Effect } from "./question";
import { CHUNKS_WAITING_MAX, GAP_MS, NUDGE_MS, RESENDS_MAX, SILENCE_MS } from "./timing";

const provider = new TestProvider(1);
const stranger = new TestProvider(2);
const ask = testAsk();
const texts = ["The capital", " of France", " is Paris."];

function start(maxTokens = 0): Question {
  return new Question(provider.asked(testAsk(maxTokens)), 0);
}

function feed(question: Question, signals: readonly PeerSignal[], nowMs = 1): Effect[] {
  return signals.flatMap((signal) => question.onSignal(provider.agent, signal, nowMs));
}

function textOf(effects: readonly Effect[]): string {
  return effects.map((effect) => (effect.type === "text" ? effect.text : "")).join("");
}

function failureOf(effects: readonly Effect[]): unknown {
  return effects.find((effect) => effect.type === "failed")?.failure;
}

/** All orders of a few things. */
function orders<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, at) => orders(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}

describe("a question that is answered", () => {
  it("hands out text in order, then the end, whatever order it comes in", () => {
    for (const order of orders(provider.answer(ask, texts))) {
      const effects = feed(start(), order);
      expect(textOf(effects)).toBe(texts.join(""));
      expect(effects.at(-1)?.type).toBe("answered");
    }
  });

  it("takes each part once", () => {
    const signals = provider.answer(ask, texts);
    const effects = feed(start(), signals.flatMap((signal) => [signal, signal]));
    expect(textOf(effects)).toBe(texts.join(""));
    expect(effects.filter(({ type }) => type === "answered")).toHaveLength(1);
  });

  it("hands out thoughts beside the text, and keeps all that was said", () => {
    const effects = feed(start(), provider.answer(ask, [{ thought: "France, " }, { thought: "hm." }, ...texts]));
    expect(effects.map((effect) => (effect.type === "text" ? (effect.reasoning ?? "") : "")).join("")).toBe("France, hm.");
    expect(textOf(effects)).toBe(texts.join(""));
    expect(effects.at(-1)).toMatchObject({ type: "answered", said: { tokens: [0, 1, 2, 3, 4], text: texts.join(""), more: { reasoning: "France, hm.", tool_calls: [] } } });
  });

  it("may be empty", () => {
    expect(feed(start(), provider.answer(ask, [])).map(({ type }) => type)).toEqual(["answered"]);
  });

  it("tells its place in the queue until it begins", () => {
    const accepted: PeerSignal = { type: "accepted", id: ask.id, queue_position: 3 };
    const question = start();
    expect(feed(question, [accepted])).toEqual([{ type: "queued", before: 3 }]);
    feed(question, provider.answer(ask, texts).slice(0, 1));
    expect(feed(question, [accepted])).toEqual([]);
  });

  it("listens to nobody but its provider and nothing but its id", () => {
    const question = start();
    for (const signal of provider.answer(ask, texts)) {
      expect(question.onSignal(stranger.agent, signal, 1)).toEqual([]);
      expect(feed(question, [{ ...signal, id: filled(16, 9) } as PeerSignal])).toEqual([]);
    }
    expect(question.onRejected(stranger.agent, "too long")).toEqual([]);
  });
});

describe("a question with losses", () => {
  it("asks again for what is missing after a gap, from the first missing part", () => {
    const question = start();
    const [first, second, third, done] = provider.answer(ask, texts) as [PeerSignal, PeerSignal, PeerSignal, PeerSignal];
    feed(question, [first, third]);
    expect(question.nextTickMs).toBe(1 + GAP_MS);
    expect(question.onTick(GAP_MS)).toEqual([]);
    expect(question.onTick(1 + GAP_MS)).toEqual([{ type: "send", signal: { type: "resend", id: ask.id, from_chunk: 1 } }]);
    const effects = feed(question, [second, done], 1 + GAP_MS);
    expect(effects.at(-1)?.type).toBe("answered");
  });

  it("notices at the end that the last part is missing", () => {
    const question = start();
    const [first, second, , done] = provider.answer(ask, texts) as [PeerSignal, PeerSignal, PeerSignal, PeerSignal];
    feed(question, [first, second, done]);
    expect(question.onTick(1 + GAP_MS)[0]).toMatchObject({ type: "send", signal: { type: "resend", from_chunk: 2 } });
  });

  it("gives up when asking again does not help", () => {
    const question = start();
    feed(question, provider.answer(ask, texts).slice(1, 2));
    let nowMs = 1;
    for (let resend = 0; resend < RESENDS_MAX; resend += 1) {
      nowMs += GAP_MS;
      question.onSignal(provider.agent, { type: "accepted", id: ask.id, queue_position: 0 }, nowMs);
      expect(question.onTick(nowMs)[0]?.type).toBe("send");
    }
    expect(failureOf(question.onTick(nowMs + GAP_MS))).toMatchObject({ code: "gone" });
  });

  it("asks a second time when nothing comes, then calls the provider silent", () => {
    const question = start();
    expect(question.nextTickMs).toBe(NUDGE_MS);
    expect(question.onTick(NUDGE_MS)).toEqual([{ type: "ask_again" }]);
    expect(question.onTick(NUDGE_MS + 1)).toEqual([]);
    expect(question.nextTickMs).toBe(SILENCE_MS);
    expect(failureOf(question.onTick(SILENCE_MS))).toMatchObject({ code: "silent" });
    expect(SILENCE_MS).toBeLessThan(5_000);
  });

  it("asks for the rest when the answer stops coming, then calls the provider gone", () => {
    const question = start();
    feed(question, provider.answer(ask, texts).slice(0, 1));
    expect(question.onTick(1 + NUDGE_MS)[0]).toMatchObject({ type: "send", signal: { type: "resend", from_chunk: 1 } });
    expect(failureOf(question.onTick(1 + SILENCE_MS))).toMatchObject({ code: "gone" });
    expect(feed(question, provider.answer(ask, texts))).toEqual([]);
  });

  it("stays alive on heartbeats", () => {
    const question = start();
    for (let nowMs = 1_000; nowMs < 60_000; nowMs += 1_000) {
      question.onSignal(provider.agent, { type: "accepted", id: ask.id, queue_position: 1 }, nowMs);
      expect(question.onTick(nowMs + 900)).toEqual([]);
    }
  });
});

describe("a question that is not answered", () => {
  it("says why it was refused", () => {
    const effects = feed(start(), [{ type: "refused", id: ask.id, reason: "busy", detail: "8 are waiting" }]);
    expect(failureOf(effects)).toEqual({ code: "busy", detail: "8 are waiting" });
  });

  it("can be cancelled once, and is deaf afterwards", () => {
    const question = start();
    expect(question.cancel()).toEqual({ type: "cancel", id: ask.id });
    expect(question.cancel()).toBeNull();
    expect(feed(question, provider.answer(ask, texts))).toEqual([]);
    expect(question.onTick(SILENCE_MS)).toEqual([]);
  });
});

describe("a provider that breaks the protocol", () => {
  it.each([
    ["another provider", { provider: stranger.agent }],
    ["another model", { spec: filled(39, 1) }],
    ["another question", { input: filled(32, 1) }],
    ["another session", { session_key: filled(32, 1) }],
    ["another answer", { output: filled(32, 1) }],
    ["other tokens", { completion_tokens: 7 }],
    ["another secret", { audit: { ...ask.audit, challenge: filled(32, 1) } }],
    ["more audits", { audit: { ...ask.audit, rate_ppm: 1 } }],
    ["more auditors", { audit: { ...ask.audit, auditors_ppm: 1 } }],
  ])("is named when its receipt is about %s", (_, change) => {
    const effects = feed(start(), provider.answer(ask, texts, change));
    expect(failureOf(effects)).toMatchObject({ code: "broken" });
    expect(effects.some(({ type }) => type === "answered")).toBe(false);
  });

  it("is named when its receipt is signed by another", () => {
    const signals = provider.answer(ask, texts);
    const done = signals.at(-1);
    if (done?.type !== "done") throw new Error("no end");
    const forged = { ...done, receipt: { ...done.receipt, signature: filled(64, 1) } };
    expect(failureOf(feed(start(), [...signals.slice(0, -1), forged]))).toMatchObject({ code: "broken" });
  });

  it("is named when what it said was dropped as out of bounds", () => {
    expect(failureOf(start().onRejected(provider.agent, "text: too long"))).toEqual({ code: "broken", detail: "text: too long" });
  });

  it("cannot make the page keep more than the bound", () => {
    const question = start();
    const chunk = (n: number): PeerSignal => ({ type: "tokens", id: ask.id, chunk: n, text: "x", tokens: [1], more: null });
    for (let n = 1; n <= CHUNKS_WAITING_MAX; n += 1) expect(feed(question, [chunk(n)])).toEqual([]);
    expect(failureOf(feed(question, [chunk(CHUNKS_WAITING_MAX + 1)]))).toMatchObject({ code: "broken" });
  });

  it("cannot answer longer than asked for", () => {
    const question = start(3);
    const four: PeerSignal = { type: "tokens", id: ask.id, chunk: 0, text: "", tokens: [1, 2, 3, 4], more: null };
    expect(failureOf(feed(question, [four]))).toMatchObject({ code: "broken" });
  });

  it("cannot answer longer than anything may be", () => {
    const question = start();
    const text = "x".repeat(limits.CHUNK_TEXT_BYTES_MAX);
    const count = limits.ANSWER_BYTES_MAX / limits.CHUNK_TEXT_BYTES_MAX;
    const chunk = (n: number): PeerSignal => ({ type: "tokens", id: ask.id, chunk: n, text, tokens: [], more: null });
    for (let n = 0; n < count; n += 1) expect(failureOf(feed(question, [chunk(n)]))).toBeUndefined();
    expect(failureOf(feed(question, [chunk(count)]))).toMatchObject({ code: "broken" });
  });
});
