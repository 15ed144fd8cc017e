//! `POST /v1/chat/completions`: from the body to questions.

use super::chat_answer::{self, Stream};
use super::history;
use crate::answer::stream::{self, Format};
use crate::answer::{shapes, Answers, CHOICES_MAX};
use crate::fields::Fields;
use crate::question::{self, constraint, sampling, tools, unsupported};
use crate::router::Api;
use crate::{body, ApiError};
use ainonymous_node::request::{Chat, Prompt};
use ainonymous_node::{AskRequest, Question};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;

/// What a body asks for.
struct Parsed {
    /// The question, as its first answer gets it.
    ask: AskRequest,
    /// How many answers.
    n: u32,
    /// As server-sent events.
    stream: bool,
    /// With a last chunk that counts tokens.
    include_usage: bool,
    /// Names of fields that were not known.
    ignored: Vec<String>,
}

/// Answers a chat, streaming or not.
pub(crate) async fn chat_completions(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Parsed { ask, n, stream, include_usage, ignored } = parse(&body::read(&headers, body).await?)?;
    let mut answers = Answers::ask(&api, choices(&ask, n)).await?;
    let extra = shapes::headers(&answers.heads[0], &ignored);
    let mut response = if stream {
        answers.look_ahead().await?;
        let voice = Stream::new(&answers.heads, include_usage);
        stream::respond(answers, voice, Format::Events)
    } else {
        Json(chat_answer::completion(&answers.collect().await?)).into_response()
    };
    response.headers_mut().extend(extra);
    Ok(response)
}

/// The same question so many times, each time with another seed.
pub(super) fn choices(ask: &AskRequest, n: u32) -> Vec<AskRequest> {
    let of_choice = |choice| {
        let mut ask = ask.clone();
        ask.question.sampling = sampling::of_choice(ask.question.sampling, choice);
        ask
    };
    (0..n).map(of_choice).collect()
}

/// What the template is given.
pub(crate) fn conversation(fields: &mut Fields) -> Result<Chat, ApiError> {
    let messages = history::messages(fields)?;
    let tools = tools::of_chat(fields)?;
    let tool_choice = tools::choice(fields, &tools)?;
    let parallel_tool_calls = fields.boolean("parallel_tool_calls")?.unwrap_or(true);
    let (thinking, template_arguments) = tools::thinking(fields)?;
    Ok(Chat { messages, tools, tool_choice, parallel_tool_calls, thinking, template_arguments })
}

fn parse(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut fields = question::body(bytes)?;
    let model = question::model(&mut fields)?;
    let chat = conversation(&mut fields)?;
    let question = Question {
        constraint: constraint::constraint(&mut fields)?,
        max_tokens: question::max_tokens(&mut fields, &["max_tokens", "max_completion_tokens"], -1)?.unwrap_or(0),
        stop: question::stop(&mut fields, "stop")?,
        logprobs: sampling::logprobs(&mut fields)?,
        ..Question::new(Prompt::Chat(chat))
    };
    let question = question::sampled(&mut fields, question)?;
    let n = fields.integer("n", 1, i64::from(CHOICES_MAX))?.unwrap_or(1) as u32;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let (include_usage, mut ignored) = question::stream_options(&mut fields)?;
    let question::Wanted { route, provider, demands, hide, known, show_auditors } = question::extension(&mut fields)?;
    unsupported::refuse(&mut fields, unsupported::SAMPLERS)?;
    unsupported::refuse(&mut fields, unsupported::CHAT)?;
    ignored.extend(fields.leftovers());
    Ok(Parsed {
        ask: AskRequest { model, question, route, provider, demands, hide, known, show_auditors },
        n,
        stream,
        include_usage,
        ignored,
    })
}
