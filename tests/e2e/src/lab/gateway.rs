//! What many home routers offer: a program inside asks for a port outside (NAT-PMP, RFC 6886). The mapping is a real one.

use super::namespace::Namespace;
use super::{lock, Home};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where routers listen for it.
const PORT: u16 = 5351;
/// The thread looks this often whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const VERSION: u8 = 0;
const ANSWER: u8 = 128;
const EXTERNAL_ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;

/// The responder; it ends when dropped, its mappings stay.
#[derive(Debug)]
pub struct PortMapper {
    mapped: Arc<Mutex<Mapped>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// From a port outside to a host inside.
type Mapped = BTreeMap<u16, SocketAddrV4>;

impl Home {
    /// The router answers programs that ask for ports.
    pub fn maps_ports(&self) -> PortMapper {
        let socket = self.gateway.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))).expect("a socket");
        socket.set_read_timeout(Some(LOOK_EVERY)).expect("a socket");
        let (mapped, over) = (Arc::<Mutex<Mapped>>::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (mapped, over, gateway) = (mapped.clone(), over.clone(), self.gateway.clone());
            move || {
                let (begun, mut packet) = (Instant::now(), [0; 128]);
                while !over.load(Ordering::Relaxed) {
                    let Ok((len, SocketAddr::V4(from))) = socket.recv_from(&mut packet) else { continue };
                    let since = begun.elapsed().as_secs() as u32;
                    let answer = answer(&packet[..len], from, gateway.address, since, &mut lock(&mapped));
                    forward(&gateway.namespace, &lock(&mapped));
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        PortMapper { mapped, over, thread: Some(thread) }
    }
}

impl PortMapper {
    /// Ports outside, and where they lead to.
    pub fn mapped(&self) -> Vec<(u16, SocketAddrV4)> {
        lock(&self.mapped).iter().map(|(port, to)| (*port, *to)).collect()
    }
}

impl Drop for PortMapper {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Does what is asked; says so.
fn answer(packet: &[u8], from: SocketAddrV4, own: Ipv4Addr, since_s: u32, mapped: &mut Mapped) -> Vec<u8> {
    let told = |operation: u8, result: u16| {
        let mut answer = vec![VERSION, operation | ANSWER];
        answer.extend(result.to_be_bytes());
        answer.extend(since_s.to_be_bytes());
        answer
    };
    match packet {
        [VERSION, EXTERNAL_ADDRESS] => [told(EXTERNAL_ADDRESS, 0), own.octets().to_vec()].concat(),
        [VERSION, MAP_UDP, _, _, inside @ .., l0, l1, l2, l3] if inside.len() == 4 => {
            let (port, wish) = (u16::from_be_bytes([inside[0], inside[1]]), u16::from_be_bytes([inside[2], inside[3]]));
            let to = SocketAddrV4::new(*from.ip(), port);
            mapped.retain(|_, other| *other != to);
            let lifetime = [*l0, *l1, *l2, *l3];
            let outside = [wish, port].into_iter().find(|port| *port != 0 && !mapped.contains_key(port));
            let outside = outside.unwrap_or(port.wrapping_add(1));
            if lifetime != [0; 4] {
                mapped.insert(outside, to);
            }
            [told(MAP_UDP, 0), port.to_be_bytes().to_vec(), outside.to_be_bytes().to_vec(), lifetime.to_vec()].concat()
        }
        // Version not supported: so a client of PCP learns that this router is older.
        _ => told(packet.get(1).copied().unwrap_or_default(), 1),
    }
}

fn forward(gateway: &Namespace, mapped: &Mapped) {
    let rule = |(port, to): (&u16, &SocketAddrV4)| {
        format!("add rule ip home mapped iifname \"eth0\" udp dport {port} dnat to {to}\n")
    };
    gateway.nft(&format!("flush chain ip home mapped\n{}", mapped.iter().map(rule).collect::<String>()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_mapped_and_given_back_and_other_protocols_are_refused() {
        let (from, own) = (SocketAddrV4::new([192, 168, 1, 2].into(), 9), [198, 18, 1, 2].into());
        let mut mapped = Mapped::new();
        assert_eq!(answer(&[0, 0], from, own, 7, &mut mapped), [0, 128, 0, 0, 0, 0, 0, 7, 198, 18, 1, 2]);
        let map = |lifetime: u8| [0, 1, 0, 0, 0x10, 0x92, 0, 0, 0, 0, 0, lifetime];
        let told = [0, 129, 0, 0, 0, 0, 0, 7, 0x10, 0x92, 0x10, 0x92, 0, 0, 0, 60];
        assert_eq!(answer(&map(60), from, own, 7, &mut mapped), told);
        assert_eq!(mapped, [(0x1092, SocketAddrV4::new(*from.ip(), 0x1092))].into());
        answer(&map(0), from, own, 7, &mut mapped);
        assert!(mapped.is_empty());
        assert_eq!(answer(&[2, 0, 0, 0], from, own, 7, &mut mapped)[..4], [0, 128, 0, 1], "PCP is not spoken");
    }
}
