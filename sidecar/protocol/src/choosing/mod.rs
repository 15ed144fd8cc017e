//! Whom to probe, whom to ask, and why.
//!
//! A requester knows little of its candidates: what they claim, what it has measured itself, what others report. From
//! that [`plan`] picks up to four to probe, at random among those that look about equally good; once their replies are in,
//! [`choose`] picks whom to ask, again at random among near-equals, and says why in a [`Reason`]. Demands filter and are
//! never relaxed: if nobody meets them, that is a [`Refusal`] that names the demand.
//!
//! Own experience weighs most, reports of others little, claims least: they are cut to what is typical, and
//! the stranger is counted as likely to fail as those were that were tried, so that none can look better than a good peer that is known. Time and dice come in as arguments; peers' texts never do.

mod candidate;
mod choice;
mod demands;
mod estimate;
mod reason;

pub use candidate::{Candidate, Kinship, Need, Price, Probed, Region};
pub use choice::{
    choose, plan, probe_patience_us, Choice, CANDIDATES_MAX, FALLBACKS_MAX, NEAR_CHOICE_PERCENT, NEAR_PLAN_PERCENT,
    NEAR_STRANGERS_PERCENT, PROBES_MAX, PROBE_WAIT_US, UNHEARD_PERCENT,
};
pub use demands::{Demand, Demands, Refusal};
pub use estimate::{
    Basis, Estimate, ANSWER_TOKENS_TYPICAL, PATH_FRESH_US, PREFILL_FACTOR, PREFIX_SAVES_US_MAX, QUEUE_FRESH_US,
    UNCLAIMED_PERCENT,
};
pub use reason::Reason;
