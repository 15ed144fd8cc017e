// How far two fingerprints of one answer are apart. The twin of `zomes/verify/src/audit/statistics.rs` as far as the page shows it.
import type { Statistics, Verdict } from "../generated/types";

/** Distances are counted in eighths of sixteenths of a nat. */
const A_NAT = 128;

/** In nats a token; null if there was nothing to compare. */
export function distanceOf({ tokens, delta_sum }: Pick<Statistics, "tokens" | "delta_sum">): number | null {
  return tokens === 0 ? null : delta_sum / A_NAT / tokens;
}

/** What an answer is called after an audit. */
export const verdicts: Record<Verdict, "audited" | "disputed" | "inconclusive"> = { pass: "audited", fail: "disputed", inconclusive: "inconclusive" };
