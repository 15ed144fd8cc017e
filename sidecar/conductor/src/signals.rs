//! Signals from our own cell: decoded, in order, to whoever listens. What cannot be decoded is counted, never trusted.

use ainonymous_types::{limits, LocalSignal};
use holochain_types::prelude::{CellId, Signal};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{broadcast, mpsc};

/// Signals kept for a listener that is behind; older ones are lost to it.
const BACKLOG_SIGNALS: usize = 4_096;
/// A signal with its envelope.
const LOCAL_SIGNAL_BYTES_MAX: usize = limits::SIGNAL_BYTES_MAX + 1_024;

/// Signals as a websocket delivers them.
pub(crate) type SignalSource = mpsc::Receiver<Vec<u8>>;

/// Where signals go.
#[derive(Debug)]
pub(crate) struct SignalHub {
    sender: broadcast::Sender<LocalSignal>,
    undecodable: AtomicU64,
}

impl SignalHub {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::channel(BACKLOG_SIGNALS).0, undecodable: AtomicU64::new(0) }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<LocalSignal> {
        self.sender.subscribe()
    }

    /// Signals so far that could not be decoded.
    pub(crate) fn undecodable(&self) -> u64 {
        self.undecodable.load(Ordering::Relaxed)
    }

    /// Passes signals on until the source ends.
    pub(crate) async fn pump(&self, mut source: SignalSource, cell: &CellId) {
        while let Some(bytes) = source.recv().await {
            self.pass_on(Signal::try_from_vec(bytes).ok(), cell);
        }
    }

    fn pass_on(&self, signal: Option<Signal>, cell: &CellId) {
        let decoded = match signal {
            Some(Signal::App { cell_id, signal, .. }) if cell_id == *cell => {
                let payload = signal.into_inner();
                match payload.as_bytes().len() {
                    0..=LOCAL_SIGNAL_BYTES_MAX => payload.decode::<LocalSignal>().ok(),
                    _ => None,
                }
            }
            // Of another cell, or of the conductor's own: not for us.
            Some(_) => return,
            None => None,
        };
        match decoded {
            // Nobody listening is no error.
            Some(signal) => drop(self.sender.send(signal)),
            None => {
                let count = self.undecodable.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(count, "a signal could not be decoded");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{AgentPubKey, DnaHash, PeerSignal, RequestId};
    use holochain_types::prelude::{AppSignal, ExternIO};

    fn cell(n: u8) -> CellId {
        CellId::new(DnaHash::from_raw_32(vec![n; 32]), AgentPubKey::from_raw_32(vec![n; 32]))
    }

    fn wire(cell: &CellId, payload: ExternIO) -> Vec<u8> {
        let signal =
            Signal::App { cell_id: cell.clone(), zome_name: "inference".into(), signal: AppSignal::new(payload) };
        holochain_serialized_bytes::encode(&signal).unwrap()
    }

    #[tokio::test]
    async fn good_ones_pass_bad_ones_are_counted_foreign_ones_are_ignored() {
        let (hub, mine) = (SignalHub::new(), cell(1));
        let mut signals = hub.subscribe();
        let (tx, rx) = mpsc::channel(8);
        let good = LocalSignal::Peer {
            from: AgentPubKey::from_raw_32(vec![9; 32]),
            signal: PeerSignal::Cancel { id: RequestId([3; 16]) },
        };
        let good_bytes = ExternIO::encode(&good).unwrap();
        for bytes in [
            wire(&mine, good_bytes.clone()),
            wire(&mine, ExternIO::encode("nonsense").unwrap()),
            wire(&mine, ExternIO::from(vec![0; LOCAL_SIGNAL_BYTES_MAX + 1])),
            wire(&cell(2), good_bytes),
            b"not even an envelope".to_vec(),
        ] {
            tx.send(bytes).await.unwrap();
        }
        drop(tx);
        hub.pump(rx, &mine).await;
        assert_eq!(signals.try_recv().unwrap(), good);
        assert!(signals.try_recv().is_err());
        assert_eq!(hub.undecodable(), 3);
    }
}
