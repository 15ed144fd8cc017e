//! From tokens to text: valid UTF-8 across token borders, and stop texts that nobody gets to see.
//!
//! Every token is reported at once; its text lags behind while a character is incomplete or while the end of the text
//! could still become a stop text. The last token of an answer (a stop, an end token, or the last that was allowed) carries
//! what was held back until then.

/// The text of one answer while it grows.
pub(crate) struct AnswerText {
    stops: Vec<String>,
    /// Bytes that are not yet a whole character; at most three.
    partial: Vec<u8>,
    /// Which stop text ended it, as the caller counts them.
    stopped_by: Option<u32>,
    /// Characters that may be the beginning of a stop text; shorter than the longest stop text.
    held: String,
}

/// What a token added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// Text that became clear.
    pub(crate) text: String,
    /// A stop text is complete: the answer ends before it.
    pub(crate) stopped: bool,
}

impl AnswerText {
    /// `stops`: texts that end the answer; empty ones are ignored.
    pub(crate) fn new(stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), partial: Vec::new(), stopped_by: None, held: String::new() }
    }

    /// Takes the bytes of a token.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Added {
        self.partial.extend_from_slice(bytes);
        drain_characters(&mut self.partial, &mut self.held);
        let found = |(stop, at): (&String, u32)| Some((self.held.find(stop.as_str())?, at));
        let stops = self.stops.iter().zip(0u32..).filter(|(stop, _)| !stop.is_empty());
        if let Some((start, at)) = stops.filter_map(found).min() {
            self.stopped_by = Some(at);
            self.held.truncate(start);
            self.partial.clear();
            return Added { text: std::mem::take(&mut self.held), stopped: true };
        }
        let clear = self.held.len() - self.beginning_of_a_stop();
        Added { text: self.held.drain(..clear).collect(), stopped: false }
    }

    /// Which stop text ended the answer, if one did.
    pub(crate) fn stopped_by(&self) -> Option<u32> {
        self.stopped_by
    }

    /// Ends the answer: what is held becomes clear, an incomplete character becomes U+FFFD.
    pub(crate) fn finish(&mut self) -> String {
        if !self.partial.is_empty() {
            self.partial.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        std::mem::take(&mut self.held)
    }

    /// How many bytes at the end of `held` begin a stop text.
    fn beginning_of_a_stop(&self) -> usize {
        let held = self.held.as_bytes();
        let begun =
            |stop: &String| (1..stop.len().min(held.len() + 1)).rev().find(|&n| held.ends_with(&stop.as_bytes()[..n]));
        self.stops.iter().filter_map(begun).max().unwrap_or(0)
    }
}

/// Moves whole characters from `bytes` to `text`; what can never become one becomes U+FFFD.
fn drain_characters(bytes: &mut Vec<u8>, text: &mut String) {
    loop {
        match std::str::from_utf8(bytes) {
            Ok(valid) => {
                text.push_str(valid);
                bytes.clear();
                return;
            }
            Err(e) => {
                let valid = e.valid_up_to();
                text.push_str(&String::from_utf8_lossy(&bytes[..valid]));
                let Some(bad) = e.error_len() else {
                    bytes.drain(..valid);
                    return;
                };
                text.push(char::REPLACEMENT_CHARACTER);
                bytes.drain(..valid + bad);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], tokens: &[&[u8]]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|s| s.to_string()).collect();
        let mut text = AnswerText::new(&stops);
        let mut out = Vec::new();
        for token in tokens {
            let added = text.push(token);
            out.push(added.text);
            if added.stopped {
                return (out, true);
            }
        }
        out.push(text.finish());
        (out, false)
    }

    #[test]
    fn characters_split_over_tokens_come_whole() {
        let snowman = "☃".as_bytes();
        assert_eq!(run(&[], &[&snowman[..1], &snowman[1..2], &snowman[2..]]).0, ["", "", "☃", ""]);
        let mixed = [b"a", &snowman[..2]].concat();
        assert_eq!(run(&[], &[&mixed, &snowman[2..]]).0, ["a", "☃", ""]);
    }

    #[test]
    fn every_split_of_a_text_gives_the_text() {
        let text = "Grüße, 世界 🦀\u{10ffff}!";
        for size in 1..8 {
            let tokens: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(run(&["never"], &tokens).0.concat(), text);
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(run(&[], &[b"a\xff", b"b"]).0.concat(), "a\u{fffd}b");
        assert_eq!(run(&[], &[b"a\xe2\x98"]).0.concat(), "a\u{fffd}");
        assert_eq!(run(&[], &[b"\xe2", b"x"]).0.concat(), "\u{fffd}x");
    }

    #[test]
    fn a_stop_text_over_token_borders_is_never_seen() {
        let (out, stopped) = run(&["END"], &[b"one E", b"N", b"D two"]);
        assert!(stopped);
        assert_eq!(out, ["one ", "", ""]);
    }

    #[test]
    fn a_false_beginning_is_given_back() {
        assert_eq!(run(&["END"], &[b"E", b"N", b"Ergy"]).0, ["", "", "ENErgy", ""]);
        assert_eq!(run(&["END"], &[b"EN"]).0, ["", "EN"], "held text comes with the end");
        assert_eq!(run(&["aab"], &[b"a", b"a", b"a", b"b", b"c"]).0, ["", "", "a", ""], "overlapping beginnings");
    }

    #[test]
    fn the_earliest_of_several_stops_wins_and_empty_ones_do_nothing() {
        assert_eq!(run(&["", "two", "one"], &[b"zero one two"]).0, ["zero "]);
        assert_eq!(run(&[""], &[b"x"]).0, ["x", ""]);
        assert_eq!(run(&["ß"], &["aß".as_bytes()]).0, ["a"]);
        assert_eq!(run(&["äb"], &["ä".as_bytes(), b"c"]).0.concat(), "äc", "cut only between characters");
    }
}
