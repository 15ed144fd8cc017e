//! Who asks this node, and where the parts of an answer go.

use ainonymous_conductor::Conductor;
use ainonymous_transport::{Frame, FrameSender, LinkError};
use ainonymous_types::{AgentPubKey, Bytes32, PeerSignal, SendSignal};
use serde::{Deserialize, Serialize};

/// Who asks, as far as this node knows: the way of the question decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Requester {
    /// By signal or posted: an agent, proved by the conductor.
    Agent(AgentPubKey),
    /// By a link: whoever has this transport key, which may be made for us alone.
    Link(Bytes32),
}

/// Where the parts of one answer go.
#[derive(Debug)]
pub(crate) enum Reply {
    /// By signals, which may be lost.
    Signals {
        /// Sends them.
        conductor: Conductor,
        /// To whom.
        to: AgentPubKey,
    },
    /// Over the question's stream; none while the link is broken and the requester has not come back.
    Stream(Option<FrameSender>),
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way.
    OnItsWay,
    /// The link is broken; the requester may come back and ask for it again.
    Lost,
    /// The requester wants no more.
    NotWanted,
}

impl Reply {
    /// By signals.
    pub(crate) fn signals(conductor: Conductor, to: AgentPubKey) -> Self {
        Self::Signals { conductor, to }
    }

    /// Sends a part. Waits while a stream's reader is slow, but not for ever.
    pub(crate) async fn send(&mut self, signal: PeerSignal) -> Sent {
        match self {
            Self::Signals { conductor, to } => {
                if let Err(e) = conductor.send_signal(SendSignal { to: vec![to.clone()], signal }).await {
                    tracing::debug!(error = %e, "a signal to a requester could not be sent");
                }
                Sent::OnItsWay
            }
            Self::Stream(stream) => {
                let (Some(sender), Some(frame)) = (stream.as_mut(), Frame::from_signal(signal)) else {
                    return Sent::Lost;
                };
                match sender.send(&frame).await {
                    Ok(()) => Sent::OnItsWay,
                    Err(e) if e.may_resume() => {
                        *stream = None;
                        Sent::Lost
                    }
                    Err(LinkError::Ended) => Sent::NotWanted,
                    Err(e) => {
                        tracing::debug!(error = %e, "a requester does not take its answer");
                        Sent::NotWanted
                    }
                }
            }
        }
    }

    /// Says that this was all.
    pub(crate) fn finish(&mut self) {
        if let Self::Stream(stream) = self {
            if let Some(sender) = stream.take() {
                sender.finish();
            }
        }
    }
}
