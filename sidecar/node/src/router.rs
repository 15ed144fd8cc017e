//! The router that this node runs for others. It is told on the DHT where it is, registers at other routers so that two can be
//! used in a row, and sees no more than a router without a node does.

use crate::node::lock;
use crate::options::RouterOptions;
use crate::places::Places;
use crate::plane::outgoing_ip;
use crate::store::Store;
use crate::{NodeError, RouterStatus};
use ainonymous_transport::{Address, ConnectError, Registration, Router, RouterCounts, RouterLimits, TransportSecret};
use ainonymous_types::{limits, Bytes32, RouterOffer};
use std::net::SocketAddr;
use std::sync::Mutex;

/// A router that is part of a node.
#[derive(Debug)]
pub(crate) struct OwnRouter {
    router: Router,
    places: Places,
    given: Vec<SocketAddr>,
    reach: Option<String>,
    announced: Mutex<Vec<String>>,
}

impl OwnRouter {
    /// Opens it. It keeps its key: who knows a router knows it by that.
    pub(crate) fn open(options: RouterOptions, store: &Store) -> Result<Self, NodeError> {
        let RouterOptions { listen, addresses, reach } = options;
        let secret = match store.router_secret()? {
            Some(secret) => secret,
            None => {
                let secret = rand::random();
                store.put_router_secret(&secret)?;
                secret
            }
        };
        let secret = TransportSecret::from_bytes(secret);
        let options = ainonymous_transport::RouterOptions { listen, secret, limits: RouterLimits::default() };
        let router = Router::bind(&options)?;
        Ok(Self { router, places: Places::default(), given: addresses, reach, announced: Mutex::default() })
    }

    /// What it proves.
    pub(crate) fn key(&self) -> Bytes32 {
        self.router.key()
    }

    /// Where it is registered.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// Registers it at another router.
    pub(crate) fn register(&self, at: SocketAddr, key: Bytes32) -> Result<Registration, ConnectError> {
        self.router.register(at, key)
    }

    /// What the network is told of it; nothing while it is not known where others reach it.
    pub(crate) async fn offer(&self) -> Option<RouterOffer> {
        let at = match (self.given.is_empty(), self.router.local_addr()) {
            (false, _) => self.given.clone(),
            (true, Some(at)) if !at.ip().is_unspecified() => vec![at],
            (true, Some(at)) => {
                let ip = outgoing_ip(self.reach.as_deref()).await?;
                vec![SocketAddr::new(ip, at.port())]
            }
            (true, None) => vec![],
        };
        let direct = at.into_iter().map(Address::Direct).chain(self.places.addresses());
        let addresses: Vec<String> = direct.take(limits::ROUTER_ADDRESSES_MAX).map(|a| a.to_string()).collect();
        lock(&self.announced).clone_from(&addresses);
        (!addresses.is_empty()).then(|| RouterOffer { key: self.key(), addresses })
    }

    /// For people.
    pub(crate) fn status(&self) -> RouterStatus {
        let RouterCounts { registrations, flows, forwarded_packets, forwarded_bytes, refused, .. } =
            self.router.counts();
        RouterStatus {
            listens: self.router.local_addr().map(|at| at.to_string()),
            announced: lock(&self.announced).clone(),
            key: self.key().to_hex(),
            registrations,
            flows,
            forwarded_packets,
            forwarded_bytes,
            refused,
        }
    }

    /// Ends it; resolves when the other sides have been told.
    pub(crate) async fn close(&self) {
        self.router.close().await;
    }
}
