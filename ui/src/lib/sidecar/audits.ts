// What the node says of audits, as the page shows it.
import type { AppealFound, Audit, AuditPicture, AuditReason, AuditState, Findings, Published } from "../chat/backend";
import { distanceOf, verdicts } from "../verify/statistics";
import type { AppealEntry, AuditMade, AuditStatus, FindingsEntry, PublishedEntry } from "./types";

const auditStates: ReadonlySet<unknown> = new Set<AuditState>(["running", "audited", "disputed", "inconclusive"]);
const auditReasons: ReadonlySet<unknown> = new Set<AuditReason>([
  ...(["not_opened", "other_tokens", "opened_otherwise", "not_replayed", "cut_off", "other_answer", "as_honest", "not_as_honest", "uncalibrated", "beyond_rounding"] as const),
]);

/** Nobody has looked until somebody says so. */
export function auditOf(state: unknown, why: unknown): Audit {
  if (!auditStates.has(state)) return { audit: "unaudited" };
  return { audit: state as AuditState, ...(auditReasons.has(why) ? { why: why as AuditReason } : {}) };
}

export function foundBy({ verdict, why }: AuditMade): Audit {
  return auditOf(verdicts[verdict], why);
}

export function auditsOf({ providers, last }: AuditStatus): AuditPicture {
  return {
    providers: providers.map(({ provider, passed, failed, inconclusive, convicted, rate_percent }) => ({
      ...{ provider, passed, failed, undecided: inconclusive, isConvicted: convicted, ratePercent: rate_percent },
    })),
    last: last.toReversed().map((made) => {
      const { provider, model, mode, auditor, tokens, statistics, report } = made;
      return {
        ...{ ...foundBy(made), provider, model, isCanary: mode === "canary", tokens, auditor, report },
        distance: statistics === null ? null : distanceOf(statistics),
        impossible: statistics?.impossible ?? null,
      };
    }),
  };
}

/** What is published about a provider. */
export function findingsOf({ reports, accusations, convictions, equivocations, more }: FindingsEntry): Findings {
  return {
    reports: reports.map((report) => ({
      ...publishedOf(report),
      ...auditOf(verdicts[report.verdict], report.why),
      isCanary: report.canary,
      tokens: report.statistics?.tokens ?? null,
      distance: report.statistics === null ? null : distanceOf(report.statistics),
      impossible: report.statistics?.impossible ?? null,
    })),
    accusations: accusations.map((accusation) => ({ ...publishedOf(accusation), reports: accusation.reports })),
    convictions: convictions.map((conviction) => {
      const { accusation, confirmations, believed } = conviction;
      const appeal = conviction.appeal === null ? null : appealOf(conviction.appeal);
      return { ...publishedOf(conviction), accusation, confirmations, appeal, isBelieved: believed };
    }),
    equivocations: equivocations.map(publishedOf),
    hasMore: more,
  };
}

function appealOf(appeal: AppealEntry): AppealFound {
  const { passed, failed, overturned } = appeal;
  return { ...publishedOf(appeal), passed, failed, isOverturned: overturned };
}

function publishedOf({ action, author, at_s }: PublishedEntry): Published {
  return { action, author, atMs: at_s * 1_000 };
}
