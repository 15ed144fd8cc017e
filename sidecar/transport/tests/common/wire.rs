//! A wire between UDP sockets that drops what it is told to: too large packets, or all of them.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used)] // A test may fail by panicking.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A wire to one address. It is cut when dropped.
#[derive(Debug)]
pub struct Wire {
    pub at: SocketAddr,
    carries: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Wire {
    pub async fn to(far: SocketAddr) -> Self {
        let near = Arc::new(UdpSocket::bind(crate::common::LOOPBACK).await.unwrap());
        let carries = Arc::new(AtomicUsize::new(usize::MAX));
        let (at, mut task) = (near.local_addr().unwrap(), JoinSet::new());
        task.spawn(carry(near, far, carries.clone()));
        Self { at, carries, _task: task }
    }

    /// Packets over so many bytes get lost from now on.
    pub fn narrow(&self, bytes: usize) {
        self.carries.store(bytes, Ordering::Relaxed);
    }
}

async fn carry(near: Arc<UdpSocket>, far: SocketAddr, carries: Arc<AtomicUsize>) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut back = JoinSet::new();
    let mut packet = vec![0; 65_536];
    while let Ok((len, from)) = near.recv_from(&mut packet).await {
        let client = match clients.get(&from) {
            Some(client) => client.clone(),
            None => {
                let client = Arc::new(UdpSocket::bind(crate::common::LOOPBACK).await.unwrap());
                clients.insert(from, client.clone());
                back.spawn(carry_back(client.clone(), near.clone(), from, carries.clone()));
                client
            }
        };
        if len <= carries.load(Ordering::Relaxed) {
            let _ = client.send_to(&packet[..len], far).await;
        }
    }
}

async fn carry_back(client: Arc<UdpSocket>, near: Arc<UdpSocket>, to: SocketAddr, carries: Arc<AtomicUsize>) {
    let mut packet = vec![0; 65_536];
    while let Ok((len, _)) = client.recv_from(&mut packet).await {
        if len <= carries.load(Ordering::Relaxed) {
            let _ = near.send_to(&packet[..len], to).await;
        }
    }
}
