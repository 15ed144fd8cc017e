//! The vectors about what somebody has before it joins: an invite as a text, or a proof of work.

use super::{from_json, to_json, verdict};
use crate::invite::{Invite, Pass};
use crate::work::Work;
use ainonymous_types::{AgentPubKey, Bytes32, Bytes64, InviteTerms, NetworkProperties};
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

/// `work.find`: the first good number, and what it is hashed to. `work.hash`: what one number is hashed to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct WorkCase {
    pub network: Bytes32,
    pub agent: AgentPubKey,
    pub bits: u8,
    pub nonce: u64,
}

/// Numbers that `work.find` tries at most.
const TRIES_MAX: u64 = 1 << 24;

/// Does what a case says; none if it is about something else.
pub(super) fn run(operation: &str, with: &Value) -> Option<Result<Value, String>> {
    Some(match operation {
        "invite.text" => from_json(with).and_then(|case: InviteCase| invite_text(case)),
        "work.find" => from_json(with).and_then(|case: WorkCase| {
            let work = Work::new(&case.network, &case.agent, case.bits);
            let end = case.nonce.saturating_add(TRIES_MAX);
            to_json(&work.find(case.nonce..end).map(|found| (found.nonce, work.hash(found.nonce))))
        }),
        "work.hash" => from_json(with)
            .and_then(|case: WorkCase| to_json(&Work::new(&case.network, &case.agent, case.bits).hash(case.nonce))),
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
