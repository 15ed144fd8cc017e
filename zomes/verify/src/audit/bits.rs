//! Bits in a row, the highest of each byte first. Reading ends where the bytes end; it never panics.

/// Bytes that grow by bits.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Bits still free in the last byte.
    free: u32,
}

impl Writer {
    /// After these whole bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    /// The lowest `count` bits of a number, the highest of them first.
    pub(super) fn bits(&mut self, n: u32, count: u32) {
        for at in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((n >> at & 1) as u8) << self.free;
            }
        }
    }

    /// A small number in Elias's gamma code: as many zeros as the binary digits after the first of `n + 1`, then those digits.
    pub(super) fn gamma(&mut self, n: u16) {
        let n = u32::from(n) + 1;
        let digits = 32 - n.leading_zeros();
        self.bits(0, digits - 1);
        self.bits(n, digits);
    }

    /// The bytes; the last one is filled with zeros.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the first bit on.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 32; none past the end.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut n = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            n = n << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(n)
    }

    /// The next number in gamma code, if it is not longer than one of 16 bits can be.
    pub(super) fn gamma(&mut self) -> Option<u16> {
        let mut zeros = 0;
        while self.bits(1)? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        u16::try_from((1 << zeros | self.bits(zeros)?) - 1).ok()
    }

    /// Whether nothing is left but zeros that fill the last byte.
    pub(super) fn ends_here(mut self) -> bool {
        let left = self.bytes.len() * 8 - self.at;
        left < 8 && self.bits(left as u32) == Some(0)
    }
}
