//! Small comparisons that every rule is made of.

use crate::Breach;
use ainonymous_types::Bytes32;

pub(crate) fn not_empty(what: &'static str, len: usize) -> Result<(), Breach> {
    (len > 0).then_some(()).ok_or(Breach::Empty { what })
}

pub(crate) fn at_most(what: &'static str, len: usize, max: usize) -> Result<(), Breach> {
    (len <= max).then_some(()).ok_or(Breach::TooMany { what, max: max as u64 })
}

pub(crate) fn bytes_at_most(what: &'static str, len: usize, max: usize) -> Result<(), Breach> {
    (len <= max).then_some(()).ok_or(Breach::TooLong { what, max: max as u64 })
}

pub(crate) fn bytes_at_least(what: &'static str, len: usize, min: usize) -> Result<(), Breach> {
    (len >= min).then_some(()).ok_or(Breach::TooShort { what, min: min as u64 })
}

pub(crate) fn range(what: &'static str, n: u64, min: u64, max: u64, unit: &'static str) -> Result<(), Breach> {
    (min..=max).contains(&n).then_some(()).ok_or(Breach::OutOfRange { what, min, max, unit })
}

pub(crate) fn key(what: &'static str, key: &Bytes32) -> Result<(), Breach> {
    (key.0 != [0; 32]).then_some(()).ok_or(Breach::ZeroKey { what })
}

pub(crate) fn unique<T: PartialEq>(what: &'static str, items: &[T]) -> Result<(), Breach> {
    // Lists here are bounded to a few dozen items before they are compared.
    let repeated = items.iter().enumerate().any(|(i, item)| items[..i].contains(item));
    (!repeated).then_some(()).ok_or(Breach::Repeated { what })
}
