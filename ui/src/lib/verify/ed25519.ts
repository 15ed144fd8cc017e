// Ed25519 as the protocol uses it: strict verification, seeds of 32 bytes. Must not know what is signed.
import { ed25519 } from "@noble/curves/ed25519.js";

export interface SigningKey {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** A fresh key from the platform's random numbers. */
export function generate(): SigningKey {
  return fromSeed(crypto.getRandomValues(new Uint8Array(32)));
}

export function fromSeed(seed: Uint8Array): SigningKey {
  return { seed, publicKey: ed25519.getPublicKey(seed) };
}

export function sign(key: SigningKey, message: Uint8Array): Uint8Array {
  return ed25519.sign(message, key.seed);
}

/** False for a signature that does not fit and for bytes that are no key or signature. */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}
