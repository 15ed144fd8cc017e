// Where the page gets its connection: from the runtime that opened it, or from the sidecar that served it.
// Must not connect anything.
import { fromSeed } from "../verify/ed25519";

/** What the sidecar writes into the page that it serves (instead of the mark in `index.html`). */
interface InjectedSigning {
  readonly cell_id: readonly [readonly number[], readonly number[]];
  readonly cap_secret: readonly number[];
  readonly signing_key: readonly number[];
  readonly key_pair: { readonly public: readonly number[]; readonly secret: readonly number[] };
}

declare global {
  interface Window {
    __AINONYMOUS_SIGNING__?: InjectedSigning;
  }
}

/** Credentials in the shape that `@holochain/client` takes. */
export interface Signing {
  readonly cellId: [Uint8Array, Uint8Array];
  readonly credentials: {
    capSecret: Uint8Array;
    signingKey: Uint8Array;
    keyPair: { keyType: "ed25519"; publicKey: Uint8Array; privateKey: Uint8Array };
  };
}

const HASH_BYTES = 39;
const CAP_SECRET_BYTES = 64;
const KEY_BYTES = 32;

/** The sidecar's credentials; null under a runtime that signs itself. Throws if they are not what they should be. */
export function readSigning(window: Pick<Window, "__AINONYMOUS_SIGNING__">): Signing | null {
  const injected = window.__AINONYMOUS_SIGNING__;
  if (injected === undefined) return null;
  const publicKey = bytes(injected.key_pair.public, KEY_BYTES);
  const seed = bytes(injected.key_pair.secret.slice(0, KEY_BYTES), KEY_BYTES);
  const privateKey = new Uint8Array(2 * KEY_BYTES);
  privateKey.set(seed);
  privateKey.set(publicKey, KEY_BYTES);
  if (fromSeed(seed).publicKey.some((byte, index) => byte !== publicKey[index])) {
    throw new RangeError("signing keys do not belong together");
  }
  return {
    cellId: [bytes(injected.cell_id[0], HASH_BYTES), bytes(injected.cell_id[1], HASH_BYTES)],
    credentials: {
      capSecret: bytes(injected.cap_secret, CAP_SECRET_BYTES),
      signingKey: bytes(injected.signing_key, HASH_BYTES),
      keyPair: { keyType: "ed25519", publicKey, privateKey },
    },
  };
}

function bytes(numbers: readonly number[], length: number): Uint8Array {
  if (numbers.length !== length) throw new RangeError(`${length} bytes expected, got ${numbers.length}`);
  return Uint8Array.from(numbers);
}
