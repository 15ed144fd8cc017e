//! Members of a network meet on a LAN without any address that somebody typed: one of them runs the server and tells of it by
//! multicast DNS, the others find it; when it is gone, another one takes its place.
//!
//! Nothing is told before [`Meeting::start`]. What is told is a hash for the network and a random name, not the machine's.

use super::advert::{self, decide, Advert, Checked, Heard, ServerId, Servers, Step};
use super::door::{self, Secret};
use super::forward::{self, Forward, Target};
use super::is_private;
use crate::bootstrap::Bootstrap;
use crate::ConductorError;
use ainonymous_types::Bytes32;
use mdns_sd::{ServiceDaemon, ServiceEvent, ServiceInfo};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{watch, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often it is looked whether the servers that are known are there.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same while there is none.
const SEARCH_EVERY: Duration = Duration::from_millis(250);
/// Longest look at one server, over all its addresses.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// It is listened for so long before a node begins a server, and up to as much again by chance, so that two seldom do.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// A start waits so long for a server; a node goes on looking after that.
const FOUND_MAX: Duration = Duration::from_secs(8);
/// Where multicast DNS is spoken (RFC 6762).
const MULTICAST: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const MULTICAST_PORT: u16 = 5_353;
/// Longest goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// A place to meet that moves, for as long as it is kept.
#[derive(Debug)]
pub struct Meeting {
    port: u16,
    place: watch::Receiver<Option<SocketAddr>>,
    end: CancellationToken,
    tasks: TaskTracker,
}

impl Meeting {
    /// Begins to look for the network's server and, if there is none, to be it. From here on this machine tells the LAN of it.
    ///
    /// Returns when there is a server, or after a while without. Must be called inside a tokio runtime.
    pub async fn start(network: &Bytes32, seed: &str) -> Result<Self, ConductorError> {
        let daemon = ServiceDaemon::new().map_err(unavailable)?;
        let events = daemon.browse(advert::SERVICE).map_err(unavailable)?;
        let (tag, secret) = (advert::tag(network), Secret::of(network, seed));
        let port = forward::port(&tag);
        let (targets, target) = watch::channel(None);
        let (places, mut place) = watch::channel(None);
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let forward = Forward::new(secret.clone(), target, end.clone());
        tasks.spawn(forward.run(port));
        let known = Arc::new(Known::default());
        tasks.spawn(listen(events, tag.clone(), known.clone(), end.clone()));
        let host = Host { daemon, tag, secret, known, targets, places, own: None, end: end.clone() };
        tasks.spawn(host.run());
        tasks.close();
        let _ = tokio::time::timeout(FOUND_MAX, place.wait_for(Option::is_some)).await;
        Ok(Self { port, place, end, tasks })
    }

    /// For both the bootstrap and the relay address of a node of this machine.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the server is at the moment, as machines of the LAN reach it.
    pub fn place(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.place.clone()
    }

    /// Says goodbye, and ends the server if this node has it.
    pub async fn shutdown(self) {
        self.end.cancel();
        let _ = tokio::time::timeout(2 * GOODBYE_MAX, self.tasks.wait()).await;
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// The servers that were heard of, and word that there is a new one.
#[derive(Debug, Default)]
struct Known {
    servers: Mutex<Servers>,
    news: Notify,
}

impl Known {
    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what is told on the LAN, until the end.
async fn listen(events: mdns_sd::Receiver<ServiceEvent>, tag: String, known: Arc<Known>, end: CancellationToken) {
    loop {
        let event = tokio::select! {
            () = end.cancelled() => return,
            event = events.recv_async() => event,
        };
        match event {
            Ok(ServiceEvent::ServiceResolved(service)) => {
                let heard = Heard {
                    fullname: &service.fullname,
                    version: service.get_property_val_str(advert::VERSION_KEY),
                    network: service.get_property_val_str(advert::NETWORK_KEY),
                    port: service.port,
                };
                let addresses = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
                let advert = Advert::read(&tag, heard, addresses);
                if advert.is_some_and(|advert| known.servers().hears(advert, Instant::now())) {
                    known.news.notify_one();
                }
            }
            Ok(ServiceEvent::ServiceRemoved(_, fullname)) => {
                if let Some(id) = ServerId::of(&fullname) {
                    known.servers().leaves(id);
                    known.news.notify_one();
                }
            }
            Ok(_) => {}
            // The daemon has ended; what is known goes on being looked at.
            Err(_) => return end.cancelled().await,
        }
    }
}

/// Decides who has the server, and is it if need be.
struct Host {
    daemon: ServiceDaemon,
    tag: String,
    secret: Secret,
    known: Arc<Known>,
    targets: watch::Sender<Option<Target>>,
    places: watch::Sender<Option<SocketAddr>>,
    own: Option<Own>,
    end: CancellationToken,
}

/// A server of this process.
#[derive(Debug)]
struct Own {
    id: ServerId,
    fullname: String,
    bootstrap: Bootstrap,
    port: u16,
    end: CancellationToken,
}

impl Host {
    async fn run(mut self) {
        let end = self.end.clone();
        let mut patient_at = Instant::now() + patience();
        loop {
            let there = tokio::select! {
                () = end.cancelled() => break,
                there = self.look() => there,
            };
            let ids: Vec<ServerId> = there.iter().map(|(id, _)| *id).collect();
            match decide(self.own.as_ref().map(|own| own.id), &ids, Instant::now() >= patient_at) {
                Step::Follow(id) => {
                    patient_at = Instant::now() + patience();
                    if let Some((_, at)) = there.iter().find(|(there, _)| *there == id) {
                        self.lead_to(Some(Target::Other(id, *at)), Some(*at));
                    }
                    if let Some(own) = self.own.take() {
                        tracing::info!("another node has the network's server; this one gives its own up");
                        self.give_up(own).await;
                    }
                }
                Step::Lead => self.place_own(),
                Step::Begin => match self.begin().await {
                    Ok(own) => {
                        tracing::info!(port = own.port, "this node has the network's server on the LAN");
                        self.own = Some(own);
                        self.place_own();
                    }
                    Err(e) => {
                        tracing::warn!(error = %e, hint = e.hint(), "the network's server could not be begun here");
                        patient_at = Instant::now() + patience();
                    }
                },
                Step::Wait => self.lead_to(None, None),
            }
            let pause = if self.targets.borrow().is_some() { LOOK_EVERY } else { SEARCH_EVERY };
            tokio::select! {
                () = end.cancelled() => break,
                () = self.known.news.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Some(own) = self.own.take() {
            self.give_up(own).await;
        }
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = tokio::time::timeout(GOODBYE_MAX, ended.recv_async()).await;
        }
    }

    /// Those servers of others that are there, each where it answers. One that is in use may be silent once.
    async fn look(&self) -> Vec<(ServerId, SocketAddr)> {
        let own = self.own.as_ref().map(|own| own.id);
        let adverts: Vec<Advert> = self.known.servers().adverts().into_iter().filter(|a| Some(a.id) != own).collect();
        let looks = adverts.iter().map(|advert| async {
            let looked = door::look(&self.secret, advert.id, &advert.addresses);
            tokio::time::timeout(LOOK_MAX, looked).await.unwrap_or((Checked::Silent, None))
        });
        let verdicts = futures::future::join_all(looks).await;
        let in_use = *self.targets.borrow();
        let mut servers = self.known.servers();
        let mut there = Vec::new();
        for (advert, (verdict, at)) in adverts.iter().zip(verdicts) {
            servers.checked(advert.id, verdict, Instant::now());
            match (verdict, at, in_use) {
                (Checked::Good, Some(at), _) => there.push((advert.id, at)),
                (Checked::Silent, _, Some(Target::Other(id, at)))
                    if id == advert.id && servers.adverts().contains(advert) =>
                {
                    there.push((id, at));
                }
                _ => {}
            }
        }
        there
    }

    fn place_own(&self) {
        let Some(own) = &self.own else { return };
        let at = own_ip().map(|ip| SocketAddr::new(ip, own.port));
        // Without a LAN the machine's own nodes meet all the same.
        let at = at.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, own.port).into());
        self.lead_to(Some(Target::Own(own.bootstrap.address())), Some(at));
    }

    fn lead_to(&self, target: Option<Target>, place: Option<SocketAddr>) {
        self.targets.send_if_modified(|now| std::mem::replace(now, target) != target);
        self.places.send_if_modified(|now| std::mem::replace(now, place) != place);
    }

    async fn begin(&self) -> Result<Own, ConductorError> {
        let bootstrap = Bootstrap::start((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let everywhere: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
        let listener = match TcpListener::bind(everywhere).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await,
        };
        let cannot = |source| ConductorError::CannotListen { address: everywhere, source };
        let listener = listener.map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let id = ServerId(rand::random());
        let properties = [(advert::VERSION_KEY, advert::VERSION), (advert::NETWORK_KEY, self.tag.as_str())];
        let (name, host) = (id.to_hex(), format!("{}.local.", id.to_hex()));
        let service =
            ServiceInfo::new(advert::SERVICE, &name, &host, "", port, &properties[..]).map_err(unavailable)?;
        let service = service.enable_addr_auto();
        let (fullname, end) = (service.get_fullname().to_owned(), CancellationToken::new());
        self.daemon.register(service).map_err(unavailable)?;
        tokio::spawn(door::keep(listener, self.secret.clone(), id, bootstrap.address(), end.clone()));
        Ok(Own { id, fullname, bootstrap, port, end })
    }

    async fn give_up(&self, own: Own) {
        let Own { id: _, fullname, bootstrap, port: _, end } = own;
        if let Ok(gone) = self.daemon.unregister(&fullname) {
            let _ = tokio::time::timeout(GOODBYE_MAX, gone.recv_async()).await;
        }
        end.cancel();
        bootstrap.shutdown().await;
    }
}

/// An address of this machine on a LAN: where multicast leaves it, else any. Nothing is sent for that.
fn own_ip() -> Option<IpAddr> {
    let leaving = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
    let leaving = leaving.filter(|socket| socket.connect((MULTICAST, MULTICAST_PORT)).is_ok());
    let leaving = leaving.and_then(|socket| Some(socket.local_addr().ok()?.ip()));
    if let Some(ip) = leaving.filter(|ip| is_private(*ip) && !ip.is_loopback()) {
        return Some(ip);
    }
    let mut ips: Vec<IpAddr> = if_addrs::get_if_addrs().ok()?.iter().map(|interface| interface.ip()).collect();
    ips.retain(|ip| {
        is_private(*ip) && !ip.is_loopback() && !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
    });
    ips.into_iter().min()
}

fn patience() -> Duration {
    PATIENCE.mul_f64(1.0 + rand::random::<f64>())
}

fn unavailable(problem: mdns_sd::Error) -> ConductorError {
    ConductorError::LanUnavailable { problem: problem.to_string() }
}
