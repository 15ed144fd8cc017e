import { describe, expect, it } from "vitest";
import { filled } from "../testing/provider";
import { fromSeed, verify } from "../verify/ed25519";
import { readSigning } from "./environment";
import sodium from "./sodium";

const key = fromSeed(filled(32, 3));
const injected = {
  cell_id: [Array.from(filled(39, 1)), Array.from(filled(39, 2))] as [number[], number[]],
  cap_secret: Array.from(filled(64, 4)),
  signing_key: Array.from(filled(39, 5)),
  key_pair: { public: Array.from(key.publicKey), secret: [...key.seed, ...key.publicKey] },
};

describe("what the sidecar hands the page", () => {
  it("becomes credentials that the client can sign with", () => {
    const signing = readSigning({ __AINONYMOUS_SIGNING__: injected });
    if (signing === null) throw new Error("no credentials");
    expect(signing.cellId).toEqual([filled(39, 1), filled(39, 2)]);
    const message = filled(64, 9);
    const signed = sodium.crypto_sign(message, signing.credentials.keyPair.privateKey);
    expect(verify(key.publicKey, message, signed.subarray(0, sodium.crypto_sign_BYTES))).toBe(true);
    expect(signed.subarray(sodium.crypto_sign_BYTES)).toEqual(message);
  });

  it("may be the seed alone, or nothing under a runtime that signs", () => {
    const seedOnly = { ...injected, key_pair: { ...injected.key_pair, secret: Array.from(key.seed) } };
    expect(readSigning({ __AINONYMOUS_SIGNING__: seedOnly })).toEqual(readSigning({ __AINONYMOUS_SIGNING__: injected }));
    expect(readSigning({})).toBeNull();
  });

  it("is refused when it is not whole", () => {
    expect(() => readSigning({ __AINONYMOUS_SIGNING__: { ...injected, cap_secret: [1] } })).toThrow(RangeError);
    const other = { ...injected.key_pair, public: Array.from(filled(32, 1)) };
    expect(() => readSigning({ __AINONYMOUS_SIGNING__: { ...injected, key_pair: other } })).toThrow(RangeError);
  });
});

describe("the stand-in for libsodium", () => {
  it("makes keys that sign", () => {
    const pair = sodium.crypto_sign_keypair();
    const signed = sodium.crypto_sign(filled(3, 1), pair.privateKey);
    expect(verify(pair.publicKey, filled(3, 1), signed.subarray(0, 64))).toBe(true);
    expect(sodium.randombytes_buf(12)).toHaveLength(12);
  });
});
