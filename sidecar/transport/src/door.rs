//! The door: how many connections are taken, and how many of them from one network.

use crate::router::is_flow;
use crate::sync::lock;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

/// Connections taken at once, from everybody.
const LINKS_MAX: usize = 1_024;
/// Connections taken at once from one address (IPv4) or network of 64 bits (IPv6).
const LINKS_PER_NETWORK_MAX: usize = 32;
/// Connections taken at once through one router, which lets everybody have a few only.
const LINKS_PER_ROUTER_MAX: usize = 256;
/// With so many connections, whoever knocks must first show that the address is his.
const LINKS_TRUSTED_MAX: usize = 256;

/// Places for connections.
#[derive(Debug, Default)]
pub(crate) struct Door {
    networks: Mutex<HashMap<IpAddr, usize>>,
}

/// A place behind the door; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    network: IpAddr,
    door: Arc<Door>,
}

/// What happens to whoever knocks.
#[derive(Debug)]
pub(crate) enum Admission {
    Place(Place),
    ProveAddress,
    Full,
}

impl Door {
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr, proved: bool) -> Admission {
        let network = network_of(ip);
        let per_network = if is_flow(ip) { LINKS_PER_ROUTER_MAX } else { LINKS_PER_NETWORK_MAX };
        let mut networks = lock(&self.networks);
        let (all, of_network) = (networks.values().sum::<usize>(), networks.get(&network).copied().unwrap_or(0));
        if all >= LINKS_MAX || of_network >= per_network {
            Admission::Full
        } else if !proved && all >= LINKS_TRUSTED_MAX {
            Admission::ProveAddress
        } else {
            *networks.entry(network).or_default() += 1;
            Admission::Place(Place { network, door: self.clone() })
        }
    }

    /// Places that are taken.
    pub(crate) fn taken(&self) -> usize {
        lock(&self.networks).values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut networks = lock(&self.door.networks);
        if let Some(count) = networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

/// One IPv4 address, or the 64 bits of an IPv6 address that one customer has.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or_else(|| IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))), IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::address_of;
    use std::net::Ipv4Addr;

    fn take(door: &Arc<Door>, ip: IpAddr, proved: bool) -> Place {
        match door.admit(ip, proved) {
            Admission::Place(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_network_cannot_take_all_places() {
        let door = Arc::new(Door::default());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let _places: Vec<Place> = (0..LINKS_PER_NETWORK_MAX).map(|_| take(&door, one, false)).collect();
        assert!(matches!(door.admit(one, true), Admission::Full));
        take(&door, "192.0.2.2".parse().unwrap(), false);
    }

    #[test]
    fn one_router_cannot_take_all_places() {
        let door = Arc::new(Door::default());
        let flow = |n: usize| address_of(1, u32::try_from(n).unwrap()).ip();
        let _places: Vec<Place> = (0..LINKS_PER_ROUTER_MAX).map(|n| take(&door, flow(n), true)).collect();
        assert!(matches!(door.admit(flow(0), true), Admission::Full));
        take(&door, address_of(2, 1).ip(), true);
    }

    #[test]
    fn many_must_prove_their_address_and_too_many_are_turned_away() {
        let door = Arc::new(Door::default());
        let ip = |i: usize| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(i).unwrap()));
        let mut places: Vec<Place> = (0..LINKS_TRUSTED_MAX).map(|i| take(&door, ip(i), false)).collect();
        assert!(matches!(door.admit(ip(LINKS_TRUSTED_MAX), false), Admission::ProveAddress));
        places.extend((LINKS_TRUSTED_MAX..LINKS_MAX).map(|i| take(&door, ip(i), true)));
        assert!(matches!(door.admit(ip(LINKS_MAX), true), Admission::Full));
    }

    #[test]
    fn a_place_is_given_back() {
        let door = Arc::new(Door::default());
        let place = take(&door, "2001:db8::1".parse().unwrap(), true);
        assert_eq!(place.network, network_of("2001:db8::ffff".parse().unwrap()));
        assert_eq!(door.taken(), 1);
        drop(place);
        assert_eq!(door.taken(), 0);
        assert!(lock(&door.networks).is_empty());
    }
}
