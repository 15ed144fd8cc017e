//! Shapes that several dialects share: usage, timings, our extension, log-probabilities, moments.

use super::Whole;
use ainonymous_node::{AnswerDone, AnswerHead, Estimate, HandedPart, Reason, Route, TokenLogprob, TokenLogprobs};
use ainonymous_types::{AuditTerms, FinishReason, Receipt, SignedReceipt};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{json, Value};
use std::time::{SystemTime, UNIX_EPOCH};

/// The least log-probability that is told: JSON has no infinity.
const LOGPROB_MIN: f32 = -9_999.0;

/// Seconds since the epoch.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A moment as RFC 3339 writes it, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// Year, month and day, so many days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Names what computed an answer: the model spec, or this program.
pub(crate) fn system_fingerprint(head: &AnswerHead) -> String {
    match &head.spec {
        Some(spec) => format!("fp_{}", hex::encode(&spec.entry.get_raw_32()[..8])),
        None => format!("fp_ainonymous_{}", env!("CARGO_PKG_VERSION").replace('.', "_")),
    }
}

/// Why it ended, in OpenAI's words, which have none for "cancelled".
pub(crate) fn finish_reason(finish: FinishReason, called_tools: bool) -> &'static str {
    match finish {
        FinishReason::Length => "length",
        FinishReason::Stop | FinishReason::Cancelled if called_tools => "tool_calls",
        FinishReason::Stop | FinishReason::Cancelled => "stop",
    }
}

/// Tokens counted. A prompt that several answers continue counts once, as OpenAI counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    prompt: u64,
    cached: u64,
    completion: u64,
}

impl Usage {
    /// Counts an answer; `again` if its prompt was counted with another.
    pub(crate) fn add(&mut self, done: &AnswerDone, again: bool) {
        if !again {
            self.prompt += u64::from(done.prompt_tokens);
            self.cached += u64::from(done.cached_tokens);
        }
        self.completion += u64::from(done.completion_tokens);
    }

    /// Of all answers to one question.
    pub(crate) fn of(answers: &[Whole]) -> Self {
        let mut usage = Self::default();
        answers.iter().enumerate().for_each(|(at, answer)| usage.add(&answer.done, at > 0));
        usage
    }

    /// As OpenAI writes it.
    pub(crate) fn to_json(self) -> Value {
        let Self { prompt, cached, completion } = self;
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": { "cached_tokens": cached },
        })
    }
}

/// Times measured, in milliseconds. Names as in llama.cpp's server where it has them.
pub(crate) fn timings(done: &AnswerDone) -> Value {
    let ms = |us: u64| us as f64 / 1_000.0;
    json!({
        "prompt_n": done.prompt_tokens,
        "cache_n": done.cached_tokens,
        "predicted_n": done.completion_tokens,
        "predicted_ms": ms(done.decode_us),
        "predicted_per_second": done.tokens_per_s(),
        // From asking to the first text, by the asker's clock.
        "first_token_ms": ms(done.first_token_us),
        // From the arrival of the question to the first token, by the provider's clock.
        "provider_first_token_ms": ms(done.provider_first_token_us),
    })
}

/// What no other dialect has: who answered, how, and the receipt.
pub(crate) fn extension(head: &AnswerHead, done: &AnswerDone) -> Value {
    json!({
        "id": head.id.to_hex(),
        // Not always the one that began: another may have gone on.
        "provider": done.receipt.as_ref().map(|r| r.receipt.provider.to_string()).or_else(|| head.provider.clone()),
        "model_spec": head.spec.as_ref().map(|spec| spec.entry.to_string()),
        "route": route_name(done.route),
        // Why this provider; nothing where there was no choice.
        "why": head.reason.map(|reason| reason.to_string()),
        // The same as facts, for whoever says it in another language.
        "reason": head.reason.as_ref().map(reason),
        // Where to ask whether the receipt is on the DHT and was checked.
        "receipt_path": done.receipt.is_some().then(|| format!("/ainonymous/v1/receipts/{}", head.id)),
        "receipt": done.receipt.as_ref().map(SignedReceiptView::from),
        // Who has said the beginning and is gone: the receipt speaks of the tokens behind theirs.
        "begun_by": done.begun_by.iter().map(begun).collect::<Vec<_>>(),
        // Critical questions: who agreed, and who did not.
        "agreement": done.agreement,
    })
}

/// Why a provider was chosen, as facts. Times in milliseconds, the price in thousandths of a credit.
fn reason(reason: &Reason) -> Value {
    let Reason {
        kinship,
        expected,
        prefix_tokens,
        price,
        reporters,
        distrusted_permille,
        candidates,
        probed,
        near_equals,
        last_resort,
        hedged,
    } = reason;
    let Estimate { first_token_us, wait_us, basis, reported_permille, .. } = expected;
    json!({
        "kinship": kinship,
        "first_token_ms": first_token_us.div_ceil(1_000),
        "wait_ms": wait_us.div_ceil(1_000),
        "basis": basis.name(),
        "prefix_tokens": prefix_tokens,
        "milli_price": price.map(|price| price.0),
        "reporters": reporters,
        "reported_worse_percent": reported_permille / 10,
        "distrusted_percent": distrusted_permille.div_ceil(10),
        "candidates": candidates,
        "probed": probed,
        "near_equals": near_equals,
        "last_resort": last_resort,
        "hedged": hedged,
    })
}

fn begun(part: &HandedPart) -> Value {
    json!({ "provider": part.provider.to_string(), "tokens": part.tokens })
}

/// The route as it is written.
pub(crate) fn route_name(route: Route) -> &'static str {
    match route {
        Route::Auto => "auto",
        Route::Local => "local",
        Route::Direct => "direct",
        Route::Routed => "routed",
        Route::Signals => "signals",
        Route::Posted => "posted",
    }
}

/// Headers of an answer, whatever its dialect: who answers, and what of the question was not known.
pub(crate) fn headers(head: &AnswerHead, ignored: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    push(&mut headers, "x-ainonymous-id", &head.id.to_hex());
    push(&mut headers, "x-ainonymous-route", route_name(head.route));
    if let Some(chosen) = &head.reason {
        push(&mut headers, "x-ainonymous-why", &chosen.to_string());
        push(&mut headers, "x-ainonymous-reason", &reason(chosen).to_string());
    }
    if let Some(provider) = &head.provider {
        push(&mut headers, "x-ainonymous-provider", provider);
    }
    if let Some(request) = &head.request {
        push(&mut headers, "x-ainonymous-request", request);
    }
    push_ignored(&mut headers, ignored);
    headers
}

/// The header that names fields that were not known.
pub(crate) fn push_ignored(headers: &mut HeaderMap, ignored: &[String]) {
    if !ignored.is_empty() {
        push(headers, "x-ainonymous-ignored", &ignored.join(", "));
    }
}

fn push(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// A token, its bytes and its alternatives, as OpenAI's chat writes them.
pub(crate) fn logprob_entry(token: &TokenLogprobs) -> Value {
    let one = |token: &TokenLogprob| json!({ "token": token_text(token), "logprob": finite(token.logprob), "bytes": token.bytes });
    let mut entry = one(&token.chosen);
    entry["top_logprobs"] = token.top.iter().map(one).collect();
    entry
}

/// A token's text; what is no UTF-8 is spelt as OpenAI spells it.
pub(crate) fn token_text(token: &TokenLogprob) -> String {
    match std::str::from_utf8(&token.bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => token.bytes.iter().fold("bytes:".to_owned(), |text, byte| format!("{text}\\x{byte:02x}")),
    }
}

/// A log-probability that JSON can hold.
pub(crate) fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() {
        logprob.max(LOGPROB_MIN)
    } else {
        LOGPROB_MIN
    }
}

/// A signed receipt: hashes of Holochain in its own spelling, other bytes in hexadecimal.
#[derive(Debug, Serialize)]
pub(crate) struct SignedReceiptView {
    provider: String,
    spec: String,
    session_key: String,
    input: String,
    output: String,
    fingerprint: String,
    prompt_tokens: u32,
    completion_tokens: u32,
    finish: FinishReason,
    /// Microseconds since the epoch.
    finished_at: i64,
    /// What the question said about a later audit: a commitment to a secret, and two chances in millionths.
    challenge: String,
    rate_ppm: u32,
    auditors_ppm: u32,
    signature: String,
}

impl From<&SignedReceipt> for SignedReceiptView {
    fn from(SignedReceipt { receipt, signature }: &SignedReceipt) -> Self {
        let Receipt {
            provider,
            spec,
            session_key,
            input,
            output,
            fingerprint,
            prompt_tokens,
            completion_tokens,
            finish,
            finished_at,
            audit: AuditTerms { challenge, rate_ppm, auditors_ppm },
        } = receipt;
        Self {
            provider: provider.to_string(),
            spec: spec.to_string(),
            session_key: session_key.to_hex(),
            input: input.to_hex(),
            output: output.to_hex(),
            fingerprint: fingerprint.to_hex(),
            prompt_tokens: *prompt_tokens,
            completion_tokens: *completion_tokens,
            finish: *finish,
            finished_at: *finished_at,
            challenge: challenge.to_hex(),
            rate_ppm: *rate_ppm,
            auditors_ppm: *auditors_ppm,
            signature: signature.to_hex(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_as_rfc_3339_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (4_102_444_800, "2100-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_is_no_number_stays_json() {
        assert_eq!(finite(f32::NEG_INFINITY), LOGPROB_MIN);
        assert_eq!(finite(f32::NAN), LOGPROB_MIN);
        assert_eq!(finite(-0.5), -0.5);
        let token = TokenLogprob { id: 1, bytes: vec![0xe2, 0x80], logprob: 0.0 };
        assert_eq!(token_text(&token), "bytes:\\xe2\\x80");
    }
}
