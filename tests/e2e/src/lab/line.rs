//! A long line between two namespaces: a pair of TUN devices, and between them threads that keep each packet for a while.
//!
//! `netem` would do that in the kernel, but many kernels lack it; one way that works everywhere is tried everywhere.

use super::namespace::Namespace;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Packets on their way in one direction; more are lost.
const UNDER_WAY_MAX: usize = 4_096;
/// Largest packet, with room.
const PACKET_BYTES_MAX: usize = 4_096;
/// A thread looks this often whether the line still stands.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// `IFF_TUN | IFF_NO_PI`: bare IP packets.
const TUN_FLAGS: libc::c_short = 0x0001 | 0x1000;

/// The line; it ends when dropped.
#[derive(Debug)]
pub(super) struct Line {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Line {
    /// Devices of these names in both namespaces, `delay` apart.
    pub(super) fn between(a: &Namespace, at_a: &str, b: &Namespace, at_b: &str, delay: Duration) -> Self {
        let (a, b) = (a.enter(|| tun(at_a)), b.enter(|| tun(at_b)));
        let (a, b) = (Arc::new(a.expect("a TUN device")), Arc::new(b.expect("a TUN device")));
        let over = Arc::new(AtomicBool::new(false));
        let threads = [(a.clone(), b.clone()), (b, a)].map(|(from, to)| {
            let over = over.clone();
            std::thread::spawn(move || carry(&from, &to, delay, &over))
        });
        Self { over, threads: threads.into() }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn carry(mut from: &File, mut to: &File, delay: Duration, over: &AtomicBool) {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut packet = vec![0; PACKET_BYTES_MAX];
    while !over.load(Ordering::Relaxed) {
        let next = under_way.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        if readable(from, next.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)) {
            while let Ok(len) = from.read(&mut packet) {
                if under_way.len() < UNDER_WAY_MAX {
                    under_way.push_back((Instant::now() + delay, packet[..len].to_vec()));
                }
            }
        }
        while under_way.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, packet)) = under_way.pop_front() {
                // A device that is down loses packets.
                let _ = to.write(&packet);
            }
        }
    }
}

fn readable(file: &File, within: Duration) -> bool {
    let mut wanted = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = within.as_micros().div_ceil(1_000).min(1_000) as libc::c_int;
    // SAFETY: one structure of our own.
    #[allow(unsafe_code)]
    let ready = unsafe { libc::poll(&mut wanted, 1, millis) };
    ready > 0
}

/// Opens a TUN device in the namespace of this thread.
fn tun(name: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all bytes zero is a valid value of it.
    #[allow(unsafe_code)]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len());
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = TUN_FLAGS;
    // SAFETY: the request is what this call takes, and outlives it.
    #[allow(unsafe_code)]
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    if made == 0 {
        Ok(file)
    } else {
        Err(io::Error::last_os_error())
    }
}
