//! Counts and times of this API and its node, for monitoring (`GET /metrics`, OpenMetrics) and a glance (`GET /slots`).
//!
//! Labels come from fixed sets: routes, classes of status, outcomes, and the models loaded here. No prompt, no name of
//! a person, no address is ever among them.

mod text;

use crate::router::{Api, ROUTES};
use ainonymous_node::{AnswerDone, LocalModelState};
use axum::extract::State;
use axum::http::{header, Method};
use axum::response::IntoResponse;
use axum::Json;
use serde_json::{json, Value};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use text::Text;

/// Most models that have lines of their own.
const MODELS_MAX: usize = 16;
/// Longest name of a model in a label, in bytes.
const MODEL_LABEL_BYTES_MAX: usize = 128;
/// Classes of status: 1xx to 5xx.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What is not in the table of routes.
const OTHER: &str = "other";
/// Upper ends of the times to the first token, in seconds.
const FIRST_TOKEN_S: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper ends of the decode speeds, in tokens a second.
const TOKENS_PER_S: &[f64] = &[1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1_280.0];

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// For each route, and last for everything else: requests by class of status.
    requests: Vec<[AtomicU64; CLASSES.len()]>,
    in_flight: AtomicU64,
    answers_running: AtomicU64,
    answers_done: AtomicU64,
    answers_failed: AtomicU64,
    answers_cancelled: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    embedded_tokens: AtomicU64,
    first_token: Histogram,
    speed: Histogram,
}

/// How an answer ended that was not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Failed,
    Cancelled,
}

/// A request under way; it counts until it is dropped.
pub(crate) struct InFlight(Arc<Metrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Counts by size.
#[derive(Debug)]
struct Histogram {
    ends: &'static [f64],
    counts: Vec<AtomicU64>,
    /// In millionths, so that an integer holds it.
    sum_micro: AtomicU64,
}

impl Histogram {
    fn new(ends: &'static [f64]) -> Self {
        // One more for what is larger than all of them.
        let counts = (0..=ends.len()).map(|_| AtomicU64::new(0)).collect();
        Self { ends, counts, sum_micro: AtomicU64::new(0) }
    }

    fn add(&self, value: f64) {
        let at = self.ends.iter().position(|end| value <= *end).unwrap_or(self.ends.len());
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        self.sum_micro.fetch_add((value.max(0.0) * 1e6) as u64, Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            requests: (0..=ROUTES.len()).map(|_| std::array::from_fn(|_| zero())).collect(),
            in_flight: zero(),
            answers_running: zero(),
            answers_done: zero(),
            answers_failed: zero(),
            answers_cancelled: zero(),
            prompt_tokens: zero(),
            cached_tokens: zero(),
            completion_tokens: zero(),
            embedded_tokens: zero(),
            first_token: Histogram::new(FIRST_TOKEN_S),
            speed: Histogram::new(TOKENS_PER_S),
        }
    }

    pub(crate) fn request_began(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    pub(crate) fn request_ended(&self, method: &Method, route: Option<&str>, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        if let Some(counts) = self.requests.get(route_index(method, route)) {
            counts[class].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn answer_began(&self) {
        self.answers_running.fetch_add(1, Relaxed);
    }

    pub(crate) fn answer_done(&self, done: &AnswerDone) {
        self.answers_running.fetch_sub(1, Relaxed);
        self.answers_done.fetch_add(1, Relaxed);
        self.prompt_tokens.fetch_add(done.prompt_tokens.into(), Relaxed);
        self.cached_tokens.fetch_add(done.cached_tokens.into(), Relaxed);
        self.completion_tokens.fetch_add(done.completion_tokens.into(), Relaxed);
        self.first_token.add(done.first_token_us as f64 / 1e6);
        // A single token has no speed.
        if done.decode_us > 0 && done.completion_tokens > 1 {
            self.speed.add(done.tokens_per_s());
        }
    }

    pub(crate) fn answer_ended(&self, how: Ended) {
        self.answers_running.fetch_sub(1, Relaxed);
        match how {
            Ended::Failed => self.answers_failed.fetch_add(1, Relaxed),
            Ended::Cancelled => self.answers_cancelled.fetch_add(1, Relaxed),
        };
    }

    pub(crate) fn embedded(&self, tokens: u32) {
        self.embedded_tokens.fetch_add(tokens.into(), Relaxed);
    }

    fn write(&self, text: &mut Text) {
        let Self {
            requests,
            in_flight,
            answers_running,
            answers_done,
            answers_failed,
            answers_cancelled,
            prompt_tokens,
            cached_tokens,
            completion_tokens,
            embedded_tokens,
            first_token,
            speed,
        } = self;
        text.family("ainonymous_http_requests", "counter", "Requests answered.");
        let routes = ROUTES.iter().map(|(method, path, _)| (*method, *path)).chain([(OTHER, OTHER)]);
        for ((method, path), counts) in routes.zip(requests) {
            for (class, count) in CLASSES.iter().zip(counts) {
                let count = count.load(Relaxed);
                if count > 0 {
                    text.sample("_total", &[("method", method), ("route", path), ("status", class)], count as f64);
                }
            }
        }
        text.gauge("ainonymous_http_requests_in_flight", "Requests under way.", in_flight.load(Relaxed) as f64);
        text.gauge("ainonymous_answers_running", "Answers under way.", answers_running.load(Relaxed) as f64);
        text.family("ainonymous_answers", "counter", "Answers that ended.");
        for (outcome, count) in [("done", answers_done), ("failed", answers_failed), ("cancelled", answers_cancelled)] {
            text.sample("_total", &[("outcome", outcome)], count.load(Relaxed) as f64);
        }
        text.family("ainonymous_tokens", "counter", "Tokens of questions and answers.");
        for (kind, count) in [
            ("prompt", prompt_tokens),
            ("prompt_cached", cached_tokens),
            ("completion", completion_tokens),
            ("embedded", embedded_tokens),
        ] {
            text.sample("_total", &[("kind", kind)], count.load(Relaxed) as f64);
        }
        text.histogram("ainonymous_first_token_seconds", "From asking to the first text.", first_token);
        text.histogram("ainonymous_decode_tokens_per_second", "Speed of answers after their first token.", speed);
    }
}

/// Place in the table; the one past its end for everything else.
fn route_index(method: &Method, route: Option<&str>) -> usize {
    // The router spells the variable part otherwise than the table.
    let fixed = |path: &str| path.split('{').next().unwrap_or_default().to_owned();
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let found = route.and_then(|route| {
        let same = |(known, path, _): &(&str, &str, &str)| {
            *known == method && fixed(path) == fixed(route) && path.contains('{') == route.contains('{')
        };
        ROUTES.iter().position(same)
    });
    found.unwrap_or(ROUTES.len())
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let mut text = Text::default();
    api.metrics().write(&mut text);
    write_node(&api, &mut text);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text.end())
}

fn write_node(api: &Api, text: &mut Text) {
    let status = api.backend().status();
    text.gauge("ainonymous_uptime_seconds", "Since the start of the node.", status.uptime_s as f64);
    if let Some(bytes) = status.rss_bytes {
        text.gauge("ainonymous_resident_memory_bytes", "Memory of the node, without its workers.", bytes as f64);
    }
    let counters = status.counters;
    for (name, help, count) in [
        ("ainonymous_questions_asked", "Questions that this node asked.", counters.asked),
        ("ainonymous_questions_answered", "Questions of peers that this node answered.", counters.answered),
        ("ainonymous_questions_refused", "Questions of peers that this node refused.", counters.refused),
        ("ainonymous_questions_retried", "Attempts with a peer that did not answer.", counters.retried),
        ("ainonymous_questions_hedged", "Questions asked of a second peer beside a slow one.", counters.hedged),
        ("ainonymous_hedges_won", "Of these, those that the second peer answered.", counters.hedges_won),
        (
            "ainonymous_hedge_wasted_milliseconds",
            "Time of peers that were asked in vain for them.",
            counters.hedge_wasted_ms,
        ),
        ("ainonymous_signals_rejected", "Signals dropped because they made no sense.", counters.rejected_signals),
        ("ainonymous_receipts_published", "Receipts published.", counters.receipts_published),
        ("ainonymous_receipts_checked", "Receipts of others found right.", counters.receipts_checked),
    ] {
        text.family(name, "counter", help);
        text.sample("_total", &[], count as f64);
    }
    text.family("ainonymous_zome_calls", "counter", "Calls of the node into its conductor.");
    for (function, count) in &status.zome_calls {
        text.sample("_total", &[("function", function)], *count as f64);
    }
    if let Some(quic) = &status.quic {
        text.gauge("ainonymous_links", "Direct connections of peers that are open.", quic.links as f64);
        for (name, help, count) in [
            ("ainonymous_links_refused", "Direct connections turned away: too many.", quic.refused),
            ("ainonymous_links_failed", "Direct connections whose handshake failed.", quic.failed),
        ] {
            text.family(name, "counter", help);
            text.sample("_total", &[], count as f64);
        }
    }
    let models: Vec<(String, [f64; 5])> = status
        .models
        .iter()
        .take(MODELS_MAX)
        .map(|model| {
            let id: String = model.id.chars().take(MODEL_LABEL_BYTES_MAX).collect();
            let numbers = match &model.state {
                LocalModelState::Ready { info: _, engine } => [
                    1.0,
                    engine.running.into(),
                    engine.queued.into(),
                    engine.restarts.into(),
                    engine.worker_rss_bytes.unwrap_or(0) as f64,
                ],
                LocalModelState::Loading | LocalModelState::Resting | LocalModelState::Failed { .. } => [0.0; 5],
            };
            (id, numbers)
        })
        .collect();
    for (at, (name, kind, end, help)) in [
        ("ainonymous_engine_ready", "gauge", "", "Whether a model answers."),
        ("ainonymous_engine_running", "gauge", "", "Answers that a model is giving."),
        ("ainonymous_engine_queued", "gauge", "", "Questions that wait for a model."),
        ("ainonymous_engine_restarts", "counter", "_total", "How often a model's worker was restarted."),
        ("ainonymous_engine_resident_memory_bytes", "gauge", "", "Memory of a model's worker."),
    ]
    .into_iter()
    .enumerate()
    {
        text.family(name, kind, help);
        for (id, numbers) in &models {
            text.sample(end, &[("model", id)], numbers[at]);
        }
    }
}

/// `GET /slots`: what each model here is doing.
pub(crate) async fn slots(State(api): State<Api>) -> Json<Value> {
    let models = api.backend().status().models.into_iter().map(|model| match model.state {
        LocalModelState::Ready { info, engine } => json!({
            "id": model.id,
            "state": engine.state,
            "running": engine.running,
            "queued": engine.queued,
            "restarts": engine.restarts,
            "context_tokens": info.context_tokens,
        }),
        LocalModelState::Loading => json!({ "id": model.id, "state": "loading", "running": 0, "queued": 0 }),
        LocalModelState::Resting => json!({ "id": model.id, "state": "resting", "running": 0, "queued": 0 }),
        LocalModelState::Failed { code, .. } => {
            json!({ "id": model.id, "state": "failed", "code": code, "running": 0, "queued": 0 })
        }
    });
    Json(json!({ "models": models.collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_however_they_are_spelt() {
        let at = |method, route| route_index(&method, route);
        let name = |index: usize| ROUTES.get(index).map_or(OTHER, |(_, path, _)| *path);
        assert_eq!(name(at(Method::POST, Some("/v1/chat/completions"))), "/v1/chat/completions");
        assert_eq!(name(at(Method::GET, Some("/v1/models"))), "/v1/models");
        assert_eq!(name(at(Method::GET, Some("/v1/models/{*model}"))), "/v1/models/{model}");
        assert_eq!(name(at(Method::HEAD, Some("/"))), "/");
        assert_eq!(name(at(Method::PUT, Some("/v1/models"))), OTHER);
        assert_eq!(name(at(Method::GET, None)), OTHER);
    }

    #[test]
    fn sizes_fall_between_their_ends() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            histogram.add(value);
        }
        let counts: Vec<u64> = histogram.counts.iter().map(|count| count.load(Relaxed)).collect();
        assert_eq!(counts, [2, 2, 1]);
        assert_eq!(histogram.sum_micro.load(Relaxed), 14_000_000);
    }
}
