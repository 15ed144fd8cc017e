//! The node's end of the data plane: the socket, who is let in, and what the network is told of it.

use crate::known::{Asker, Outcome};
use crate::node::{lock, Node};
use crate::options::QuicOptions;
use crate::places::Places;
use crate::requester::{Reply, Requester};
use crate::serving::{self, Order};
use crate::store::{Store, TransportRecord};
use crate::{auditing, opening, NodeError, QuicStatus};
use ainonymous_transport::{
    is_behind_nat, Address, Arriving, CloseReason, Endpoint, EndpointCounts, EndpointOptions, Frame, FrameReceiver,
    FrameSender, Link, LinkError, Load, Pool, PortMapping, Stream, TransportSecret,
};
use ainonymous_types::{limits, Bytes32, EntryHash, RefuseReason, RequestId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Whoever asks for the place of a receipt waits with the provider for so long.
pub(crate) const PUBLISHED_WAIT: Duration = Duration::from_secs(30);
/// A stream must say within this what it is about.
const FIRST_FRAME_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a router's answer before the network is told what there is.
const REGISTER_MAX: Duration = Duration::from_secs(3);
/// Longest wait for the home router's answer before that.
const MAPPING_MAX: Duration = Duration::from_secs(4);
/// Pause between two looks at that.
const REGISTER_PAUSE: Duration = Duration::from_millis(50);
/// A question with images has so much longer to arrive.
const LARGE_FRAME_MAX: Duration = Duration::from_secs(90);
/// A link on which nothing is asked for this long is closed.
const LINK_IDLE_MAX: Duration = Duration::from_secs(600);
/// The same where it must be known who asks and is not: probes come like that.
const UNKNOWN_IDLE_MAX: Duration = Duration::from_secs(60);

/// The data plane.
#[derive(Debug)]
pub(crate) struct DataPlane {
    pub(crate) endpoint: Endpoint,
    pub(crate) pool: Pool,
    given: Vec<Address>,
    pub(crate) places: Places,
    reach: Option<String>,
    meeting: Option<watch::Receiver<Option<SocketAddr>>>,
    map_port: bool,
    mapping: OnceLock<PortMapping>,
    announced: Mutex<Vec<Address>>,
}

impl DataPlane {
    /// Opens the socket: where it was told to, else where it was last time, so that what peers know stays true.
    pub(crate) fn open(options: QuicOptions, store: &Store) -> Result<Self, NodeError> {
        let QuicOptions { listen, addresses, via, find_routers: _, reach, meeting, map_port } = options;
        let known = store.transport()?;
        let secret = known.as_ref().map_or_else(rand::random, |known| known.secret);
        let secret = TransportSecret::from_bytes(secret);
        let port = known.map_or(0, |known| known.port);
        let bind = |listen| Endpoint::bind(&EndpointOptions { listen, secret: secret.clone() });
        let endpoint = match listen {
            Some(listen) => bind(listen)?,
            None => {
                // IPv6 takes both kinds, but not every machine has it; and somebody else may have last time's port.
                let everywhere =
                    |port| [(IpAddr::from(Ipv6Addr::UNSPECIFIED), port), (Ipv4Addr::UNSPECIFIED.into(), port)];
                let mut places = [port, 0].into_iter().flat_map(everywhere).map(|place| bind(place.into()));
                places.find(Result::is_ok).unwrap_or_else(|| bind((Ipv4Addr::UNSPECIFIED, 0).into()))?
            }
        };
        let port = endpoint.local_addr().map_or(0, |at| at.port());
        store.put_transport(&TransportRecord { secret: *secret.to_bytes(), port })?;
        let pool = Pool::new(endpoint.clone());
        let mut registrations = Vec::new();
        for address in via {
            if let Address::Routed { at, router } = address {
                registrations.push(endpoint.register(at, router, true)?);
            }
        }
        Ok(Self {
            endpoint,
            pool,
            given: addresses,
            places: Places::given(registrations),
            reach,
            meeting,
            map_port,
            mapping: OnceLock::new(),
            announced: Mutex::default(),
        })
    }

    /// The key that the network is told.
    pub(crate) fn key(&self) -> Bytes32 {
        self.endpoint.key()
    }

    /// Where peers reach this node: as it was told, else where it listens, else by which address this machine reaches the
    /// network's meeting point.
    pub(crate) async fn addresses(&self) -> Vec<Address> {
        let mut found = match (self.given.is_empty(), self.endpoint.local_addr()) {
            (false, _) => self.given.clone(),
            (true, Some(at)) if !at.ip().is_unspecified() => vec![Address::Direct(at)],
            (true, Some(at)) => {
                let meeting = self.meeting.as_ref().and_then(|meeting| *meeting.borrow()).map(|at| at.to_string());
                let ip = outgoing_ip(meeting.as_deref().or(self.reach.as_deref())).await;
                ip.map(|ip| Address::Direct(SocketAddr::new(ip, at.port()))).into_iter().collect()
            }
            (true, None) => vec![],
        };
        if let Some(outside) = self.mapped(&found).await {
            // Most peers are outside: they try this one first.
            found.insert(0, outside);
        }
        found.extend(self.routed().await);
        lock(&self.announced).clone_from(&found);
        found
    }

    /// Where peers reach this node through a port of the home router, if what is known otherwise means nothing outside.
    async fn mapped(&self, found: &[Address]) -> Option<Address> {
        let inside = found.iter().find_map(|address| match address {
            Address::Direct(at) if is_behind_nat(at.ip()) => NonZeroU16::new(at.port()),
            Address::Direct(_) | Address::Routed { .. } => None,
        });
        let port = inside.filter(|_| self.map_port && self.given.is_empty())?;
        self.mapping.get_or_init(|| PortMapping::ask(port)).settled(MAPPING_MAX).await.address()
    }

    /// Takes leave of peers and of the home router.
    pub(crate) async fn close(&self) {
        let give_back = async {
            if let Some(mapping) = self.mapping.get() {
                mapping.give_back().await;
            }
        };
        tokio::join!(self.endpoint.close(CloseReason::Leaving), give_back);
    }

    /// Where peers reach this node through routers; waits a while for those that have not answered yet.
    async fn routed(&self) -> Vec<Address> {
        let begun = Instant::now();
        while begun.elapsed() < REGISTER_MAX && self.places.is_connecting() {
            tokio::time::sleep(REGISTER_PAUSE).await;
        }
        self.places.addresses()
    }

    /// For people.
    pub(crate) fn status(&self) -> QuicStatus {
        let EndpointCounts { open, taken: _, challenged, refused, failed } = self.endpoint.counts();
        QuicStatus {
            listens: self.endpoint.local_addr().map(|at| at.to_string()),
            announced: lock(&self.announced).iter().map(ToString::to_string).collect(),
            port_mapping: self.mapping.get().map(|mapping| mapping.state().in_words()),
            key: self.key().to_hex(),
            links: open,
            challenged,
            refused,
            failed,
        }
    }
}

/// The address of this machine that packets to the meeting point leave from. Nothing is sent for that.
pub(crate) async fn outgoing_ip(reach: Option<&str>) -> Option<IpAddr> {
    let to = tokio::net::lookup_host(reach?).await.ok()?.next()?;
    let from: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = tokio::net::UdpSocket::bind((from, 0)).await.ok()?;
    socket.connect(to).await.ok()?;
    socket.local_addr().ok().map(|at| at.ip())
}

/// Lets in whoever knocks, until the node stops.
pub(crate) async fn listen(node: Node, endpoint: Endpoint) {
    while let Some(arriving) = endpoint.accept().await {
        node.spawn(on_arrival(node.clone(), arriving));
    }
}

/// One link, from handshake to end.
async fn on_arrival(node: Node, arriving: Arriving) {
    let load = |spec: &EntryHash| load_of(&node, spec);
    let Some((link, _place)) = arriving.establish(load).await else { return };
    let (streams, asker) = (TaskTracker::new(), Arc::new(Asker::of(&link)));
    loop {
        let idle_max = if node.must_know() && !asker.is_known() { UNKNOWN_IDLE_MAX } else { LINK_IDLE_MAX };
        match tokio::time::timeout(idle_max, link.accept()).await {
            Ok(Ok(stream)) => {
                let answered = on_stream(node.clone(), link.clone(), asker.clone(), stream);
                node.spawn(streams.track_future(answered));
            }
            Ok(Err(_)) => return,
            Err(_) if streams.is_empty() => return link.close(CloseReason::Done),
            Err(_) => {}
        }
    }
}

/// How busy this node is with a model spec, and what it wants.
fn load_of(node: &Node, spec: &EntryHash) -> Load {
    let load = node.inner.engines.load_of(spec, node.refuses_peers());
    Load { milli_price: node.inner.habits.price.0, ..load }
}

/// One stream: what it is about, then what the requester says while it is answered.
async fn on_stream(node: Node, link: Link, asker: Arc<Asker>, stream: Stream) {
    let Stream { mut sender, mut receiver } = stream;
    if let Some(reason) = asker.barred(&node) {
        // Of a question by whom nothing is answered no more is read than that it is one.
        let is_question = tokio::time::timeout(FIRST_FRAME_MAX, receiver.brings_question()).await;
        if matches!(is_question, Ok(Ok(true))) {
            let unnamed = RequestId([0; 16]);
            return serving::refuse(&node, Reply::Stream(Some(sender)), unnamed, reason, String::new());
        }
    }
    let from = asker.requester();
    let mut arrived = tokio::time::timeout(FIRST_FRAME_MAX, receiver.recv()).await;
    if arrived.is_err() && receiver.reads_large() {
        arrived = tokio::time::timeout(LARGE_FRAME_MAX, receiver.recv()).await;
    }
    let first = match arrived {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(e)) => return on_nonsense(&node, &link, &e),
    };
    let id = match first {
        Frame::Probe { spec } => {
            if sender.send(&Frame::Load(load_of(&node, &spec))).await.is_ok() {
                sender.finish();
            }
            return;
        }
        Frame::Tell { spec } => {
            let told = if node.inner.habits.tell_reports { node.inner.chooser.tells(&spec) } else { vec![] };
            if sender.send(&Frame::Told(told)).await.is_ok() {
                sender.finish();
            }
            return;
        }
        Frame::Prove { version: _, proof } => {
            let outcome = asker.shows(&node, &link, *proof).await;
            return say(&link, sender, outcome).await;
        }
        Frame::Open(open) => return opening::show(&node, from.agent().cloned(), *open, sender).await,
        Frame::Audit(order) => {
            let stream = Stream { sender, receiver };
            return auditing::on_order(&node, from, *order, stream).await;
        }
        Frame::Ask(ask) => {
            let id = ask.id;
            let reply = Reply::Stream(Some(sender));
            match node.conductor() {
                Some(conductor) => serving::on_ask(&node, conductor, from.clone(), *ask, reply),
                None => return serving::refuse(&node, reply, id, RefuseReason::Draining, String::new()),
            }
            id
        }
        Frame::Resend { id, from_chunk } if from_chunk >= limits::ANSWER_CHUNKS_MAX => {
            // Where does my receipt stand? No word means: not on the DHT yet.
            tokio::select! {
                proof = serving::when_published(&node, id) => {
                    if let Some(proof) = proof {
                        let _ = sender.send(&Frame::Published { proof }).await;
                    }
                }
                () = tokio::time::sleep(PUBLISHED_WAIT) => {}
                // Whoever asks is gone.
                _ = receiver.recv() => return,
            }
            return sender.finish();
        }
        Frame::Resend { id, from_chunk } => {
            if !node.inner.serving.order(&from, id, Order::TakeUp(sender, from_chunk)) {
                // The order, and the sender with it, is gone: the requester sees that the stream has ended.
                return;
            }
            id
        }
        Frame::Accepted { .. }
        | Frame::Tokens { .. }
        | Frame::Done { .. }
        | Frame::Refused { .. }
        | Frame::Cancel
        | Frame::Published { .. }
        | Frame::Load(_)
        | Frame::Known
        | Frame::Told(_)
        | Frame::Opened { .. }
        | Frame::NotOpened(_)
        | Frame::AuditTaken
        | Frame::AuditShown(_)
        | Frame::NotAudited(_)
        | Frame::Audited { .. } => return link.close(CloseReason::Protocol),
    };
    until_left(&node, &from, id, receiver).await;
}

/// Tells whoever has shown an agent what became of it.
async fn say(link: &Link, mut sender: FrameSender, outcome: Outcome) {
    let word = match outcome {
        Outcome::Known => Frame::Known,
        Outcome::Refused(reason) => Frame::Refused { reason, detail: String::new() },
        Outcome::Forged => {
            tracing::debug!(from = %link.remote_address(), "somebody showed what no agent has signed for this link");
            return link.close(CloseReason::NotWelcome);
        }
    };
    // An error means that nobody waits for it any more.
    if sender.send(&word).await.is_ok() {
        sender.finish();
    }
}

/// Resolves when the requester has nothing more to say; cancels what it does not want any more.
async fn until_left(node: &Node, from: &Requester, id: RequestId, mut receiver: FrameReceiver) {
    match receiver.recv().await {
        // Broken: it may come back and ask for the rest.
        Err(e) if e.may_resume() => {}
        // Whatever else it says or does means that this was all.
        _ => node.inner.serving.cancel(from, id),
    }
}

fn on_nonsense(node: &Node, link: &Link, e: &LinkError) {
    if let LinkError::Frame(problem) = e {
        node.inner.counts.rejected_signals.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::debug!(%problem, from = %link.remote_address(), "a frame was dropped, and its link with it");
        link.close(CloseReason::Protocol);
    }
}
