//! Who is registered at a router, which flows there are, and what each may carry. Pure: time is an argument, and how a peer is
//! reached (`H`) is only handed on.

use super::bucket::Bucket;
use super::control::RouterRefusal;
use super::flow::{FLOW_ECHO, FLOW_MAX};
use ainonymous_types::Bytes32;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A registration that is not renewed for this long ends.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// A flow through which nothing comes for this long ends.
const FLOW_IDLE_MAX: Duration = Duration::from_secs(30);
/// Quotas are counted anew after this.
const QUOTA_PERIOD: Duration = Duration::from_secs(3_600);
/// Requests that one connection may make in a second, and at once.
const REQUESTS_PER_S: u64 = 4;
const REQUESTS_BURST: u64 = 16;
/// What buckets hold, in seconds of their rate.
const BURST_S: f64 = 0.25;
/// Meetings that wait to be told.
const MEETINGS_MAX: usize = 16;

/// How much a router does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterLimits {
    /// Keys that may be registered at once.
    pub registrations: usize,
    /// Flows in all.
    pub flows: usize,
    /// Flows to one registered key.
    pub flows_per_registration: usize,
    /// Bytes a second through one flow, in each direction.
    pub flow_bytes_per_s: u64,
    /// Packets a second through one flow, in each direction.
    pub flow_packets_per_s: u64,
    /// Bytes a second from one peer, over all its flows.
    pub peer_bytes_per_s: u64,
    /// Packets a second from one peer, over all its flows.
    pub peer_packets_per_s: u64,
    /// Bytes an hour to and from one registered key.
    pub registration_bytes_per_hour: u64,
}

impl Default for RouterLimits {
    fn default() -> Self {
        Self {
            registrations: 256,
            flows: 2_048,
            flows_per_registration: 256,
            flow_bytes_per_s: 16 << 20,
            flow_packets_per_s: 16 << 10,
            peer_bytes_per_s: 64 << 20,
            peer_packets_per_s: 64 << 10,
            registration_bytes_per_hour: 64 << 30,
        }
    }
}

/// Why a datagram is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Of no flow.
    Unknown,
    /// The flow or the peer sends too much.
    Rate,
    /// The registration has used up its quota.
    Quota,
}

pub(crate) type PeerId = u64;

/// All of a router's memory of its peers.
#[derive(Debug)]
pub(crate) struct Table<H> {
    limits: RouterLimits,
    peers: HashMap<PeerId, Peer<H>>,
    registered: HashMap<Bytes32, PeerId>,
    next: PeerId,
    flows: usize,
}

#[derive(Debug)]
struct Peer<H> {
    handle: H,
    /// Where it is seen; none inside another router's flow.
    at: Option<SocketAddr>,
    requests: Bucket,
    rate: Rate,
    flows: HashMap<u32, Flow>,
    last_flow: u32,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    key: Bytes32,
    until: Instant,
    meetings: Option<mpsc::Sender<SocketAddr>>,
    quota: u64,
    quota_from: Instant,
}

/// One end of a tunnel.
#[derive(Debug)]
struct Flow {
    to: (PeerId, u32),
    rate: Rate,
    used: Instant,
    /// Dropped with the flow: whoever opened it is told so.
    _ended: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Rate {
    bytes: Bucket,
    packets: Bucket,
}

/// A new registration.
#[derive(Debug)]
pub(crate) struct Registered<H> {
    /// Who had the key before.
    pub(crate) replaced: Option<H>,
    /// Who wants to meet.
    pub(crate) meetings: mpsc::Receiver<SocketAddr>,
}

/// A new tunnel.
#[derive(Debug)]
pub(crate) struct Opened {
    /// As whoever opened it numbers it.
    pub(crate) flow: u32,
    /// Where the other side is, if both want to meet.
    pub(crate) meet: Option<SocketAddr>,
    /// Resolves when the flow has ended.
    pub(crate) ended: oneshot::Receiver<()>,
}

impl Rate {
    fn new(bytes_per_s: u64, packets_per_s: u64, now: Instant) -> Self {
        let burst = |rate: u64| ((rate as f64 * BURST_S) as u64).max(1);
        // A packet of the largest size must pass through the smallest bucket.
        let bytes_burst = burst(bytes_per_s).max(1 << 16);
        Self {
            bytes: Bucket::new(bytes_per_s, bytes_burst, now),
            packets: Bucket::new(packets_per_s, burst(packets_per_s), now),
        }
    }

    fn take(&mut self, len: usize, now: Instant) -> bool {
        self.packets.take(1, now) && self.bytes.take(len as u64, now)
    }
}

impl<H: Clone> Table<H> {
    pub(crate) fn new(limits: RouterLimits) -> Self {
        Self { limits, peers: HashMap::new(), registered: HashMap::new(), next: 0, flows: 0 }
    }

    /// Somebody has connected. How many may is decided at the door.
    pub(crate) fn join(&mut self, handle: H, at: Option<SocketAddr>, now: Instant) -> PeerId {
        let RouterLimits { peer_bytes_per_s, peer_packets_per_s, .. } = self.limits;
        self.next += 1;
        let peer = Peer {
            handle,
            at,
            requests: Bucket::new(REQUESTS_PER_S, REQUESTS_BURST, now),
            rate: Rate::new(peer_bytes_per_s, peer_packets_per_s, now),
            flows: HashMap::new(),
            last_flow: FLOW_ECHO,
            lease: None,
        };
        self.peers.insert(self.next, peer);
        self.next
    }

    /// Somebody's connection is gone, and with it all its flows.
    pub(crate) fn leave(&mut self, id: PeerId) {
        self.unregister(id);
        if let Some(peer) = self.peers.remove(&id) {
            for flow in peer.flows.into_values() {
                self.end(flow.to);
            }
        }
    }

    /// The newest registration of a key holds.
    pub(crate) fn register(
        &mut self,
        id: PeerId,
        key: Bytes32,
        meet: bool,
        now: Instant,
    ) -> Result<Registered<H>, RouterRefusal> {
        self.requested(id, now)?;
        let before = self.registered.get(&key).copied();
        if before.is_none() && self.registered.len() >= self.limits.registrations {
            return Err(RouterRefusal::Full);
        }
        let peer = self.peers.get_mut(&id).ok_or(RouterRefusal::Ended)?;
        if peer.lease.is_some() {
            return Err(RouterRefusal::Malformed);
        }
        let (told, meetings) = mpsc::channel(MEETINGS_MAX);
        let quota = self.limits.registration_bytes_per_hour;
        let meet = (meet && peer.at.is_some()).then_some(told);
        peer.lease = Some(Lease { key, until: now + LEASE, meetings: meet, quota, quota_from: now });
        self.registered.insert(key, id);
        let before = before.and_then(|before| self.peers.get_mut(&before));
        let replaced = before.map(|before| {
            before.lease = None;
            before.handle.clone()
        });
        Ok(Registered { replaced, meetings })
    }

    /// Whether there was something to renew.
    pub(crate) fn renew(&mut self, id: PeerId, now: Instant) -> bool {
        let lease = self.peers.get_mut(&id).and_then(|peer| peer.lease.as_mut());
        lease.map(|lease| lease.until = now + LEASE).is_some()
    }

    /// Nobody new is brought; flows go on.
    pub(crate) fn unregister(&mut self, id: PeerId) {
        let lease = self.peers.get_mut(&id).and_then(|peer| peer.lease.take());
        if let Some(lease) = lease {
            self.registered.remove(&lease.key);
        }
    }

    /// Opens a tunnel to a registered key.
    pub(crate) fn open(&mut self, id: PeerId, to: &Bytes32, meet: bool, now: Instant) -> Result<Opened, RouterRefusal> {
        self.requested(id, now)?;
        let far = *self.registered.get(to).ok_or(RouterRefusal::Unknown)?;
        let RouterLimits { flows, flows_per_registration, flow_bytes_per_s, flow_packets_per_s, .. } = self.limits;
        let target = self.peers.get(&far).ok_or(RouterRefusal::Unknown)?;
        if self.flows >= flows || target.flows.len() >= flows_per_registration || target.last_flow >= FLOW_MAX {
            return Err(RouterRefusal::Full);
        }
        let lease = target.lease.as_ref().ok_or(RouterRefusal::Unknown)?;
        if lease.is_used_up(now) {
            return Err(RouterRefusal::Quota);
        }
        let asker = self.peers.get(&id).ok_or(RouterRefusal::Ended)?;
        if far == id || asker.last_flow >= FLOW_MAX {
            return Err(RouterRefusal::Malformed);
        }
        let mut seen = None;
        if let (true, Some(meetings), Some(asker_at), Some(target_at)) = (meet, &lease.meetings, asker.at, target.at) {
            // With too many waiting the tunnel alone must do.
            seen = meetings.try_send(asker_at).is_ok().then_some(target_at);
        }
        let (flow, far_flow) = (asker.last_flow + 1, target.last_flow + 1);
        let (ending, ended) = oneshot::channel();
        let end =
            |to, _ended| Flow { to, rate: Rate::new(flow_bytes_per_s, flow_packets_per_s, now), used: now, _ended };
        for (id, number, end) in
            [(id, flow, end((far, far_flow), Some(ending))), (far, far_flow, end((id, flow), None))]
        {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.last_flow = number;
                peer.flows.insert(number, end);
            }
        }
        self.flows += 1;
        Ok(Opened { flow, meet: seen, ended })
    }

    /// Ends a flow, seen from either side.
    pub(crate) fn close(&mut self, id: PeerId, flow: u32) {
        if let Some(flow) = self.peers.get_mut(&id).and_then(|peer| peer.flows.remove(&flow)) {
            self.end(flow.to);
        }
    }

    /// Where a datagram of so many bytes goes, and with which number.
    pub(crate) fn forward(&mut self, id: PeerId, flow: u32, len: usize, now: Instant) -> Result<(H, u32), Dropped> {
        let peer = self.peers.get_mut(&id).ok_or(Dropped::Unknown)?;
        if !peer.rate.take(len, now) {
            return Err(Dropped::Rate);
        }
        if flow == FLOW_ECHO {
            return Ok((peer.handle.clone(), FLOW_ECHO));
        }
        let near = peer.flows.get_mut(&flow).ok_or(Dropped::Unknown)?;
        if !near.rate.take(len, now) {
            return Err(Dropped::Rate);
        }
        near.used = now;
        let (far_id, far_flow) = near.to;
        let sender_pays = peer.lease.as_mut().map(|lease| lease.pay(len, &self.limits, now));
        let far = self.peers.get_mut(&far_id).ok_or(Dropped::Unknown)?;
        let receiver_pays = far.lease.as_mut().map(|lease| lease.pay(len, &self.limits, now));
        if sender_pays == Some(false) || receiver_pays == Some(false) {
            return Err(Dropped::Quota);
        }
        if let Some(flow) = far.flows.get_mut(&far_flow) {
            flow.used = now;
        }
        Ok((far.handle.clone(), far_flow))
    }

    /// Ends what nobody has used or renewed.
    pub(crate) fn expire(&mut self, now: Instant) {
        let lapsed = |peer: &Peer<H>| peer.lease.as_ref().is_some_and(|lease| lease.until <= now);
        let leases: Vec<PeerId> = self.peers.iter().filter(|(_, peer)| lapsed(peer)).map(|(id, _)| *id).collect();
        leases.into_iter().for_each(|id| self.unregister(id));
        let idle = |flow: &Flow| flow.used + FLOW_IDLE_MAX <= now;
        let of = |(id, peer): (&PeerId, &Peer<H>)| {
            let id = *id;
            peer.flows.iter().filter(|(_, flow)| idle(flow)).map(move |(number, _)| (id, *number)).collect::<Vec<_>>()
        };
        let flows: Vec<(PeerId, u32)> = self.peers.iter().flat_map(of).collect();
        flows.into_iter().for_each(|(id, flow)| self.close(id, flow));
    }

    /// Keys that are registered, and flows.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.registered.len(), self.flows)
    }

    fn end(&mut self, (id, flow): (PeerId, u32)) {
        self.flows = self.flows.saturating_sub(1);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.flows.remove(&flow);
        }
    }

    fn requested(&mut self, id: PeerId, now: Instant) -> Result<(), RouterRefusal> {
        let peer = self.peers.get_mut(&id).ok_or(RouterRefusal::Ended)?;
        peer.requests.take(1, now).then_some(()).ok_or(RouterRefusal::TooOften)
    }
}

impl Lease {
    fn pay(&mut self, len: usize, limits: &RouterLimits, now: Instant) -> bool {
        if now.saturating_duration_since(self.quota_from) >= QUOTA_PERIOD {
            (self.quota, self.quota_from) = (limits.registration_bytes_per_hour, now);
        }
        self.quota = self.quota.saturating_sub(len as u64);
        self.quota > 0
    }

    fn is_used_up(&self, now: Instant) -> bool {
        self.quota == 0 && now.saturating_duration_since(self.quota_from) < QUOTA_PERIOD
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
