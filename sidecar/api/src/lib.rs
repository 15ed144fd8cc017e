//! The local HTTP API: the only place that knows the JSON of OpenAI, and the server of the chat page.
//!
//! It translates: HTTP in, a question to the node, an answer out. It must not know Holochain, llama.cpp, files or the
//! command line, and it decides nothing about who answers. What it needs of a node is the trait [`Backend`].
//!
//! Who may talk to it: it listens on loopback addresses only, and answers only requests whose `Host` is loopback and
//! whose `Origin`, if there is one, is its own. So neither another machine nor a web page of another site reaches it.
//! The chat page holds the keys of the node's cell; it is served only to a browser that showed the random key from the
//! address that `ainonymous up` prints, remembered in a cookie that scripts cannot read.
//!
//! No prompt, no answer and no query string is ever logged.

mod admin;
mod backend;
mod body;
mod error;
mod guard;
mod health;
mod listen;
mod openai;
mod page;
mod router;
#[cfg(test)]
mod tests;

pub use backend::Backend;
pub use body::BODY_BYTES_MAX;
pub use error::ApiError;
pub use listen::{bind, ListenError, Listener, DEFAULT_PORT};
pub use page::{Site, SiteError};
pub use router::{Api, IN_FLIGHT_MAX, ROUTES};
