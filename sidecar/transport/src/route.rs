//! Which ways to a peer may be tried, and in which order. Pure.

use crate::address::Address;
use crate::error::ConnectError;
use ainonymous_types::{limits, Bytes32};
use std::net::SocketAddr;
use std::time::Duration;

/// A next way is tried after this, beside the one before.
const NEXT_WAY: Duration = Duration::from_millis(150);
/// Routers are tried this much later than what is direct.
const ROUTERS_LATER: Duration = Duration::from_millis(300);
/// Most ways that are tried.
const WAYS_MAX: usize = limits::CAPABILITY_ADDRESSES_MAX;

/// What whoever asks demands of the way. It is kept or refused, never relaxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hide {
    /// Direct first, through a router if need be, and then direct as soon as that works.
    #[default]
    No,
    /// Direct only: no router learns that the two talk.
    NoRouters,
    /// Through a router: the peer does not learn this node's address.
    OneRouter,
    /// Through two routers: neither learns both ends.
    TwoRouters,
}

/// How a link's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From socket to socket.
    Direct,
    /// Through routers.
    Routed {
        /// How many, as far as this side knows: whoever answers sees the last one only.
        hops: u8,
    },
}

/// Where a router can be reached through another one, as its capability entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterEntry {
    /// The router's key.
    pub router: Bytes32,
    /// Its addresses.
    pub addresses: Vec<Address>,
}

/// What is known of the ways to a peer, and what is demanded.
///
/// A peer names the routers that lead to it, and may own them: whoever hides should leave out addresses at routers that he has no
/// reason to believe in. At the least the first router must not be the peer's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way<'a> {
    /// The peer's addresses.
    pub addresses: &'a [Address],
    /// The demand.
    pub hide: Hide,
    /// Routers that are reached through routers: needed for two in a row.
    pub routers: &'a [RouterEntry],
    /// The peer shall know who asks ([`crate::Link::open_known`]): such links are no others'.
    pub known: bool,
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Direct(SocketAddr),
    One(Hop),
    /// The second router is reached through the first, so its address does not matter.
    Two(Hop, Bytes32),
}

/// A router.
pub(crate) type Hop = (SocketAddr, Bytes32);

impl Hide {
    /// As in "cannot be reached …".
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::No => "at all",
            Self::NoRouters => "without a router, as was demanded",
            Self::OneRouter => "through a router, as was demanded",
            Self::TwoRouters => "through two routers, as was demanded",
        }
    }
}

impl Way<'_> {
    /// The ways that may be tried, each with the time after which it begins.
    pub(crate) fn attempts(&self) -> Result<Vec<(Duration, Attempt)>, ConnectError> {
        if self.addresses.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        let direct = self.direct().map(Attempt::Direct);
        let one = self.hops().map(Attempt::One);
        let attempts = match self.hide {
            Hide::No => {
                let (direct, routed) = (timed(direct, Duration::ZERO), one);
                let later = if direct.is_empty() { Duration::ZERO } else { ROUTERS_LATER };
                [direct, timed(routed, later)].concat()
            }
            Hide::NoRouters => timed(direct, Duration::ZERO),
            Hide::OneRouter => timed(one, Duration::ZERO),
            Hide::TwoRouters => timed(self.two(), Duration::ZERO),
        };
        if attempts.is_empty() {
            return Err(ConnectError::NoWay { demanded: self.hide });
        }
        Ok(attempts)
    }

    /// The only address, if it is direct and may be used.
    pub(crate) fn single(&self) -> Option<SocketAddr> {
        match (self.hide, self.addresses) {
            (Hide::No | Hide::NoRouters, [Address::Direct(at)]) => Some(*at),
            _ => None,
        }
    }

    /// Where the peer itself listens.
    pub(crate) fn direct(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().filter_map(|address| match *address {
            Address::Direct(at) => Some(at),
            Address::Routed { .. } => None,
        })
    }

    fn hops(&self) -> impl Iterator<Item = Hop> + '_ {
        self.addresses.iter().filter_map(|address| match *address {
            Address::Direct(_) => None,
            Address::Routed { at, router } => Some((at, router)),
        })
    }

    fn two(&self) -> impl Iterator<Item = Attempt> + '_ {
        self.hops().flat_map(move |(last_at, last)| {
            let of_last = self.routers.iter().filter(move |entry| entry.router == last);
            of_last.flat_map(|entry| &entry.addresses).filter_map(move |address| match *address {
                // One and the same router twice would know both ends.
                Address::Routed { at, router } if router != last && at != last_at => {
                    Some(Attempt::Two((at, router), last))
                }
                Address::Routed { .. } | Address::Direct(_) => None,
            })
        })
    }
}

fn timed(attempts: impl Iterator<Item = Attempt>, begin: Duration) -> Vec<(Duration, Attempt)> {
    let after = std::iter::successors(Some(begin), |after| Some(*after + NEXT_WAY));
    after.zip(attempts).take(WAYS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Bytes32 = Bytes32([1; 32]);
    const B: Bytes32 = Bytes32([2; 32]);

    fn at(port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), port)
    }

    fn via(port: u16, router: Bytes32) -> Address {
        Address::Routed { at: at(port), router }
    }

    fn ways(way: Way<'_>) -> Vec<(u64, Attempt)> {
        let attempts = way.attempts().unwrap().into_iter();
        attempts.map(|(after, attempt)| (u64::try_from(after.as_millis()).unwrap(), attempt)).collect()
    }

    #[test]
    fn direct_comes_first_and_routers_beside_it() {
        let addresses = [via(9, B), Address::Direct(at(1)), Address::Direct(at(2))];
        let way = Way { addresses: &addresses, ..Way::default() };
        assert_eq!(
            ways(way),
            [(0, Attempt::Direct(at(1))), (150, Attempt::Direct(at(2))), (300, Attempt::One((at(9), B)))]
        );
        assert_eq!(ways(Way { addresses: &addresses[..1], ..way }), [(0, Attempt::One((at(9), B)))]);
    }

    #[test]
    fn a_demand_is_kept_or_refused() {
        let addresses = [via(9, B), Address::Direct(at(1))];
        let entries = [RouterEntry { router: B, addresses: vec![Address::Direct(at(9)), via(8, A)] }];
        let way = |hide| Way { addresses: &addresses, hide, routers: &entries, known: false };
        assert_eq!(ways(way(Hide::NoRouters)), [(0, Attempt::Direct(at(1)))]);
        assert_eq!(ways(way(Hide::OneRouter)), [(0, Attempt::One((at(9), B)))]);
        assert_eq!(ways(way(Hide::TwoRouters)), [(0, Attempt::Two((at(8), A), B))]);
        let unmet = |way: Way<'_>| assert_eq!(way.attempts(), Err(ConnectError::NoWay { demanded: way.hide }));
        unmet(Way { addresses: &addresses[..1], ..way(Hide::NoRouters) });
        unmet(Way { addresses: &addresses[1..], ..way(Hide::OneRouter) });
        unmet(Way { routers: &[], ..way(Hide::TwoRouters) });
        assert_eq!(Way::default().attempts(), Err(ConnectError::NoAddress));
    }

    #[test]
    fn one_router_is_never_two() {
        for again in [via(9, A), via(8, B)] {
            let entries = [RouterEntry { router: B, addresses: vec![again] }];
            let way = Way { addresses: &[via(9, B)], hide: Hide::TwoRouters, routers: &entries, known: false };
            assert_eq!(way.attempts(), Err(ConnectError::NoWay { demanded: Hide::TwoRouters }));
        }
    }

    #[test]
    fn no_more_ways_are_tried_than_an_entry_may_have() {
        let addresses = vec![via(9, B); 3];
        let entries = [RouterEntry { router: B, addresses: vec![via(8, A); 8] }];
        let way = Way { addresses: &addresses, hide: Hide::TwoRouters, routers: &entries, known: false };
        assert_eq!(way.attempts().unwrap().len(), WAYS_MAX);
    }
}
