//! Gemma 4's notation of arguments, and how it becomes JSON.
//!
//! `{city:<|"|>Paris<|"|>,days:3,near:[<|"|>a<|"|>],at:{lat:1.5}}`: keys are bare, texts stand between two equal markers and
//! know no escapes. What small models get wrong and can still mean only one thing is taken: JSON's own strings, quoted
//! keys, Python's names for constants, texts without markers.

use serde_json::Value;

/// Begins and ends a text.
pub(crate) const QUOTE: &str = "<|\"|>";
/// Deepest nesting; JSON's parser stops at 128.
const DEPTH_MAX: usize = 100;

/// Looks for the end of an object in a text that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Scan {
    depth: usize,
    inside: Inside,
    /// The last byte that counts stands before a value or a key: a `"` here begins a string.
    expects: bool,
}

#[derive(Debug, Default, PartialEq)]
enum Inside {
    #[default]
    Nothing,
    Text,
    Json,
}

impl Scan {
    /// Reads on from `at`. Returns how far it came, and whether that is the end.
    pub(super) fn advance(&mut self, text: &str, mut at: usize) -> (usize, bool) {
        let bytes = text.as_bytes();
        while let Some(&byte) = bytes.get(at) {
            let rest = &bytes[at..];
            match self.inside {
                Inside::Text | Inside::Nothing if rest.starts_with(QUOTE.as_bytes()) => {
                    self.inside = if self.inside == Inside::Text { Inside::Nothing } else { Inside::Text };
                    self.expects = false;
                    at += QUOTE.len();
                    continue;
                }
                Inside::Text | Inside::Nothing if QUOTE.as_bytes().starts_with(rest) => return (at, false),
                Inside::Text => {}
                Inside::Json => match byte {
                    b'\\' if rest.len() < 2 => return (at, false),
                    b'\\' => at += 1,
                    b'"' => self.inside = Inside::Nothing,
                    _ => {}
                },
                Inside::Nothing => match byte {
                    b'{' | b'[' => {
                        self.depth += 1;
                        self.expects = true;
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        self.expects = false;
                        if self.depth == 0 {
                            return (at + 1, true);
                        }
                    }
                    b',' | b':' => self.expects = true,
                    b'"' if self.expects => self.inside = Inside::Json,
                    b' ' | b'\n' | b'\t' | b'\r' => {}
                    _ => self.expects = false,
                },
            }
            at += 1;
        }
        (at, false)
    }
}

/// The JSON that a complete object means; `None` if it means none.
pub(super) fn to_json(text: &str) -> Option<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len() && value.is_object()).then_some(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a text if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        if self.takes("{") {
            let mut object = serde_json::Map::new();
            self.list("}", |reader| {
                let key = reader.key()?;
                object.insert(key, reader.value(depth + 1)?);
                Some(())
            })?;
            return Some(Value::Object(object));
        }
        if self.takes("[") {
            let mut array = Vec::new();
            self.list("]", |reader| {
                array.push(reader.value(depth + 1)?);
                Some(())
            })?;
            return Some(Value::Array(array));
        }
        if let Some(text) = self.quoted() {
            return Some(Value::String(text?));
        }
        let word = self.bare(&[',', '}', ']'])?;
        Some(match word {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            _ => serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned())),
        })
    }

    /// Members up to a closing bracket.
    fn list(&mut self, close: &str, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            self.space();
            if self.takes(close) {
                return Some(());
            }
            member(self)?;
            self.space();
            if !self.takes(",") {
                return self.takes(close).then_some(());
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        let key = match self.quoted() {
            Some(key) => key?,
            None => self.bare(&[':', '}', ','])?.to_owned(),
        };
        self.space();
        self.takes(":").then_some(key)
    }

    /// A text between markers, or a JSON string; the outer `None` if neither begins here.
    fn quoted(&mut self) -> Option<Option<String>> {
        if self.takes(QUOTE) {
            let length = self.rest().find(QUOTE);
            return Some(length.map(|length| {
                let text = self.rest()[..length].to_owned();
                self.at += length + QUOTE.len();
                text
            }));
        }
        if !self.rest().starts_with('"') {
            return None;
        }
        let mut strings = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        let string = strings.next().and_then(Result::ok);
        self.at += strings.byte_offset();
        Some(string)
    }

    /// Characters up to one of these; not none of them.
    fn bare(&mut self, ends: &[char]) -> Option<&'a str> {
        let rest = self.rest();
        let word = rest[..rest.find(ends)?].trim_end();
        self.at += word.len();
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_notation_becomes_json() {
        let text = "{city:<|\"|>Pa{ris\"\n<|\"|>,days:3,t:-1.5e2,ok:true,no:null,near:[<|\"|>a<|\"|>,[]],at:{lat:1},\"k\": \"q\\\"}\"}";
        let json = json!({ "city": "Pa{ris\"\n", "days": 3, "t": -150.0, "ok": true, "no": null, "near": ["a", []],
            "at": { "lat": 1 }, "k": "q\"}" });
        assert_eq!(to_json(text), Some(json));
        assert_eq!(to_json("{}"), Some(json!({})));
        assert_eq!(
            to_json("{ <|\"|>a b<|\"|> : False , d : Paris in May }"),
            Some(json!({"a b":false,"d":"Paris in May"}))
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["{a:}", "{a}", "{a:1", "{:1}", "[1]", "{a:<|\"|>x}", "{a:1}x", "{a:\"x}", "", "{a:1 b:\"2\"}}"] {
            assert_eq!(to_json(text), None, "{text}");
        }
        assert_eq!(to_json(&format!("{{a:{}", "[".repeat(100_000))), None);
    }

    #[test]
    fn the_end_is_found_in_any_pieces() {
        let text = "{a:<|\"|>}]<<|\"|>,b:\"}\\\"\",c:[{d:5\"}]}<tool_call|>";
        let end = text.find("<tool_call|>").unwrap();
        for cut in 0..=text.len() {
            let mut scan = Scan::default();
            let (at, done) = scan.advance(&text[..cut], 0);
            let (at, done) = if done { (at, done) } else { scan.advance(text, at) };
            assert_eq!((at, done), (end, true), "cut at {cut}");
        }
    }
}
