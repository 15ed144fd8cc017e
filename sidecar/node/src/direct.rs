//! Questions of this node over a link: no zome call from the first byte to the last.
//!
//! A stream that breaks is taken up again where it ended, on a new link to the same provider: it keeps the answer for a while.

use crate::node::Node;
use crate::plane::PUBLISHED_WAIT;
use crate::Route;
use ainonymous_transport::{Address, Frame, Hide, Link, LinkError, Stream, TransportSecret, Way};
use ainonymous_types::{limits, Ask, BatchProof, Bytes32, Capability, PeerSignal, RequestId};
use futures::future::BoxFuture;
use std::fmt;
use std::time::Duration;

/// Longest wait for a link before another way is tried.
const CONNECT_MAX: Duration = Duration::from_millis(800);
/// The same where it must go through routers, which takes several round trips.
const CONNECT_ROUTED_MAX: Duration = Duration::from_secs(3);
/// Longest wait for the provider's word about a receipt: it says so when it has published it, or that it has waited enough.
const RECEIPT_MAX: Duration = PUBLISHED_WAIT.saturating_add(Duration::from_secs(5));

/// How a provider's data plane is reached, as its capability says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkAddress {
    pub(crate) key: Bytes32,
    pub(crate) addresses: Vec<Address>,
    /// What whoever asks demands of the way.
    pub(crate) hide: Hide,
}

/// Why there is no link.
#[derive(Debug)]
pub(crate) struct NoWay {
    pub(crate) problem: String,
}

/// The stream of one question.
pub(crate) struct DirectWay {
    node: Node,
    to: LinkAddress,
    id: RequestId,
    route: Route,
    stream: Option<Stream>,
    coming_back: Option<BoxFuture<'static, Option<Stream>>>,
}

impl LinkAddress {
    /// None if the capability names no key, or nothing that can be tried.
    pub(crate) fn of(capability: &Capability) -> Option<Self> {
        let key = capability.transport_key?;
        let addresses: Vec<Address> = capability.addresses.iter().filter_map(|text| text.parse().ok()).collect();
        (!addresses.is_empty()).then_some(Self { key, addresses, hide: Hide::No })
    }
}

impl LinkAddress {
    /// Whether it is reached through routers only.
    pub(crate) fn is_routed(&self) -> bool {
        self.addresses.iter().all(|address| !matches!(address, Address::Direct(_)))
    }

    /// The ways that may be tried.
    pub(crate) fn way(&self) -> Way<'_> {
        Way { addresses: &self.addresses, hide: self.hide, ..Way::default() }
    }
}

impl DirectWay {
    /// Sends a question over the link to a provider; says how long a round trip takes.
    pub(crate) async fn begin(node: &Node, to: &LinkAddress, ask: &Ask) -> Result<(Self, Duration), NoWay> {
        let no = |problem: String| NoWay { problem };
        let began = async {
            let link = link(node, to).await?;
            let stream = begin_with(&link, &Frame::Ask(Box::new(ask.clone()))).await.map_err(|e| no(e.to_string()))?;
            let route = match link.route() {
                ainonymous_transport::Route::Direct => Route::Direct,
                ainonymous_transport::Route::Routed { .. } => Route::Routed,
            };
            Ok((stream, route, link.rtt()))
        };
        let patience = if to.hide == Hide::No { CONNECT_MAX } else { CONNECT_ROUTED_MAX };
        let in_time = tokio::time::timeout(patience, began).await;
        let (stream, route, round_trip) = in_time.unwrap_or_else(|_| Err(no("no link in time".into())))?;
        let way =
            Self { node: node.clone(), to: to.clone(), id: ask.id, route, stream: Some(stream), coming_back: None };
        Ok((way, round_trip))
    }

    /// How it goes.
    pub(crate) fn route(&self) -> Route {
        self.route
    }

    /// What arrives next; none if the provider has said all, or cannot be reached any more. Cancel-safe.
    pub(crate) async fn recv(&mut self, next_chunk: u32) -> Option<PeerSignal> {
        loop {
            if let Some(coming_back) = &mut self.coming_back {
                self.stream = coming_back.await;
                self.coming_back = None;
            }
            match self.stream.as_mut()?.receiver.recv().await {
                Ok(Some(frame)) => {
                    if let Some(signal) = frame.into_signal(self.id) {
                        return Some(signal);
                    }
                }
                Ok(None) => return None,
                Err(e) if e.may_resume() => {
                    tracing::debug!(error = %e, "a link broke in mid-answer; taking the answer up again");
                    self.stream = None;
                    self.coming_back =
                        Some(Box::pin(come_back(self.node.clone(), self.to.clone(), self.id, next_chunk)));
                }
                Err(e) => {
                    tracing::debug!(error = %e, "a provider ended its answer");
                    return None;
                }
            }
        }
    }

    /// Says something to the provider. The question itself is never lost on a stream, nor is a part of the answer.
    pub(crate) async fn send(&mut self, signal: PeerSignal) {
        if let (PeerSignal::Cancel { .. }, Some(stream)) = (&signal, &mut self.stream) {
            // An error means that the stream has ended: so has the answer.
            let _ = stream.sender.send(&Frame::Cancel).await;
        }
    }
}

impl fmt::Debug for DirectWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node: _, to, id, route: _, stream, coming_back: _ } = self;
        f.debug_struct("DirectWay").field("to", to).field("id", id).field("open", &stream.is_some()).finish()
    }
}

/// Waits with a provider, over a link, for the place of a receipt; none if it cannot say or has waited enough.
pub(crate) async fn published(node: &Node, to: &LinkAddress, id: RequestId) -> Option<BatchProof> {
    let asked = async {
        let link = link(node, to).await.ok()?;
        let frame = Frame::Resend { id, from_chunk: limits::ANSWER_CHUNKS_MAX };
        let mut stream = begin_with(&link, &frame).await.ok()?;
        match stream.receiver.recv().await {
            Ok(Some(Frame::Published { proof })) => Some(proof),
            _ => None,
        }
    };
    tokio::time::timeout(RECEIPT_MAX, asked).await.ok().flatten()
}

/// A new link and stream for the rest of an answer. Whoever waits gives up after a while (`Question::on_tick`).
async fn come_back(node: Node, to: LinkAddress, id: RequestId, next_chunk: u32) -> Option<Stream> {
    let link = link(&node, &to).await.ok()?;
    let stream = begin_with(&link, &Frame::Resend { id, from_chunk: next_chunk }).await.ok()?;
    Some(stream)
}

async fn link(node: &Node, to: &LinkAddress) -> Result<Link, NoWay> {
    let Some(plane) = &node.inner.plane else {
        return Err(NoWay { problem: "direct connections are off".into() });
    };
    let fresh = || TransportSecret::from_bytes(rand::random());
    plane.pool.link_by(&to.key, &to.way(), fresh).await.map_err(|e| NoWay { problem: e.to_string() })
}

async fn begin_with(link: &Link, frame: &Frame) -> Result<Stream, LinkError> {
    let mut stream = link.open().await?;
    stream.sender.send(frame).await?;
    Ok(stream)
}
