//! API keys: what is kept of them, how one is known again, what each may do.
//!
//! A key is 256 random bits, so nobody guesses it and nothing slow is needed to hash it: SHA-256 is enough (a slow hash
//! protects secrets that people choose). Only the hash is kept; the key itself is shown once. It must not know files:
//! whoever runs the API brings the list and brings it again when it changed.

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// What every key begins with, so that people and scanners know one when they see it.
pub const KEY_PREFIX: &str = "ain-";
/// Random bytes of a key.
const SECRET_BYTES: usize = 32;
/// Most keys of one node.
pub const KEYS_MAX: usize = 1_024;
/// Longest name of a key, in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 64;
/// Most requests a minute that a limit can name.
pub const REQUESTS_PER_MINUTE_MAX: u32 = 1_000_000;
/// Most requests at once that a limit can name.
pub const CONCURRENT_MAX: u32 = 10_000;
/// Version of the list's form.
const VERSION: u32 = 1;

/// Why a list of keys cannot be used or changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The list is damaged, or of a later version.
    #[error("the list of API keys cannot be read: {problem}")]
    Damaged {
        /// What is wrong; never a key.
        problem: String,
    },
    /// The name of a key makes no sense.
    #[error("'{name}' cannot be the name of a key: it must be 1 to {KEY_NAME_BYTES_MAX} letters, digits, _, - or .")]
    InvalidName {
        /// As given.
        name: String,
    },
    /// There is a key of that name.
    #[error("there is a key named '{name}' already")]
    NameTaken {
        /// Which.
        name: String,
    },
    /// There is no key of that name.
    #[error("there is no key named '{name}'")]
    UnknownName {
        /// Which.
        name: String,
    },
    /// As many keys as there may be.
    #[error("there are {KEYS_MAX} keys already")]
    TooMany,
}

impl KeyError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "keys_damaged",
            Self::InvalidName { .. } => "key_name_invalid",
            Self::NameTaken { .. } => "key_name_taken",
            Self::UnknownName { .. } => "key_not_found",
            Self::TooMany => "too_many_keys",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Damaged { .. } => "restore api-keys.json in the node's folder, or delete it and make new keys".into(),
            Self::InvalidName { .. } => "name it for example after the program that uses it".into(),
            Self::NameTaken { name } => {
                format!("choose another name, or revoke it with `ainonymous keys revoke {name}`")
            }
            Self::UnknownName { .. } => "`ainonymous keys list` names them".into(),
            Self::TooMany => "revoke some with `ainonymous keys revoke NAME`".into(),
        }
    }
}

/// What is kept of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Whose it is, for people.
    pub name: String,
    /// SHA-256 of the key, in hexadecimal.
    sha256: Hash,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// What it may do.
    #[serde(flatten)]
    pub limits: Limits,
}

/// What a key may do; nothing means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Requests at once.
    pub concurrent: Option<u32>,
    /// When it ends, in seconds since the epoch.
    pub expires: Option<u64>,
}

/// A hash that is written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hash([u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(..)")
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(String::deserialize(deserializer)?, &mut bytes)
            .map_err(|_| serde::de::Error::custom("a hash must be 64 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

impl Hash {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Equality in a time that tells nothing about where two hashes differ.
    fn same(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

/// The keys of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    keys: Vec<Key>,
}

impl KeyRing {
    /// Reads a list.
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        let damaged = |problem: String| KeyError::Damaged { problem };
        let Form { version, keys } = serde_json::from_slice(json).map_err(|e| damaged(e.to_string()))?;
        if version != VERSION {
            return Err(damaged(format!("its version is {version}, this program knows {VERSION}")));
        }
        if keys.len() > KEYS_MAX {
            return Err(damaged(format!("it has more than {KEYS_MAX} keys")));
        }
        Ok(Self { keys })
    }

    /// Writes the list.
    pub fn to_json(&self) -> String {
        let form = Form { version: VERSION, keys: self.keys.clone() };
        serde_json::to_string_pretty(&form).unwrap_or_default()
    }

    /// Makes a key and returns it: the only time that it is seen.
    pub fn create(&mut self, name: &str, limits: Limits, now_s: u64) -> Result<String, KeyError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX || !name.chars().all(fits) {
            return Err(KeyError::InvalidName { name: name.chars().take(KEY_NAME_BYTES_MAX).collect() });
        }
        if self.keys.iter().any(|key| key.name == name) {
            return Err(KeyError::NameTaken { name: name.into() });
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let secret = format!("{KEY_PREFIX}{}", hex::encode(rand::rng().random::<[u8; SECRET_BYTES]>()));
        let sha256 = Hash::of(&secret);
        self.keys.push(Key { name: name.into(), sha256, created: now_s, limits });
        Ok(secret)
    }

    /// Takes a key away.
    pub fn revoke(&mut self, name: &str) -> Result<(), KeyError> {
        let at = self.keys.iter().position(|key| key.name == name);
        let at = at.ok_or_else(|| KeyError::UnknownName { name: name.chars().take(KEY_NAME_BYTES_MAX).collect() })?;
        self.keys.remove(at);
        Ok(())
    }

    /// All of them, oldest first.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key that a secret opens. Every hash is compared, each in constant time.
    pub(crate) fn find(&self, secret: &str) -> Option<&Key> {
        let hash = Hash::of(secret);
        self.keys.iter().fold(None, |found, key| if key.sha256.same(&hash) { Some(key) } else { found })
    }
}

impl Key {
    pub(crate) fn hash(&self) -> Hash {
        self.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_and_known_again() {
        let mut ring = KeyRing::default();
        let limits = Limits { requests_per_minute: Some(5), concurrent: None, expires: Some(9) };
        let secret = ring.create("laptop", limits, 7).unwrap();
        assert_eq!((secret.len(), &secret[..4]), (68, "ain-"));
        assert_eq!(ring.find(&secret).map(|key| key.name.as_str()), Some("laptop"));
        assert_eq!(ring.find(&secret[..67]), None);
        assert_eq!(ring.find(""), None);
        let kept = ring.to_json();
        assert!(!kept.contains(&secret[4..]), "only its hash is kept");
        assert_eq!(KeyRing::parse(kept.as_bytes()).unwrap(), ring);
        assert!(!format!("{ring:?}").contains(&hex::encode(Sha256::digest(&secret))));
        assert_ne!(ring.create("phone", Limits::default(), 7).unwrap(), secret);
        ring.revoke("laptop").unwrap();
        assert_eq!(ring.find(&secret), None);
        assert_eq!(ring.keys().len(), 1);
    }

    #[test]
    fn names_are_bounded_and_single() {
        let mut ring = KeyRing::default();
        let mut create = |name: &str| ring.create(name, Limits::default(), 0).map_err(|e| e.code());
        assert!(create(&"x".repeat(KEY_NAME_BYTES_MAX)).is_ok());
        assert_eq!(create(&"x".repeat(KEY_NAME_BYTES_MAX + 1)), Err("key_name_invalid"));
        assert_eq!(create(""), Err("key_name_invalid"));
        assert_eq!(create("a b"), Err("key_name_invalid"));
        assert!(create("a").is_ok());
        assert_eq!(create("a"), Err("key_name_taken"));
        assert_eq!(ring.revoke("b").map_err(|e| e.code()), Err("key_not_found"));
    }

    #[test]
    fn there_are_only_so_many() {
        let mut ring = KeyRing::default();
        for at in 0..KEYS_MAX {
            ring.create(&format!("k{at}"), Limits::default(), 0).unwrap();
        }
        assert_eq!(ring.create("one-more", Limits::default(), 0), Err(KeyError::TooMany));
    }

    #[test]
    fn damage_is_named_without_a_key() {
        for text in
            ["", "{}", "{\"version\":2,\"keys\":[]}", "{\"version\":1,\"keys\":[{\"name\":\"x\",\"sha256\":\"1\"}]}"]
        {
            let error = KeyRing::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "keys_damaged", "{text}");
            assert!(!error.hint().is_empty());
        }
    }
}
