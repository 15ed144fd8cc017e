//! Fixed-length byte strings. A wrong length cannot be decoded, so it cannot exist inside.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "serde_bytes")] pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// Lower-case hexadecimal, two digits a byte.
            pub fn to_hex(self) -> String {
                self.0.iter().map(|b| format!("{b:02x}")).collect()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        #[cfg(feature = "ts")]
        impl ts_rs::TS for $name {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;
            fn name(_: &ts_rs::Config) -> String {
                "Uint8Array".into()
            }
            fn inline(_: &ts_rs::Config) -> String {
                "Uint8Array".into()
            }
        }
    };
}

fixed_bytes!(
    /// A SHA-256 hash, a 32-byte salt, or a 32-byte public key (Ed25519 or X25519).
    Bytes32,
    32
);
fixed_bytes!(
    /// An Ed25519 signature.
    Bytes64,
    64
);
fixed_bytes!(
    /// Names one question between two agents: 16 random bytes chosen by the requester.
    RequestId,
    16
);
