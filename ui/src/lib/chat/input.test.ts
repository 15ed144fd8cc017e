import { describe, expect, it } from "vitest";
import { limits } from "../generated/types";
import { usual } from "./conversation";
import { compose, problemOf, randomSeed } from "./input";

const said = (question: string) => ({ question, attachments: [] });
const past = (question: string, answer: string) => ({ ...said(question), answer });

describe("the question that travels", () => {
  it("carries the conversation, oldest first, without what was not answered", () => {
    expect(compose([past("a", "b"), past("c", "")], said("d"), usual, 7)).toMatchObject({
      input: {
        messages: [
          { role: "user", content: "a", more: null },
          { role: "assistant", content: "b", more: null },
          { role: "user", content: "d", more: null },
        ],
        sampling: { temperature_milli: 1_000, seed: 7 },
      },
      leftOut: 0,
    });
  });

  it("holds the bounds exactly, counted in bytes", () => {
    const ask = (question: string) => problemOf(compose([], said(question), usual, 0).input)?.code;
    expect(ask("")).toBe("empty");
    expect(ask(" \n")).toBe("empty");
    expect(ask("x")).toBeUndefined();
    expect(ask("x".repeat(limits.PROMPT_BYTES_MAX))).toBeUndefined();
    expect(ask("x".repeat(limits.PROMPT_BYTES_MAX + 1))).toBe("too_long");
    expect(ask("é".repeat(limits.PROMPT_BYTES_MAX / 2 + 1))).toBe("too_long");
  });

  it("leaves out the oldest of what no question can hold, and says how much", () => {
    const many = new Array(limits.CHAT_MESSAGES_MAX).fill(past("q", "a"));
    const { input, leftOut } = compose(many, said("x"), { ...usual, system: "s" }, 0);
    expect(input.messages).toHaveLength(limits.CHAT_MESSAGES_MAX);
    expect(leftOut).toBe(limits.CHAT_MESSAGES_MAX - (limits.CHAT_MESSAGES_MAX - 2) / 2);
    expect(problemOf(input)).toBeNull();
    const long = compose([past("q", "a"), past("x".repeat(limits.PROMPT_BYTES_MAX - 2), "a")], said("x"), usual, 0);
    expect([long.leftOut, long.input.messages.length, problemOf(long.input)]).toEqual([1, 3, null]);
    expect(compose([past("x".repeat(limits.PROMPT_BYTES_MAX - 1), "a")], said("x"), usual, 0).leftOut).toBe(1);
  });

  it("has a seed that is exact everywhere", () => {
    for (let i = 0; i < 1_000; i += 1) {
      const seed = randomSeed();
      expect(Number.isSafeInteger(seed) && seed >= 0 && seed <= limits.SEED_MAX).toBe(true);
    }
  });
});
