//! A link: one authenticated connection to one key, with as many streams as there are questions. A link through routers takes a
//! direct connection beside the routed one when that stands; new streams then go there.

use crate::error::LinkError;
use crate::frame::{Frame, Load, Seen, FRAME_BYTES_MAX, REPLY_BYTES_MAX};
use crate::room::Room;
use crate::route::Route;
use crate::router::is_flow;
use crate::silence::Silence;
use crate::stream::{from_connection, Stream};
use crate::sync::lock;
use ainonymous_types::{Bytes32, EntryHash};
use quinn::{Connection, VarInt};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::task::JoinSet;

/// Longest wait for the answer to a probe.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// A link. Clones are handles to the same connection; it closes when the last is dropped and no stream is left.
#[derive(Clone, Debug)]
pub struct Link {
    paths: Arc<Paths>,
    peer: Bytes32,
    /// The key that this side shows, where it asks.
    pub(crate) shown: Bytes32,
    /// Connections on which the other side knows who asks, by quinn's numbers.
    pub(crate) known: Arc<tokio::sync::Mutex<Vec<usize>>>,
    /// A stream that arrived while the handshake was ending.
    first: Arc<Mutex<Option<Stream>>>,
    /// For frames that arrive; none on the side that asks, which is not asked back.
    room: Option<Room>,
}

/// The connections of a link.
#[derive(Debug)]
struct Paths {
    begun: Connection,
    route: Route,
    /// Stands beside a routed one.
    direct: Mutex<Option<Connection>>,
    /// Looks for a direct connection; ends with the link.
    company: Mutex<JoinSet<()>>,
}

/// What may be done to a link from beside it.
#[derive(Debug)]
pub(crate) struct Upgrade {
    begun: Connection,
    paths: Weak<Paths>,
}

/// Why a link is closed on purpose; the number goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CloseReason {
    /// Nothing more to say.
    Done = 0,
    /// The node stops.
    Leaving = 1,
    /// The other side broke the protocol.
    Protocol = 2,
    /// Too much at once.
    Busy = 3,
    /// This key is not served here.
    NotWelcome = 4,
}

impl Link {
    /// The side that answers sees the last router only.
    pub(crate) fn arrived(connection: Connection, peer: Bytes32, room: Room) -> Self {
        let routed = is_flow(connection.remote_address().ip());
        let link = Self::new(connection, peer, if routed { Route::Routed { hops: 1 } } else { Route::Direct });
        Self { room: Some(room), ..link }
    }

    pub(crate) fn direct(connection: Connection, peer: Bytes32) -> Self {
        Self::new(connection, peer, Route::Direct)
    }

    /// What `company` returns runs beside the link until it ends or is dropped.
    pub(crate) fn routed<F>(
        connection: Connection,
        peer: Bytes32,
        route: Route,
        company: impl FnOnce(Upgrade) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let link = Self::new(connection.clone(), peer, route);
        let upgrade = Upgrade { begun: connection, paths: Arc::downgrade(&link.paths) };
        lock(&link.paths.company).spawn(company(upgrade));
        link
    }

    fn new(begun: Connection, peer: Bytes32, route: Route) -> Self {
        let paths = Paths { begun, route, direct: Mutex::default(), company: Mutex::default() };
        let (shown, known) = (Bytes32([0; 32]), Arc::default());
        Self { paths: Arc::new(paths), peer, shown, known, first: Arc::default(), room: None }
    }

    /// The same, by an asker that shows this key.
    pub(crate) fn showing(self, shown: Bytes32) -> Self {
        Self { shown, ..self }
    }

    /// Where the next stream goes.
    pub(crate) fn connection(&self) -> Connection {
        self.paths.current().0
    }

    pub(crate) fn beginning_with(self, first: Option<Stream>) -> Self {
        Self { first: Arc::new(Mutex::new(first)), ..self }
    }

    /// The key that the other side has proved.
    pub fn peer(&self) -> Bytes32 {
        self.peer
    }

    /// How packets of the next stream travel.
    pub fn route(&self) -> Route {
        self.paths.current().1
    }

    /// Where the other side is at the moment; behind a router this is an address that means nothing elsewhere.
    pub fn remote_address(&self) -> SocketAddr {
        self.paths.current().0.remote_address()
    }

    /// The measured round trip.
    pub fn rtt(&self) -> Duration {
        self.paths.current().0.rtt()
    }

    /// Whether it can still be used.
    pub fn is_open(&self) -> bool {
        is_open(&self.paths.current().0)
    }

    /// Begins a question. Waits while the other side allows no further stream.
    pub async fn open(&self) -> Result<Stream, LinkError> {
        let connection = self.paths.current().0;
        let stream = connection.open_bi().await.map_err(|e| from_connection(&e))?;
        Ok(Stream::new(stream, REPLY_BYTES_MAX).breaking(Silence::on(connection)))
    }

    /// The same without a word into the silence: for the test of what that is worth.
    #[doc(hidden)]
    pub async fn open_silent(&self) -> Result<Stream, LinkError> {
        let stream = self.paths.current().0.open_bi().await.map_err(|e| from_connection(&e))?;
        Ok(Stream::new(stream, REPLY_BYTES_MAX))
    }

    /// The next question of the other side.
    pub async fn accept(&self) -> Result<Stream, LinkError> {
        if let Some(first) = lock(&self.first).take() {
            return Ok(first);
        }
        let stream = self.paths.begun.accept_bi().await.map_err(|e| from_connection(&e))?;
        let stream = Stream::new(stream, FRAME_BYTES_MAX);
        Ok(match &self.room {
            Some(room) => stream.within(room.clone()),
            None => stream,
        })
    }

    /// Asks how busy the other side is.
    pub async fn probe(&self, spec: EntryHash) -> Result<Load, LinkError> {
        let probed = async {
            let mut stream = self.open().await?;
            stream.sender.send(&Frame::Probe { spec }).await?;
            stream.sender.finish();
            match stream.receiver.recv().await? {
                Some(Frame::Load(load)) => Ok(load),
                _ => Err(LinkError::Truncated),
            }
        };
        let silent = LinkError::Broken { reason: format!("no answer to a probe within {} s", PROBE_MAX.as_secs()) };
        tokio::time::timeout(PROBE_MAX, probed).await.unwrap_or(Err(silent))
    }

    /// Asks what the other side has seen of others; it need not say anything.
    pub async fn reports(&self, spec: EntryHash) -> Result<Vec<Seen>, LinkError> {
        let asked = async {
            let mut stream = self.open().await?;
            stream.sender.send(&Frame::Tell { spec }).await?;
            stream.sender.finish();
            match stream.receiver.recv().await? {
                Some(Frame::Told(seen)) => Ok(seen),
                _ => Err(LinkError::Truncated),
            }
        };
        let silent = LinkError::Broken { reason: format!("no reports within {} s", PROBE_MAX.as_secs()) };
        tokio::time::timeout(PROBE_MAX, asked).await.unwrap_or(Err(silent))
    }

    /// Resolves when the link is gone.
    pub async fn closed(&self) -> LinkError {
        let mut last = self.paths.begun.closed().await;
        let direct = lock(&self.paths.direct).clone();
        if let Some(direct) = direct {
            last = direct.closed().await;
        }
        from_connection(&last)
    }

    /// Ends it at once.
    pub fn close(&self, reason: CloseReason) {
        let Paths { begun, route: _, direct, company: _ } = &*self.paths;
        let code = VarInt::from_u32(reason as u32);
        begun.close(code, b"");
        if let Some(direct) = &*lock(direct) {
            direct.close(code, b"");
        }
    }
}

impl Paths {
    /// The direct one while it stands.
    fn current(&self) -> (Connection, Route) {
        match lock(&self.direct).as_ref().filter(|direct| is_open(direct)) {
            Some(direct) => (direct.clone(), Route::Direct),
            None => (self.begun.clone(), self.route),
        }
    }
}

impl Upgrade {
    /// New streams go directly from now on. The routed connection stays: streams are on it, and the direct one may break.
    pub(crate) fn goes_direct(&self, connection: Connection) {
        if let Some(paths) = self.paths.upgrade().filter(|paths| is_open(&paths.begun)) {
            *lock(&paths.direct) = Some(connection);
        }
    }

    /// Resolves when the routed connection is gone.
    pub(crate) async fn ended(&self) {
        self.begun.closed().await;
    }
}

fn is_open(connection: &Connection) -> bool {
    connection.close_reason().is_none()
}
