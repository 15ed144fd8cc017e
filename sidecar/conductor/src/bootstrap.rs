//! A bootstrap and relay server of one's own, for private networks and tests: where peers find each other, and who
//! forwards what cannot go directly. It sees who is there and how much they say, never what.

use crate::ConductorError;
use kitsune2_bootstrap_srv::{BootstrapSrv, Config};
use std::net::{SocketAddr, TcpListener};

/// Threads that answer requests.
const WORKERS: usize = 4;

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Bootstrap {
    url: String,
    address: SocketAddr,
    server: Option<Running>,
}

struct Running(BootstrapSrv);

impl Bootstrap {
    /// Listens there, without TLS; port 0 takes a free one.
    pub async fn start(listen: SocketAddr) -> Result<Self, ConductorError> {
        crate::install_crypto_provider();
        // The server's own errors are texts: see for ourselves whether the port can be had.
        match TcpListener::bind(listen) {
            Ok(probe) => drop(probe),
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(ConductorError::PortInUse { address: listen })
            }
            Err(source) => return Err(ConductorError::CannotListen { address: listen, source }),
        }
        let config = Config { worker_thread_count: WORKERS, listen_address_list: vec![listen], ..Config::testing() };
        // It blocks on a runtime of its own, which a worker of ours must not.
        let (sender, started) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || drop(sender.send(BootstrapSrv::new(config))));
        let cannot = |source| ConductorError::CannotListen { address: listen, source };
        let server = started.await.map_err(|_| cannot(std::io::ErrorKind::Other.into()))?.map_err(cannot)?;
        let address = server.listen_addrs().first().copied().unwrap_or(listen);
        tracing::info!(%address, "bootstrap and relay server");
        Ok(Self { url: format!("http://{address}"), address, server: Some(Running(server)) })
    }

    /// For both the bootstrap and the relay address of a node, if it can reach the address listened on.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it.
    pub async fn shutdown(mut self) {
        if let Some(Running(server)) = self.server.take() {
            stop(server).await;
        }
    }
}

async fn stop(mut server: BootstrapSrv) {
    let (sender, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(sender.send(server.shutdown())));
    match stopped.await {
        Ok(Ok(())) => tracing::debug!("the bootstrap server is stopped"),
        Ok(Err(error)) => tracing::warn!(%error, "the bootstrap server stopped with an error"),
        Err(_) => tracing::warn!("the bootstrap server did not stop in order"),
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        // Its end joins threads and drops a runtime, which a worker of ours must not.
        if let Some(Running(server)) = self.server.take() {
            std::thread::spawn(move || drop(server));
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test(flavor = "multi_thread")]
    async fn starts_names_a_taken_port_and_stops() {
        let first = Bootstrap::start((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        assert!(first.url().starts_with("http://127.0.0.1:"));
        let address = first.address();
        assert_eq!(Bootstrap::start(address).await.unwrap_err().code(), "port_in_use");
        first.shutdown().await;
        Bootstrap::start(address).await.unwrap().shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_address_of_another_machine_is_named() {
        let error = Bootstrap::start("192.0.2.1:8080".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.code(), "cannot_listen");
    }
}
