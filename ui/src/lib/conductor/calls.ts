// Typed zome calls over a link. What our own coordinator returns has the shape of its Rust type; nothing is judged here.
import type {
  Accusation,
  AgentStanding,
  Appeal,
  AuditPage,
  AuditQuery,
  Audited,
  Conviction,
  Equivocation,
  Found,
  ModelSpecRecord,
  PeerSignal,
  ProviderRecord,
  ReceiptBatchRecord,
  SendSignal,
} from "../generated/types";
import { toHex } from "../verify/bytes";
import type { Link } from "./link";

export async function getAllModelSpecs(link: Link): Promise<ModelSpecRecord[]> {
  return (await link.call("get_all_model_specs", null)) as ModelSpecRecord[];
}

/** Those at the root of the spec's buckets: everybody in a small network, a few of a large one. */
export async function getProviders(link: Link, spec: Uint8Array): Promise<ProviderRecord[]> {
  return (await link.call("get_providers_for_model_spec", spec)) as ProviderRecord[];
}

export async function sendSignal(link: Link, to: Uint8Array, signal: PeerSignal): Promise<void> {
  const payload: SendSignal = { to: [to], signal };
  await link.call("send_signal", payload);
}

/** Null while the batch is not to be found here. */
export async function getReceiptBatch(link: Link, batch: Uint8Array): Promise<ReceiptBatchRecord | null> {
  return (await link.call("get_receipt_batch", batch)) as ReceiptBatchRecord | null;
}

export async function getAgentStanding(link: Link, agent: Uint8Array): Promise<AgentStanding> {
  return (await link.call("get_agent_standing", agent)) as AgentStanding;
}

/** The newest page of what is published about a provider, of each kind. */
export async function getPublished(link: Link, provider: Uint8Array): Promise<PublishedPages> {
  const query: AuditQuery = { subject: { type: "provider", of: provider }, before: null };
  const [reports, accusations, convictions, appeals, equivocations] = (await Promise.all(
    ["get_audit_reports", "get_accusations", "get_convictions", "get_appeals", "get_equivocations"].map((fn) => link.call(fn, query)),
  )) as [AuditPage<Audited>, AuditPage<Accusation>, AuditPage<Conviction>, AuditPage<Appeal>, AuditPage<Equivocation>];
  // However often a provider asks, there is one second jury.
  const convicted = new Map(appeals.found.map((appeal) => [toHex(appeal.entry.conviction), appeal]));
  const shown = convictions.found.flatMap(({ action }) => convicted.get(toHex(action)) ?? []);
  const heard = shown.map(async (appeal) => {
    const second: AuditQuery = { subject: { type: "conviction", of: appeal.entry.conviction }, before: null };
    return { appeal, jury: ((await link.call("get_audit_reports", second)) as AuditPage<Audited>).found };
  });
  return { reports, accusations, convictions, equivocations, appeals: await Promise.all(heard) };
}

export interface PublishedPages {
  readonly reports: AuditPage<Audited>;
  readonly accusations: AuditPage<Accusation>;
  readonly convictions: AuditPage<Conviction>;
  readonly equivocations: AuditPage<Equivocation>;
  /** Each with what the second jury has said. */
  readonly appeals: readonly { readonly appeal: Found<Appeal>; readonly jury: readonly Found<Audited>[] }[];
}
