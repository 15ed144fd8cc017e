// Every language says everything, in sentences, with what it was given.
import { describe, expect, it } from "vitest";
import type { BackendState, Model, Readers, ReceiptState } from "../chat/backend";
import { model, provider, statement } from "../chat/testing";
import { de } from "./de";
import { en } from "./en";
import { figures, shortKey } from "./figures";

const sentence = /^[\p{Lu}„“].*[.…?]$/u;
const catalogues = { en, de };

/** Names of everything that is said, below objects too. */
function names(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => names(inner, `${path}.${key}`));
}

describe("languages", () => {
  it("say the same things", () => {
    expect(names(de).sort()).toEqual(names(en).sort());
    expect(de.shortcuts.length).toBe(en.shortcuts.length);
    expect(de.exampleQuestions.length).toBe(en.exampleQuestions.length);
  });

  it("are another language", () => {
    const same = Object.entries(en).filter(([name, said]) => typeof said === "string" && said !== "" && de[name as keyof typeof de] === said);
    expect(same.map(([name]) => name).sort()).toEqual(["code", "pullName", "version"]);
  });
});

describe.each(Object.entries(catalogues))("the words in %s", (_, t) => {
  it("say what happened and what to do, in sentences, for every failure", () => {
    for (const { what, remedy } of Object.values(t.failure)) {
      expect(what).toMatch(sentence);
      expect(remedy).toMatch(sentence);
    }
    expect(new Set(Object.values(t.failure).map(({ what }) => what)).size).toBe(Object.keys(t.failure).length);
  });

  it("say in every state what is going on, and what to do unless all is well", () => {
    const states: BackendState[] = [
      { at: "offline", attempt: 1, retryInMs: 400 },
      { at: "joining", stage: "peers" },
      ...(["no_environment", "token_refused", "app_missing", "not_authorised", "key_needed"] as const).map((why) => ({ at: "blocked", why }) as const),
    ];
    for (const state of states) expect(t.state(state).long).toMatch(sentence);
    expect(t.state({ at: "ready", models: [] }).long).toBe("");
    for (const remedy of Object.values(t.stageRemedy)) expect(remedy).toMatch(sentence);
  });

  it("name whoever will read the question", () => {
    const stranger = provider("uhCAk1234567890123456789");
    const readers: Readers[] = [
      { by: "self" },
      { by: "one", provider: stranger, others: 0 },
      { by: "one", provider: { ...stranger, kinship: "friend" }, others: 2 },
      { by: "one_of", count: 3, strangers: 3 },
      { by: "one_of", count: 3, strangers: 1 },
    ];
    const said = readers.map((one) => t.readers(one));
    expect(new Set(said).size).toBe(said.length);
    for (const line of said) expect(line).toMatch(sentence);
    expect(said[1]).toContain("uhCAk123…6789");
    expect(said[3]).toContain("3");
  });

  it("say how far a receipt is, and do not say more than was checked", () => {
    const action = "uhCkkX3mTtYBgdTqDPZ3rRoQyxLNrVYVqm0kDzqmRv";
    for (const at of ["checked", "unreachable", "false"] as const) {
      const receipt: ReceiptState = { at, action };
      expect(t.receipt(receipt).long).toContain(action);
    }
    for (const at of ["none", "signed", "unpublished"] as const) expect(t.receipt({ at }).long).toMatch(sentence);
    expect(t.auditLong.unaudited).toMatch(/not checked|nicht geprüft/);
  });

  it("count", () => {
    const facts = (change: Partial<Model>) => t.modelFacts({ ...model, ...change });
    expect(facts({ providers: [{ ...provider("a"), tokensPerS: 5_100, waiting: 3 }] })).toMatch(/^1 \p{L}+ · .*5[.,]100 .* · 3 /u);
    expect(facts({ providers: [{ ...provider("a"), waiting: 0 }] })).not.toMatch(/ 0 /);
    expect(t.statement(statement, 41.4)).toMatch(/41 ms/);
    expect(t.passedOn(1)).not.toBe(t.passedOn(2).replace("2", "1"));
  });
});

describe("figures", () => {
  it("are as the language writes them", () => {
    expect([figures("en").number(5_100), figures("de").number(5_100)]).toEqual(["5,100", "5.100"]);
    expect([figures("en").bytes(1_624_000), figures("de").bytes(1_624_000), figures("en").bytes(12)]).toEqual(["1.5 MiB", "1,5 MiB", "12 B"]);
    expect([1, 99, 100, 7_200, 200_000].map(figures("en").duration)).toEqual(["1 second", "99 seconds", "2 minutes", "2 hours", "2 days"]);
  });

  it("shorten keys and nothing else", () => {
    expect(shortKey("uhCAk1234567890123456789")).toBe("uhCAk123…6789");
    expect(shortKey("short")).toBe("short");
  });
});
