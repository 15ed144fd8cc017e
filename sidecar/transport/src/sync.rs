//! What tasks share: a mutex, and the news that an endpoint closes.

use quinn::VarInt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A mutex whose holder has panicked is still of use: what it guards here is whole after each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says when, and with which code, an endpoint closes.
#[derive(Clone, Debug)]
pub(crate) struct Closing(watch::Receiver<Option<VarInt>>);

impl Closing {
    pub(crate) fn of(closing: &watch::Sender<Option<VarInt>>) -> Self {
        Self(closing.subscribe())
    }

    /// Resolves when the endpoint closes. Links outlive their endpoint's handles: then nobody will close it. Cancel-safe.
    pub(crate) async fn code(&mut self) -> VarInt {
        let code = self.0.wait_for(Option::is_some).await.ok().and_then(|code| *code);
        match code {
            Some(code) => code,
            None => std::future::pending().await,
        }
    }
}
