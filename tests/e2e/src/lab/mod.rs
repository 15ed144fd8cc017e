//! A network laboratory: hosts with addresses of their own, homes behind NAT, long and lossy lines, partitions.
//!
//! Everything is a network namespace of this machine's kernel and belongs to this process: namespaces have no names, only open files,
//! so the kernel removes them with all that is in them when the laboratory is dropped, and also when the test is killed. Nothing
//! outside is touched. It must not know what is tested in it.

mod gateway;
mod line;
mod namespace;

pub use gateway::PortMapper;

use line::Line;
use namespace::Namespace;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most networks in one laboratory.
const NETWORKS_MAX: u8 = 100;

/// The laboratory: one Internet, to which hosts and homes are attached.
#[derive(Debug)]
pub struct Lab {
    internet: Arc<Namespace>,
    networks: Mutex<u8>,
    lines: Mutex<Vec<Line>>,
}

/// How a home's router translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// One host keeps one port to everybody, and is reached from where it has sent to (port-restricted).
    PortRestricted,
    /// Each destination sees another port (symmetric).
    Symmetric,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: Arc<Namespace>,
    /// Its address.
    pub address: Ipv4Addr,
}

/// A network behind a router that translates addresses.
#[derive(Debug)]
pub struct Home {
    /// The router, with its public address.
    pub gateway: Host,
    number: u8,
    hosts: u8,
}

impl Lab {
    /// A laboratory; none, with a word why, where this process may not make one. Where `CI` is set that is a failure.
    pub fn new() -> Option<Self> {
        match Namespace::new() {
            Ok(internet) => {
                internet.forward();
                Some(Self { internet: Arc::new(internet), networks: Mutex::new(0), lines: Mutex::default() })
            }
            Err(e) => {
                assert!(std::env::var_os("CI").is_none(), "CI must be able to make network namespaces: {e}");
                println!("skipped: network namespaces are not permitted here ({e})");
                None
            }
        }
    }

    /// A host with a public address.
    pub fn host(&self) -> Host {
        let (namespace, number) = (new_namespace(), self.number());
        self.wire(&namespace, number, "eth0");
        Host { namespace, address: public(number, 2) }
    }

    /// The same at the end of a long line: so much time each way.
    pub fn far_host(&self, delay: Duration) -> Host {
        let (namespace, number) = (new_namespace(), self.number());
        let line = Line::between(&self.internet, &format!("site{number}"), &namespace, "eth0", delay);
        lock(&self.lines).push(line);
        self.internet.ip(&[&format!("addr add {}/24 dev site{number}", public(number, 1))]);
        self.internet.ip(&[&format!("link set site{number} up")]);
        namespace.ip(&[
            &format!("addr add {}/24 dev eth0", public(number, 2)),
            "link set eth0 up",
            "route add default dev eth0",
        ]);
        Host { namespace, address: public(number, 2) }
    }

    /// A home behind a router.
    pub fn home(&self, nat: Nat) -> Home {
        let gateway = self.host();
        let number = *lock(&self.networks);
        gateway.namespace.forward();
        let random = match nat {
            Nat::PortRestricted => "",
            Nat::Symmetric => "random",
        };
        // Like a router that is sold: what nobody inside has asked for goes neither in nor to the router itself.
        gateway.namespace.nft(&format!(
            "table ip home {{
                chain out {{
                    type nat hook postrouting priority srcnat;
                    oifname \"eth0\" masquerade {random}
                }}
                chain mapped {{
                    type nat hook prerouting priority dstnat;
                }}
                chain through {{
                    type filter hook forward priority filter;
                    iifname \"eth0\" ct state established,related accept
                    iifname \"eth0\" ct status dnat accept
                    iifname \"eth0\" drop
                }}
                chain here {{
                    type filter hook input priority filter;
                    iifname \"eth0\" ct state new drop
                }}
            }}"
        ));
        Home { gateway, number, hosts: 0 }
    }

    /// The host gets another public address on another wire, and then loses its first one with its wire.
    pub fn moves(&self, host: &mut Host) {
        let number = self.number();
        let (internet, place) = (&self.internet, &host.namespace);
        internet.ip(&[&format!("link add site{number} type veth peer name eth1 netns {}", place.path())]);
        internet.ip(&[
            &format!("addr add {}/24 dev site{number}", public(number, 1)),
            &format!("link set site{number} up"),
        ]);
        place.ip(&[
            &format!("addr add {}/24 dev eth1", public(number, 2)),
            "link set eth1 up",
            "link del eth0",
            &format!("route replace default via {}", public(number, 1)),
        ]);
        host.address = public(number, 2);
    }

    /// Of the packets from and to this host so many in a hundred are lost from now on.
    pub fn lose(&self, host: &Host, percent: u32) {
        let Host { namespace: _, address } = host;
        self.internet.nft(&format!(
            "table ip loss {{
                chain through {{
                    type filter hook forward priority filter;
                    ip saddr {address} numgen random mod 100 < {percent} drop
                    ip daddr {address} numgen random mod 100 < {percent} drop
                }}
            }}"
        ));
    }

    /// Nothing passes between this host, or home, and all others until [`Lab::heal`].
    pub fn cut(&self, host: &Host) {
        let Host { namespace: _, address } = host;
        self.internet.nft(&format!(
            "table ip cut {{
                chain through {{
                    type filter hook forward priority filter;
                    ip saddr {address} drop
                    ip daddr {address} drop
                }}
            }}"
        ));
    }

    /// Everything that was cut off is joined again.
    pub fn heal(&self) {
        self.internet.nft("delete table ip cut");
    }

    /// Kernel's numbers of all namespaces here.
    pub fn namespaces<'a>(&self, hosts: impl IntoIterator<Item = &'a Host>) -> Vec<u64> {
        let of_hosts = hosts.into_iter().map(|host| host.namespace.number());
        of_hosts.chain([self.internet.number()]).collect()
    }

    fn number(&self) -> u8 {
        let mut networks = lock(&self.networks);
        assert!(*networks < NETWORKS_MAX, "too many networks");
        *networks += 1;
        *networks
    }

    fn wire(&self, to: &Namespace, number: u8, device: &str) {
        self.internet.ip(&[
            &format!("link add site{number} type veth peer name {device} netns {}", to.path()),
            &format!("addr add {}/24 dev site{number}", public(number, 1)),
            &format!("link set site{number} up"),
        ]);
        to.ip(&[
            &format!("addr add {}/24 dev {device}", public(number, 2)),
            &format!("link set {device} up"),
            &format!("route add default via {}", public(number, 1)),
        ]);
    }
}

impl Home {
    /// Another host in this home.
    pub fn host(&mut self) -> Host {
        let Self { gateway, number, hosts } = self;
        *hosts += 1;
        let (namespace, device, last) = (new_namespace(), format!("lan{hosts}"), *hosts + 1);
        let (own, router) = (private(*number, last), private(*number, 1));
        gateway.namespace.ip(&[&format!("link add {device} type veth peer name eth0 netns {}", namespace.path())]);
        gateway.namespace.ip(&[
            &format!("addr add {router}/32 dev {device}"),
            &format!("link set {device} up"),
            &format!("route add {own}/32 dev {device}"),
        ]);
        namespace.ip(&[
            &format!("addr add {own}/24 dev eth0"),
            "link set eth0 up",
            &format!("route add default via {router}"),
        ]);
        Host { namespace, address: own }
    }
}

impl Host {
    /// Does something there that does not wait: opens sockets, which stay there, or starts processes, which do too.
    pub fn enter<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        self.namespace.enter(what)
    }

    /// Runs something there to its end, with a runtime of its own.
    pub fn run<T: Send>(&self, what: impl Future<Output = T> + Send) -> T {
        self.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(what)
        })
    }
}

/// The public address of `network`: 198.18.0.0/15 is kept for tests (RFC 2544).
fn public(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, network, host)
}

fn private(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, network, host)
}

fn new_namespace() -> Arc<Namespace> {
    Arc::new(Namespace::new().expect("the first one was permitted"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
