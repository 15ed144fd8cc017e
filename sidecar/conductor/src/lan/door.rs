//! The door of a server on the LAN: whoever comes and whoever answers show each other that they know the network's secret,
//! before anything else is said. So nobody who was not invited uses the server, or stands in for it.
//!
//! It proves membership of those who are there, not more: bytes pass as they are, as to any other bootstrap server.

use super::advert::{Checked, ServerId};
use super::is_private;
use ainonymous_types::Bytes32;
use ainonymous_verify::canonical::Encoder;
use aws_lc_rs::hmac;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What a visit begins with: a name and a version.
const HELLO: &[u8; 8] = b"ainolan\x01";
/// Longest time until both have shown what they know.
const SHOWN_MAX: Duration = Duration::from_secs(2);
/// Longest time until an address answers.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Visits at once.
const VISITS_MAX: usize = 256;
/// Pause after the operating system gave no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a visit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Purpose {
    /// To see whether the server is there.
    Look = 0,
    /// To use it.
    Use = 1,
}

/// What members of a network know and nobody else. In a public network everybody does.
#[derive(Clone)]
pub(super) struct Secret(hmac::Key);

impl Secret {
    /// Of a network: its seed is in invites only.
    pub(super) fn of(network: &Bytes32, seed: &str) -> Self {
        let key = Encoder::hash("ainonymous/lan-door/v1").bytes32(network).text(seed).finish();
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key.0))
    }

    fn word(&self, of: &[u8], visit: &Visit) -> [u8; 32] {
        let mut word = [0; 32];
        word.copy_from_slice(hmac::sign(&self.0, &visit.bytes(of)).as_ref());
        word
    }

    fn is_word(&self, word: &[u8; 32], of: &[u8], visit: &Visit) -> bool {
        hmac::verify(&self.0, &visit.bytes(of), word).is_ok()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What both words of a visit are about.
struct Visit {
    server: ServerId,
    purpose: u8,
    guest_nonce: [u8; 32],
    host_nonce: [u8; 32],
}

impl Visit {
    /// All of fixed length.
    fn bytes(&self, of: &[u8]) -> Vec<u8> {
        [of, &self.server.0, &[self.purpose], &self.guest_nonce, &self.host_nonce].concat()
    }
}

const HOST: &[u8; 4] = b"host";
const GUEST: &[u8; 4] = b"gues";

/// Whether the server of that name is there, at one of these addresses.
pub(super) async fn look(secret: &Secret, server: ServerId, addresses: &[SocketAddr]) -> (Checked, Option<SocketAddr>) {
    let mut verdict = Checked::Silent;
    for at in addresses {
        match visit(secret, server, *at, Purpose::Look).await {
            Ok(_) => return (Checked::Good, Some(*at)),
            Err(Checked::Impostor) => verdict = Checked::Impostor,
            Err(_) => {}
        }
    }
    (verdict, None)
}

/// A connection to the server behind the door.
pub(super) async fn enter(secret: &Secret, server: ServerId, at: SocketAddr) -> Option<TcpStream> {
    visit(secret, server, at, Purpose::Use).await.ok()
}

async fn visit(secret: &Secret, server: ServerId, at: SocketAddr, purpose: Purpose) -> Result<TcpStream, Checked> {
    let connecting = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(at)).await;
    let Ok(Ok(mut stream)) = connecting else { return Err(Checked::Silent) };
    let guest_nonce: [u8; 32] = rand::random();
    let shown = async {
        stream.write_all(&[&HELLO[..], &[purpose as u8], &guest_nonce].concat()).await.map_err(silent)?;
        let (mut host_nonce, mut word) = ([0; 32], [0; 32]);
        // Whoever hangs up here is no server of ours.
        stream.read_exact(&mut host_nonce).await.map_err(impostor)?;
        stream.read_exact(&mut word).await.map_err(impostor)?;
        let visit = Visit { server, purpose: purpose as u8, guest_nonce, host_nonce };
        if !secret.is_word(&word, HOST, &visit) {
            return Err(Checked::Impostor);
        }
        stream.write_all(&secret.word(GUEST, &visit)).await.map_err(silent)
    };
    tokio::time::timeout(SHOWN_MAX, shown).await.unwrap_or(Err(Checked::Silent))?;
    Ok(stream)
}

fn silent(_: std::io::Error) -> Checked {
    Checked::Silent
}

fn impostor(_: std::io::Error) -> Checked {
    Checked::Impostor
}

/// Lets members in to the server that listens at `inside`, until it is cancelled.
pub(super) async fn keep(
    listener: TcpListener,
    secret: Secret,
    server: ServerId,
    inside: SocketAddr,
    end: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(VISITS_MAX));
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((guest, from)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Whoever does not come from a LAN, or comes when all places are taken, is sent away.
        let place = Some(&places).filter(|_| is_private(from.ip())).map(|places| places.clone().try_acquire_owned());
        let Some(Ok(place)) = place else { continue };
        let (secret, end) = (secret.clone(), end.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = end.cancelled() => {}
                () = receive(guest, &secret, server, inside) => {}
            }
        });
    }
}

async fn receive(mut guest: TcpStream, secret: &Secret, server: ServerId, inside: SocketAddr) {
    let shown = tokio::time::timeout(SHOWN_MAX, is_guest(&mut guest, secret, server)).await;
    if !matches!(shown, Ok(Some(Purpose::Use))) {
        return;
    }
    if let Ok(mut inner) = TcpStream::connect(inside).await {
        let _ = tokio::io::copy_bidirectional(&mut guest, &mut inner).await;
    }
}

async fn is_guest(guest: &mut TcpStream, secret: &Secret, server: ServerId) -> Option<Purpose> {
    let mut hello = [0; 8];
    guest.read_exact(&mut hello).await.ok()?;
    let purpose = guest.read_u8().await.ok()?;
    let named = match purpose {
        0 => Purpose::Look,
        1 => Purpose::Use,
        _ => return None,
    };
    let (mut guest_nonce, host_nonce) = ([0; 32], rand::random());
    guest.read_exact(&mut guest_nonce).await.ok()?;
    if hello != *HELLO {
        return None;
    }
    let visit = Visit { server, purpose, guest_nonce, host_nonce };
    guest.write_all(&[visit.host_nonce, secret.word(HOST, &visit)].concat()).await.ok()?;
    let mut word = [0; 32];
    guest.read_exact(&mut word).await.ok()?;
    secret.is_word(&word, GUEST, &visit).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SERVER: ServerId = ServerId([5; 16]);

    fn secret(seed: &str) -> Secret {
        Secret::of(&Bytes32([1; 32]), seed)
    }

    /// Says `pong` to whoever says `ping`.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut word = [0; 4];
                if stream.read_exact(&mut word).await.is_ok() && &word == b"ping" {
                    let _ = stream.write_all(b"pong").await;
                }
            }
        });
        at
    }

    async fn server(inside: SocketAddr) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (at, end) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(keep(listener, secret("s"), SERVER, inside, end.clone()));
        (at, end)
    }

    #[tokio::test]
    async fn members_get_in_and_are_thrown_out_at_the_end() {
        let (at, end) = server(echo().await).await;
        assert_eq!(look(&secret("s"), SERVER, &[at]).await, (Checked::Good, Some(at)));
        let mut stream = enter(&secret("s"), SERVER, at).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
        end.cancel();
        assert_eq!(stream.read(&mut word).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn whoever_does_not_know_the_secret_neither_gets_in_nor_stands_in() {
        let (at, _end) = server(echo().await).await;
        // The server does not know what we know, or has another name.
        assert_eq!(look(&secret("other"), SERVER, &[at]).await.0, Checked::Impostor);
        assert_eq!(look(&secret("s"), ServerId([6; 16]), &[at]).await.0, Checked::Impostor);
        // A guest who takes the host's word on trust gets nothing for it.
        let mut guest = TcpStream::connect(at).await.unwrap();
        guest.write_all(&[&HELLO[..], &[1], &[9; 32], &[0; 32], b"ping"].concat()).await.unwrap();
        let mut all = Vec::new();
        let _ = guest.read_to_end(&mut all).await;
        assert_eq!(all.len(), 64, "a nonce and a word, and no more");
        // The host's word, said back to it, is no guest's.
        let mut mirror = TcpStream::connect(at).await.unwrap();
        mirror.write_all(&[&HELLO[..], &[1], &[9; 32]].concat()).await.unwrap();
        let mut answer = [0; 64];
        mirror.read_exact(&mut answer).await.unwrap();
        mirror.write_all(&[&answer[32..], b"ping"].concat()).await.unwrap();
        all.clear();
        let _ = mirror.read_to_end(&mut all).await;
        assert!(all.is_empty());
        for nonsense in [&b"GET / HTTP/1.1\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"[..], &[0; 41]] {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(nonsense).await.unwrap();
            all.clear();
            let _ = stream.read_to_end(&mut all).await;
            assert!(all.is_empty());
        }
    }

    /// Somebody adverts a server of the network, with the smallest name of all, and answers in its own way: whoever comes says its greeting,
    /// which shows nothing, and not a byte more, however often it comes; so what a node has to say never goes there.
    #[tokio::test]
    async fn an_adverted_impostor_hears_a_greeting_and_nothing_else() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            // With nonsense, with another network's word, with the guest's own bytes, and with nothing at all.
            let other = Secret::of(&Bytes32([2; 32]), "s");
            for trick in 0.. {
                let (mut guest, _) = listener.accept().await.unwrap();
                let mut greeting = [0; 41];
                guest.read_exact(&mut greeting).await.unwrap();
                let (purpose, mut guest_nonce) = (greeting[8], [0; 32]);
                guest_nonce.copy_from_slice(&greeting[9..]);
                let visit = Visit { server: ServerId([0; 16]), purpose, guest_nonce, host_nonce: [3; 32] };
                let answer = match trick % 4 {
                    0 => vec![7; 64],
                    1 => [visit.host_nonce, other.word(HOST, &visit)].concat(),
                    2 => [guest_nonce, guest_nonce].concat(),
                    _ => vec![],
                };
                let _ = guest.write_all(&answer).await;
                let mut rest = Vec::new();
                let _ = guest.read_to_end(&mut rest).await;
                heard.send(rest).unwrap();
            }
        });
        for trick in 0..8 {
            let (secret, named) = (secret("s"), ServerId([0; 16]));
            if trick < 4 {
                assert_ne!(look(&secret, named, &[at]).await, (Checked::Good, Some(at)), "trick {trick}");
            } else {
                assert!(enter(&secret, named, at).await.is_none(), "trick {trick}");
            }
            assert!(hears.recv().await.unwrap().is_empty(), "trick {trick}: it heard more than a greeting");
        }
    }

    #[tokio::test]
    async fn silence_is_not_taken_for_a_lie() {
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        assert_eq!(look(&secret("s"), SERVER, &[gone]).await, (Checked::Silent, None));
        assert_eq!(look(&secret("s"), SERVER, &[]).await, (Checked::Silent, None));
        // Another program that answers in its own way.
        let other = echo().await;
        assert_ne!(look(&secret("s"), SERVER, &[other]).await.0, Checked::Good);
        let (at, _end) = server(echo().await).await;
        assert_eq!(look(&secret("s"), SERVER, &[gone, at]).await, (Checked::Good, Some(at)), "the second address");
    }
}
