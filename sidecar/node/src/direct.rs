//! Questions of this node over a link: no zome call from the first byte to the last.
//!
//! A stream that breaks is taken up again where it ended, on a new link to the same provider: it keeps the answer for a while.

use crate::known;
use crate::node::Node;
use crate::plane::PUBLISHED_WAIT;
use crate::{size, Route};
use ainonymous_protocol::timing::DIRECT;
use ainonymous_transport::{
    Address, Frame, Hide, KnownError, Link, LinkError, RouterEntry, Stream, TransportSecret, Way,
};
use ainonymous_types::{limits, Ask, BatchProof, Bytes32, Capability, PeerSignal, RefuseReason, RequestId};
use futures::future::BoxFuture;
use std::fmt;
use std::time::{Duration, Instant};

/// Longest wait for a link before another way is tried.
const CONNECT_MAX: Duration = Duration::from_millis(800);
/// The same where it must go through routers, which takes several round trips.
const CONNECT_ROUTED_MAX: Duration = Duration::from_secs(3);
/// Longest wait until a provider knows who asks, once there is a link: a signature here, and there a look at how we joined.
const KNOWN_MAX: Duration = Duration::from_secs(3);
/// Longest wait for the provider's word about a receipt: it says so when it has published it, or that it has waited enough.
const RECEIPT_MAX: Duration = PUBLISHED_WAIT.saturating_add(Duration::from_secs(5));

/// How a provider's data plane is reached, as its capability says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkAddress {
    pub(crate) key: Bytes32,
    pub(crate) addresses: Vec<Address>,
    /// What whoever asks demands of the way.
    pub(crate) hide: Hide,
    /// First routers, for whoever wants two in a row.
    pub(crate) routers: Vec<RouterEntry>,
    /// The provider answers only agents that show who they are.
    pub(crate) must_be_known: bool,
    /// It shall know who asks.
    pub(crate) known: bool,
}

/// Why there is no link.
#[derive(Debug)]
pub(crate) struct NoWay {
    pub(crate) problem: String,
    /// What the provider said, if it was the provider who wanted none.
    pub(crate) refused: Option<(RefuseReason, String)>,
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
        let must_be_known = capability.must_be_known;
        let link = Self { key, addresses, hide: Hide::No, routers: vec![], must_be_known, known: false };
        (!link.addresses.is_empty()).then_some(link)
    }
}

impl LinkAddress {
    /// Whether it is reached through routers only.
    pub(crate) fn is_routed(&self) -> bool {
        self.addresses.iter().all(|address| !matches!(address, Address::Direct(_)))
    }

    /// The ways that may be tried.
    pub(crate) fn way(&self) -> Way<'_> {
        Way { addresses: &self.addresses, hide: self.hide, routers: &self.routers, known: self.known }
    }
}

impl DirectWay {
    /// Sends a question over the link to a provider; says how long a round trip takes.
    pub(crate) async fn begin(node: &Node, to: &LinkAddress, ask: &Ask) -> Result<(Self, Duration), NoWay> {
        let begun = Instant::now();
        let patience = match to.hide {
            Hide::No | Hide::NoRouters => CONNECT_MAX,
            Hide::OneRouter | Hide::TwoRouters => CONNECT_ROUTED_MAX,
        };
        let link = tokio::time::timeout(patience, link(node, to)).await.unwrap_or_else(|_| late())?;
        let left = if to.known { KNOWN_MAX } else { patience.saturating_sub(begun.elapsed()) };
        let opens = open(node, to, &link);
        let mut stream = tokio::time::timeout(left, opens).await.unwrap_or_else(|_| late())?;
        // A question with images takes as long as the line is slow, and no longer than on the slowest there may be.
        let sending = Duration::from_micros(DIRECT.carrying(size::bytes(&ask.input)).sending_us);
        let frame = Frame::Ask(Box::new(ask.clone()));
        let sent = tokio::time::timeout(patience + sending, say(&mut stream, &frame)).await;
        sent.unwrap_or_else(|_| Err(no_way("the question was not taken in time")))?;
        let route = match link.route() {
            ainonymous_transport::Route::Direct => Route::Direct,
            ainonymous_transport::Route::Routed { .. } => Route::Routed,
        };
        let way =
            Self { node: node.clone(), to: to.clone(), id: ask.id, route, stream: Some(stream), coming_back: None };
        Ok((way, link.rtt()))
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

/// A stream of its own that begins with this frame.
pub(crate) async fn begin(node: &Node, to: &LinkAddress, frame: &Frame) -> Result<Stream, NoWay> {
    let begun = async {
        let link = link(node, to).await?;
        begin_with(node, to, &link, frame).await
    };
    tokio::time::timeout(CONNECT_ROUTED_MAX + KNOWN_MAX, begun).await.unwrap_or_else(|_| late())
}

/// The same on a link of its own, by a key that is shown nowhere else. The link is to be held as long as the stream.
pub(crate) async fn begin_apart(node: &Node, to: &LinkAddress, frame: &Frame) -> Result<(Link, Stream), NoWay> {
    let plane = node.inner.plane.as_ref().ok_or_else(|| no_way("direct connections are off"))?;
    let begun = async {
        let secret = TransportSecret::from_bytes(rand::random());
        let link = plane.pool.link_apart(&to.key, &to.way(), &secret).await.map_err(|e| no_way(&e.to_string()))?;
        let stream = begin_with(node, to, &link, frame).await?;
        Ok((link, stream))
    };
    tokio::time::timeout(CONNECT_ROUTED_MAX + KNOWN_MAX, begun).await.unwrap_or_else(|_| late())
}

/// Waits with a provider, over a link, for the place of a receipt; none if it cannot say or has waited enough.
pub(crate) async fn published(node: &Node, to: &LinkAddress, id: RequestId) -> Option<BatchProof> {
    let asked = async {
        let link = link(node, to).await.ok()?;
        let frame = Frame::Resend { id, from_chunk: limits::ANSWER_CHUNKS_MAX };
        let mut stream = begin_with(node, to, &link, &frame).await.ok()?;
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
    begin_with(&node, &to, &link, &Frame::Resend { id, from_chunk: next_chunk }).await.ok()
}

async fn link(node: &Node, to: &LinkAddress) -> Result<Link, NoWay> {
    let Some(plane) = &node.inner.plane else {
        return Err(no_way("direct connections are off"));
    };
    let fresh = || TransportSecret::from_bytes(rand::random());
    plane.pool.link_by(&to.key, &to.way(), fresh).await.map_err(|e| no_way(&e.to_string()))
}

/// A stream that begins with this frame.
async fn begin_with(node: &Node, to: &LinkAddress, link: &Link, frame: &Frame) -> Result<Stream, NoWay> {
    let mut stream = open(node, to, link).await?;
    say(&mut stream, frame).await?;
    Ok(stream)
}

/// A stream; where it shall be known who asks, there is none before that is so.
async fn open(node: &Node, to: &LinkAddress, link: &Link) -> Result<Stream, NoWay> {
    let opened = match to.known {
        true => link.open_known(|claim| known::sign(node.clone(), claim)).await,
        false => link.open().await.map_err(KnownError::Link),
    };
    opened.map_err(|e| match e {
        KnownError::Refused { reason, ref detail } => {
            NoWay { problem: e.to_string(), refused: Some((reason, detail.clone())) }
        }
        KnownError::Link(_) | KnownError::Unsigned => no_way(&e.to_string()),
    })
}

/// The first frame of a stream. Whoever does not want it says why on the same stream.
async fn say(stream: &mut Stream, frame: &Frame) -> Result<(), NoWay> {
    match stream.sender.send(frame).await {
        Ok(()) | Err(LinkError::Ended) => Ok(()),
        Err(e) => Err(no_way(&e.to_string())),
    }
}

fn late<T>() -> Result<T, NoWay> {
    Err(no_way("no link in time"))
}

fn no_way(problem: &str) -> NoWay {
    NoWay { problem: problem.to_owned(), refused: None }
}
