//! The coordinator zome: what sidecars and web pages call, by noun. Thin: it fetches, seals, links and signals.
//!
//! It judges nothing itself (that is `ainonymous_verify`), and nothing counts here that is not a valid record:
//! whatever a link leads to is fetched with `must_get_valid_record`.

#![allow(missing_docs)] // Holochain's macros write items that carry no documentation.

pub mod audit;
pub mod bucket;
mod find;
pub mod membership;
pub mod node;
pub mod receipt;
pub mod request;
mod seal;
pub mod signal;
pub mod standing;

use hdk::prelude::*;

/// The one function that strangers may call.
const RECV_REMOTE_SIGNAL: &str = "recv_remote_signal";

/// Once in a cell's life: grants the reception of signals, and nothing else.
#[hdk_extern]
pub fn init(_: ()) -> ExternResult<InitCallbackResult> {
    let functions = HashSet::from([(zome_info()?.name, FunctionName::new(RECV_REMOTE_SIGNAL))]);
    create_cap_grant(CapGrant::new_zome_call_grant(
        RECV_REMOTE_SIGNAL.into(),
        GrantConstraint::Unrestricted,
        GrantedFunctions::Listed(functions),
    ))?;
    Ok(InitCallbackResult::Pass)
}
