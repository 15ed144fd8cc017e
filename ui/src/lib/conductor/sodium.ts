// Stands in for `libsodium-wrappers` inside `@holochain/client`: the names it uses and nothing else.
// It must not be imported by our own code, which uses `verify/ed25519`.
import { ed25519 } from "@noble/curves/ed25519.js";

const SIGNATURE_BYTES = 64;
const SEED_BYTES = 32;

export interface KeyPair {
  keyType: "ed25519";
  publicKey: Uint8Array;
  /** Seed and public key, as libsodium keeps them; the seed alone is accepted too. */
  privateKey: Uint8Array;
}

const sodium = {
  ready: Promise.resolve(),
  crypto_sign_BYTES: SIGNATURE_BYTES,

  randombytes_buf(length: number): Uint8Array {
    return crypto.getRandomValues(new Uint8Array(length));
  },

  crypto_sign_keypair(): KeyPair {
    const { secretKey, publicKey } = ed25519.keygen();
    const privateKey = new Uint8Array(SEED_BYTES + publicKey.length);
    privateKey.set(secretKey);
    privateKey.set(publicKey, SEED_BYTES);
    return { keyType: "ed25519", publicKey, privateKey };
  },

  /** The signature followed by the message, as libsodium returns it. */
  crypto_sign(message: Uint8Array, privateKey: Uint8Array): Uint8Array {
    const signature = ed25519.sign(message, privateKey.subarray(0, SEED_BYTES));
    const signed = new Uint8Array(SIGNATURE_BYTES + message.length);
    signed.set(signature);
    signed.set(message, SIGNATURE_BYTES);
    return signed;
  },
};

export default sodium;
