//! Finds markers in a text that arrives in pieces. Knows nothing of what the markers mean.

/// The first marker in a text, and among those at the same place the longest: where it begins, and which it is.
pub(super) fn first<'a>(text: &str, marks: impl Iterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    let found = marks.filter_map(|mark| text.find(mark).map(|at| (at, mark)));
    found.min_by_key(|(at, mark)| (*at, std::cmp::Reverse(mark.len())))
}

/// How many bytes at the end of a text could be the beginning of a marker.
pub(super) fn begun<'a>(text: &str, marks: impl Iterator<Item = &'a str>) -> usize {
    let text = text.as_bytes();
    let begun = |mark: &str| (1..mark.len().min(text.len() + 1)).rev().find(|&n| text.ends_with(&mark.as_bytes()[..n]));
    marks.filter_map(begun).max().unwrap_or(0)
}

/// What is left of a marker that a text is the beginning of: `Some(true)` all of it is there, `Some(false)` it may still come.
pub(super) fn leads(text: &str, mark: &str) -> Option<bool> {
    if text.starts_with(mark) {
        Some(true)
    } else {
        mark.starts_with(text).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_longest_marker_wins() {
        let marks = || ["<b>", "<a>", "<a><b>"].into_iter();
        assert_eq!(first("x<a><b>", marks()), Some((1, "<a><b>")));
        assert_eq!(first("x<b><a>", marks()), Some((1, "<b>")));
        assert_eq!(first("x<", marks()), None);
    }

    #[test]
    fn beginnings_are_counted_in_bytes_at_character_borders() {
        assert_eq!(begun("x<｜to", ["<｜tool▁sep｜>"].into_iter()), "<｜to".len());
        assert_eq!(begun("x<｜", ["<b>", "<｜tool▁sep｜>"].into_iter()), "<｜".len());
        assert_eq!(begun("<b>", ["<b>"].into_iter()), 0, "a whole one is not a beginning");
        assert_eq!(begun("", ["<b>"].into_iter()), 0);
        assert_eq!((leads("<b>x", "<b>"), leads("<", "<b>"), leads("y", "<b>")), (Some(true), Some(false), None));
    }
}
