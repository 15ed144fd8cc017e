import { describe, expect, it } from "vitest";
import { advance, interrupted, isOpen, speedOf, stopped, unanswered } from "./answer";
import type { AnswerEvent } from "./backend";

import { provider as providerOf, statement } from "./testing";

const provider = providerOf("uhCAk");
const asked: AnswerEvent = { type: "asked", provider, route: "direct", reason: null, spec: "spec" };

function fold(...events: AnswerEvent[]) {
  return events.reduce((answer, event, index) => advance(answer, event, index * 10), unanswered);
}

describe("an answer on screen", () => {
  it("goes through its phases", () => {
    const events: AnswerEvent[] = [
      asked,
      { type: "queued", before: 2 },
      { type: "queued", before: 0 },
      { type: "text", text: "a", tokens: 1 },
      { type: "text", text: "b", tokens: 1 },
      { type: "answered", statement },
    ];
    const phases = events.map((_, count) => fold(...events.slice(0, count + 1)).phase);
    expect(phases).toEqual(["asking", "queued", "reading", "writing", "writing", "done"]);
    expect(fold(...events)).toMatchObject({ text: "ab", tokens: 2, firstTokenMs: 30, receipt: { at: "signed" }, asked: { provider, spec: "spec" } });
  });

  it("keeps what came before a failure", () => {
    const answer = fold({ type: "text", text: "half", tokens: 1 }, { type: "failed", failure: { code: "gone", detail: "" } });
    expect(answer).toMatchObject({ phase: "failed", text: "half", failure: { code: "gone" } });
    expect(isOpen(answer)).toBe(false);
  });

  it("remembers whom the question was passed on from", () => {
    const failure = { code: "silent", detail: "" } as const;
    expect(fold(asked, { type: "passed_on", from: provider, failure })).toMatchObject({
      phase: "asking",
      asked: null,
      passedOn: ["uhCAk"],
    });
  });

  it("counts its speed by the clock here until the provider states it", () => {
    const writing = fold(asked, ...Array.from({ length: 5 }, (): AnswerEvent => ({ type: "text", text: "a", tokens: 1 })));
    expect(speedOf(writing)).toBeCloseTo(100);
    expect(speedOf(fold({ type: "text", text: "a", tokens: 1 }, { type: "answered", statement }))).toBe(1);
    expect(speedOf(unanswered)).toBe(0);
  });

  it("is interrupted when whoever wrote it is gone", () => {
    expect(interrupted(fold(asked))).toMatchObject({ phase: "failed", failure: { code: "interrupted" } });
    const done = fold({ type: "answered", statement });
    expect(interrupted(done)).toBe(done);
    const replayed = fold({ type: "answered", statement }, { type: "receipt", receipt: { at: "signed" }, audit: "running" });
    expect(interrupted(replayed), "nobody here follows it any more").toMatchObject({ phase: "done", audit: "unaudited" });
    expect(interrupted(advance(replayed, { type: "audit", audit: "audited", why: "as_honest" }, 9))).toMatchObject({ audit: "audited" });
  });

  it("does not grow after it is stopped, and what is over cannot be stopped", () => {
    const answer = stopped(fold({ type: "text", text: "a", tokens: 1 }));
    expect(answer.phase).toBe("stopped");
    expect(advance(answer, { type: "text", text: "b", tokens: 1 }, 99)).toBe(answer);
    const done = fold({ type: "answered", statement });
    expect(stopped(done)).toBe(done);
  });
});
