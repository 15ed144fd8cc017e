// Plays a Holochain runtime that follows the launcher contract (Kangaroo, hc-spin): it serves the files of the bundle, puts
// `__HC_LAUNCHER_ENV__` into the page's window and signs its zome calls outside of it. The conductor is a real node's; the page
// gets nothing of that node but the app interface.
import { setSigningCredentials, signZomeCall } from "@holochain/client";
import { existsSync, readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".woff2": "font/woff2" };

/** Opens the page of the bundle in a context, as a runtime beside that node would. `pageUrl`: what `ainonymous up` printed; `watch`
 * gets the page before it loads anything. */
export async function openInRuntime(context, pageUrl, watch) {
  const { origin } = new URL(pageUrl);
  const { launcher, signing } = await install(pageUrl);
  setSigningCredentials([bytes(signing.cell_id[0]), bytes(signing.cell_id[1])], {
    capSecret: bytes(signing.cap_secret),
    signingKey: bytes(signing.signing_key),
    keyPair: { keyType: "ed25519", publicKey: bytes(signing.key_pair.public), privateKey: secretOf(signing.key_pair) },
  });
  let signed = 0;
  await context.exposeFunction("__runtimeSigns", async (request) => {
    signed += 1;
    const { bytes: call, signature } = await signZomeCall(revive(request));
    return { bytes: [...call], signature: [...signature] };
  });
  await context.addInitScript((environment) => {
    const plain = (value) => {
      if (value instanceof Uint8Array) return { $bytes: [...value] };
      if (Array.isArray(value)) return value.map(plain);
      if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
      return value;
    };
    window.__HC_LAUNCHER_ENV__ = environment;
    window.__HC_ZOME_CALL_SIGNER__ = {
      signZomeCall: async (request) => {
        const { bytes, signature } = await window.__runtimeSigns(plain(request));
        return { bytes: Uint8Array.from(bytes), signature: Uint8Array.from(signature) };
      },
    };
  }, launcher);
  // Whatever is no file of the bundle does not exist: the node's API cannot be reached from here.
  const refused = [];
  await context.route(`${origin}/**`, async (route) => {
    const path = new URL(route.request().url()).pathname;
    const file = join(DIST, normalize(path === "/" ? "/index.html" : path));
    if (!existsSync(file)) {
      refused.push(path);
      return route.fulfill({ status: 404, body: "" });
    }
    return route.fulfill({ status: 200, contentType: TYPES[extname(file)] ?? "application/octet-stream", body: readFileSync(file) });
  });
  const page = await context.newPage();
  const seen = watch(page);
  await page.goto(`${origin}/`);
  return { page, seen, refused, signed: () => signed };
}

/** What installing the app gives a runtime; here the node has installed it. */
async function install(pageUrl) {
  const { origin } = new URL(pageUrl);
  const admitted = await fetch(pageUrl, { redirect: "manual" });
  const cookie = admitted.headers.get("set-cookie")?.split(";")[0] ?? "";
  for (let tries = 0; ; tries += 1) {
    const html = await (await fetch(`${origin}/?as=happ`, { headers: { cookie } })).text();
    const of = (name) => new RegExp(`window\\.${name}=(\\{.*?\\});`).exec(html)?.[1];
    const [launcher, signing] = [of("__HC_LAUNCHER_ENV__"), of("__AINONYMOUS_SIGNING__")];
    if (launcher !== undefined && signing !== undefined) return { launcher: JSON.parse(launcher), signing: JSON.parse(signing) };
    if (tries > 60) throw new Error("the node gives no credentials");
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function bytes(numbers) {
  return Uint8Array.from(numbers);
}

/** Seed and public key, as the client keeps them. */
function secretOf({ public: key, secret }) {
  return bytes([...secret.slice(0, 32), ...key]);
}

function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value) return bytes(value.$bytes);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}
