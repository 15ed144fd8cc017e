// Who is asked. Pure: what is known of providers and the dice are passed in.
import type { Provider } from "../chat/backend";

/** What this page has learnt about a provider. */
export interface Experience {
  /** Failures since its last answer. */
  readonly failures: number;
  /** Whether there are system warrants against it. */
  readonly warranted: boolean;
}

export interface Choice {
  readonly prefer: string | null;
  readonly avoid: ReadonlySet<string>;
  readonly experience: (key: string) => Experience;
  /** At least 0 and less than 1. */
  readonly dice: number;
}

/**
 * The preferred provider if it has not failed, else the asker's own node, else one of those that failed least, faster ones more often.
 * Null if nobody is left: whoever is warranted or avoided is never asked.
 */
export function choose<P extends Provider>(providers: readonly P[], choice: Choice): P | null {
  const allowed = providers.filter(({ key }) => !choice.avoid.has(key) && !choice.experience(key).warranted);
  const failures = ({ key }: P) => choice.experience(key).failures;
  const sound = allowed.filter((provider) => failures(provider) === 0);
  const preferred = sound.find(({ key }) => key === choice.prefer) ?? sound.find(({ isOwn }) => isOwn);
  if (preferred !== undefined) return preferred;
  const fewest = Math.min(...allowed.map(failures));
  const best = allowed.filter((provider) => failures(provider) === fewest);
  let point = choice.dice * best.reduce((sum, provider) => sum + weight(provider), 0);
  for (const provider of best) {
    point -= weight(provider);
    if (point < 0) return provider;
  }
  return best.at(-1) ?? null;
}

/** An unmeasured provider is still asked now and then. */
function weight({ tokensPerS }: Provider): number {
  return Math.max(tokensPerS, 1);
}
