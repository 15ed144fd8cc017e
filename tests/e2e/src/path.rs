//! A stretch of network between an asker and a provider: it delays, loses, and gives the asker another address, as routers of
//! real networks do. It forwards UDP between loopback sockets and knows nothing of what it forwards.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Largest packet.
const PACKET_BYTES_MAX: usize = 2_048;
/// Packets on their way; more are lost, as in a router.
const UNDER_WAY_MAX: usize = 4_096;

/// What the stretch does to a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// From one end to the other.
    pub delay: Duration,
    /// Packets lost, of a thousand, each way.
    pub lost_per_mille: u32,
}

/// The stretch; it ends when dropped.
#[derive(Debug)]
pub struct Path {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    weather: Mutex<Weather>,
    /// Counts how often the asker's address was changed.
    generation: AtomicU32,
    /// What is sent to addresses before this one is lost.
    deaf_before: AtomicU32,
    dice: AtomicU64,
    forwarded: AtomicU64,
}

impl Path {
    /// Begins on a free port and leads to a socket on loopback.
    pub async fn to(to: SocketAddr, weather: Weather) -> Self {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let address = near.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            to,
            weather: Mutex::new(weather),
            generation: AtomicU32::new(0),
            deaf_before: AtomicU32::new(0),
            dice: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            forwarded: AtomicU64::new(0),
        });
        let task = tokio::spawn(forward(Arc::new(near), shared.clone()));
        Self { address, shared, task }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the weather is this. What is on its way already is not touched.
    pub fn becomes(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// From now on the provider sees askers come from another address. What it sends to the earlier one still arrives.
    pub fn change_address(&self) {
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// The same, but what is sent to the earlier address is lost, and what is on its way there: as after a new lease, in another network, or
    /// where a NAT beside the asker has forgotten it.
    pub fn lose_address(&self) {
        let now = self.shared.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.deaf_before.store(now, Ordering::Relaxed);
    }

    /// Packets that arrived at either end.
    pub fn forwarded(&self) -> u64 {
        self.shared.forwarded.load(Ordering::Relaxed)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address of the asker is none any more.
    fn is_lost(&self, generation: u32) -> bool {
        generation < self.deaf_before.load(Ordering::Relaxed)
    }

    /// Whether this packet is lost: the same ones in every run (splitmix64).
    fn loses(&self, per_mille: u32) -> bool {
        let n = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % 1_000 < u64::from(per_mille)
    }
}

/// One direction between two sockets.
type Lane = mpsc::Sender<(Instant, Vec<u8>)>;

async fn forward(near: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut askers: HashMap<(SocketAddr, u32), Lane> = HashMap::new();
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((len, from)) = near.recv_from(&mut packet).await {
        let key = (from, shared.generation.load(Ordering::Relaxed));
        let lane = match askers.get(&key) {
            Some(lane) => lane,
            None => {
                let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
                far.connect(shared.to).await.expect("loopback");
                let far = Arc::new(far);
                let (there, packets) = mpsc::channel(UNDER_WAY_MAX);
                tasks.spawn(deliver(packets, far.clone(), None, key.1, shared.clone()));
                let (back, packets) = mpsc::channel(UNDER_WAY_MAX);
                tasks.spawn(deliver(packets, near.clone(), Some(from), key.1, shared.clone()));
                tasks.spawn(listen(far, key.1, back, shared.clone()));
                askers.entry(key).or_insert(there)
            }
        };
        send(lane, &packet[..len], &shared);
    }
}

async fn listen(far: Arc<UdpSocket>, generation: u32, back: Lane, shared: Arc<Shared>) {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        // An error says that nobody listens there (any more): so it is in a network.
        match far.recv(&mut packet).await {
            Ok(_) if shared.is_lost(generation) => {}
            Ok(len) => send(&back, &packet[..len], &shared),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn send(lane: &Lane, packet: &[u8], shared: &Shared) {
    let weather = shared.weather();
    if !shared.loses(weather.lost_per_mille) {
        let _ = lane.try_send((Instant::now() + weather.delay, packet.to_vec()));
    }
}

async fn deliver(
    mut packets: mpsc::Receiver<(Instant, Vec<u8>)>,
    socket: Arc<UdpSocket>,
    to: Option<SocketAddr>,
    generation: u32,
    shared: Arc<Shared>,
) {
    while let Some((due, packet)) = packets.recv().await {
        tokio::time::sleep_until(due).await;
        // Towards the asker only: what it has sent from there is on its way.
        if to.is_some() && shared.is_lost(generation) {
            continue;
        }
        let _ = match to {
            Some(to) => socket.send_to(&packet, to).await,
            None => socket.send(&packet).await,
        };
        shared.forwarded.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    /// Nothing comes any more after this.
    const SILENCE: Duration = Duration::from_millis(300);

    async fn heard(socket: &UdpSocket, within: Duration) -> Option<SocketAddr> {
        let mut packet = [0; 8];
        tokio::time::timeout(within, socket.recv_from(&mut packet)).await.ok()?.ok().map(|(_, from)| from)
    }

    #[tokio::test]
    async fn an_earlier_address_hears_until_it_is_lost_and_the_weather_changes() {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (asker, provider) = (bind().await.expect("a socket"), bind().await.expect("a socket"));
        let path = Path::to(provider.local_addr().expect("an address"), Weather::default()).await;
        let mut seen = Vec::new();
        for change in [Path::change_address, Path::lose_address, Path::change_address] {
            asker.send_to(b"?", path.address()).await.expect("loopback");
            seen.push(heard(&provider, SOON).await.expect("a packet"));
            change(&path);
        }
        assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2], "{seen:?}");
        for (address, hears) in seen.iter().zip([false, false, true]) {
            provider.send_to(b"!", address).await.expect("loopback");
            assert_eq!(heard(&asker, if hears { SOON } else { SILENCE }).await.is_some(), hears, "{seen:?}");
        }

        let delay = Duration::from_millis(80);
        path.becomes(Weather { delay, ..Weather::default() });
        let sent = Instant::now();
        asker.send_to(b"?", path.address()).await.expect("loopback");
        heard(&provider, SOON).await.expect("a packet");
        assert!(sent.elapsed() >= delay);
    }
}
