//! Reads the fields of an invite; what is missing is a breach, never a panic.

use crate::Breach;
use ainonymous_types::AgentPubKey;

/// The bytes that are left.
pub(super) struct Reader<'a>(&'a [u8]);

const CUT: Breach = Breach::Undecodable { what: "the invite" };

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Breach> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Breach> {
        let (first, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*first)
    }

    /// Key and location: 36 bytes.
    pub(super) fn agent(&mut self) -> Result<AgentPubKey, Breach> {
        Ok(AgentPubKey::from_raw_36(self.array::<36>()?.to_vec()))
    }

    /// A length in one byte, then UTF-8.
    pub(super) fn text(&mut self) -> Result<String, Breach> {
        let len = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        std::str::from_utf8(text).map(str::to_owned).map_err(|_| CUT)
    }

    /// Nothing may be left over.
    pub(super) fn end(&self) -> Result<(), Breach> {
        self.0.is_empty().then_some(()).ok_or(Breach::NotCanonical { what: "the invite" })
    }
}
