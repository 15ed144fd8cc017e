//! What a server of a network tells on the LAN, and what is believed of what others tell there.
//!
//! Anybody on a LAN can say anything: what is heard here is a hint of bounded size, and counts for nothing before the door
//! ([`super::door`]) has shown that whoever answers knows the network's secret.

use super::is_private;
use ainonymous_types::Bytes32;
use ainonymous_verify::canonical::Encoder;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The kind of service (RFC 6763).
pub(super) const SERVICE: &str = "_ainonymous._tcp.local.";
/// Names of what a server tells besides its port, and the version of it.
pub(super) const VERSION_KEY: &str = "v";
pub(super) const NETWORK_KEY: &str = "n";
pub(super) const VERSION: &str = "1";
/// Bytes of the hash that stands for a network.
const TAG_BYTES: usize = 16;
/// Addresses of one server that are tried.
const ADDRESSES_MAX: usize = 4;
/// Servers of one network that are remembered; who comes later waits until one is gone.
const HEARD_MAX: usize = 16;
/// Whoever failed at the door is not believed again for so long.
const SHUNNED_FOR: Duration = Duration::from_secs(60);
/// Of those, so many are remembered.
const SHUNNED_MAX: usize = 64;
/// Checks without an answer after which a server is forgotten until it tells of itself again.
const SILENT_MAX: u32 = 2;

/// Names a server: random, and of two servers of one network the one with the smaller name stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ServerId(pub(super) [u8; 16]);

/// What a server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    pub(super) id: ServerId,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Something that was heard, before it is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<'a> {
    pub(super) fullname: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) network: Option<&'a str>,
    pub(super) port: u16,
}

/// How a network is called on the LAN: a hash over its identity, so that neither name nor invite can be told from it.
pub(super) fn tag(network: &Bytes32) -> String {
    let mut hex = Encoder::hash("ainonymous/lan/v1").bytes32(network).finish().to_hex();
    hex.truncate(2 * TAG_BYTES);
    hex
}

impl ServerId {
    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From a name like `0011….\_ainonymous._tcp.local.`
    pub(super) fn of(fullname: &str) -> Option<Self> {
        let digits = fullname.strip_suffix(SERVICE)?.strip_suffix('.')?;
        let mut id = [0; 16];
        if digits.len() != 2 * id.len() || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl Advert {
    /// Judges what was heard: a server of the network with that tag, at addresses of a LAN.
    pub(super) fn read(tag: &str, heard: Heard<'_>, addresses: impl Iterator<Item = IpAddr>) -> Option<Self> {
        let Heard { fullname, version, network, port } = heard;
        if version != Some(VERSION) || network != Some(tag) || port == 0 {
            return None;
        }
        let id = ServerId::of(fullname)?;
        // Addresses of one link alone (fe80::/10) mean nothing without saying which link.
        let usable = |ip: &IpAddr| is_private(*ip) && !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let mut addresses: Vec<_> = addresses.filter(usable).map(|ip| SocketAddr::new(ip, port)).collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        (!addresses.is_empty()).then_some(Self { id, addresses })
    }
}

/// The servers of one network that were heard of.
#[derive(Debug, Default)]
pub(super) struct Servers {
    heard: BTreeMap<ServerId, (Advert, u32)>,
    shunned: BTreeMap<ServerId, Instant>,
}

impl Servers {
    /// A server tells of itself; true if that is news.
    pub(super) fn hears(&mut self, advert: Advert, now: Instant) -> bool {
        self.shunned.retain(|_, since| now.duration_since(*since) < SHUNNED_FOR);
        let is_new = !self.heard.contains_key(&advert.id);
        if self.shunned.contains_key(&advert.id) || (is_new && self.heard.len() >= HEARD_MAX) {
            return false;
        }
        self.heard.insert(advert.id, (advert, 0));
        is_new
    }

    /// A server says goodbye.
    pub(super) fn leaves(&mut self, id: ServerId) {
        self.heard.remove(&id);
    }

    /// Those that may be tried.
    pub(super) fn adverts(&self) -> Vec<Advert> {
        self.heard.values().map(|(advert, _)| advert.clone()).collect()
    }

    /// A server has shown that it is one, or not.
    pub(super) fn checked(&mut self, id: ServerId, verdict: Checked, now: Instant) {
        match verdict {
            Checked::Good => {
                if let Some((_, silent)) = self.heard.get_mut(&id) {
                    *silent = 0;
                }
            }
            Checked::Silent => {
                let silent = self.heard.get_mut(&id).map(|(_, silent)| {
                    *silent += 1;
                    *silent
                });
                if silent.is_some_and(|silent| silent >= SILENT_MAX) {
                    self.heard.remove(&id);
                }
            }
            Checked::Impostor => {
                self.heard.remove(&id);
                if self.shunned.len() < SHUNNED_MAX {
                    self.shunned.insert(id, now);
                }
            }
        }
    }
}

/// What a look at a server has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It knows the network's secret.
    Good,
    /// It does not answer.
    Silent,
    /// It answers otherwise.
    Impostor,
}

/// What a node does, of the servers that it knows to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Use that one, and none of our own.
    Follow(ServerId),
    /// Our own is the one.
    Lead,
    /// Nobody is there: begin one.
    Begin,
    /// Nobody is there yet, as far as we have listened.
    Wait,
}

/// Of servers that are there, our own among them, the smallest name stays. `patient` says that we have listened long enough.
pub(super) fn decide(own: Option<ServerId>, there: &[ServerId], patient: bool) -> Step {
    let smallest = there.iter().copied().filter(|id| Some(*id) != own).min();
    match (own, smallest) {
        (Some(own), Some(other)) if other < own => Step::Follow(other),
        (Some(_), _) => Step::Lead,
        (None, Some(other)) => Step::Follow(other),
        (None, None) if patient => Step::Begin,
        (None, None) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "00112233445566778899aabbccddeeff";

    fn id(n: u8) -> ServerId {
        ServerId([n; 16])
    }

    fn fullname(id: ServerId) -> String {
        format!("{}.{SERVICE}", id.to_hex())
    }

    fn heard(fullname: &str) -> Heard<'_> {
        Heard { fullname, version: Some(VERSION), network: Some(TAG), port: 4_000 }
    }

    fn at(ips: &[&str]) -> impl Iterator<Item = IpAddr> {
        ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>().into_iter()
    }

    fn advert(n: u8) -> Advert {
        Advert { id: id(n), addresses: vec![([10, 0, 0, n], 4_000).into()] }
    }

    #[test]
    fn a_network_is_told_by_a_hash_that_shows_nothing_of_it() {
        let network = Bytes32([7; 32]);
        assert_eq!(tag(&network).len(), 32);
        assert_ne!(tag(&network), tag(&Bytes32([8; 32])));
        assert!(!network.to_hex().contains(&tag(&network)));
    }

    #[test]
    fn what_is_no_advert_of_ours_is_ignored() {
        let name = fullname(id(1));
        let good = Advert::read(TAG, heard(&name), at(&["10.0.0.1"])).unwrap();
        assert_eq!(good, advert(1));
        let none = |heard: Heard<'_>, ips: &[&str]| Advert::read(TAG, heard, at(ips)).is_none();
        assert!(none(Heard { version: Some("2"), ..heard(&name) }, &["10.0.0.1"]));
        assert!(none(Heard { version: None, ..heard(&name) }, &["10.0.0.1"]));
        assert!(none(Heard { network: Some("ff"), ..heard(&name) }, &["10.0.0.1"]));
        assert!(none(Heard { port: 0, ..heard(&name) }, &["10.0.0.1"]));
        for other in ["", SERVICE, "x", &format!("zz.{SERVICE}"), &format!("{}é.{SERVICE}", "0".repeat(30))] {
            assert!(none(heard(other), &["10.0.0.1"]), "{other}");
        }
        assert!(none(heard(&format!("{}.{SERVICE}", "0".repeat(10_000))), &["10.0.0.1"]));
        // A server on the Internet is none of a LAN.
        assert!(none(heard(&name), &["8.8.8.8", "2001:db8::1", "fe80::1"]));
        let many: Vec<String> = (0..200).map(|n| format!("10.0.1.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(Advert::read(TAG, heard(&name), at(&many)).unwrap().addresses.len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_flood_of_adverts_is_bounded_and_impostors_make_room() {
        let (mut servers, now) = (Servers::default(), Instant::now());
        for n in 0..=u8::MAX {
            servers.hears(advert(n), now);
        }
        assert_eq!(servers.adverts().len(), HEARD_MAX);
        for n in 0..HEARD_MAX as u8 {
            servers.checked(id(n), Checked::Impostor, now);
        }
        assert!(servers.adverts().is_empty());
        assert!(!servers.hears(advert(0), now), "it lied a moment ago");
        assert!(servers.hears(advert(200), now));
        assert!(servers.hears(advert(0), now + SHUNNED_FOR));
        for n in 0..=u8::MAX {
            servers.checked(id(n), Checked::Impostor, now);
        }
        assert!(servers.shunned.len() <= SHUNNED_MAX);
    }

    #[test]
    fn silence_is_forgiven_once() {
        let (mut servers, now) = (Servers::default(), Instant::now());
        assert!(servers.hears(advert(1), now) && !servers.hears(advert(1), now));
        servers.checked(id(1), Checked::Silent, now);
        servers.checked(id(1), Checked::Good, now);
        servers.checked(id(1), Checked::Silent, now);
        assert_eq!(servers.adverts().len(), 1);
        servers.checked(id(1), Checked::Silent, now);
        assert!(servers.adverts().is_empty());
        servers.hears(advert(1), now);
        servers.leaves(id(1));
        assert!(servers.adverts().is_empty());
    }

    #[test]
    fn the_smallest_name_stays_and_all_agree_on_it() {
        assert_eq!(decide(None, &[], false), Step::Wait);
        assert_eq!(decide(None, &[], true), Step::Begin);
        assert_eq!(decide(None, &[id(3), id(2)], false), Step::Follow(id(2)));
        assert_eq!(decide(Some(id(2)), &[id(3), id(2)], true), Step::Lead);
        assert_eq!(decide(Some(id(3)), &[id(2)], true), Step::Follow(id(2)));
        assert_eq!(decide(Some(id(3)), &[], false), Step::Lead);
        let there = [id(5), id(4), id(9)];
        let chosen = there.map(|own| match decide(Some(own), &there, true) {
            Step::Follow(id) => id,
            _ => own,
        });
        assert_eq!(chosen, [id(4); 3]);
    }
}
