//! `POST /v1/completions`: texts or tokens continued as they are.

use super::chat::choices;
use super::completions_answer::{self, Echo, Stream};
use crate::answer::stream::{self, Format};
use crate::answer::{shapes, Answers, CHOICES_MAX};
use crate::fields::{kind, Fields};
use crate::question::{self, constraint, unsupported};
use crate::router::Api;
use crate::{body, ApiError};
use ainonymous_node::request::{Prompt, TOP_LOGPROBS_MAX};
use ainonymous_node::{AskRequest, Question};
use ainonymous_types::limits::PROMPT_BYTES_MAX;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use serde_json::Value;

/// Most answers to one request: prompts times `n`.
const ANSWERS_MAX: usize = 32;
/// Length of an answer that nobody said the length of (OpenAI's number).
const TOKENS_DEFAULT: u32 = 16;

/// What a body asks for.
struct Parsed {
    /// A question for each prompt.
    asks: Vec<AskRequest>,
    /// How many answers to each.
    n: u32,
    /// Each prompt's text before its answers, if that was asked for.
    echo: Echo,
    stream: bool,
    include_usage: bool,
    ignored: Vec<String>,
}

/// Continues texts, streaming or not.
pub(crate) async fn completions(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let Parsed { asks, n, echo, stream, include_usage, ignored } = parse(&body::read(&headers, body).await?)?;
    let questions = asks.iter().flat_map(|ask| choices(ask, n)).collect();
    let mut answers = Answers::ask(&api, questions).await?;
    let extra = shapes::headers(&answers.heads[0], &ignored);
    let mut response = if stream {
        answers.look_ahead().await?;
        let voice = Stream::new(&answers.heads, n as usize, echo, include_usage);
        stream::respond(answers, voice, Format::Events)
    } else {
        Json(completions_answer::completion(&answers.collect().await?, n as usize, &echo)).into_response()
    };
    response.headers_mut().extend(extra);
    Ok(response)
}

fn parse(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = question::body(bytes)?;
    let model = question::model(&mut fields)?;
    let prompts = prompts(&mut fields)?;
    let n = fields.integer("n", 1, i64::from(CHOICES_MAX))?.unwrap_or(1) as u32;
    if prompts.len() * n as usize > ANSWERS_MAX {
        let problem = format!("times 'n' asks for more than {ANSWERS_MAX} answers");
        return Err(ApiError::invalid("prompt", problem));
    }
    let logprobs = fields.integer("logprobs", 0, i64::from(TOP_LOGPROBS_MAX))?.map(|top| top as u32);
    let echo = echo(&mut fields, &prompts, logprobs.is_some())?;
    let names = &["max_tokens", "max_completion_tokens", "n_predict"];
    let question = Question {
        constraint: constraint::constraint(&mut fields)?,
        max_tokens: question::max_tokens(&mut fields, names, -1)?.unwrap_or(TOKENS_DEFAULT),
        stop: question::stop(&mut fields, "stop")?,
        logprobs,
        // Each prompt takes its place below.
        ..Question::new(Prompt::Text(String::new()))
    };
    let question = question::sampled(&mut fields, question)?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let (include_usage, mut ignored) = question::stream_options(&mut fields)?;
    let question::Wanted { route, provider, demands, hide, known, show_auditors } = question::extension(&mut fields)?;
    refuse(&mut fields, n)?;
    ignored.extend(fields.leftovers());
    let ask = |prompt| {
        let question = Question { prompt, ..question.clone() };
        AskRequest {
            model: model.clone(),
            question,
            route,
            provider: provider.clone(),
            demands,
            hide,
            known,
            show_auditors,
        }
    };
    let asks = prompts.into_iter().map(ask).collect();
    Ok(Parsed { asks, n, echo, stream, include_usage, ignored })
}

/// `best_of` may say what `n` says.
fn refuse(fields: &mut Fields, n: u32) -> Result<(), ApiError> {
    match fields.take_unsupported("best_of") {
        Some(value) if value.as_u64() != Some(u64::from(n)) => {
            let reason = "every answer is given; use 'n'";
            return Err(ApiError::Unsupported { param: fields.path("best_of"), reason });
        }
        _ => {}
    }
    unsupported::refuse(fields, unsupported::SAMPLERS)?;
    unsupported::refuse(fields, unsupported::COMPLETIONS)
}

fn echo(fields: &mut Fields, prompts: &[Prompt], logprobs: bool) -> Result<Echo, ApiError> {
    if !fields.boolean("echo")?.unwrap_or(false) {
        return Ok(Echo::default());
    }
    let refused = |reason| ApiError::Unsupported { param: "echo".into(), reason };
    if logprobs {
        return Err(refused("log-probabilities of prompts are not supported"));
    }
    let text = |prompt: &Prompt| match prompt {
        Prompt::Text(text) => Ok(text.clone()),
        Prompt::Chat(_) | Prompt::Tokens(_) => Err(refused("a prompt of tokens cannot be repeated as text")),
    };
    prompts.iter().map(text).collect::<Result<_, _>>().map(Echo)
}

/// A text, tokens, or a list of either.
fn prompts(fields: &mut Fields) -> Result<Vec<Prompt>, ApiError> {
    let value = fields.take("prompt").ok_or(ApiError::Missing { param: "prompt".into() })?;
    let prompts = match value {
        Value::String(text) => vec![Prompt::Text(text)],
        Value::Array(values) if values.first().is_some_and(Value::is_number) => {
            vec![Prompt::Tokens(tokens("prompt", values)?)]
        }
        Value::Array(values) if (1..=ANSWERS_MAX).contains(&values.len()) => {
            values.into_iter().enumerate().map(|(at, value)| prompt(at, value)).collect::<Result<_, _>>()?
        }
        Value::Array(values) => {
            let problem = format!("must have 1 to {ANSWERS_MAX} prompts, not {}", values.len());
            return Err(ApiError::invalid("prompt", problem));
        }
        other => return Err(fields.wrong_kind("prompt", "a string or an array", &other)),
    };
    let bytes = |prompt: &Prompt| match prompt {
        Prompt::Text(text) => text.len(),
        Prompt::Tokens(tokens) => tokens.len() * 4,
        Prompt::Chat(_) => 0,
    };
    question::check_bytes(prompts.iter().map(bytes).sum())?;
    match prompts.iter().any(|prompt| bytes(prompt) == 0) {
        true => Err(ApiError::invalid("prompt", "is empty")),
        false => Ok(prompts),
    }
}

fn prompt(at: usize, value: Value) -> Result<Prompt, ApiError> {
    let path = format!("prompt[{at}]");
    match value {
        Value::String(text) => Ok(Prompt::Text(text)),
        Value::Array(values) => tokens(&path, values).map(Prompt::Tokens),
        other => Err(ApiError::invalid(path, format!("must be a string or an array of tokens, not {}", kind(&other)))),
    }
}

/// Token ids.
pub(crate) fn tokens(path: &str, values: Vec<Value>) -> Result<Vec<u32>, ApiError> {
    const MAX: usize = PROMPT_BYTES_MAX / 4;
    if values.len() > MAX {
        return Err(ApiError::invalid(path, format!("has {} tokens; at most {MAX} are allowed", values.len())));
    }
    let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let tokens: Option<Vec<u32>> = values.iter().map(token).collect();
    tokens.ok_or_else(|| ApiError::invalid(path, "must be token ids: whole numbers from 0"))
}
