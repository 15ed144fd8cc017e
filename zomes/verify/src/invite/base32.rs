//! Base32 in lower case, without padding: one text for the same bytes, and no other.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Five bits a character, the last ones filled up with zeros.
pub(super) fn to_base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xfff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
    text
}

/// None if a character is not of the alphabet, or bits are left over that no encoder writes.
pub(super) fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for character in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == character)?;
        held = (held << 5 | value as u32) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    (bits < 5 && held & ((1 << bits) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(from_base32(&to_base32(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        assert_eq!(to_base32(b"foobar"), "mzxw6ytboi");
        for text in ["mzxw6ytbo", "mzxw6ytboj", "MZ", "m=", "1", "a"] {
            assert_eq!(from_base32(text), None, "{text}");
        }
    }
}
