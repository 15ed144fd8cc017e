//! A socket for QUIC inside a connection to a router: packets go out and come in as datagrams of flows.
//!
//! Like UDP it loses what is too large or too much. It fails only when the connection to the router is gone, and then at once, so
//! that whoever reads an answer does not wait for a timer.

use super::control::ControlStream;
use super::flow::{self, address_of, flow_of, FLOW_ECHO};
use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Connection, ConnectionError, UdpPoller};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::sync::lock;

/// Packets that QUIC may hand over at once.
const SEGMENTS_MAX: usize = 10;

/// Numbers connections to routers, so that their flows have addresses of their own.
static CONNECTIONS: AtomicU16 = AtomicU16::new(0);

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, ConnectionError>> + Send>>;
type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The socket. It holds the connection open.
pub(crate) struct FlowSocket {
    connection: Connection,
    number: u16,
    /// The only flow of an asker; a registered peer takes all.
    only: Option<u32>,
    receiving: Mutex<Receiving>,
}

struct Receiving {
    datagram: Reading,
    ended: Option<Ending>,
}

impl FlowSocket {
    /// For whoever asks: one flow, which lasts as long as its request.
    pub(crate) fn asking(connection: Connection, flow: u32, mut request: ControlStream) -> Arc<Self> {
        let ended: Ending = Box::pin(async move {
            // Nothing more is expected: whatever comes means the end.
            let _ = request.recv().await;
        });
        Self::new(connection, Some(flow), Some(ended))
    }

    /// For whoever is registered: all flows.
    pub(crate) fn registered(connection: Connection) -> Arc<Self> {
        Self::new(connection, None, None)
    }

    fn new(connection: Connection, only: Option<u32>, ended: Option<Ending>) -> Arc<Self> {
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let receiving = Mutex::new(Receiving { datagram: reading(&connection), ended });
        Arc::new(Self { connection, number, only, receiving })
    }

    /// The address that stands for a flow.
    pub(crate) fn address_of(&self, flow: u32) -> SocketAddr {
        address_of(self.number, flow)
    }

    /// QUIC over this socket.
    pub(crate) fn endpoint(self: Arc<Self>, server: Option<quinn::ServerConfig>) -> io::Result<quinn::Endpoint> {
        let config = quinn::EndpointConfig::default();
        quinn::Endpoint::new_with_abstract_socket(config, server, self, Arc::new(quinn::TokioRuntime))
    }

    fn is_wanted(&self, flow: u32) -> bool {
        flow != FLOW_ECHO && self.only.is_none_or(|only| only == flow)
    }
}

impl AsyncUdpSocket for FlowSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(flow) = flow_of(transmit.destination).filter(|flow| self.is_wanted(*flow)) else { return Ok(()) };
        for packet in transmit.contents.chunks(transmit.segment_size.unwrap_or(transmit.contents.len()).max(1)) {
            // With a full queue the oldest gives way; what is too large is lost, as on any path; and of a connection that is
            // gone the reading side tells.
            let _ = self.connection.send_datagram(flow::join(flow, packet));
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut receiving = lock(&self.receiving);
        let mut received = 0;
        while received < bufs.len().min(meta.len()) {
            let Poll::Ready(read) = receiving.datagram.as_mut().poll(cx) else { break };
            receiving.datagram = reading(&self.connection);
            let datagram = match read {
                Ok(datagram) => datagram,
                // What came before it first; the error comes again.
                Err(_) if received > 0 => break,
                // Not `ConnectionReset`: QUIC passes over that one and would ask for ever.
                Err(e) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, e))),
            };
            let Some((flow, packet)) = flow::split(datagram).filter(|(flow, _)| self.is_wanted(*flow)) else {
                continue;
            };
            let Some(buf) = bufs.get_mut(received).and_then(|buf| buf.get_mut(..packet.len())) else { continue };
            buf.copy_from_slice(&packet);
            meta[received] = RecvMeta {
                addr: self.address_of(flow),
                len: packet.len(),
                stride: packet.len(),
                ecn: None,
                dst_ip: None,
            };
            received += 1;
        }
        if received > 0 {
            return Poll::Ready(Ok(received));
        }
        match receiving.ended.as_mut().map(|ended| ended.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                receiving.ended = None;
                self.connection.close(0u32.into(), b"");
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the router has ended the tunnel")))
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address_of(self.only.unwrap_or(FLOW_ECHO)))
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS_MAX
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl fmt::Debug for FlowSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowSocket").field("number", &self.number).field("only", &self.only).finish_non_exhaustive()
    }
}

/// Sending never waits.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn reading(connection: &Connection) -> Reading {
    let connection = connection.clone();
    Box::pin(async move { connection.read_datagram().await })
}
