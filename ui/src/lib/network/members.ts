// Who is in a network and what became of invites, as the page lists them. Pure.
import type { MemberEntry, NetworkEntry, Revoked } from "../sidecar/types";

export type Standing = "founder" | "member" | "revoked" | "unknown";

export interface Member {
  readonly agent: string;
  readonly isSelf: boolean;
  readonly isOnline: boolean;
  readonly standing: Standing;
  /** Key of the invite that it came with; null for founders and while unknown. */
  readonly invite: string | null;
  /** Whether a founder can shut it out. */
  readonly canRevoke: boolean;
}

export interface IssuedInvite {
  readonly key: string;
  /** Seconds until it ends; 0 or less if it has. */
  readonly leftS: number;
  readonly agent: string | null;
  /** Members who came with it. */
  readonly used: number;
  readonly state: "open" | "ended" | Revoked["state"];
}

/** Oneself first, then founders, members, unknown ones, those who were shut out. */
const rank: Record<Standing, number> = { founder: 0, member: 1, unknown: 2, revoked: 3 };

export function membersOf(network: NetworkEntry, members: readonly MemberEntry[]): Member[] {
  const founders = new Set(network.founders);
  const all = members.map(({ agent, is_self, is_online, standing, invite }): Member => {
    const isRefused = standing === "refused" || network.revoked.some(({ revoked, state }) => revoked === agent && state !== "refused");
    const known: Standing = founders.has(agent) ? "founder" : isRefused ? "revoked" : standing === "member" ? "member" : "unknown";
    const canRevoke = network.is_founder && !is_self && known !== "founder" && known !== "revoked";
    return { agent, isSelf: is_self, isOnline: is_online, standing: known, invite, canRevoke };
  });
  return all.sort((a, b) => Number(b.isSelf) - Number(a.isSelf) || rank[a.standing] - rank[b.standing] || (a.agent < b.agent ? -1 : 1));
}

/** Newest first, which end last. */
export function invitesOf(network: NetworkEntry, members: readonly MemberEntry[], nowMs: number): IssuedInvite[] {
  const all = network.issued.map(({ key, expires_at, agent }): IssuedInvite => {
    const leftS = Math.ceil((expires_at / 1_000 - nowMs) / 1_000);
    const revoked = network.revoked.find(({ revoked }) => revoked === key);
    const used = members.filter(({ invite }) => invite === key).length;
    return { key, leftS, agent, used, state: revoked?.state ?? (leftS > 0 ? "open" : "ended") };
  });
  return all.sort((a, b) => b.leftS - a.leftS);
}
