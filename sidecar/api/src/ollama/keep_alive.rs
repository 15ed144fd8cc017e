//! `keep_alive`: how long a model stays in memory that nobody asks. Seconds, or a duration as Go writes it (`5m`, `1h30m`);
//! below zero is for ever, zero is at once.

use crate::fields::Fields;
use crate::ApiError;
use ainonymous_node::KeepAlive;
use serde_json::Value;
use std::time::Duration;

/// Longest text of a duration, in bytes.
const TEXT_BYTES_MAX: usize = 64;
/// Longest time that can be said; beyond it is for ever.
const SECONDS_MAX: f64 = 1e9;
/// What a duration's numbers can count, longest names first where one begins with another.
const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

/// The field, if it is there.
pub(super) fn keep_alive(fields: &mut Fields) -> Result<Option<KeepAlive>, ApiError> {
    let invalid = |fields: &Fields| {
        ApiError::invalid(
            fields.path("keep_alive"),
            "must be a number of seconds or a duration such as \"5m\" or \"1h30m\"",
        )
    };
    let seconds = match fields.take("keep_alive") {
        None => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => seconds(&text),
        Some(_) => None,
    };
    seconds.map(of_seconds).map(Some).ok_or_else(|| invalid(fields))
}

fn of_seconds(seconds: f64) -> KeepAlive {
    match seconds {
        seconds if (0.0..=SECONDS_MAX).contains(&seconds) => KeepAlive::For(Duration::from_secs_f64(seconds)),
        _ => KeepAlive::Forever,
    }
}

/// Numbers with their units, or a number alone, which counts seconds.
fn seconds(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    if rest.is_empty() || rest.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut all = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        let whole = digits == rest.len() && all == 0.0;
        let unit = UNITS.iter().find(|(name, _)| rest[digits..].starts_with(name));
        let (name, length) = match unit {
            Some(unit) => *unit,
            None if whole => ("", 1.0),
            None => return None,
        };
        all += number * length;
        rest = &rest[digits + name.len()..];
    }
    Some(sign * all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Option<KeepAlive>, ApiError> {
        keep_alive(&mut Fields::of("", json!({ "keep_alive": value })).unwrap())
    }

    #[test]
    fn durations_as_go_writes_them() {
        let of = |value| read(value).unwrap();
        let lasting = |ms| Some(KeepAlive::For(Duration::from_millis(ms)));
        assert_eq!(of(Value::Null), None);
        assert_eq!(of(json!(0)), lasting(0));
        assert_eq!((of(json!("0")), of(json!("0s"))), (lasting(0), lasting(0)));
        assert_eq!(
            (of(json!(90)), of(json!(1.5)), of(json!("90"))),
            (lasting(90_000), lasting(1_500), lasting(90_000))
        );
        assert_eq!((of(json!("5m")), of(json!("1h30m"))), (lasting(300_000), lasting(5_400_000)));
        assert_eq!((of(json!("1.5s")), of(json!("250ms"))), (lasting(1_500), lasting(250)));
        for forever in [json!(-1), json!("-1"), json!("-5m"), json!(1e12)] {
            assert_eq!(of(forever.clone()), Some(KeepAlive::Forever), "{forever}");
        }
        for wrong in
            [json!(""), json!("-"), json!("soon"), json!("5 m"), json!("5x"), json!("5m3"), json!(true), json!([1])]
        {
            let error = read(wrong.clone()).unwrap_err();
            assert_eq!((error.code(), error.param()), ("invalid_value", Some("keep_alive")), "{wrong}");
        }
        assert!(read(json!("1s".repeat(33))).is_err());
    }
}
