/// <reference types="node" />
// Every language says everything, in sentences, with what it was given.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { AuditState, BackendState, Model, Outlook, Readers, ReceiptState } from "../chat/backend";
import { model, provider, statement } from "../chat/testing";
import { de } from "./de";
import { en } from "./en";
import { failureOf } from "../sidecar/failures";
import { Refused } from "../sidecar/http";
import { figures, shortKey } from "./figures";
import { reasonsDe } from "./reasons.de";
import { reasonsEn } from "./reasons.en";

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
    expect([de.verifying.length, de.ownNetworksElsewhere.length]).toEqual([en.verifying.length, en.ownNetworksElsewhere.length]);
    expect(Object.keys(reasonsDe).sort()).toEqual(Object.keys(reasonsEn).sort());
  });

  it("are another language", () => {
    const same = Object.entries(en).filter(([name, said]) => typeof said === "string" && said !== "" && de[name as keyof typeof de] === said);
    expect(same.map(([name]) => name).sort()).toEqual(["code", "online", "pullName", "version"]);
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

  it("say what happened and what to do for every code of the node, in sentences", () => {
    for (const code of Object.keys(reasonsEn)) {
      const said = t.reason(code);
      expect(said?.what, code).toMatch(sentence);
      expect(said?.remedy, code).toMatch(sentence);
    }
    expect(t.reason("no_such_code")).toBeNull();
    expect(t.reason("")).toBeNull();
  });

  it("say what a question waits for and costs", () => {
    const terms = (change: Partial<Outlook>) => t.terms({ readers: null, waiting: 0, milliPrice: [0, 0], auditors: "none", hurdle: null, ...change });
    const lines = [{}, { waiting: 1 }, { waiting: 3 }, { waiting: null }, { milliPrice: [1_500, 1_500] as const }, { milliPrice: [0, 2_000] as const }, { milliPrice: null }].map(terms);
    expect(new Set(lines).size).toBe(lines.length);
    for (const line of lines) expect(line).toMatch(/^[\p{Lu}\d].*\.$/u);
    expect(lines[0]).toMatch(/(free|kostenlos)\.$/);
    expect(lines[4]).toMatch(/1[.,]5/);
    for (const line of Object.values(t.hurdle)) expect(line).toMatch(sentence);
  });

  it("say why a provider was chosen", () => {
    const usual = { kinship: "public", firstTokenMs: 1_240, waitMs: 0, basis: "measured", prefixTokens: 0, milliPrice: null, candidates: 1, probed: 0, nearEquals: 1, lastResort: false, hedged: false } as const;
    const kinds = [{}, { kinship: "friend" }, { waitMs: 30 }, { prefixTokens: 12 }, { milliPrice: 0 }, { candidates: 3, probed: 2 }, { candidates: 3, probed: 2, nearEquals: 2 }, { lastResort: true }, { hedged: true }, { basis: "claimed" }] as const;
    const lines = kinds.map((change) => t.chosen({ ...usual, ...change }));
    expect(new Set(lines).size).toBe(lines.length);
    for (const line of lines) expect(line).toMatch(sentence);
    expect(lines[0]).toMatch(/1[.,]240 ms/);
  });

  it("say each check of a receipt, and never more than was checked", () => {
    const states = (at: "signed" | "checked" | "unpublished" | "unreachable" | "false", audit: AuditState) =>
      t.checks(at === "signed" || at === "unpublished" ? { at } : { at, action: "uhCkkX" }, audit).map(({ state }) => state);
    expect(states("checked", "unaudited")).toEqual(["passed", "passed", "passed", "open"]);
    expect(states("signed", "unaudited")).toEqual(["passed", "passed", "open", "open"]);
    expect(states("unpublished", "audited")).toEqual(["passed", "passed", "failed", "passed"]);
    expect(states("false", "disputed")).toEqual(["passed", "passed", "failed", "failed"]);
    expect(states("unreachable", "unaudited")[2]).toBe("open");
    expect(states("checked", "running")[3]).toBe("open");
    expect(states("checked", "inconclusive")[3]).toBe("open");
    expect(t.checks({ at: "none" }, "unaudited")).toEqual([]);
    expect(t.checks({ at: "checked", action: "uhCkkX" }, "unaudited").some(({ text }) => text.includes("uhCkkX"))).toBe(true);
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
      { by: "several", count: 3, among: 5 },
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

  it("say what replaying came to, and how several answers compare", () => {
    for (const line of [...Object.values(t.auditLong), ...Object.values(t.auditWhy)]) expect(line).toMatch(sentence);
    const voice = { provider: "uhCAk1", isChosen: false, tokens: 70, dissentsFrom: null, failed: null };
    const voices = [{ ...voice, isChosen: true }, voice, { ...voice, dissentsFrom: 32 }, { ...voice, failed: "provider_gone" }];
    expect(t.agreement({ hasMajority: true, agreedTokens: 70, voices })).toMatch(/^2 \p{L}+ 3 .*\.$/u);
    expect(t.agreement({ hasMajority: false, agreedTokens: 32, voices })).toMatch(/32 .*3 /);
    expect(new Set(voices.map((one) => t.voice(one))).size).toBe(4);
    const fared = { provider: "uhCAk1", passed: 3, failed: 1, undecided: 2, isConvicted: false, ratePercent: 0.2 };
    expect(t.auditsOf(fared)).toMatch(/3 .*1 .*2 .*1 %/);
    expect(t.auditsOf({ ...fared, isConvicted: true })).toMatch(/convicted|verurteilt/);
    const record = { provider: "uhCAk1", model: "m", audit: "disputed", isCanary: true, tokens: 64, distance: 0.0178, impossible: 1, auditor: null, report: null } as const;
    expect(t.auditEvidence(record)).toMatch(/^64 .* 0[.,]018 .* 1 .*/);
    expect(t.auditEvidence({ ...record, distance: null, impossible: null, isCanary: false })).toMatch(/^64 \p{L}+$/u);
    expect(t.auditedBy("uhCAk2")).toMatch(/\p{L}+ uhCAk2/u);
    for (const line of Object.values(t.auditorsRead)) expect(line).toMatch(sentence);
  });

  it("count", () => {
    const facts = (change: Partial<Model>) => t.modelFacts({ ...model, ...change });
    expect(facts({ providers: [{ ...provider("a"), tokensPerS: 5_100, waiting: 3 }] })).toMatch(/^1 \p{L}+ · .*5[.,]100 .* · 3 /u);
    expect(facts({ providers: [{ ...provider("a"), waiting: 0 }] })).not.toMatch(/ 0 /);
    expect(t.statement(statement, 41.4)).toMatch(/41 ms/);
    expect(t.passedOn(1)).not.toBe(t.passedOn(2).replace("2", "1"));
  });
});

describe("codes of the node", () => {
  /** Codes by the parts of the program that a page can hear of, from the reference that is written from the sources. */
  const reference = readFileSync(new URL("../../../../docs/reference/errors.md", import.meta.url), "utf8");
  const rows = [...reference.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, code, part]) => ({ code: code as string, part: part as string }));
  /** What no page can meet: programs that speak other dialects, keys and addresses at the start, what is met before the API is there. */
  const unmet = new Set([
    ...["invalid_json", "invalid_utf8", "unsupported_field", "answer_not_found", "key_name_invalid", "key_name_taken", "key_not_found", "keys_damaged", "too_many_keys"],
    ...["not_loopback", "ui_damaged", "ui_too_large", "ui_without_index", "posted_request_unknown", "calibration_unusable"],
    // Of files that are checked on the command line.
    ...["not_a_receipt_file", "receipt_file_too_large", "receipt_file_version"],
  ]);
  const isKnown = (code: string) => code in reasonsEn || failureOf(new Refused(500, code, "", "")).code !== "refused";

  it("have words, all that the API, the node, the engine and models can say", () => {
    expect(rows.length).toBeGreaterThan(200);
    const mute = rows.filter(({ code, part }) => ["api", "node", "engine", "models"].includes(part) && !unmet.has(code) && !isKnown(code));
    expect(mute.map(({ code }) => code)).toEqual([]);
  });

  it("have words, all that networks and invites can say", () => {
    const ofNetworks = rows.filter(({ code, part }) => ["cli", "verify"].includes(part) && /^(network|invite|invited|revocation|already|not_a_founder)/.test(code) && code !== "network_unsaid");
    expect(ofNetworks.length).toBeGreaterThan(10);
    expect(ofNetworks.filter(({ code }) => !(code in reasonsEn)).map(({ code }) => code)).toEqual([]);
  });

  it("are codes that exist", () => {
    const known = new Set(rows.map(({ code }) => code));
    expect(Object.keys(reasonsEn).filter((code) => !known.has(code))).toEqual([]);
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
