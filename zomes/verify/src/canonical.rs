//! The one way in which things become bytes before they are hashed or signed.
//!
//! Everything starts with a domain tag, so that bytes meant for one purpose are never valid for another. Integers are
//! little-endian and of fixed width; texts, byte strings and lists are preceded by their length in 32 bits; hashes and
//! keys have fixed lengths and stand bare. Holochain hashes count with all their 39 bytes.

use ainonymous_types::Bytes32;
use holo_hash::{HashType, HoloHash};
use sha2::{Digest, Sha256};

/// Where canonical bytes go: into memory to be signed, or straight into a hash.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        Digest::update(self, bytes);
    }
}

/// Writes fields in canonical form into a [`Sink`].
#[derive(Debug)]
pub struct Encoder<S>(S);

impl Encoder<Vec<u8>> {
    /// Bytes in memory, beginning with the domain tag.
    pub fn bytes(domain: &str) -> Self {
        Self(Vec::with_capacity(256)).text(domain)
    }

    /// Bytes without a tag, to be added to what has one.
    pub(crate) fn bare() -> Self {
        Self(Vec::new())
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

impl Encoder<Sha256> {
    /// A SHA-256 over bytes that begin with the domain tag.
    pub fn hash(domain: &str) -> Self {
        Self(Sha256::new()).text(domain)
    }

    /// The hash of the bytes written.
    pub fn finish(self) -> Bytes32 {
        Bytes32(self.0.finalize().into())
    }

    /// Adds bytes in place, for streams.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.put(bytes);
    }

    /// A copy of the hash so far, for those who add to it later.
    pub(crate) fn fork(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Sink> Encoder<S> {
    /// Bytes as they are, without a length: for fields of fixed length, and for streams closed by a count.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.put(bytes);
        self
    }

    /// One byte.
    pub fn u8(self, n: u8) -> Self {
        self.raw(&[n])
    }

    /// 32 bits, little-endian.
    pub fn u32(self, n: u32) -> Self {
        self.raw(&n.to_le_bytes())
    }

    /// 32 bits, two's complement, little-endian.
    pub fn i32(self, n: i32) -> Self {
        self.raw(&n.to_le_bytes())
    }

    /// 64 bits, little-endian.
    pub fn u64(self, n: u64) -> Self {
        self.raw(&n.to_le_bytes())
    }

    /// 64 bits, two's complement, little-endian.
    pub fn i64(self, n: i64) -> Self {
        self.raw(&n.to_le_bytes())
    }

    /// Length in bytes as 32 bits, then UTF-8. Whoever encodes has checked the bounds: all are far below 4 GiB.
    pub fn text(self, text: &str) -> Self {
        self.blob(text.as_bytes())
    }

    /// Length in bytes as 32 bits, then the bytes.
    pub fn blob(self, bytes: &[u8]) -> Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// One byte: 0 for nothing, 1 before what `write` adds.
    pub fn option<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    /// Length of a list as 32 bits, then what `write` adds for each.
    pub fn list<T>(self, items: &[T], write: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self.count(items.len()), write)
    }

    /// Length of a list as 32 bits; lengths beyond saturate, which no bound of ours comes near.
    pub fn count(self, n: usize) -> Self {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// A hash or key of 32 bytes.
    pub fn bytes32(self, b: &Bytes32) -> Self {
        self.raw(&b.0)
    }

    /// A Holochain hash with prefix and location: 39 bytes.
    pub fn holo<T: HashType>(self, hash: &HoloHash<T>) -> Self {
        self.raw(hash.get_raw_39())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_and_bytes_agree() {
        let bytes = Encoder::bytes("t/v1").u8(1).u32(2).u64(3).i64(-4).text("é").finish();
        let hash = Encoder::hash("t/v1").u8(1).u32(2).u64(3).i64(-4).text("é").finish();
        assert_eq!(hash.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert_eq!(&bytes[..9], b"\x04\0\0\0t/v1\x01");
    }

    #[test]
    fn fields_cannot_slide_into_each_other() {
        let a = Encoder::bytes("t").text("ab").text("c").finish();
        let b = Encoder::bytes("t").text("a").text("bc").finish();
        assert_ne!(a, b);
    }
}
