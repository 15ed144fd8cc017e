//! The secret half of a transport key. The public half is a `Bytes32`, as capability entries name it.

use crate::error::ConnectError;
use ainonymous_types::Bytes32;
use ed25519_dalek::SigningKey;
use rustls::crypto::aws_lc_rs;
use std::fmt;
use zeroize::Zeroizing;

/// What comes before the seed in an Ed25519 private key of PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What comes before the key in an Ed25519 public key of X.509 (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// An Ed25519 secret that proves one end of a link.
#[derive(Clone)]
pub struct TransportSecret(Zeroizing<[u8; 32]>);

impl TransportSecret {
    /// A secret from 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A secret that nobody has seen and that is not kept.
    pub(crate) fn fresh() -> Result<Self, ConnectError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let filled = aws_lc_rs::default_provider().secure_random.fill(&mut *bytes);
        filled.map_err(|_| ConnectError::Key { reason: "the system gives no random bytes".into() })?;
        Ok(Self(bytes))
    }

    /// The bytes, to be kept where nobody else reads.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The key that peers know.
    pub fn public(&self) -> Bytes32 {
        Bytes32(SigningKey::from_bytes(&self.0).verifying_key().to_bytes())
    }

    pub(crate) fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&PKCS8_PREFIX[..], &self.0[..]].concat())
    }
}

impl fmt::Debug for TransportSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportSecret of {}", self.public())
    }
}

/// A public key as TLS carries it.
pub(crate) fn to_spki(key: &Bytes32) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.0].concat()
}

/// The public key that TLS carried, if it is one of Ed25519.
pub(crate) fn from_spki(spki: &[u8]) -> Option<Bytes32> {
    spki.strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok()).map(Bytes32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_way_through_tls_and_nothing_else_does() {
        let key = TransportSecret::from_bytes([7; 32]).public();
        assert_eq!(from_spki(&to_spki(&key)), Some(key));
        let mut longer = to_spki(&key);
        longer.push(0);
        assert_eq!(from_spki(&longer), None);
        assert_eq!(from_spki(&to_spki(&key)[1..]), None);
        assert_eq!(from_spki(&[]), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", TransportSecret::from_bytes([0xab; 32]));
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    }
}
