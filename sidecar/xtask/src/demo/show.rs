//! The demo's picture of one answer. It formats; it decides nothing.

use super::network::Network;
use super::Answer;

/// Prints question, answer, who gave it, its receipt, and where to go on.
pub(super) fn block(question: &str, answer: &Answer, running: Option<&Network>) {
    println!("you     {question}");
    println!("answer  {}", indented(&answer.answer));
    println!("        {}", origin(answer));
    println!("receipt {}", receipt(answer));
    if let Some(network) = running {
        let (api, page) = network.addresses();
        println!("chat    {page}      api  {api}/v1      Ctrl-C stops both nodes");
    }
}

/// Following lines stand under the first.
fn indented(text: &str) -> String {
    text.trim().replace('\n', "\n        ")
}

fn origin(answer: &Answer) -> String {
    let model = answer
        .more
        .get("model")
        .and_then(|model| model.as_str())
        .map(|model| format!(" · {model}"))
        .unwrap_or_default();
    format!(
        "from {}{model} · {} tokens · first token {:.0} ms · {} tok/s",
        short(&answer.provider),
        answer.completion_tokens,
        answer.ttft_ms,
        thousands(answer.tokens_per_s),
    )
}

fn receipt(answer: &Answer) -> String {
    match (&answer.receipt, answer.receipt_checked) {
        (Some(action), true) => {
            format!("{} published by the provider, fetched and checked by the asking node", short(action))
        }
        (Some(action), false) => format!("{} published by the provider, NOT checked by the asking node", short(action)),
        (None, _) => "none yet: the provider has not published one".into(),
    }
}

/// The beginning of a hash.
fn short(hash: &str) -> String {
    let beginning: String = hash.chars().take(9).collect();
    format!("{beginning}…")
}

/// A whole number with commas.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Answer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_picture_has_what_the_answer_says() {
        let answer = answer(
            r#"{"answer":"Paris.","provider":"uhCAkprovider","receipt":"uhCkkreceipt","receipt_checked":true,
                "prompt_tokens":9,"completion_tokens":8,"ttft_ms":41.2,"tokens_per_s":5100.4,"model":"tiny-gemma q8_0"}"#,
        );
        assert_eq!(origin(&answer), "from uhCAkprov… · tiny-gemma q8_0 · 8 tokens · first token 41 ms · 5,100 tok/s");
        assert_eq!(receipt(&answer), "uhCkkrece… published by the provider, fetched and checked by the asking node");
    }

    #[test]
    fn an_unchecked_receipt_is_never_called_checked() {
        let mut answer = answer(
            r#"{"answer":"","provider":"p","receipt":"r","receipt_checked":false,
                "prompt_tokens":0,"completion_tokens":0,"ttft_ms":0,"tokens_per_s":0}"#,
        );
        assert!(receipt(&answer).contains("NOT checked"));
        answer.receipt = None;
        assert!(receipt(&answer).starts_with("none yet"));
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(7.0, "7"), (999.6, "1,000"), (1_234_567.0, "1,234,567"), (512.0, "512")] {
            assert_eq!(thousands(number), text);
        }
    }
}
