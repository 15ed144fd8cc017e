//! The local HTTP API: the only place that knows the JSON of OpenAI, Anthropic and Ollama, and the server of the chat
//! page.
//!
//! It translates: HTTP in, a question to the node, an answer out. It must not know Holochain, llama.cpp, files or the
//! command line, and it decides nothing about who answers. What it needs of a node is the trait [`Backend`].
//!
//! How a request travels: `guard` (who may ask) → a dialect (`openai`, `anthropic`, `ollama`) reads the body with
//! `question` → `answer` asks the node and merges what comes → the dialect shapes it.
//!
//! Who may talk to it: it listens on loopback addresses, and answers only requests whose `Host` is loopback and whose
//! `Origin`, if there is one, is its own or was named. So neither another machine nor a web page of another site
//! reaches it. On any other address every request needs an API key.
//! The chat page holds the keys of the node's cell; it is served only to a browser that showed the random key from the
//! address that `ainonymous up` prints, remembered in a cookie that scripts cannot read.
//!
//! No prompt, no answer and no query string is ever logged.

mod access;
mod admin;
mod answer;
mod anthropic;
mod backend;
mod body;
mod catalogue;
mod error;
mod fields;
mod guard;
mod health;
pub mod keys;
mod listen;
mod llama;
mod manage;
mod metrics;
mod models;
mod networks;
mod ollama;
mod openai;
pub mod openapi;
mod page;
mod question;
mod router;
#[cfg(test)]
mod tests;

pub use access::{Access, KeySource};
pub use backend::Backend;
pub use body::BODY_BYTES_MAX;
pub use error::ApiError;
pub use listen::{bind, ListenError, Listener, DEFAULT_PORT};
pub use networks::{
    InviteWish, IssuedInvite, MadeInvite, NetworkList, NetworkRefused, NetworkView, Networks, NewNetwork, Revocation,
};
pub use page::{Site, SiteError};
pub use router::{Api, IN_FLIGHT_MAX, ROUTES};
