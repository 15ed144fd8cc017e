import { describe, expect, it } from "vitest";
import type { MemberEntry, NetworkEntry } from "../sidecar/types";
import { invitesOf, membersOf } from "./members";

const network: NetworkEntry = {
  ...{ network: "circle", name: "Circle", kind: "private", work_bits: 0, id: "0f", agent: "me", is_founder: true, founders: ["me", "co"], bootstrap: "http://b", invite: null },
  issued: [
    { key: "old", expires_at: 1_000_000, agent: null },
    { key: "new", expires_at: 90_000_000, agent: "ann" },
    { key: "shut", expires_at: 95_000_000, agent: null },
  ],
  revoked: [{ revoked: "shut", state: "revoked" }, { revoked: "bob", state: "waiting" }],
};
const member = (agent: string, change: Partial<MemberEntry> = {}): MemberEntry => ({ agent, is_self: false, is_online: true, standing: "member", invite: null, ...change });
const members = [member("zoe", { standing: "unknown" }), member("bob", { invite: "new" }), member("ann", { invite: "new" }), member("co"), member("eve", { standing: "refused" }), member("me", { is_self: true })];

describe("members", () => {
  it("stand in an order that stays, with what founders can do", () => {
    const listed = membersOf(network, members);
    expect(listed.map(({ agent, standing }) => [agent, standing])).toEqual([["me", "founder"], ["co", "founder"], ["ann", "member"], ["zoe", "unknown"], ["bob", "revoked"], ["eve", "revoked"]]);
    expect(listed.filter(({ canRevoke }) => canRevoke).map(({ agent }) => agent), "neither founders nor oneself").toEqual(["ann", "zoe"]);
    expect(membersOf({ ...network, is_founder: false }, members).some(({ canRevoke }) => canRevoke)).toBe(false);
  });

  it("who could not be shut out by the rules is still in", () => {
    const refused = { ...network, revoked: [{ revoked: "ann", state: "refused" as const }] };
    expect(membersOf(refused, members).find(({ agent }) => agent === "ann")?.standing).toBe("member");
  });
});

describe("invites", () => {
  it("say how long they last, who came with them, and what became of them", () => {
    expect(invitesOf(network, members, 30_000)).toEqual([
      { key: "shut", leftS: 65, agent: null, used: 0, state: "revoked" },
      { key: "new", leftS: 60, agent: "ann", used: 2, state: "open" },
      { key: "old", leftS: -29, agent: null, used: 0, state: "ended" },
    ]);
  });
});
