//! State machines of asking, answering and receipts, and the choice of whom to ask.
//!
//! Everything here is decided from what is passed in: bytes, microseconds, signals. No I/O, no clock, no dice, so that
//! a test or a simulation can replay any history. It must not know conductors, sockets or engines.

mod answering;
mod asking;
mod batching;
pub mod breaker;
pub mod buckets;
pub mod canaries;
pub mod choosing;
mod dice;
mod handed;
pub mod hedge;
pub mod history;
mod recent;
mod recording;
pub mod reports;
pub mod reputation;
pub mod routers;
mod signature;
mod speed;
pub mod timing;

pub use answering::{AnswerEnd, Answering, AskedOf};
pub use asking::{Answered, Asked, Effect, Failure, Question};
pub use batching::{plan_batches, PendingReceipt, PlannedBatch, PlannedProof};
pub use dice::RANDOM_BYTES;
pub use handed::{Handed, HandedPart};
pub use recording::{Recorded, Recording};
pub use signature::{check_receipt_signature, sign_ask, sign_grant, verify_ask, SignatureError};
pub use speed::Speed;
