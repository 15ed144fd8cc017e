//! Where this node's conductor looks for peers: an address of this machine that stays, and leads to wherever the network's
//! server is at the moment.
//!
//! Peers write the relay's address into their own, so all members must call it alike wherever it moves: the port follows from
//! the network's identity. Two nodes of one network on one machine share it; when the first ends, the second takes it.

use super::advert::ServerId;
use super::door::{self, Secret};
use super::said::Said;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{watch, Semaphore};
use tokio_util::sync::CancellationToken;

/// Ports are taken from here on, below those that operating systems give out.
const PORT_FIRST: u16 = 20_000;
/// So many.
const PORTS: u16 = 10_000;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How often a port that somebody else has is tried again.
const BIND_EVERY: Duration = Duration::from_secs(1);
/// Pause after the operating system gave no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection waits so long for a server to be found.
const TARGET_WAIT: Duration = Duration::from_secs(10);

/// Where the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// In this process.
    Own(SocketAddr),
    /// Behind the door of another machine.
    Other(ServerId, SocketAddr),
}

impl Target {
    async fn connect(self, secret: &Secret) -> Option<TcpStream> {
        match self {
            Self::Own(at) => TcpStream::connect(at).await.ok(),
            Self::Other(server, at) => door::enter(secret, server, at).await,
        }
    }
}

/// The port of a network, by its tag.
pub(super) fn port(tag: &str) -> u16 {
    let number = tag.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or_default();
    PORT_FIRST + number % PORTS
}

/// Leads the connections of this machine to the server.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    secret: Secret,
    target: watch::Receiver<Option<Target>>,
    said: Arc<Said>,
    end: CancellationToken,
}

impl Forward {
    pub(super) fn new(secret: Secret, target: watch::Receiver<Option<Target>>, end: CancellationToken) -> Self {
        Self { secret, target, said: Arc::default(), end }
    }

    /// Takes the port as soon as it can be had, until the end.
    pub(super) async fn run(self, port: u16) {
        let mut told = false;
        let bound = async {
            loop {
                match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                    Ok(listener) => return listener,
                    Err(e) if !std::mem::replace(&mut told, true) => {
                        tracing::info!(port, error = %e, "the network's port is taken: by another node of it, most likely");
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(BIND_EVERY).await;
            }
        };
        let leading = async {
            let listener = bound.await;
            tracing::debug!(port, "this node leads to the network's server");
            tokio::join!(self.serve(listener), self.repeat());
        };
        tokio::select! {
            () = self.end.cancelled() => {}
            () = leading => {}
        }
    }

    async fn serve(&self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok((near, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else { continue };
            let forward = self.clone();
            tokio::spawn(async move {
                let _place = place;
                tokio::select! {
                    () = forward.end.cancelled() => {}
                    () = forward.lead(near) => {}
                }
            });
        }
    }

    /// One connection, for as long as the server stays where it is.
    async fn lead(&self, mut near: TcpStream) {
        let first = self.said.listen(&mut near).await;
        let mut target = self.target.clone();
        let found = tokio::time::timeout(TARGET_WAIT, target.wait_for(Option::is_some)).await;
        let Some(to) = found.ok().and_then(Result::ok).and_then(|target| *target) else { return };
        let Some(mut far) = to.connect(&self.secret).await else { return };
        if far.write_all(&first).await.is_err() {
            return;
        }
        let moved = async {
            let _ = target.wait_for(|now| *now != Some(to)).await;
        };
        tokio::select! {
            // It goes to a server that is gone, or is left: whoever uses it connects again.
            () = moved => {}
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        }
    }

    /// A new server knows nobody yet: it is told what the conductor told the one before, who would say it again only much
    /// later.
    async fn repeat(&self) {
        let mut target = self.target.clone();
        loop {
            let to = *target.borrow_and_update();
            if let Some(to) = to {
                for request in self.said.all() {
                    if let Some(far) = to.connect(&self.secret).await {
                        Said::say(far, &request).await;
                    }
                }
            }
            if target.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::sync::mpsc;

    #[test]
    fn a_network_has_its_port_everywhere() {
        assert_eq!(port("0000ffff"), PORT_FIRST);
        assert_eq!(port("2710"), PORT_FIRST, "10,000 begins again");
        assert_eq!(port("ffff"), PORT_FIRST + 5_535);
        assert_eq!(port(""), PORT_FIRST);
    }

    /// Answers everybody with a word, and says what the first bytes were.
    async fn says(word: &'static [u8]) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (at, (heard, all)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut first = vec![0; 1_024];
                let len = stream.read(&mut first).await.unwrap_or(0);
                let _ = heard.send(first[..len].to_vec());
                let _ = stream.write_all(word).await;
                kept.push(stream);
            }
        });
        (at, all)
    }

    #[tokio::test]
    async fn connections_follow_the_server_and_a_new_one_learns_who_is_here() {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let ((first, mut to_first), (second, mut to_second)) = (says(b"one").await, says(b"two").await);
        let (target, targets) = watch::channel(None);
        let end = CancellationToken::new();
        let secret = Secret::of(&ainonymous_types::Bytes32([1; 32]), "s");
        tokio::spawn(Forward::new(secret, targets, end.clone()).run(free));
        let connect = |first: &'static [u8]| async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, free)).await {
                    stream.write_all(first).await.unwrap();
                    return stream;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let put = b"PUT /bootstrap/space/agent HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
        let mut early = connect(put).await;
        target.send_replace(Some(Target::Own(first)));
        let mut word = [0; 3];
        early.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"one", "it waited until there was a server");
        assert_eq!(to_first.recv().await.unwrap(), put);
        let mut other = connect(b"GET /relay HTTP/1.1\r\n\r\n").await;
        other.read_exact(&mut word).await.unwrap();
        target.send_replace(Some(Target::Own(second)));
        assert_eq!(early.read(&mut word).await.unwrap_or(0), 0, "the old way is closed");
        assert_eq!(to_second.recv().await.unwrap(), put, "said again, without being asked");
        connect(b"GET /x HTTP/1.1\r\n\r\n").await.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"two");
        end.cancel();
    }
}
