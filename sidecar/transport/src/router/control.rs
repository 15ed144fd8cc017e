//! What clients and routers say to each other: frames of a length (2 bytes, little-endian) and a body in postcard's encoding.
//!
//! The order of variants and fields is the format: it changes only together with [`super::ALPN`]. Each request has a stream of its own,
//! which stays open for as long as what was asked for.

use crate::error::LinkError;
use crate::frame::FrameError;
use crate::stream::{on_read, on_write};
use ainonymous_types::Bytes32;
use bytes::BytesMut;
use quinn::{RecvStream, SendStream};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

const HEADER_BYTES: usize = 2;
/// Largest body.
pub(crate) const CONTROL_BYTES_MAX: usize = 128;

/// What is said on a request's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Control {
    /// Client, first on its stream: bring me whoever asks for the key that I have proved.
    Register {
        /// Whoever asks may be told where I am, and I where he is, so that both try to do without the router.
        meet: bool,
    },
    /// Router: so it is, for as long as a renewal comes in time.
    Registered {
        /// Seconds that it holds.
        lease_s: u16,
        /// Where the router sees the client.
        observed: SocketAddr,
    },
    /// Client: still here.
    Renew,
    /// Router: send something there, for somebody there wants to reach you without the router.
    Meet {
        /// Where the router sees who asks.
        at: SocketAddr,
    },
    /// Client, first on its stream: a tunnel to whoever has proved this key.
    Tunnel {
        /// The key.
        to: Bytes32,
        /// As in `Register`.
        meet: bool,
    },
    /// Router: here it is, until one side ends this stream.
    Opened {
        /// The flow that stands for it on this connection.
        flow: u32,
        /// Where the other side is, if both wanted to meet.
        meet: Option<SocketAddr>,
    },
    /// Router, last on its stream: no, or no longer.
    Refused(RouterRefusal),
}

/// Why a router does not do, or no longer does, what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RouterRefusal {
    /// Nobody with that key is registered.
    #[error("nobody with that key is registered there")]
    Unknown,
    /// The router, or the one who is looked for, has as many as it takes.
    #[error("it has no place left")]
    Full,
    /// Too many requests in a short time.
    #[error("too many requests in a short time")]
    TooOften,
    /// The registration has carried what it may for now.
    #[error("the registration has used up its quota")]
    Quota,
    /// The other side of the tunnel is gone, or nothing came through it for long.
    #[error("the tunnel has ended")]
    Ended,
    /// The same key has registered again.
    #[error("the same key has registered again, from another connection")]
    Replaced,
    /// Not what was expected at this point.
    #[error("it does not understand the request")]
    Malformed,
}

impl RouterRefusal {
    /// What one can do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Unknown => "the peer has left that router; its entry will name another, or it is reached by signals",
            Self::Full | Self::TooOften => "use another router, or try again in a while",
            Self::Quota => "use another router, or try again in an hour",
            Self::Ended => "connect again",
            Self::Replaced => "another node runs with the same transport key: stop one of them",
            Self::Malformed => "the router speaks another version: use another router",
        }
    }
}

impl Control {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut frame = postcard::to_extend(self, vec![0; HEADER_BYTES]).map_err(|_| FrameError::Malformed)?;
        let len = frame.len() - HEADER_BYTES;
        frame[..HEADER_BYTES].copy_from_slice(&(len as u16).to_le_bytes());
        Ok(frame)
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, FrameError> {
        match postcard::take_from_bytes(body) {
            Ok((control, [])) => Ok(control),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// A request's stream.
#[derive(Debug)]
pub(crate) struct ControlStream {
    sender: SendStream,
    receiver: RecvStream,
    buffer: BytesMut,
}

impl ControlStream {
    pub(crate) fn new((sender, receiver): (SendStream, RecvStream)) -> Self {
        Self { sender, receiver, buffer: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, control: &Control) -> Result<(), LinkError> {
        self.sender.write_all(&control.encode()?).await.map_err(on_write)
    }

    /// Says why, and that this was all.
    pub(crate) async fn refuse(&mut self, refusal: RouterRefusal) {
        // An error means that the client has gone already.
        let _ = self.send(&Control::Refused(refusal)).await;
        let _ = self.sender.finish();
    }

    /// The next frame; none at the end. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Result<Option<Control>, LinkError> {
        loop {
            if let Some(control) = split(&mut self.buffer)? {
                return Ok(Some(control));
            }
            match self.receiver.read_chunk(CONTROL_BYTES_MAX, true).await.map_err(on_read)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(LinkError::Truncated),
            }
        }
    }
}

/// Takes the first frame off what has arrived of a stream; none while it is not all there.
pub(super) fn split(buffer: &mut BytesMut) -> Result<Option<Control>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let len = usize::from(u16::from_le_bytes(*header));
    if len > CONTROL_BYTES_MAX {
        return Err(FrameError::TooLong { len, max: CONTROL_BYTES_MAX });
    }
    if buffer.len() < HEADER_BYTES + len {
        return Ok(None);
    }
    let frame = buffer.split_to(HEADER_BYTES + len);
    Control::decode(&frame[HEADER_BYTES..]).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn examples() -> Vec<(Control, &'static str)> {
        let at = "192.0.2.1:4242".parse().unwrap();
        let v6 = "[2001:db8::1]:4242".parse().unwrap();
        vec![
            (Control::Register { meet: true }, "02000001"),
            (Control::Registered { lease_s: 60, observed: at }, "0900013c00c00002019221"),
            (Control::Renew, "010002"),
            (Control::Meet { at: v6 }, "1400030120010db80000000000000000000000019221"),
            (
                Control::Tunnel { to: Bytes32([9; 32]), meet: false },
                "230004200909090909090909090909090909090909090909090909090909090909090909 00",
            ),
            (Control::Opened { flow: 300, meet: None }, "040005ac0200"),
            (Control::Opened { flow: 1, meet: Some(at) }, "0a0005010100c00002019221"),
            (Control::Refused(RouterRefusal::Unknown), "02000600"),
            (Control::Refused(RouterRefusal::Malformed), "02000606"),
        ]
    }

    #[test]
    fn golden_vectors() {
        for (control, golden) in examples() {
            let golden = golden.replace(' ', "");
            assert_eq!(
                hex::encode(control.encode().unwrap()),
                golden,
                "{control:?}: another encoding needs another ALPN"
            );
            let bytes = hex::decode(golden).unwrap();
            assert_eq!(Control::decode(&bytes[HEADER_BYTES..]).unwrap(), control);
            assert!(bytes.len() <= HEADER_BYTES + CONTROL_BYTES_MAX);
        }
    }

    #[test]
    fn what_follows_a_frame_is_refused() {
        assert_eq!(Control::decode(&[2, 0]), Err(FrameError::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(control) = Control::decode(&bytes) {
                let again = control.encode().unwrap();
                prop_assert_eq!(Control::decode(&again[HEADER_BYTES..]).unwrap(), control);
            }
        }
    }
}
