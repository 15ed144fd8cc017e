//! A conductor that is not ours: attached to over its admin interface, lost, and found again.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_conductor::{AttachOptions, Conductor, ConductorOptions, Mode, NetworkState};
use ainonymous_types::{Backend, CapabilityInput, Role, APP_ID};
use common::{happ, run, until, NOWHERE};
use holochain::conductor::{Conductor as Holochain, ConductorHandle};
use holochain_conductor_api::conductor::{ConductorConfig, ConductorTuningParams, KeystoreConfig, NetworkConfig};
use holochain_conductor_api::{AdminInterfaceConfig, InterfaceDriver};
use holochain_types::websocket::AllowedOrigins;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ORIGIN: &str = "ainonymous-test";

/// Somebody else's conductor, with its admin interface open to our origin only.
async fn foreign(dir: &Path, port: u16) -> ConductorHandle {
    ainonymous_conductor::install_crypto_provider();
    let passphrase = Arc::new(Mutex::new(sodoken::LockedArray::from(b"theirs".to_vec())));
    let config = ConductorConfig {
        data_root_path: Some(dir.to_path_buf().into()),
        keystore: KeystoreConfig::LairServerInProc { lair_root: None },
        admin_interfaces: Some(vec![AdminInterfaceConfig {
            driver: InterfaceDriver::Websocket {
                port,
                danger_bind_addr: None,
                allowed_origins: AllowedOrigins::Origins([ORIGIN.to_string()].into()),
            },
        }]),
        network: NetworkConfig {
            bootstrap_url: url2::Url2::parse(NOWHERE),
            relay_url: url2::Url2::parse(NOWHERE),
            advanced: Some(serde_json::json!({ "irohTransport": { "relayAllowPlainText": true } })),
            ..NetworkConfig::default()
        },
        tuning_params: Some(ConductorTuningParams::new()),
        ..ConductorConfig::default()
    };
    let builder = Holochain::builder().config(config).passphrase(Some(passphrase)).no_print_setup();
    Box::pin(builder.build()).await.unwrap()
}

fn options(happ: &[u8], port: u16, origin: &str) -> ConductorOptions {
    ConductorOptions {
        mode: Mode::Attach(AttachOptions { admin_url: format!("ws://127.0.0.1:{port}"), origin: origin.into() }),
        happ: happ.to_vec(),
        network_seed: None,
        network: None,
        app_id: APP_ID.into(),
        call_timeout: Duration::from_secs(30),
    }
}

fn capability(detail: &str) -> CapabilityInput {
    CapabilityInput {
        roles: vec![Role::Auditor],
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: detail.into(),
        models: vec![],
        router: None,
        region: None,
    }
}

#[test]
fn attached_lost_and_found_again() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let theirs = foreign(dir.path(), 0).await;
        let port = theirs.get_arbitrary_admin_websocket_port().unwrap();

        let wrong = Conductor::start(options(&happ, port, "somebody-else")).await.expect_err("a wrong origin");
        assert_eq!(wrong.code(), "origin_refused", "{wrong}");

        let node = Conductor::start(options(&happ, port, ORIGIN)).await.unwrap();
        let agent = node.agent();
        node.put_capability(capability("before")).await.unwrap();
        let mine = node.get_my_capability().await.unwrap().expect("just announced");
        assert_eq!(mine.capability.backend_detail, "before");

        let other_seed = ConductorOptions { network_seed: Some("x".into()), ..options(&happ, port, ORIGIN) };
        let error = Conductor::start(other_seed).await.expect_err("another network");
        assert_eq!(error.code(), "app_of_another_network");

        Box::pin(theirs.clone().shutdown()).await.unwrap().unwrap();
        drop(theirs);
        until(&node, "offline", |s| matches!(s, NetworkState::Offline { .. })).await;
        let asked = Instant::now();
        assert_eq!(node.put_capability(capability("lost")).await.unwrap_err().code(), "disconnected");
        assert_eq!(node.get_my_capability().await.unwrap_err().code(), "disconnected");
        assert!(asked.elapsed() < Duration::from_secs(5));

        let theirs = foreign(dir.path(), port).await;
        let back = Instant::now();
        until(&node, "online", |s| !matches!(s, NetworkState::Offline { .. })).await;
        println!("back after {} ms", back.elapsed().as_millis());
        assert_eq!(node.agent(), agent);
        let mine = node.get_my_capability().await.unwrap().expect("announced before");
        assert_eq!(mine.capability.backend_detail, "before", "nothing acknowledged is lost");
        node.put_capability(capability("after")).await.unwrap();

        node.shutdown().await.unwrap();
        assert_eq!(node.get_my_capability().await.unwrap_err().code(), "stopped");
        Box::pin(theirs.shutdown()).await.unwrap().unwrap();
    });
}

#[test]
fn nobody_there_is_named_at_once() {
    run(async {
        let happ = happ().await;
        let started = Instant::now();
        let error = Conductor::start(options(&happ, 9, ORIGIN)).await.expect_err("nobody listens");
        assert_eq!(error.code(), "no_conductor");
        // Something that is no conductor: it answers nothing, or nonsense.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let error = Conductor::start(options(&happ, port, ORIGIN)).await.expect_err("it says nothing");
        assert_eq!(error.code(), "no_conductor");
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    });
}
