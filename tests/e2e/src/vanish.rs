//! Clients that connect, ask and hang up before their answer is there: what a bad network and impatient people do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// So many of them at once.
const AT_ONCE: usize = 16;
/// The longest that one stays.
const STAY_MS: usize = 40;

/// Sends `request` from `count` clients to `HOST:PORT`; each hangs up after 0 to 40 ms. Returns how many had read something.
pub fn vanish(address: &str, request: &[u8], count: usize) -> usize {
    let next = AtomicUsize::new(0);
    let heard = AtomicUsize::new(0);
    let one = |stay: Duration| -> std::io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request)?;
        if stay.is_zero() {
            return Ok(0);
        }
        stream.set_read_timeout(Some(stay))?;
        stream.read(&mut [0; 1 << 10])
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| loop {
                let client = next.fetch_add(1, Ordering::Relaxed);
                if client >= count {
                    return;
                }
                let stay = Duration::from_millis((client * 7 % (STAY_MS + 1)) as u64);
                if one(stay).is_ok_and(|read| read > 0) {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    heard.into_inner()
}
