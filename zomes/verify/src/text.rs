//! Which characters names, labels and descriptions may have, and how to make foreign text fit.
//!
//! Only printable ASCII: nothing that looks like something else, turns around, or breaks a terminal.

use crate::Breach;

/// Characters of a label.
const LABEL: &str = "a-z, 0-9, dot, dash or underscore";
/// Characters of a region.
const REGION: &str = "a-z, 0-9 or dash";
/// Characters of a name or description.
const PRINTABLE: &str = "printable ASCII, without spaces at the ends";

/// A label: `a-z 0-9 . _ -`, not empty.
pub fn label(what: &'static str, text: &str, max: usize) -> Result<(), Breach> {
    length(what, text, max)?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    text.bytes().all(fits).then_some(()).ok_or(Breach::Charset { what, allowed: LABEL })
}

/// A region: `a-z 0-9 -`, not empty.
pub fn region(what: &'static str, text: &str, max: usize) -> Result<(), Breach> {
    length(what, text, max)?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.bytes().all(fits).then_some(()).ok_or(Breach::Charset { what, allowed: REGION })
}

/// A name: printable ASCII, not empty, not beginning or ending with a space.
pub fn name(what: &'static str, text: &str, max: usize) -> Result<(), Breach> {
    length(what, text, max)?;
    detail(what, text, max)
}

/// A description: as a name, but it may be empty.
pub fn detail(what: &'static str, text: &str, max: usize) -> Result<(), Breach> {
    if text.len() > max {
        return Err(Breach::TooLong { what, max: max as u64 });
    }
    let trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    let fits = |b: u8| matches!(b, b' '..=b'~');
    (trimmed && text.bytes().all(fits)).then_some(()).ok_or(Breach::Charset { what, allowed: PRINTABLE })
}

/// Makes any text a valid name or description: others than printable ASCII become `?`, the rest is cut. May be empty.
pub fn to_printable(text: &str, max: usize) -> String {
    let printable: String = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    let cut: String = printable.trim().chars().take(max).collect();
    cut.trim_end().to_owned()
}

/// Makes any text a valid label: lower case, others become `-`, the rest is cut. May be empty.
pub fn to_label(text: &str, max: usize) -> String {
    let fit =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c.to_ascii_lowercase() } else { '-' };
    text.trim().chars().map(fit).take(max).collect()
}

fn length(what: &'static str, text: &str, max: usize) -> Result<(), Breach> {
    if text.is_empty() {
        return Err(Breach::Empty { what });
    }
    if text.len() > max {
        return Err(Breach::TooLong { what, max: max as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_label_and_what_a_name() {
        assert!(label("x", "q8_0", 4).is_ok());
        for bad in ["Q8_0", "q 8", "ä", "q8_0x", ""] {
            assert!(label("x", bad, 4).is_err(), "{bad}");
        }
        assert!(name("x", "Tiny Gemma (270M)", 17).is_ok());
        for bad in ["", " a", "a ", "a\n", "a\u{202e}b", "aaaaaaaaaaaaaaaaaaaa"] {
            assert!(name("x", bad, 17).is_err(), "{bad:?}");
        }
        assert!(detail("x", "", 3).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_made_fit_fits(text in "\\PC{0,50}", max in 1usize..20) {
            detail("x", &to_printable(&text, max), max).unwrap();
            let made = to_label(&text, max);
            prop_assert!(made.is_empty() || label("x", &made, max).is_ok());
        }
    }
}
