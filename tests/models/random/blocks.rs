//! Numbers as llama.cpp keeps them in four and eight bits: 32 at a time that share a scale, rounded as its own quantisation rounds.

/// Numbers that share a scale.
pub(super) const BLOCK: usize = 32;

/// How the matrices of a file are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Eight bits a weight: largest ±127 times the scale.
    Q8_0,
    /// Four bits a weight: from −8 to 7 times the scale.
    Q4_0,
}

impl Format {
    /// In names of files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// Its number among a file's tensors.
    pub(super) fn of_tensors(self) -> u32 {
        match self {
            Self::Q8_0 => 8,
            Self::Q4_0 => 2,
        }
    }

    /// Its number in a file's metadata.
    pub(super) fn of_files(self) -> u32 {
        match self {
            Self::Q8_0 => 7,
            Self::Q4_0 => 2,
        }
    }

    /// Bytes of a block: a half-precision scale, then the numbers.
    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 2 + BLOCK,
            Self::Q4_0 => 2 + BLOCK / 2,
        }
    }

    /// Appends a block.
    pub(super) fn add(self, out: &mut Vec<u8>, numbers: &[f32; BLOCK]) {
        let largest = numbers.iter().copied().fold(0f32, |most, x| if x.abs() > most.abs() { x } else { most });
        let scale = match self {
            Self::Q8_0 => largest.abs() / 127.0,
            Self::Q4_0 => largest / -8.0,
        };
        let parts = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        out.extend_from_slice(&half(scale).to_le_bytes());
        match self {
            Self::Q8_0 => out.extend(numbers.iter().map(|x| ((x * parts).round() as i8).to_le_bytes()[0])),
            Self::Q4_0 => {
                let nibble = |x: f32| ((x * parts + 8.5) as u8).min(15);
                let (low, high) = numbers.split_at(BLOCK / 2);
                out.extend(low.iter().zip(high).map(|(low, high)| nibble(*low) | nibble(*high) << 4));
            }
        }
    }
}

/// The nearest half-precision float; ties to the even one. Nothing here is too large for one, and what is too small becomes zero.
pub(super) fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = (bits >> 23 & 0xff) as i32 - 127 + 15;
    if exponent < 1 {
        return sign;
    }
    assert!(exponent < 31, "{value} is too large for a half");
    let exact = (exponent as u32) << 10 | (bits >> 13 & 0x3ff);
    let (rest, tie) = (bits & 0x1fff, 0x1000);
    let up = rest > tie || (rest == tie && exact & 1 == 1);
    sign | (exact + u32::from(up)) as u16
}

/// What a half-precision float says; whatever is smaller than those of full length is nothing.
pub(super) fn number(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(half >> 10 & 0x1f) - 15;
    if exponent == -15 {
        return 0.0;
    }
    sign * (1.0 + f32::from(half & 0x3ff) / 1_024.0) * 2f32.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a block as llama.cpp does.
    fn read(format: Format, block: &[u8]) -> Vec<f32> {
        let scale = number(u16::from_le_bytes([block[0], block[1]]));
        match format {
            Format::Q8_0 => block[2..].iter().map(|byte| f32::from(*byte as i8) * scale).collect(),
            Format::Q4_0 => {
                let of = |nibble: u8| (f32::from(nibble) - 8.0) * scale;
                let low = block[2..].iter().map(|byte| of(byte & 15));
                low.chain(block[2..].iter().map(|byte| of(byte >> 4))).collect()
            }
        }
    }

    fn wave() -> [f32; BLOCK] {
        std::array::from_fn(|at| ((at * at * 7 + 3) % 41) as f32 / 10.0 - 2.05)
    }

    #[test]
    fn what_is_written_is_read_again_as_nearly_as_the_format_allows() {
        let wave = wave();
        let largest = wave.iter().fold(0f32, |most, x| most.max(x.abs()));
        // Eight bits: half a step, and what the scale lost. Four bits: the end that has no −8 is cut by a whole step.
        for (format, step) in [(Format::Q8_0, 0.6 * largest / 127.0), (Format::Q4_0, 1.01 * largest / 8.0)] {
            let mut block = vec![];
            format.add(&mut block, &wave);
            assert_eq!(block.len(), format.block_bytes());
            for (was, found) in wave.iter().zip(read(format, &block)) {
                assert!((was - found).abs() <= step, "{format:?}: {was} became {found}");
            }
        }
    }

    #[test]
    fn what_a_format_can_say_exactly_survives() {
        let eight: [f32; BLOCK] =
            std::array::from_fn(|at| at as f32 * 4.0 - 127.0 + if at == 31 { 130.0 } else { 0.0 });
        let eight = eight.map(|x| x.clamp(-127.0, 127.0));
        let four: [f32; BLOCK] = std::array::from_fn(|at| (at % 16) as f32 - 8.0);
        for (format, numbers) in [(Format::Q8_0, eight), (Format::Q4_0, four)] {
            let mut block = vec![];
            format.add(&mut block, &numbers);
            assert_eq!(read(format, &block), numbers, "{format:?}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_llama_cpp() {
        // Scale −(−2.0)/8 = 0.25 as a half is 0x3400; −2 is 0, 0 is 8, 1.75 is 15.
        let mut numbers = [0f32; BLOCK];
        (numbers[0], numbers[16]) = (-2.0, 1.75);
        let mut block = vec![];
        Format::Q4_0.add(&mut block, &numbers);
        assert_eq!(block[..4], [0x00, 0x34, 0xf0, 0x88]);
        // Scale 127/127 = 1 as a half is 0x3c00.
        (numbers[0], numbers[16]) = (-127.0, 2.5);
        let mut block = vec![];
        Format::Q8_0.add(&mut block, &numbers);
        assert_eq!((block[..3].to_vec(), block[18]), (vec![0x00, 0x3c, 0x81], 3));
    }

    #[test]
    fn nothing_stays_nothing() {
        for format in [Format::Q8_0, Format::Q4_0] {
            let mut block = vec![];
            format.add(&mut block, &[0.0; BLOCK]);
            assert!(read(format, &block).iter().all(|x| *x == 0.0), "{format:?}");
        }
    }

    #[test]
    fn halves_are_the_nearest() {
        for (value, expected) in [
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.0, 0),
            (1e-9, 0),
            (1.0 + 1.0 / 2_048.0, 0x3c00),
            (1.0 + 3.0 / 2_048.0, 0x3c02),
            (2.0 - 1.0 / 8_192.0, 0x4000),
        ] {
            assert_eq!(half(value), expected, "{value}");
        }
    }
}
