// What this page has learnt about providers: its own experience, and what the network says. In memory only.
import type { AgentStanding } from "../generated/types";
import type { Experience } from "./choose";

/** A failure is forgotten after this long. */
const FORGET_MS = 5 * 60_000;
/** What the network says is asked again after this long. */
const STANDING_MS = 5 * 60_000;
/** Agents whose standing is asked for at a time. */
const LEARN_AT_ONCE_MAX = 8;

interface Known {
  failures: number;
  failedAtMs: number;
  warranted: boolean;
  learntAtMs: number | null;
}

export class Reputation {
  readonly #known = new Map<string, Known>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  of(key: string): Experience {
    const known = this.#known.get(key);
    if (known === undefined) return { failures: 0, warranted: false };
    const isForgotten = this.#now() - known.failedAtMs > FORGET_MS;
    return { failures: isForgotten ? 0 : known.failures, warranted: known.warranted };
  }

  failed(key: string): void {
    const known = this.#get(key);
    known.failures = this.of(key).failures + 1;
    known.failedAtMs = this.#now();
  }

  answered(key: string): void {
    this.#get(key).failures = 0;
  }

  /** Asks for the standing of those whose standing is unknown or old. What cannot be learnt is tried again next time. */
  async learn(
    agents: readonly Uint8Array[],
    keyOf: (agent: Uint8Array) => string,
    standing: (agent: Uint8Array) => Promise<AgentStanding>,
  ): Promise<void> {
    const unknown = agents.filter((agent) => {
      const learntAtMs = this.#known.get(keyOf(agent))?.learntAtMs ?? null;
      return learntAtMs === null || this.#now() - learntAtMs > STANDING_MS;
    });
    const asked = unknown.slice(0, LEARN_AT_ONCE_MAX).map(async (agent) => {
      const { warrants } = await standing(agent);
      const known = this.#get(keyOf(agent));
      known.warranted = warrants.length > 0;
      known.learntAtMs = this.#now();
    });
    await Promise.allSettled(asked);
  }

  #get(key: string): Known {
    const known = this.#known.get(key) ?? { failures: 0, failedAtMs: 0, warranted: false, learntAtMs: null };
    this.#known.set(key, known);
    return known;
  }
}
