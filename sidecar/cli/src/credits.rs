//! Prices as people write them: credits for a million parameter-tokens, with up to three digits after the point.

use ainonymous_node::Price;

/// Digits after the point: a price is counted in thousandths.
const DIGITS: usize = 3;

/// A price from the command line or the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credits(pub(crate) Price);

impl Credits {
    /// As the API takes it.
    pub(crate) fn number(self) -> f64 {
        self.0 .0 as f64 / 1e3
    }
}

impl std::str::FromStr for Credits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || "it must be a number of credits from 0 to 1000, with at most three digits after the point".into();
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > DIGITS || whole.len() > 4 {
            return Err(wrong());
        }
        let milli: u64 = format!("{whole}{part:0<DIGITS$}").parse().map_err(|_| wrong())?;
        Some(Self(Price(milli))).filter(|credits| credits.0 <= Price::MAX).ok_or_else(wrong)
    }
}

impl<'de> serde::Deserialize<'de> for Credits {
    /// A number.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?.to_string().parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_and_bounded() {
        let parse = |text: &str| text.parse::<Credits>().map(|credits| credits.0 .0);
        assert_eq!((parse("0"), parse("1"), parse("0.25"), parse("0.001")), (Ok(0), Ok(1_000), Ok(250), Ok(1)));
        assert_eq!(parse("1000"), Ok(Price::MAX.0));
        for wrong in ["1000.001", "1001", "-1", "", ".5", "1.", "0.0001", "1e3", "free", "99999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
