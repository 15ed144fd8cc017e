//! A bystander: a conductor of the same network that asks nothing, serves nothing and, like every full node, stores
//! everything that anybody publishes.

use crate::{root, PASSPHRASE};
use ainonymous_conductor::{
    pack, Conductor, ConductorOptions, DhtStats, EmbeddedOptions, Mode, NetworkTuning, Passphrase,
    CALL_TIMEOUT_DEFAULT, WORKER_STACK_BYTES,
};
use ainonymous_types::SpecRef;
use std::future::Future;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a model spec.
const SPEC_WITHIN: Duration = Duration::from_secs(60);

/// A running bystander.
#[derive(Debug)]
pub struct Observer {
    conductor: Conductor,
    _dir: TempDir,
}

/// Runs a test on a runtime whose threads have the stack that a conductor needs.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(WORKER_STACK_BYTES).build();
    runtime.expect("a runtime").block_on(test)
}

/// The packed hApp of this checkout.
pub fn happ() -> Vec<u8> {
    let path = root().join("workdir/ainonymous.webhapp");
    let bytes = std::fs::read(&path).expect("the packed app: run `cargo xtask pack` first");
    pack::unpack_webhapp(&bytes).expect("a .webhapp").happ
}

impl Observer {
    /// Joins the network of this bootstrap server.
    pub async fn join(bootstrap: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = ConductorOptions {
            mode: Mode::Embedded(EmbeddedOptions {
                data_dir: dir.path().join("data"),
                keystore: None,
                passphrase: Passphrase::cheap(PASSPHRASE),
                bootstrap_url: bootstrap.into(),
                relay_url: bootstrap.into(),
                network: NetworkTuning::Lan,
                self_validation: true,
            }),
            happ: happ(),
            network_seed: None,
            network: None,
            app_id: ainonymous_types::APP_ID.into(),
            call_timeout: CALL_TIMEOUT_DEFAULT,
        };
        let conductor = Conductor::start(options).await.expect("the bystander starts");
        Self { conductor, _dir: dir }
    }

    /// The conductor itself.
    pub fn conductor(&self) -> &Conductor {
        &self.conductor
    }

    /// The first model that somebody offers, once there is one.
    pub async fn spec(&self) -> SpecRef {
        let deadline = Instant::now() + SPEC_WITHIN;
        loop {
            match self.conductor.get_all_model_specs().await {
                Ok(specs) if !specs.is_empty() => return specs[0].spec.clone(),
                _ => assert!(Instant::now() < deadline, "nobody offers a model"),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// What is stored, once nothing has changed for two seconds.
    pub async fn settled(&self) -> DhtStats {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut last = self.conductor.dht_stats().await.expect("a dump");
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.conductor.dht_stats().await.expect("a dump");
            if now != last {
                since = Instant::now();
                last = now;
            }
        }
        last
    }

    /// Every stored operation, as its bytes.
    pub async fn ops(&self) -> Vec<Vec<u8>> {
        self.conductor.dht_ops().await.expect("a dump")
    }

    /// Leaves.
    pub async fn leave(self) {
        self.conductor.shutdown().await.expect("a clean end");
    }
}
