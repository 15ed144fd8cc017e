// @vitest-environment jsdom
// Networks of one's own: what is listed, and what the buttons ask of the node.
import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Refused } from "../sidecar/http";
import type { NodeControl } from "../sidecar/node";
import type { MadeInvite, Members, NetworkEntry, NetworkList } from "../sidecar/types";
import { words } from "../words/words.svelte";
import OwnNetworks from "./OwnNetworks.svelte";

const circle: NetworkEntry = {
  ...{ network: "circle", name: "Circle", kind: "private", work_bits: 0, id: "0f", agent: "uhCAkME", is_founder: true, founders: ["uhCAkME"], bootstrap: "http://b", invite: null },
  issued: [{ key: "0e".repeat(32), expires_at: (Date.now() + 3_600_000) * 1_000, agent: null }],
  revoked: [],
};
const made: MadeInvite = { network: "circle", invite: "ainonymous-invite:aeaa", key: "0d".repeat(32), expires_at: Date.now() * 1_000, qr: ["101", "010", "101"] };

class TestNode {
  list: NetworkList = { running: "circle", can_change: true, networks: [circle, { ...circle, network: "other", name: "Other", is_founder: false }] };
  asked: unknown[] = [];
  problem: Error | null = null;
  async networks(): Promise<NetworkList> {
    return this.list;
  }
  async members(): Promise<Members> {
    const member = { is_self: false, is_online: true, standing: "member", invite: "0e".repeat(32) } as const;
    return { by_invitation: true, members: [{ ...member, agent: "uhCAkME", is_self: true, invite: null }, { ...member, agent: "uhCAkANN" }] };
  }
  async invite(...args: unknown[]): Promise<MadeInvite> {
    return this.#do("invite", args, made);
  }
  async join(...args: unknown[]): Promise<NetworkEntry> {
    return this.#do("join", args, circle);
  }
  async makeNetwork(...args: unknown[]): Promise<NetworkEntry> {
    return this.#do("make", args, circle);
  }
  async revoke(...args: unknown[]): Promise<unknown> {
    return this.#do("revoke", args, { revoked: "x", state: "waiting" });
  }
  async #do<T>(what: string, args: unknown[], then: T): Promise<T> {
    if (this.problem !== null) throw this.problem;
    this.asked.push([what, ...args]);
    return then;
  }
}

let node: TestNode;
let shown: ReturnType<typeof mount> | null = null;

beforeEach(() => {
  words.language = "en";
  node = new TestNode();
  // jsdom has dialogs without their methods.
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
    this.dispatchEvent(new Event("close"));
  };
});

afterEach(async () => {
  if (shown !== null) await unmount(shown);
  document.body.replaceChildren();
});

async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
  flushSync();
}

async function open(): Promise<void> {
  shown = mount(OwnNetworks, { target: document.body, props: { node: node as unknown as NodeControl } });
  await settle();
}

const text = () => document.body.textContent?.replace(/\s+/g, " ") ?? "";
function button(name: string, within: ParentNode = document): HTMLButtonElement {
  const found = [...within.querySelectorAll("button")].find((one) => (one.getAttribute("aria-label") ?? one.textContent?.trim()) === name);
  if (found === undefined) throw new Error(`no button “${name}”`);
  return found;
}
const dialog = () => document.querySelector("dialog") as HTMLDialogElement;
function fill(field: string, value: string): void {
  const input = dialog().querySelector<HTMLInputElement>(field)!;
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  flushSync();
}

describe("networks of one's own", () => {
  it("lists them, who is in the one that runs, and which invites are out", async () => {
    await open();
    expect(text()).toContain("runs here");
    expect(text()).toContain("ainonymous up --network other");
    expect([...document.querySelectorAll("tbody tr")].map((row) => row.textContent?.replace(/\s+/g, " ").trim())).toEqual(["You onlinefounderno invite needed", "uhCAkANN onlinemember0e0e0e0e…Shut out"]);
    expect(text()).toContain("1 member came with it");
    expect([...document.querySelectorAll("button")].filter((one) => one.textContent === "Invite"), "only founders invite").toHaveLength(1);
  });

  it("says what a public network asks of newcomers", async () => {
    await open();
    expect(text(), "nothing of those by invitation").not.toContain("Whoever is new");
    node.list = { ...node.list, networks: [circle, { ...circle, network: "all", name: "All", kind: "public", work_bits: 24, is_founder: false }] };
    if (shown !== null) await unmount(shown);
    await open();
    expect(text()).toContain("Whoever is new computes once, for 24 bits");
  });

  it("invites with a code to scan and a text to send", async () => {
    await open();
    button("Invite").click();
    flushSync();
    expect(dialog().querySelector("select")?.value).toBe(String(7 * 24 * 3_600));
    fill("input", " uhCAkBOB ");
    dialog().querySelector("form")?.requestSubmit();
    await settle();
    expect(node.asked).toEqual([["invite", "circle", 7 * 24 * 3_600, "uhCAkBOB"]]);
    expect(dialog().textContent).toContain("ainonymous-invite:aeaa");
    const path = dialog().querySelector("svg[role=img] path")?.getAttribute("d");
    expect(path, "each dark run once, inside a margin of four modules").toBe("M4 4h1v1h-1zM6 4h1v1h-1zM5 5h1v1h-1zM4 6h1v1h-1zM6 6h1v1h-1z");
    expect(dialog().querySelector("svg[role=img]")?.getAttribute("viewBox")).toBe("0 0 11 11");
  });

  it("joins with a pasted invite, and says what is wrong with it", async () => {
    await open();
    button("Join with an invite").click();
    flushSync();
    expect(button("Join").disabled).toBe(true);
    fill("textarea", "ainonymous-invite:x");
    node.problem = new Refused(400, "invite_damaged", "the checksum does not fit", "copy it again");
    dialog().querySelector("form")?.requestSubmit();
    await settle();
    expect(dialog().querySelector("[role=alert]")?.textContent).toContain("The invite is damaged: a character is missing or wrong. Copy it again, or scan the code.");
    node.problem = null;
    dialog().querySelector("form")?.requestSubmit();
    await settle();
    expect(node.asked).toEqual([["join", "ainonymous-invite:x"]]);
    expect(dialog().textContent).toContain("ainonymous up --network circle");
  });

  it("shuts out only after it was asked once more", async () => {
    await open();
    button("Shut out uhCAkANN").click();
    flushSync();
    expect(node.asked).toEqual([]);
    expect(dialog().textContent).toContain("It is for ever");
    button("Shut out", dialog()).click();
    await settle();
    expect(node.asked).toEqual([["revoke", "circle", "uhCAkANN"]]);
  });

  it("makes the first one, unless the node has no keys of its own", async () => {
    node.list = { running: null, can_change: true, networks: [] };
    await open();
    button("New network").click();
    flushSync();
    fill("input[type=text]", "Circle");
    dialog().querySelectorAll<HTMLInputElement>("input[type=radio]")[1]?.click();
    dialog().querySelector("form")?.requestSubmit();
    await settle();
    expect(node.asked).toEqual([["make", "Circle", "lan"]]);
    await unmount(shown!);
    document.body.replaceChildren();
    node.list = { running: null, can_change: false, networks: [] };
    await open();
    expect(text()).toContain("Start it without “--conductor”.");
    expect(document.querySelectorAll("button")).toHaveLength(0);
  });
});
