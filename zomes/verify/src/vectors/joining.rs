//! The vectors about what travels before somebody joins: invites as texts.

use super::{from_json, to_json, verdict};
use crate::invite::{Invite, Pass};
use ainonymous_types::{Bytes32, Bytes64, InviteTerms, NetworkProperties};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `invite.text`: an invite as it travels, and back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct InviteCase {
    pub properties: NetworkProperties,
    pub seed: String,
    pub bootstrap: String,
    pub relay: Option<String>,
    pub pass: Option<PassCase>,
}

/// What admits, in an [`InviteCase`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PassCase {
    pub terms: InviteTerms,
    pub founder_signature: Bytes64,
    pub secret: Bytes32,
}

/// Does what a case says; none if it is about something else.
pub(super) fn run(operation: &str, with: &Value) -> Option<Result<Value, String>> {
    Some(match operation {
        "invite.text" => from_json(with).and_then(|case: InviteCase| invite_text(case)),
        _ => return None,
    })
}

/// The text, once it was read again and said the same; or the breach.
fn invite_text(case: InviteCase) -> Result<Value, String> {
    let InviteCase { properties, seed, bootstrap, relay, pass } = case;
    let pass = pass.map(|PassCase { terms, founder_signature, secret }| Pass { terms, founder_signature, secret });
    let invite = Invite { properties, seed, bootstrap, relay, pass };
    let text = match invite.to_text() {
        Ok(text) => text,
        Err(breach) => return Ok(verdict(Err(breach))),
    };
    match Invite::from_text(&text) {
        Ok(again) if again == invite => to_json(&text),
        again => Err(format!("{text} says {again:?}")),
    }
}
