//! The judgements behind audits: what is compared, what follows from it, and who looks.
//!
//! In the order of an audit: a provider makes a [`fingerprint`] of each answer and commits to its [`leaf`]s, which a [`grant`] lets others see; a [`draw`], as frequent
//! as [`rate`] says, finds auditors, who look only into what an [`order`] fits; [`statistics`] compare two fingerprints; a [`calibration`] says what follows for answers within its [`scope`];
//! [`evidence`] adds up; and jurors give the benefit of the [`doubt`]. A verdict here is never a reason to hold an entry invalid: entries are invalid when the arithmetic is not.

mod bits;
pub mod calibration;
pub mod doubt;
pub mod draw;
pub mod evidence;
pub mod fingerprint;
pub mod grant;
pub mod leaf;
pub mod measure;
pub mod order;
pub mod rate;
pub mod scope;
pub mod statistics;
