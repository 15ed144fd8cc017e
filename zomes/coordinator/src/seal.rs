//! Sealing to X25519 keys that live in lair: a nonce, then the ciphertext with its authenticator.

use ainonymous_types::{limits, Bytes32};
use ainonymous_verify::Breach;
use hdk::prelude::*;
use holochain_serialized_bytes::{decode, encode};
use serde::{de::DeserializeOwned, Serialize};

const NONCE_BYTES: usize = 24;

/// A key pair of which only the public half leaves lair.
pub(crate) fn new_key() -> ExternResult<Bytes32> {
    let key = create_x25519_keypair()?;
    let bytes: &[u8] = key.as_ref();
    // lair makes keys of 32 bytes; anything else would be a fault of the host, and zeros are refused by validation.
    Ok(Bytes32(bytes.try_into().unwrap_or_default()))
}

/// Seals a value: only the holders of the two keys can open it.
pub(crate) fn seal<T: Serialize + std::fmt::Debug>(from: &Bytes32, to: &Bytes32, value: &T) -> ExternResult<Vec<u8>> {
    let plain = encode(value).map_err(|e| wasm_error!(e))?;
    let sealed = x_25519_x_salsa20_poly1305_encrypt(key(from), key(to), plain.into())?;
    let nonce: &[u8] = sealed.as_nonce_ref().as_ref();
    Ok([nonce, sealed.as_encrypted_data_ref()].concat())
}

/// Opens what was sealed. `what` names it in the breach if it cannot be opened.
pub(crate) fn open<T: DeserializeOwned + std::fmt::Debug>(
    to: &Bytes32,
    from: &Bytes32,
    sealed: &[u8],
    what: &'static str,
) -> ExternResult<Result<T, Breach>> {
    let too_short = Breach::TooShort { what, min: limits::SEALED_BYTES_MIN as u64 };
    let Some((nonce, data)) = sealed.split_at_checked(NONCE_BYTES) else { return Ok(Err(too_short)) };
    let Ok(nonce) = <[u8; NONCE_BYTES]>::try_from(nonce) else { return Ok(Err(too_short)) };
    let data = XSalsa20Poly1305EncryptedData::new(nonce.into(), data.to_vec());
    // The keystore answers bytes that were not sealed to this key with an error: garbage must not stop what is beside it.
    let plain = x_25519_x_salsa20_poly1305_decrypt(key(to), key(from), data).ok().flatten();
    Ok(plain.and_then(|plain| decode(plain.as_ref()).ok()).ok_or(Breach::Undecodable { what }))
}

fn key(bytes: &Bytes32) -> X25519PubKey {
    X25519PubKey::from(bytes.0)
}
