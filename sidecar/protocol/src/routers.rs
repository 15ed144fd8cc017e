//! Which routers: at which of those found on the DHT a node registers, and which an asker who hides goes through.
//!
//! Two keys do not prove two owners. What can be known decides: whom the asker names, who belongs to him, who said on the DHT that
//! the router is his, and in which network it stands. Pure; nothing is probed here.

use crate::dice::{Dice, RANDOM_BYTES};
use ainonymous_types::{AgentPubKey, Bytes32};
// Addresses as values: there is no socket in `core`.
use core::net::{IpAddr, SocketAddr};

/// Most routers that are tried at once to find the best of them.
pub const ROUTERS_PROBED_MAX: usize = 4;
/// Most first routers that are tried for one second router.
pub const FIRST_ROUTERS_MAX: usize = 4;

/// Where a router listens, and its key.
pub type Hop = (SocketAddr, Bytes32);

/// A router as its owner's capability tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRouter {
    /// Whose it is.
    pub agent: AgentPubKey,
    /// What it proves.
    pub key: Bytes32,
    /// Where it listens.
    pub at: Vec<SocketAddr>,
    /// Routers at which it is registered.
    pub behind: Vec<Hop>,
}

/// Whom an asker believes.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Routers that he names. If there are any, no stranger's router is a first one.
    pub named: &'a [Bytes32],
    /// Agents that are his, or his friends.
    pub kin: &'a [AgentPubKey],
}

/// The network that an address stands in: 16 bits of IPv4, 32 of IPv6. Whoever rents one machine rarely has two of them.
pub fn network_of(ip: IpAddr) -> (bool, [u8; 4]) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => (false, [v4.octets()[0], v4.octets()[1], 0, 0]),
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            (true, [octets[0], octets[1], octets[2], octets[3]])
        }
    }
}

/// Routers to try, at most [`ROUTERS_PROBED_MAX`]: drawn at random, none of one's own or in use, and of each network one before
/// any has two.
pub fn to_probe(seen: &[SeenRouter], own: &[Bytes32], used: &[Hop], random: &[u8; RANDOM_BYTES]) -> Vec<Hop> {
    let is_free = |key: &Bytes32| !own.contains(key) && used.iter().all(|(_, other)| other != key);
    let fitting = seen.iter().filter(|router| is_free(&router.key));
    let mut hops: Vec<Hop> = fitting.filter_map(|router| Some((*router.at.first()?, router.key))).collect();
    let count = hops.len();
    Dice::new(random).draw(&mut hops, count);
    let mut networks: Vec<_> = used.iter().map(|(at, _)| network_of(at.ip())).collect();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for hop in hops {
        let network = network_of(hop.0.ip());
        if networks.contains(&network) {
            again.push(hop);
        } else {
            networks.push(network);
            first.push(hop);
        }
    }
    first.extend(again);
    first.truncate(ROUTERS_PROBED_MAX);
    first
}

/// Whether a router may be the only one between an asker who hides and a provider. `owner` is who says on the DHT that it is his,
/// if anybody does.
pub fn may_be_only(router: &Bytes32, owner: Option<&AgentPubKey>, provider: &AgentPubKey, trust: Trust<'_>) -> bool {
    let of_kin = owner.is_some_and(|owner| trust.kin.contains(owner));
    if !trust.named.is_empty() {
        return trust.named.contains(router) || of_kin;
    }
    owner != Some(provider)
}

/// First routers that lead to a second one, the best first: those that the asker names, then those of his own and of friends,
/// then strangers', drawn at random, in another network than the second and neither its owner's nor the provider's. `known` are the
/// routers behind which the second one stands, as far as they are found on the DHT.
pub fn first_routers(
    second: &SeenRouter,
    known: &[SeenRouter],
    provider: &AgentPubKey,
    trust: Trust<'_>,
    random: &[u8; RANDOM_BYTES],
) -> Vec<Hop> {
    let of_second: Vec<_> = second.at.iter().map(|at| network_of(at.ip())).collect();
    let rank = |(at, key): &Hop| {
        let owners = known.iter().filter(|router| router.key == *key && router.at.contains(at));
        let owners: Vec<&AgentPubKey> = owners.map(|router| &router.agent).collect();
        if trust.named.contains(key) {
            return Some(0);
        }
        if owners.iter().any(|owner| trust.kin.contains(owner)) {
            return Some(1);
        }
        let strange = trust.named.is_empty()
            && !owners.is_empty()
            && !owners.iter().any(|owner| **owner == second.agent || *owner == provider)
            && !of_second.contains(&network_of(at.ip()));
        strange.then_some(2)
    };
    let mut hops: Vec<Hop> = second.behind.iter().filter(|(_, key)| *key != second.key).copied().collect();
    let count = hops.len();
    Dice::new(random).draw(&mut hops, count);
    let mut ranked: Vec<(i32, Hop)> = hops.into_iter().filter_map(|hop| Some((rank(&hop)?, hop))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, hop)| hop).take(FIRST_ROUTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: [u8; RANDOM_BYTES] = [5; RANDOM_BYTES];
    const NOBODY: Trust<'static> = Trust { named: &[], kin: &[] };

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn key(n: u8) -> Bytes32 {
        Bytes32([n; 32])
    }

    fn at(network: u8, host: u8) -> SocketAddr {
        ([203, network, 113, host], 4433).into()
    }

    fn router(n: u8, network: u8, behind: &[(u8, u8)]) -> SeenRouter {
        let behind = behind.iter().map(|(n, network)| (at(*network, *n), key(*n))).collect();
        SeenRouter { agent: agent(n), key: key(n), at: vec![at(network, n)], behind }
    }

    fn firsts(second: &SeenRouter, known: &[SeenRouter], provider: u8, trust: Trust<'_>) -> Vec<u8> {
        let hops = first_routers(second, known, &agent(provider), trust, &RANDOM);
        hops.iter().map(|(_, key)| key.0[0]).collect()
    }

    #[test]
    fn a_strangers_first_router_stands_elsewhere_and_belongs_to_neither() {
        let second = router(1, 1, &[(2, 2), (3, 1), (4, 4), (5, 5), (1, 1)]);
        let mine = SeenRouter { agent: agent(1), ..router(4, 4, &[]) };
        let known = [router(2, 2, &[]), router(3, 1, &[]), mine, router(5, 5, &[])];
        assert_eq!(
            firsts(&second, &known, 5, NOBODY),
            [2],
            "3 is next door, 4 the second's own, 5 the provider's, 1 itself"
        );
        assert_eq!(firsts(&second, &[], 9, NOBODY), [0; 0], "of whom nothing is known");
        let elsewhere = SeenRouter { at: vec![at(7, 2)], ..router(2, 2, &[]) };
        assert_eq!(firsts(&second, &[elsewhere], 9, NOBODY), [0; 0], "its owner says it stands elsewhere");
    }

    #[test]
    fn whom_the_asker_names_comes_first_and_then_no_stranger_at_all() {
        let second = router(1, 1, &[(2, 2), (3, 1), (4, 4)]);
        let known = [router(2, 2, &[]), router(3, 1, &[]), router(4, 4, &[])];
        let kin = [agent(4)];
        let drawn = firsts(&second, &known, 9, Trust { named: &[], kin: &kin });
        assert_eq!(drawn, [4, 2], "a friend's before strangers'");
        let named = [key(3)];
        assert_eq!(firsts(&second, &known, 9, Trust { named: &named, kin: &kin }), [3, 4]);
        assert_eq!(firsts(&second, &[], 9, Trust { named: &[key(8)], kin: &kin }), [0; 0]);
    }

    #[test]
    fn the_only_router_is_not_the_providers_as_far_as_that_can_be_known() {
        let named = [key(3)];
        let trust = Trust { named: &named, kin: &[] };
        assert!(may_be_only(&key(2), None, &agent(9), NOBODY));
        assert!(may_be_only(&key(2), Some(&agent(2)), &agent(9), NOBODY));
        assert!(!may_be_only(&key(2), Some(&agent(9)), &agent(9), NOBODY));
        assert!(!may_be_only(&key(2), Some(&agent(2)), &agent(9), trust));
        assert!(may_be_only(&key(3), Some(&agent(9)), &agent(9), trust));
        assert!(may_be_only(&key(2), Some(&agent(2)), &agent(9), Trust { named: &named, kin: &[agent(2)] }));
    }

    #[test]
    fn a_few_routers_are_tried_each_in_another_network() {
        let seen: Vec<SeenRouter> = (1..=20).map(|n| router(n, n % 5, &[])).collect();
        let used = [(at(0, 99), key(99))];
        let tried = to_probe(&seen, &[key(1)], &used, &RANDOM);
        let mut networks: Vec<_> = tried.iter().map(|(at, _)| network_of(at.ip())).collect();
        networks.sort();
        networks.dedup();
        assert_eq!((tried.len(), networks.len()), (ROUTERS_PROBED_MAX, ROUTERS_PROBED_MAX));
        assert!(tried.iter().all(|(at, key)| key.0[0] != 1 && network_of(at.ip()) != network_of(used[0].0.ip())));
        assert_eq!(to_probe(&seen[..1], &[key(1)], &[], &RANDOM), []);
        assert_eq!(to_probe(&seen[..1], &[], &[(at(1, 1), key(1))], &RANDOM), []);
    }

    #[test]
    fn networks_are_those_of_whoever_assigns_addresses() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("203.0.113.1"), network("203.0.1.1"));
        assert_ne!(network("203.0.113.1"), network("203.1.113.1"));
        assert_eq!(network("::ffff:203.0.113.1"), network("203.0.113.1"));
        assert_eq!(network("2001:db8:1::1"), network("2001:db8:2::1"));
        assert_ne!(network("2001:db8::1"), network("2001:db9::1"));
    }
}
