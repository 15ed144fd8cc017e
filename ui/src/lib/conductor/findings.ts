// What is published about a provider, from what stands on the DHT. Pure: nothing is judged here.
import type { AppealFound, AuditReason, Findings, Published } from "../chat/backend";
import type { AuditReport, Found, Verdict } from "../generated/types";
import { distanceOf, verdicts } from "../verify/statistics";
import type { PublishedPages } from "./calls";

/** What a report follows from: the twin of `auditing::own::why`. */
function whyOf({ outcome, verdict }: AuditReport): AuditReason {
  if (outcome === "mismatch") return "other_answer";
  if ("not_opened" in outcome) return verdict === "fail" ? "other_tokens" : "not_opened";
  return ({ pass: "as_honest", fail: "not_as_honest", inconclusive: "uncalibrated" } as const)[verdict];
}

/** Whether a juror is to be believed, no page knows. */
export function findingsOf(pages: PublishedPages, showHash: (hash: Uint8Array) => string): Findings {
  const { reports, accusations, convictions, equivocations, appeals } = pages;
  const published = ({ action, author, linked_at }: Found<unknown>): Published => ({
    ...{ action: showHash(action), author: showHash(author), atMs: linked_at / 1_000 },
  });
  const appealOf = (conviction: string): AppealFound | null => {
    const appealed = appeals.find(({ appeal }) => showHash(appeal.entry.conviction) === conviction);
    if (appealed === undefined) return null;
    const said = (verdict: Verdict) => appealed.jury.filter(({ entry }) => entry.report.verdict === verdict).map(({ action }) => showHash(action));
    return { ...published(appealed.appeal), passed: said("pass"), failed: said("fail"), isOverturned: null };
  };
  return {
    reports: reports.found.map((found) => {
      const { commit, report } = found.entry;
      const statistics = typeof report.outcome === "object" && "measured" in report.outcome ? report.outcome.measured : null;
      return {
        ...published(found),
        audit: verdicts[report.verdict],
        why: whyOf(report),
        isCanary: commit.mode === "canary",
        tokens: statistics?.tokens ?? null,
        distance: statistics === null ? null : distanceOf(statistics),
        impossible: statistics?.impossible ?? null,
      };
    }),
    accusations: accusations.found.map((found) => ({ ...published(found), reports: found.entry.reports.map(showHash) })),
    convictions: convictions.found.map((found) => {
      const { accusation, confirmations } = found.entry;
      return {
        ...{ ...published(found), accusation: showHash(accusation), confirmations: confirmations.map(showHash) },
        ...{ appeal: appealOf(showHash(found.action)), isBelieved: null },
      };
    }),
    equivocations: equivocations.found.map(published),
    hasMore: [reports, accusations, convictions, equivocations].some(({ next }) => next !== null),
  };
}
