import { describe, expect, it } from "vitest";
import { spec, specRecord, TestProvider } from "../testing/provider";
import { toHex } from "../verify/bytes";
import { choose } from "./choose";
import type { Experience } from "./choose";
import { advance, unconnected } from "./connection";
import type { Connection, ConnectionEvent } from "./connection";
import { servedModels } from "./models";
import type { ServedModel } from "./models";

const [one, two] = [new TestProvider(1), new TestProvider(2)];
const own = one.agent;
const models = servedModels([specRecord], [one.record(10), two.record(100)], own, toHex);

describe("models", () => {
  it("are those that somebody serves, fastest providers first", () => {
    expect(models).toHaveLength(1);
    expect(models[0]).toMatchObject({ id: toHex(spec), name: "tiny", quantization: "q8_0" });
    expect(models[0]?.providers.map(({ isOwn }) => isOwn)).toEqual([false, true]);
    expect(models[0]?.providers.map(({ tokensPerS }) => tokensPerS)).toEqual([100, 10]);
    expect(servedModels([specRecord], [], own, toHex)).toEqual([]);
    expect(servedModels([], [one.record(10)], own, toHex)).toEqual([]);
  });

  it("count each provider and each spec once", () => {
    const twice = servedModels([specRecord, specRecord], [one.record(10), one.record(10)], own, toHex);
    expect(twice).toHaveLength(1);
    expect(twice[0]?.providers).toHaveLength(1);
  });
});

describe("choosing a provider", () => {
  const providers = [
    { key: "a", tokensPerS: 90, device: "", isOwn: false, kinship: "public", waiting: null, milliPrice: null } as const,
    { key: "b", tokensPerS: 10, device: "", isOwn: false, kinship: "public", waiting: null, milliPrice: null } as const,
  ];
  const unknown: Experience = { failures: 0, warranted: false };
  const pick = (dice: number, known: Record<string, Experience> = {}, prefer: string | null = null, avoid: string[] = []) =>
    choose(providers, { prefer, dice, avoid: new Set(avoid), experience: (key) => known[key] ?? unknown })?.key ?? null;

  it("takes faster ones more often, but not only", () => {
    expect(pick(0)).toBe("a");
    expect(pick(0.89)).toBe("a");
    expect(pick(0.91)).toBe("b");
    expect(pick(0.999_999)).toBe("b");
  });

  it("stays with the preferred one until it fails", () => {
    expect(pick(0, {}, "b")).toBe("b");
    expect(pick(0, { b: { failures: 1, warranted: false } }, "b")).toBe("a");
  });

  it("takes one's own node before strangers, but not before the conversation's", () => {
    const own = { key: "c", tokensPerS: 1, device: "", isOwn: true, kinship: "self", waiting: null, milliPrice: null } as const;
    const from = (prefer: string | null) =>
      choose([...providers, own], { prefer, dice: 0, avoid: new Set(), experience: () => unknown })?.key;
    expect(from(null)).toBe("c");
    expect(from("a")).toBe("a");
  });

  it("takes who failed least, and never the avoided or warranted", () => {
    expect(pick(0, { a: { failures: 2, warranted: false }, b: { failures: 1, warranted: false } })).toBe("b");
    expect(pick(0, { a: { failures: 0, warranted: true } })).toBe("b");
    expect(pick(0, { a: { failures: 0, warranted: true } }, "a", ["b"])).toBeNull();
  });
});

describe("the connection's states", () => {
  const run = (...events: ConnectionEvent[]): Connection => events.reduce<Connection>(advance, unconnected);
  const opened: ConnectionEvent = { type: "opened" };
  const lost: ConnectionEvent = { type: "lost", dice: 0.5 };
  const found: ConnectionEvent = { type: "models", models: models as ServedModel[], stage: "providers" };

  it("is ready while somebody serves a model", () => {
    expect(run(opened).at).toBe("joining");
    expect(run(opened, found).at).toBe("ready");
    expect(run(opened, found, { type: "models", models: [], stage: "providers" }).at).toBe("joining");
    expect(run(found)).toBe(unconnected);
  });

  it("waits twice as long after each failure, up to a bound, and starts over after a success", () => {
    let connection: Connection = unconnected;
    const waits = Array.from({ length: 8 }, () => {
      connection = advance(connection, lost);
      const wait = connection.at === "offline" ? connection.retryInMs : 0;
      connection = advance(connection, { type: "connect" });
      return wait;
    });
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(advance(advance(advance(connection, opened), found), lost)).toMatchObject({ at: "offline", retryInMs: 500 });
  });

  it("counts a loss once and leaves a block only on request", () => {
    const offline = run(lost);
    expect(advance(offline, lost)).toBe(offline);
    const blocked = run({ type: "blocked", why: "token_refused" });
    expect(advance(blocked, lost)).toBe(blocked);
    expect(advance(blocked, { type: "connect" })).toBe(unconnected);
  });
});

