import { describe, expect, it } from "vitest";
import { limits } from "../generated/types";
import { chatInput, problemOf, randomSeed } from "./input";

describe("the question that travels", () => {
  it("carries the conversation, oldest first, without what was not answered", () => {
    const history = [
      { question: "a", answer: "b" },
      { question: "c", answer: "" },
    ];
    expect(chatInput(history, "d", 7)).toMatchObject({
      messages: [
        { role: "user", content: "a", more: null },
        { role: "assistant", content: "b", more: null },
        { role: "user", content: "d", more: null },
      ],
      sampling: { seed: 7 },
    });
  });

  it("holds the bounds exactly, counted in bytes", () => {
    const ask = (question: string) => problemOf(chatInput([], question, 0))?.code;
    expect(ask("")).toBe("empty");
    expect(ask(" \n")).toBe("empty");
    expect(ask("x")).toBeUndefined();
    expect(ask("x".repeat(limits.PROMPT_BYTES_MAX))).toBeUndefined();
    expect(ask("x".repeat(limits.PROMPT_BYTES_MAX + 1))).toBe("too_long");
    expect(ask("é".repeat(limits.PROMPT_BYTES_MAX / 2 + 1))).toBe("too_long");
    const history = new Array(limits.CHAT_MESSAGES_MAX / 2).fill({ question: "q", answer: "a" });
    expect(problemOf(chatInput(history.slice(1), "x", 0))).toBeNull();
    expect(problemOf(chatInput(history, "x", 0))?.code).toBe("too_long");
  });

  it("has a seed that is exact everywhere", () => {
    for (let i = 0; i < 1_000; i += 1) {
      const seed = randomSeed();
      expect(Number.isSafeInteger(seed) && seed >= 0 && seed <= limits.SEED_MAX).toBe(true);
    }
  });
});
