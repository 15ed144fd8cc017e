//! The dialect of OpenAI: chat completions, completions, embeddings, responses, models. What cannot be honoured is
//! refused by name, never ignored.

mod chat;
mod chat_answer;
mod chunks;
mod completions;
mod completions_answer;
mod embeddings;
mod history;
mod models;
mod responses;

pub(crate) use chat::{chat_completions, conversation};
pub(crate) use completions::{completions, tokens};
pub(crate) use embeddings::{embeddings, inputs, shortened, DIMENSIONS_MAX};
pub(crate) use models::{model, model_list};
pub(crate) use responses::responses;

/// What the ids of answers begin with; the question's id follows.
pub(crate) const ID_PREFIXES: &[&str] = &[chat_answer::ID_PREFIX, completions_answer::ID_PREFIX, responses::ID_PREFIX];
