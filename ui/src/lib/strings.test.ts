import { describe, expect, it } from "vitest";
import type { BackendState, ReceiptState } from "./chat/backend";
import { failureText, modelOption, passedOnText, readableBy, receiptText, shortKey, speed, stateText, statementText, strings } from "./strings";

const sentence = /^[A-Z“].*[.…]$/;

describe("the page's words", () => {
  it("say what happened and what to do, in sentences, for every failure", () => {
    for (const { what, remedy } of Object.values(failureText)) {
      expect(what).toMatch(sentence);
      expect(remedy).toMatch(sentence);
    }
    expect(new Set(Object.values(failureText).map(({ what }) => what)).size).toBe(Object.keys(failureText).length);
  });

  it("say in every state what is going on, and what to do unless all is well", () => {
    const states: BackendState[] = [
      { at: "connecting" },
      { at: "offline", attempt: 1, retryInMs: 400 },
      { at: "joining" },
      ...(["no_environment", "token_refused", "app_missing", "not_authorised"] as const).map((why) => ({ at: "blocked", why }) as const),
    ];
    for (const state of states) expect(stateText(state).long).toMatch(sentence);
    expect(stateText({ at: "ready", models: [] }).long).toBe("");
    expect(stateText({ at: "offline", attempt: 1, retryInMs: 400 }).long).toContain("1 second.");
    expect(stateText({ at: "joining" }).long).toContain("none online yet");
  });

  it("say how far a receipt is", () => {
    const action = "uhCkkX3mTtYBgdTqDPZ3rRoQyxLNrVYVqm0kDzqmRv";
    for (const at of ["checked", "unreachable", "false"] as const) {
      const receipt: ReceiptState = { at, action };
      expect(receiptText(receipt).long).toContain(action);
    }
    expect(receiptText({ at: "checked", action }).short).toBe("Receipt checked ✓ uhCkkX3m…qmRv");
    expect(receiptText({ at: "signed" }).long).toMatch(sentence);
  });

  it("count properly", () => {
    const provider = { key: "k", tokensPerS: 5_100, device: "cpu", isOwn: false };
    expect(modelOption("tiny", "q8_0", [provider])).toBe("tiny q8_0 · 1 provider · up to 5,100 tok/s");
    expect(modelOption("tiny", "", [provider, { ...provider, tokensPerS: 0 }])).toBe("tiny · 2 providers · up to 5,100 tok/s");
    expect(passedOnText(1)).toBe("1 provider did not answer; asking another.");
    expect(speed(7.25)).toBe("7.3 tok/s");
    const statement = { finish: "stop", promptTokens: 1, completionTokens: 1, firstTokenMs: 1, tokensPerS: 0 } as const;
    expect(statementText(statement, 41.4)).toBe("1 token · first token 41 ms");
  });

  it("name whoever will read the question", () => {
    const provider = { key: "uhCAk1234567890123456789", tokensPerS: 1, device: "cpu", isOwn: false };
    expect(readableBy(provider)).toContain("uhCAk123…6789 (cpu)");
    expect(readableBy({ ...provider, isOwn: true })).toContain("own node");
  });

  it("shorten keys and nothing else", () => {
    expect(shortKey("uhCAk1234567890123456789")).toBe("uhCAk123…6789");
    expect(shortKey("short")).toBe("short");
  });

  it("are in one place", () => {
    for (const text of Object.values(strings)) expect(text.trim()).toBe(text);
  });
});
