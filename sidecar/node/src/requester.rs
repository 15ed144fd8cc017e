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
    /// By a link whose other end has shown that it is this agent.
    Known {
        /// Who.
        agent: AgentPubKey,
        /// The transport key of its end.
        link: Bytes32,
    },
}

impl Requester {
    /// The agent, where it is known.
    pub(crate) fn agent(&self) -> Option<&AgentPubKey> {
        match self {
            Self::Agent(agent) | Self::Known { agent, .. } => Some(agent),
            Self::Link(_) => None,
        }
    }

    /// Whether two are one for bounds on what one may have: the same agent, or the same end of a link.
    pub(crate) fn counts_with(&self, other: &Self) -> bool {
        let same_agent = self.agent().is_some_and(|agent| other.agent() == Some(agent));
        same_agent || self.link().is_some_and(|link| other.link() == Some(link))
    }

    fn link(&self) -> Option<&Bytes32> {
        match self {
            Self::Link(link) | Self::Known { link, .. } => Some(link),
            Self::Agent(_) => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_counts_once_by_whichever_way_it_comes_and_a_link_by_whoever_is_known_on_it() {
        let agent = |n: u8| AgentPubKey::from_raw_36(vec![n; 36]);
        let known = |n, link: u8| Requester::Known { agent: agent(n), link: Bytes32([link; 32]) };
        let (signals, link) = (Requester::Agent(agent(1)), Requester::Link(Bytes32([8; 32])));
        for same in [&signals, &known(1, 8), &known(1, 9)] {
            assert!(same.counts_with(&known(1, 8)) && known(1, 8).counts_with(same), "{same:?}");
        }
        assert!(link.counts_with(&known(2, 8)) && known(2, 8).counts_with(&link));
        assert!(!link.counts_with(&signals) && !link.counts_with(&known(1, 9)));
        assert!(!known(1, 8).counts_with(&known(2, 9)));
    }
}
