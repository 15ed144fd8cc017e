//! From a key and ways to a link: the first way that stands is taken, and a routed link looks for a direct path meanwhile.

use crate::config::Identity;
use crate::dial::dial;
use crate::error::ConnectError;
use crate::link::{Link, Upgrade};
use crate::route::{Attempt, Hide, Route, Way};
use crate::router::{tunnel, Layer};
use crate::sync::Closing;
use ainonymous_types::Bytes32;
use quinn::Connection;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// Longest time until a way through routers stands or fails.
const ROUTED_MAX: Duration = Duration::from_secs(10);

/// What a connection needs besides the way.
#[derive(Clone, Debug)]
pub(crate) struct Connecting {
    pub(crate) quic: quinn::Endpoint,
    pub(crate) identity: Identity,
    pub(crate) key: Bytes32,
    /// Says with which code the endpoint closes.
    pub(crate) closing: Closing,
}

/// A connection and how it came about.
struct Found {
    connection: Connection,
    route: Route,
    tunnel: Option<Tunnelled>,
}

/// What belongs to a connection through routers.
struct Tunnelled {
    quic: quinn::Endpoint,
    meet: Option<SocketAddr>,
}

impl Connecting {
    /// The link by the way that stands first.
    pub(crate) async fn link(self, way: &Way<'_>) -> Result<Link, ConnectError> {
        let attempts = way.attempts()?;
        let meet = way.hide == Hide::No;
        let Found { connection, route, tunnel } = self.race(attempts, meet).await?;
        let Some(Tunnelled { quic, meet }) = tunnel else { return Ok(Link::direct(connection, self.key)) };
        let direct = if way.hide == Hide::No { way.direct().chain(meet).collect() } else { Vec::new() };
        Ok(Link::routed(connection, self.key, route, |link| self.accompany(link, quic, direct)))
    }

    async fn race(&self, attempts: Vec<(Duration, Attempt)>, meet: bool) -> Result<Found, ConnectError> {
        let mut racing = JoinSet::new();
        for (after, attempt) in attempts {
            let connecting = self.clone();
            racing.spawn(async move {
                tokio::time::sleep(after).await;
                connecting.attempt(attempt, meet).await
            });
        }
        let mut worst = ConnectError::NoAddress;
        while let Some(finished) = racing.join_next().await {
            match finished {
                Ok(Ok(found)) => return Ok(found),
                // An impostor at one address is worth more to know than silence at another.
                Ok(Err(e)) if weight(&e) >= weight(&worst) => worst = e,
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(worst)
    }

    async fn attempt(&self, attempt: Attempt, meet: bool) -> Result<Found, ConnectError> {
        let Self { quic, identity, key, closing: _ } = self;
        let routed = async {
            let (inner, hops) = match attempt {
                Attempt::Direct(at) => {
                    let connection = dial(quic, identity, at, key).await?;
                    return Ok(Found { connection, route: Route::Direct, tunnel: None });
                }
                Attempt::One(hop) => (tunnel(quic, Layer::Outer, hop, *key, meet).await?, 1),
                Attempt::Two(first, last) => {
                    let outer = tunnel(quic, Layer::Outer, first, last, false).await?;
                    (tunnel(&outer.quic, Layer::Nested, (outer.at, last), *key, false).await?, 2)
                }
            };
            let connection = dial(&inner.quic, identity, inner.at, key).await?;
            let tunnel = Some(Tunnelled { quic: inner.quic, meet: inner.meet });
            Ok(Found { connection, route: Route::Routed { hops }, tunnel })
        };
        let silent = ConnectError::Silent { after: ROUTED_MAX };
        tokio::time::timeout(ROUTED_MAX, routed).await.unwrap_or(Err(silent))
    }

    /// Stays with a routed link: looks for a direct path, and tells the other side when this node stops.
    async fn accompany(self, link: Upgrade, quic: quinn::Endpoint, direct: Vec<SocketAddr>) {
        let attempts = direct.into_iter().map(|at| (Duration::ZERO, Attempt::Direct(at))).collect::<Vec<_>>();
        let mut closing = self.closing.clone();
        let upgraded = async {
            if let (false, Ok(found)) = (attempts.is_empty(), self.race(attempts, false).await) {
                link.goes_direct(found.connection);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = link.ended() => {}
            () = upgraded => {}
            code = closing.code() => {
                quic.close(code, b"");
                quic.wait_idle().await;
            }
        }
    }
}

fn weight(e: &ConnectError) -> u8 {
    match e {
        ConnectError::WrongKey => 3,
        ConnectError::NarrowPath { .. } | ConnectError::Router { .. } => 2,
        ConnectError::Bind { .. }
        | ConnectError::Key { .. }
        | ConnectError::NoWay { .. }
        | ConnectError::Silent { .. }
        | ConnectError::Refused { .. }
        | ConnectError::Closed => 1,
        ConnectError::NoAddress => 0,
    }
}
