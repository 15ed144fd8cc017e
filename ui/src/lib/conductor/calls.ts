// Typed zome calls over a link. What our own coordinator returns has the shape of its Rust type; nothing is judged here.
import type {
  Accusation,
  AgentStanding,
  AuditPage,
  AuditQuery,
  Audited,
  Conviction,
  Equivocation,
  ModelSpecRecord,
  PeerSignal,
  ProviderRecord,
  ReceiptBatchRecord,
  SendSignal,
} from "../generated/types";
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
  const [reports, accusations, convictions, equivocations] = await Promise.all(
    ["get_audit_reports", "get_accusations", "get_convictions", "get_equivocations"].map((fn) => link.call(fn, query)),
  );
  return { reports, accusations, convictions, equivocations } as PublishedPages;
}

export interface PublishedPages {
  readonly reports: AuditPage<Audited>;
  readonly accusations: AuditPage<Accusation>;
  readonly convictions: AuditPage<Conviction>;
  readonly equivocations: AuditPage<Equivocation>;
}
