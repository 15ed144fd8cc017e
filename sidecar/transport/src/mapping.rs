//! A port of the home router that leads to this node: asked for by PCP, NAT-PMP or UPnP, kept while it is wanted, given back.
//!
//! How these protocols look is the business of a library; that every wait has an end, and what an answer is worth, is decided here.

use crate::address::Address;
use portmapper::{Client, Config, ProbeOutput};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Longest search for a router that maps ports.
const SEARCH_MAX: Duration = Duration::from_secs(3);
/// Longest wait for a mapping from a router that was found.
const MAP_MAX: Duration = Duration::from_secs(3);
/// Without a mapping it is asked again after this: routers start again, and machines move.
const AGAIN: Duration = Duration::from_secs(300);
/// Longest wait for a router to take a port back.
const GIVE_BACK_MAX: Duration = Duration::from_millis(500);
/// Time for a packet to leave.
const LEAVE: Duration = Duration::from_millis(100);

/// A port in front of this node. Dropping it stops renewals: the router forgets it within two hours.
#[derive(Debug)]
pub struct PortMapping {
    client: Client,
    state: watch::Receiver<MappingState>,
    _task: JoinSet<()>,
}

/// How a mapping stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingState {
    /// No answer yet.
    Asking,
    /// Packets to this address and port arrive here.
    Mapped {
        /// Seen from outside.
        outside: SocketAddrV4,
    },
    /// The router has mapped a port, but has itself no address that others reach.
    BehindAnother {
        /// Seen from outside this router.
        outside: SocketAddrV4,
    },
    /// The router knows how to map ports, but has not.
    Refused,
    /// No router that maps ports.
    NoRouter,
}

impl MappingState {
    /// For people.
    pub fn in_words(self) -> String {
        match self {
            Self::Asking => "the home router is being asked".into(),
            Self::Mapped { outside } => format!("the home router leads {outside} here"),
            Self::BehindAnother { outside } => {
                format!("the home router leads {outside} here, but is itself behind another one")
            }
            Self::Refused => "the home router refuses".into(),
            Self::NoRouter => "no home router that maps ports has answered".into(),
        }
    }

    /// What peers can be told.
    pub fn address(self) -> Option<Address> {
        match self {
            Self::Mapped { outside } => Some(Address::Direct(outside.into())),
            Self::Asking | Self::BehindAnother { .. } | Self::Refused | Self::NoRouter => None,
        }
    }

    fn of(outside: SocketAddrV4) -> Self {
        if is_behind_nat((*outside.ip()).into()) {
            Self::BehindAnother { outside }
        } else {
            Self::Mapped { outside }
        }
    }
}

impl PortMapping {
    /// Asks for a port in front of this one (UDP). Must be called inside a tokio runtime.
    pub fn ask(port: NonZeroU16) -> Self {
        let client = Client::new(Config::default());
        let (told, state) = watch::channel(MappingState::Asking);
        let mut task = JoinSet::new();
        task.spawn(keep(client.clone(), port, told));
        Self { client, state, _task: task }
    }

    /// How it stands.
    pub fn state(&self) -> MappingState {
        *self.state.borrow()
    }

    /// How it stands as soon as something is known, or after this time.
    pub async fn settled(&self, within: Duration) -> MappingState {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != MappingState::Asking);
        let _ = timeout(within, settled).await;
        self.state()
    }

    /// Gives the port back, within a bounded time.
    pub async fn give_back(&self) {
        let mut outside = self.client.watch_external_address();
        if outside.borrow().is_none() {
            return;
        }
        self.client.deactivate();
        let _ = timeout(GIVE_BACK_MAX, outside.wait_for(Option::is_none)).await;
        sleep(LEAVE).await;
    }
}

/// Whether this is an address that only its own network knows (RFC 1918, RFC 6598): then somebody in front translates.
pub fn is_behind_nat(ip: IpAddr) -> bool {
    let is_shared = |v4: Ipv4Addr| v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || is_shared(v4),
        IpAddr::V6(_) => false,
    }
}

async fn keep(client: Client, port: NonZeroU16, told: watch::Sender<MappingState>) {
    let mut outside = client.watch_external_address();
    loop {
        // Without a search the library tries UPnP only.
        let found = timeout(SEARCH_MAX, client.probe()).await;
        let maps = matches!(found, Ok(Ok(Ok(ProbeOutput { upnp, pcp, nat_pmp }))) if upnp || pcp || nat_pmp);
        if maps {
            client.update_local_port(port);
            client.procure_mapping();
            let _ = timeout(MAP_MAX, outside.wait_for(Option::is_some)).await;
        }
        let mut mapped = *outside.borrow_and_update();
        while let Some(at) = mapped {
            told.send_replace(MappingState::of(at));
            // The library renews it, and says when it is lost.
            if outside.changed().await.is_err() {
                return;
            }
            mapped = *outside.borrow_and_update();
        }
        told.send_replace(if maps { MappingState::Refused } else { MappingState::NoRouter });
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_a_home_want_a_port_outside() {
        for (ip, behind) in [
            ("192.168.1.2", true),
            ("10.0.0.1", true),
            ("172.31.255.255", true),
            ("100.64.0.1", true),
            ("::ffff:192.168.1.2", true),
            ("100.128.0.1", false),
            ("127.0.0.1", false),
            ("198.18.1.2", false),
            ("2001:db8::1", false),
            ("fd00::1", false),
        ] {
            assert_eq!(is_behind_nat(ip.parse().unwrap()), behind, "{ip}");
        }
    }

    #[test]
    fn peers_are_told_only_what_they_can_reach() {
        let outside = |ip: [u8; 4]| SocketAddrV4::new(ip.into(), 4242);
        let public = MappingState::of(outside([203, 0, 113, 7]));
        assert_eq!(public.address(), Some("quic://203.0.113.7:4242".parse().unwrap()));
        let twice = MappingState::of(outside([10, 0, 0, 7]));
        assert_eq!(twice, MappingState::BehindAnother { outside: outside([10, 0, 0, 7]) });
        for nothing in [twice, MappingState::Asking, MappingState::Refused, MappingState::NoRouter] {
            assert_eq!(nothing.address(), None);
        }
    }
}
