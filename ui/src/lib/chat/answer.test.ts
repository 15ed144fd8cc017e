import { describe, expect, it } from "vitest";
import { advance, isOpen, stopped, unanswered } from "./answer";
import type { AnswerEvent } from "./backend";

const provider = { key: "uhCAk", tokensPerS: 10, device: "cpu", isOwn: false };
const statement = { finish: "stop", promptTokens: 3, completionTokens: 2, firstTokenMs: 40, tokensPerS: 9 } as const;

function fold(...events: AnswerEvent[]) {
  return events.reduce((answer, event, index) => advance(answer, event, index * 10), unanswered);
}

describe("an answer on screen", () => {
  it("goes through its phases", () => {
    const events: AnswerEvent[] = [
      { type: "asked", provider },
      { type: "queued", before: 2 },
      { type: "queued", before: 0 },
      { type: "text", text: "a", tokens: 1 },
      { type: "text", text: "b", tokens: 1 },
      { type: "answered", statement },
    ];
    const phases = events.map((_, count) => fold(...events.slice(0, count + 1)).phase);
    expect(phases).toEqual(["asking", "queued", "reading", "writing", "writing", "done"]);
    expect(fold(...events)).toMatchObject({ text: "ab", tokens: 2, firstTokenMs: 30, receipt: { at: "signed" }, provider });
  });

  it("keeps what came before a failure", () => {
    const answer = fold({ type: "text", text: "half", tokens: 1 }, { type: "failed", failure: { code: "gone", detail: "" } });
    expect(answer).toMatchObject({ phase: "failed", text: "half", failure: { code: "gone" } });
    expect(isOpen(answer)).toBe(false);
  });

  it("remembers whom the question was passed on from", () => {
    const failure = { code: "silent", detail: "" } as const;
    expect(fold({ type: "asked", provider }, { type: "passed_on", from: provider, failure })).toMatchObject({
      phase: "asking",
      provider: null,
      passedOn: ["uhCAk"],
    });
  });

  it("does not grow after it is stopped, and what is over cannot be stopped", () => {
    const answer = stopped(fold({ type: "text", text: "a", tokens: 1 }));
    expect(answer.phase).toBe("stopped");
    expect(advance(answer, { type: "text", text: "b", tokens: 1 }, 99)).toBe(answer);
    const done = fold({ type: "answered", statement });
    expect(stopped(done)).toBe(done);
  });
});
