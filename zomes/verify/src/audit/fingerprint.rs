//! A window of a fingerprint as bytes: what a model thought likely at up to 32 positions, in 20 to 28 bytes a position.
//!
//! One byte string for each value and one value for each byte string that decodes. First a byte for the number of positions,
//! less one; then a byte for the width of token ids in bits, which is that of the largest. Then for each position, in bits:
//!
//! - 3: the number of tokens, less one;
//! - for each token, the most likely first: how many sixteenths of a nat it is less likely than the one before (the first: than
//!   certain) in Elias's gamma code, then its id.
//!
//! With ids of 18 bits (262,144 tokens) and the distributions of language that is 25 bytes a position; never more than
//! 379 bits, which needs ids of 32 bits. (A fixed layout of eight ids of 18 bits and eight differences of 8 bits would take 27.5
//! bytes; LOGIC, inference.net, takes 25 to 31.)

use super::bits::{Reader, Writer};
use crate::Breach;
use ainonymous_types::limits::{
    FINGERPRINT_LEAF_BYTES_MAX, FINGERPRINT_LIKELY_MAX, FINGERPRINT_SIXTEENTHS_MAX, FINGERPRINT_WINDOW_TOKENS,
};
use ainonymous_types::{Likely, Position};

/// Bits for the number of tokens at a position.
const COUNT_BITS: u32 = 3;
/// Smallest width of token ids.
const WIDTH_MIN: u32 = 1;
/// Largest width of token ids.
const WIDTH_MAX: u32 = 32;

/// A position from tokens in any order: sorted, cut to the most likely ones.
pub fn position(mut tokens: Vec<Likely>) -> Position {
    for token in &mut tokens {
        token.minus_sixteenths = token.minus_sixteenths.min(FINGERPRINT_SIXTEENTHS_MAX);
    }
    tokens.sort_unstable_by_key(|token| (token.id, token.minus_sixteenths));
    tokens.dedup_by_key(|token| token.id);
    tokens.sort_unstable_by_key(key);
    tokens.truncate(FINGERPRINT_LIKELY_MAX);
    tokens
}

/// Encodes a window.
pub fn encode(window: &[Position]) -> Result<Vec<u8>, Breach> {
    let what = "positions";
    if window.is_empty() {
        return Err(Breach::Empty { what });
    }
    if window.len() > FINGERPRINT_WINDOW_TOKENS {
        return Err(Breach::TooMany { what, max: FINGERPRINT_WINDOW_TOKENS as u64 });
    }
    window.iter().try_for_each(|position| position_bounds(position))?;
    let width = width(window);
    let mut out = Writer::after(vec![(window.len() - 1) as u8, width as u8]);
    for position in window {
        out.bits(position.len() as u32 - 1, COUNT_BITS);
        let mut before = 0;
        for token in position {
            out.gamma(token.minus_sixteenths - before);
            out.bits(token.id, width);
            before = token.minus_sixteenths;
        }
    }
    Ok(out.finish())
}

/// Decodes a window: total, and the inverse of [`encode`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Position>, Breach> {
    let what = "the fingerprint";
    if bytes.len() > FINGERPRINT_LEAF_BYTES_MAX {
        return Err(Breach::TooLong { what, max: FINGERPRINT_LEAF_BYTES_MAX as u64 });
    }
    let undecodable = Breach::Undecodable { what };
    let [count, stated, bits @ ..] = bytes else { return Err(undecodable) };
    let (count, stated) = (usize::from(*count) + 1, u32::from(*stated));
    if count > FINGERPRINT_WINDOW_TOKENS || !(WIDTH_MIN..=WIDTH_MAX).contains(&stated) {
        return Err(undecodable);
    }
    let mut reader = Reader::new(bits);
    let mut window = Vec::with_capacity(count);
    for _ in 0..count {
        window.push(read_position(&mut reader, stated).ok_or(Breach::Undecodable { what })?);
    }
    window.iter().try_for_each(|position| position_bounds(position))?;
    if width(&window) != stated || !reader.ends_here() {
        return Err(Breach::NotCanonical { what });
    }
    Ok(window)
}

fn read_position(reader: &mut Reader<'_>, width: u32) -> Option<Position> {
    let count = reader.bits(COUNT_BITS)? + 1;
    let mut position = Vec::with_capacity(count as usize);
    let mut before = 0u16;
    for _ in 0..count {
        before = before.checked_add(reader.gamma()?)?;
        position.push(Likely { id: reader.bits(width)?, minus_sixteenths: before });
    }
    Some(position)
}

/// In order, without repetition, within bounds.
fn position_bounds(position: &[Likely]) -> Result<(), Breach> {
    let what = "position";
    let Some(last) = position.last() else { return Err(Breach::Empty { what }) };
    if position.len() > FINGERPRINT_LIKELY_MAX {
        return Err(Breach::TooMany { what, max: FINGERPRINT_LIKELY_MAX as u64 });
    }
    if !position.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
        return Err(Breach::Unordered { what });
    }
    let repeated = position.iter().enumerate().any(|(i, a)| position[..i].iter().any(|b| a.id == b.id));
    if repeated {
        return Err(Breach::Repeated { what });
    }
    // The last is the least likely.
    crate::rules::bounds::range(
        what,
        last.minus_sixteenths.into(),
        0,
        FINGERPRINT_SIXTEENTHS_MAX.into(),
        "sixteenths of a nat",
    )
}

fn key(token: &Likely) -> (u16, u32) {
    (token.minus_sixteenths, token.id)
}

fn width(window: &[Position]) -> u32 {
    let largest = window.iter().flatten().map(|token| token.id).max().unwrap_or(0);
    (32 - largest.leading_zeros()).max(WIDTH_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_position(id_max: u32) -> impl Strategy<Value = Position> {
        vec((0..=id_max, 0..=FINGERPRINT_SIXTEENTHS_MAX), 1..=FINGERPRINT_LIKELY_MAX).prop_map(|tokens| {
            position(tokens.into_iter().map(|(id, minus_sixteenths)| Likely { id, minus_sixteenths }).collect())
        })
    }

    fn any_window() -> impl Strategy<Value = Vec<Position>> {
        prop_oneof![Just(0u32), Just(255), Just(262_143), Just(u32::MAX)]
            .prop_flat_map(|id_max| vec(any_position(id_max), 1..=FINGERPRINT_WINDOW_TOKENS))
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(window in any_window()) {
            let bytes = encode(&window).unwrap();
            prop_assert!(bytes.len() <= FINGERPRINT_LEAF_BYTES_MAX);
            prop_assert_eq!(decode(&bytes).unwrap(), window);
        }

        #[test]
        fn there_is_one_byte_string_for_each_value(window in any_window(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut bytes = encode(&window).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = decode(&bytes) {
                prop_assert_eq!(encode(&other).unwrap(), bytes);
                prop_assert_ne!(other, window);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..1_600)) {
            if let Ok(window) = decode(&bytes) {
                prop_assert_eq!(encode(&window).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn the_longest_window_has_the_stated_length() {
        let most: Position =
            (0..8u16).map(|i| Likely { id: u32::MAX - 7 + u32::from(i), minus_sixteenths: 127 * (i + 1) }).collect();
        let bytes = encode(&vec![most; FINGERPRINT_WINDOW_TOKENS]).unwrap();
        assert_eq!(bytes.len(), FINGERPRINT_LEAF_BYTES_MAX);
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(decode(&longer).unwrap_err().code(), "too_long");
    }

    #[test]
    fn what_is_not_in_form_is_refused() {
        let token = |id, minus_sixteenths| Likely { id, minus_sixteenths };
        let code = |window: &[Position]| encode(window).unwrap_err().code();
        assert_eq!(code(&[]), "empty");
        assert_eq!(code(&[vec![]]), "empty");
        assert_eq!(code(&vec![vec![token(1, 1)]; 33]), "too_many");
        assert_eq!(code(&[(0..9).map(|i| token(u32::from(i), i)).collect()]), "too_many");
        assert_eq!(code(&[vec![token(1, 2), token(2, 1)]]), "unordered");
        assert_eq!(code(&[vec![token(2, 1), token(1, 1)]]), "unordered");
        assert_eq!(code(&[vec![token(1, 1), token(1, 2)]]), "repeated");
        assert_eq!(code(&[vec![token(1, 1_024)]]), "out_of_range");
        let good = encode(&[vec![token(5, 3)]]).unwrap();
        assert_eq!(good, [0, 3, 0b0000_0100, 0b1010_0000]);
        let wider = [0, 4, 0b0000_0100, 0b0101_0000];
        assert_eq!(decode(&wider).unwrap_err().code(), "not_canonical", "ids wider than need be");
        assert_eq!(
            decode(&[0, 3, 0b0000_0100, 0b1010_0001]).unwrap_err().code(),
            "not_canonical",
            "bits after the end"
        );
        assert_eq!(
            decode(&[0, 3, 0b0000_0100, 0b1010_0000, 0]).unwrap_err().code(),
            "not_canonical",
            "a byte after the end"
        );
        for bad in [&[][..], &[0], &[0, 0, 0], &[0, 33, 0], &[32, 3, 0], &[0, 3, 0b0000_0100]] {
            assert_eq!(decode(bad).unwrap_err().code(), "undecodable", "{bad:?}");
        }
    }

    /// Distributions like those of language: a few likely tokens and a long tail, ids of 18 bits.
    #[test]
    fn a_token_takes_less_than_28_bytes_on_average() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f64 / (1u64 << 24) as f64
        };
        let mut bytes = 0;
        for sharpness in [0.3, 1.0, 2.0, 4.0] {
            for _ in 0..50 {
                let window: Vec<Position> = (0..32)
                    .map(|_| {
                        let logits: Vec<f64> =
                            (1..=64).map(|rank| -sharpness * f64::from(rank).ln() + random() * 2.0).collect();
                        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
                        let likely = |l: &f64| ((sum.ln() - l) * 16.0).round() as u16;
                        position(
                            logits
                                .iter()
                                .map(|l| Likely { id: (random() * 262_144.0) as u32, minus_sixteenths: likely(l) })
                                .collect(),
                        )
                    })
                    .collect();
                bytes += encode(&window).unwrap().len();
            }
        }
        let each = bytes as f64 / (4 * 50 * 32) as f64;
        assert!(each < 28.0 && each > 20.0, "{each}");
    }
}
