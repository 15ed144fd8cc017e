//! An object of JSON that arrives in pieces: as far as it can still become one, without the space between its words.
//!
//! Stricter than a scan for the closing bracket, because what it lets through is told at once and cannot be taken back.

/// Deepest nesting; JSON's parser stops at 128.
const DEPTH_MAX: usize = 100;

/// Reads one object.
#[derive(Debug, Default)]
pub(super) struct ObjectReader {
    /// Open brackets: whether each is an object's.
    open: Vec<bool>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    /// The object itself.
    #[default]
    Start,
    /// A value; in an array that has none yet, or its end.
    Value {
        or_end: bool,
    },
    /// A key; in an object that has none yet, or its end.
    Key {
        or_end: bool,
    },
    Colon,
    /// A comma, or an end.
    Next,
    /// Within a text, which may be a key.
    Text {
        key: bool,
        escape: Escape,
    },
    /// The rest of `true`, `false` or `null`.
    Word(&'static str),
    Number(Digits),
}

/// Where in an escape a text is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Escape {
    No,
    /// Behind the backslash; `low`: the second half of a character must follow.
    Begun {
        low: bool,
    },
    /// Within the four digits of `\u`.
    Code {
        digits: u8,
        code: u16,
        low: bool,
    },
    /// Behind the first half of a character: a backslash must follow.
    Half,
}

/// How far a number is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Digits {
    Sign,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    ESign,
    Exponent,
}

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    More,
    /// It is complete; so many bytes of the piece belong to it.
    Done(usize),
    /// The byte here cannot follow.
    Invalid(usize),
}

impl ObjectReader {
    /// Takes the next piece and appends what is valid of it.
    pub(super) fn push(&mut self, piece: &str, out: &mut String) -> Read {
        for (at, character) in piece.char_indices() {
            let between = !matches!(self.state, State::Text { .. });
            if between && matches!(character, ' ' | '\n' | '\r' | '\t') {
                match self.state {
                    State::Word(_) => return Read::Invalid(at),
                    State::Number(digits) if !digits.may_end() => return Read::Invalid(at),
                    State::Number(_) => self.state = State::Next,
                    _ => {}
                }
                continue;
            }
            let Some(state) = self.after(character) else { return Read::Invalid(at) };
            self.state = state;
            out.push(character);
            if self.open.is_empty() {
                return Read::Done(at + character.len_utf8());
            }
        }
        Read::More
    }

    /// The state behind a character; `None` if it cannot stand there.
    fn after(&mut self, character: char) -> Option<State> {
        match self.state {
            State::Start => match character {
                '{' => self.opened(true),
                _ => None,
            },
            State::Value { or_end } => match character {
                ']' if or_end => self.closed(false),
                _ => self.value(character),
            },
            State::Key { or_end } => match character {
                '"' => Some(State::Text { key: true, escape: Escape::No }),
                '}' if or_end => self.closed(true),
                _ => None,
            },
            State::Colon => (character == ':').then_some(State::Value { or_end: false }),
            State::Next => self.next(character),
            State::Text { key, escape } => Some(match escape.after(character)? {
                Some(escape) => State::Text { key, escape },
                None if key => State::Colon,
                None => State::Next,
            }),
            State::Word(rest) => match rest.strip_prefix(character)? {
                "" => Some(State::Next),
                rest => Some(State::Word(rest)),
            },
            State::Number(digits) => match digits.after(character) {
                Some(digits) => Some(State::Number(digits)),
                None if digits.may_end() => self.next(character),
                None => None,
            },
        }
    }

    fn value(&mut self, character: char) -> Option<State> {
        Some(match character {
            '{' => return self.opened(true),
            '[' => return self.opened(false),
            '"' => State::Text { key: false, escape: Escape::No },
            't' => State::Word("rue"),
            'f' => State::Word("alse"),
            'n' => State::Word("ull"),
            '-' => State::Number(Digits::Sign),
            '0' => State::Number(Digits::Zero),
            '1'..='9' => State::Number(Digits::Whole),
            _ => return None,
        })
    }

    fn next(&mut self, character: char) -> Option<State> {
        match (character, *self.open.last()?) {
            (',', true) => Some(State::Key { or_end: false }),
            (',', false) => Some(State::Value { or_end: false }),
            ('}', true) => self.closed(true),
            (']', false) => self.closed(false),
            _ => None,
        }
    }

    fn opened(&mut self, object: bool) -> Option<State> {
        self.open.push(object);
        let inside = if object { State::Key { or_end: true } } else { State::Value { or_end: true } };
        (self.open.len() <= DEPTH_MAX).then_some(inside)
    }

    fn closed(&mut self, object: bool) -> Option<State> {
        (self.open.pop() == Some(object)).then_some(State::Next)
    }
}

impl Escape {
    /// `Some(None)`: the text ends.
    fn after(self, character: char) -> Option<Option<Self>> {
        Some(Some(match (self, character) {
            (Self::No, '"') => return Some(None),
            (Self::No, '\\') => Self::Begun { low: false },
            (Self::No, c) if c >= ' ' => Self::No,
            (Self::Begun { low: false }, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => Self::No,
            (Self::Begun { low }, 'u') => Self::Code { digits: 0, code: 0, low },
            (Self::Half, '\\') => Self::Begun { low: true },
            (Self::Code { digits, code, low }, c) => {
                let code = code << 4 | c.to_digit(16)? as u16;
                match (digits + 1, code) {
                    (4, 0xdc00..=0xdfff) if low => Self::No,
                    (4, 0xd800..=0xdbff) if !low => Self::Half,
                    (4, 0xd800..=0xdfff) => return None,
                    (4, _) if low => return None,
                    (4, _) => Self::No,
                    (digits, code) => Self::Code { digits, code, low },
                }
            }
            _ => return None,
        }))
    }
}

impl Digits {
    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }

    fn after(self, character: char) -> Option<Self> {
        Some(match (self, character) {
            (Self::Sign, '0') => Self::Zero,
            (Self::Sign, '1'..='9') | (Self::Whole, '0'..='9') => Self::Whole,
            (Self::Zero | Self::Whole, '.') => Self::Point,
            (Self::Point | Self::Fraction, '0'..='9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, 'e' | 'E') => Self::E,
            (Self::E, '+' | '-') => Self::ESign,
            (Self::E | Self::ESign | Self::Exponent, '0'..='9') => Self::Exponent,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What a text comes to, read by characters.
    fn read(text: &str) -> (Read, String) {
        let (mut reader, mut out) = (ObjectReader::default(), String::new());
        for (at, character) in text.char_indices() {
            match reader.push(character.encode_utf8(&mut [0; 4]), &mut out) {
                Read::More => {}
                Read::Done(end) => return (Read::Done(at + end), out),
                Read::Invalid(_) => return (Read::Invalid(at), out),
            }
        }
        (Read::More, out)
    }

    #[test]
    fn objects_lose_their_space_and_nothing_else() {
        let text = "{ \"a b\" : [ 1 , -2.5e+3 , true,null ] ,\n\"c\":{ },\"d\":\"\\ud83e\\udd80 \\n\" } rest";
        let out = "{\"a b\":[1,-2.5e+3,true,null],\"c\":{},\"d\":\"\\ud83e\\udd80 \\n\"}";
        assert_eq!(read(text), (Read::Done(text.len() - 5), out.into()));
        assert_eq!(ObjectReader::default().push(text, &mut String::new()), Read::Done(text.len() - 5), "in one piece");
    }

    #[test]
    fn what_cannot_become_an_object_stops_at_its_place() {
        for (text, at) in [
            ("[1]", 0),
            ("{1", 1),
            ("{\"a\" 1", 5),
            ("{\"a\":01", 6),
            ("{\"a\":1.}", 7),
            ("{\"a\":tru ", 8),
            ("{\"a\":1,}", 7),
            ("{\"a\":[1,]", 8),
            ("{\"a\":[1}", 7),
            ("{\"a\":\"\n", 6),
            ("{\"a\":\"\\x", 7),
            ("{\"a\":\"\\udd80", 11),
            ("{\"\\u\"", 4),
            ("{\"a\":\"\\ud83ex", 12),
            ("{\"a\":\"\\ud83e\\u0041", 17),
            ("{\"a\":- ", 6),
            ("{,", 1),
        ] {
            assert_eq!(read(text).0, Read::Invalid(at), "{text}");
        }
        let deep = "{\"a\":".repeat(DEPTH_MAX);
        assert_eq!(read(&deep).0, Read::More);
        assert_eq!(read(&format!("{deep}[")).0, Read::Invalid(deep.len()));
    }

    proptest! {
        /// It agrees with JSON's parser: on whole objects, on their beginnings, and on what is neither.
        #[test]
        fn it_agrees_with_the_parser(text in "\\{(\"[a\\\\u0d8]{0,3}\"|[ :,0-9.eE+\\[\\]{}-]|true|null){0,9}") {
            let parsed = serde_json::Deserializer::from_str(&text).into_iter::<Value>().next().unwrap();
            match (read(&text), parsed) {
                ((Read::Done(_), out), Ok(value)) => prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), value),
                // A number that no float can hold is one all the same.
                (_, Err(error)) if error.to_string().contains("out of range") => {}
                ((Read::More, _), Err(error)) => prop_assert!(error.is_eof(), "{text}: {error}"),
                // The parser takes four digits at once and calls fewer an end: it is given more to take.
                ((Read::Invalid(_), _), Err(_)) => {
                    let error = serde_json::from_str::<Value>(&format!("{text}0000")).unwrap_err();
                    prop_assert!(!error.is_eof(), "{text}: {error}");
                }
                (ours, theirs) => prop_assert!(false, "{text}: {ours:?} {theirs:?}"),
            }
        }
    }
}
