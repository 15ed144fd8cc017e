//! How answers, receipts and sizes look to people. It formats; it decides nothing.

use serde::Serialize;
use serde_json::Value;

/// One answer, as `ask --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Answered {
    /// The text.
    pub(crate) answer: String,
    /// Why it ended: `stop` or `length`.
    pub(crate) finish_reason: String,
    /// Names the question.
    pub(crate) id: Option<String>,
    /// Who answered.
    pub(crate) provider: Option<String>,
    /// `name:quantisation`.
    pub(crate) model: String,
    /// Which way it went.
    pub(crate) route: String,
    /// Action of the batch that carries the receipt.
    pub(crate) receipt: Option<String>,
    /// The asking node fetched it from the DHT and found it right.
    pub(crate) receipt_checked: bool,
    /// Why it did not.
    pub(crate) receipt_problem: Option<String>,
    /// Tokens of the rendered prompt.
    pub(crate) prompt_tokens: u64,
    /// Tokens of the answer.
    pub(crate) completion_tokens: u64,
    /// From asking to the first text, as the asking node saw it. Milliseconds.
    pub(crate) ttft_ms: f64,
    /// From the first to the last token, as the provider saw it.
    pub(crate) tokens_per_s: f64,
    /// Critical questions: how the answers compare.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) agreement: Value,
    /// The provider gave a receipt, published or not.
    #[serde(skip)]
    pub(crate) has_receipt: bool,
}

impl Answered {
    /// Takes what a chunk of a stream says.
    pub(crate) fn take(&mut self, chunk: &Value) {
        if let Some(model) = chunk["model"].as_str() {
            model.clone_into(&mut self.model);
        }
        if let Some(reason) = chunk["choices"][0]["finish_reason"].as_str() {
            reason.clone_into(&mut self.finish_reason);
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(ours) = chunk.get("ainonymous") {
            self.id = text(&ours["id"]);
            self.provider = text(&ours["provider"]);
            self.route = text(&ours["route"]).unwrap_or_default();
            self.has_receipt = ours["receipt"].is_object();
            self.agreement = ours["agreement"].clone();
        }
        if let Some(timings) = chunk.get("timings") {
            self.ttft_ms = timings["first_token_ms"].as_f64().unwrap_or_default();
            self.tokens_per_s = timings["predicted_per_second"].as_f64().unwrap_or_default();
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.prompt_tokens = usage["prompt_tokens"].as_u64().unwrap_or_default();
            self.completion_tokens = usage["completion_tokens"].as_u64().unwrap_or_default();
        }
    }

    /// Takes what the node says about the receipt.
    pub(crate) fn take_receipt(&mut self, state: &Value) {
        self.receipt = state["batch"].as_str().map(str::to_owned);
        self.receipt_checked = state["checked"].as_bool().unwrap_or(false);
        self.receipt_problem = state["problem"].as_str().map(str::to_owned);
    }

    /// `from uhCAk… · tiny-gemma q8_0 · 8 tokens · first token 41 ms · 5,100 tok/s`
    pub(crate) fn origin(&self) -> String {
        let from = match (&self.provider, self.route.as_str()) {
            (_, "local") => "this node".to_owned(),
            (Some(provider), _) => short(provider),
            (None, _) => "an unnamed provider".to_owned(),
        };
        let mut line =
            format!("from {from} · {} · {}", self.model.replace(':', " "), count(self.completion_tokens, "token"));
        if self.ttft_ms > 0.0 {
            line.push_str(&format!(" · first token {:.0} ms", self.ttft_ms));
        }
        if self.tokens_per_s > 0.0 {
            line.push_str(&format!(" · {} tok/s", thousands(self.tokens_per_s)));
        }
        line
    }

    /// Critical questions: what the answers have in common, then who says otherwise.
    pub(crate) fn agreement_lines(&self) -> Vec<String> {
        let Some(voices) = self.agreement["voices"].as_array() else { return vec![] };
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let answered = voices.iter().filter(|voice| voice["failed"].is_null()).count() as u64;
        let with_it = voices.iter().filter(|v| v["failed"].is_null() && v["dissents_from"].is_null()).count() as u64;
        let mut lines = vec![match self.agreement["majority"].as_bool() {
            Some(true) => format!("agreement: {with_it} of {} say exactly this", count(answered, "provider")),
            _ => format!(
                "NO agreement: more than half of {} have only the first {} in common; this is one of the answers",
                count(answered, "provider"),
                count(number(&self.agreement["agreed_tokens"]), "token")
            ),
        }];
        for voice in voices {
            let who = short(voice["provider"].as_str().unwrap_or_default());
            match (voice["dissents_from"].as_u64(), voice["failed"].as_str()) {
                (_, Some(code)) => lines.push(format!("  {who} gave no answer: {code}")),
                (Some(at), None) => lines.push(format!("  {who} says otherwise from token {at} on, or up to 31 later")),
                (None, None) => {}
            }
        }
        lines
    }

    /// `receipt uhCkk… published by the provider, fetched and checked by the asking node`
    pub(crate) fn receipt_line(&self) -> String {
        let said = match (&self.receipt, self.receipt_checked, &self.receipt_problem) {
            (Some(batch), true, _) => {
                format!("{} published by the provider, fetched and checked by the asking node", short(batch))
            }
            (_, false, Some(problem)) => format!("NOT good: {problem}"),
            (Some(batch), false, None) => format!("{} published by the provider, not checked yet", short(batch)),
            (None, ..) if self.has_receipt => "signed by the provider, not published yet".to_owned(),
            (None, ..) => "none: the node's own model answered".to_owned(),
        };
        format!("receipt {said}")
    }
}

/// The beginning of a hash.
pub(crate) fn short(hash: &str) -> String {
    let beginning: String = hash.chars().take(9).collect();
    format!("{beginning}…")
}

/// A whole number with commas.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 token`, `2 tokens`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number as f64), if number == 1 { "" } else { "s" })
}

/// Bytes as people read them.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.0} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// What a worker process cannot do, of network, files and privileges, what it could, and how that comes.
pub(crate) fn confinement(confined: [bool; 3], detail: &str) -> String {
    let named = |wanted: bool| {
        let names = ["network", "files", "privileges"].into_iter().zip(confined);
        names.filter_map(|(name, is)| (is == wanted).then_some(name)).collect::<Vec<_>>().join(", ")
    };
    let parts = [("cannot use ", named(true)), ("could use ", named(false))];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| what.to_owned() + &names)
        .collect();
    format!("{} ({detail})", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered() -> Answered {
        let mut answered = Answered::default();
        answered.take(&json!({ "model": "tiny-gemma:q8_0", "choices": [{ "finish_reason": null }], "usage": null }));
        answered.take(&json!({ "choices": [{ "finish_reason": "stop" }],
            "timings": { "first_token_ms": 41.2, "predicted_per_second": 5100.4 },
            "ainonymous": { "id": "ab", "provider": "uhCAkprovider", "route": "signals", "receipt": {} } }));
        answered.take(&json!({ "choices": [], "usage": { "prompt_tokens": 12, "completion_tokens": 8 } }));
        answered
    }

    #[test]
    fn the_lines_say_what_the_answer_says() {
        let mut answered = answered();
        assert_eq!(answered.origin(), "from uhCAkprov… · tiny-gemma q8_0 · 8 tokens · first token 41 ms · 5,100 tok/s");
        assert_eq!(answered.receipt_line(), "receipt signed by the provider, not published yet");
        answered.take_receipt(&json!({ "batch": "uhCkkreceipt", "checked": false, "problem": null }));
        assert_eq!(answered.receipt_line(), "receipt uhCkkrece… published by the provider, not checked yet");
        answered.take_receipt(&json!({ "batch": "uhCkkreceipt", "checked": false, "problem": "wrong root" }));
        assert_eq!(answered.receipt_line(), "receipt NOT good: wrong root");
        answered.take_receipt(&json!({ "batch": "uhCkkreceipt", "checked": true, "problem": null }));
        let wanted = "receipt uhCkkrece… published by the provider, fetched and checked by the asking node";
        assert_eq!(answered.receipt_line(), wanted);
    }

    #[test]
    fn the_object_has_every_field_of_the_issue() {
        let json = serde_json::to_value(answered()).unwrap();
        for field in [
            "answer",
            "provider",
            "model",
            "route",
            "receipt",
            "receipt_checked",
            "prompt_tokens",
            "completion_tokens",
            "ttft_ms",
            "tokens_per_s",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!((json["prompt_tokens"].as_u64(), json["finish_reason"].as_str()), (Some(12), Some("stop")));
    }

    #[test]
    fn numbers_for_people() {
        for (number, text) in [(7.0, "7"), (999.6, "1,000"), (1_234_567.0, "1,234,567"), (512.0, "512")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!((count(1, "token"), count(2_000, "token")), ("1 token".into(), "2,000 tokens".into()));
        assert_eq!((bytes(2_048), bytes(5 << 20), bytes(3 << 30)), ("2 KiB".into(), "5 MiB".into(), "3.0 GiB".into()));
    }

    #[test]
    fn what_a_worker_cannot_do() {
        assert_eq!(confinement([true; 3], "x"), "cannot use network, files, privileges (x)");
        assert_eq!(confinement([true, false, true], "x"), "cannot use network, privileges; could use files (x)");
        assert_eq!(confinement([false; 3], "off"), "could use network, files, privileges (off)");
    }
}
