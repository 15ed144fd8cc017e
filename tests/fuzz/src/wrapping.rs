//! The wrapping of invites, whose checksum chance does not find.

use ainonymous_verify::canonical::Encoder;
use ainonymous_verify::invite::PREFIX;

const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The text of an invite of these bytes, with the checksum that they need.
pub fn invite_text(fields: &[u8]) -> String {
    let sum = Encoder::hash("ainonymous/invite-text/v1").raw(fields).finish();
    let bytes = [fields, &sum.0[..4]].concat();
    let (mut text, mut bits, mut count) = (PREFIX.to_owned(), 0u16, 0);
    for byte in bytes {
        (bits, count) = (bits << 8 | u16::from(byte), count + 8);
        while count >= 5 {
            count -= 5;
            text.push(DIGITS[usize::from(bits >> count & 31)] as char);
        }
    }
    if count > 0 {
        text.push(DIGITS[usize::from(bits << (5 - count) & 31)] as char);
    }
    text
}

/// The bytes of an invite's text without its checksum; none if it is no text of base32.
pub fn invite_fields(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in text.strip_prefix(PREFIX)?.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        (bits, count) = (bits << 5 | value as u32, count + 5);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes.truncate(bytes.len().checked_sub(4)?);
    Some(bytes)
}
