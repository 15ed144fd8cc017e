//! The credentials of the web page, used by somebody else's client library.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_conductor::Conductor;
use ainonymous_types::{ModelSpecRecord, COORDINATOR_ZOME};
use common::{happ, options, run, NOWHERE};
use holochain_client::{AppWebsocket, CellId, ClientAgentSigner, ExternIO, SigningCredentials};
use holochain_types::prelude::{AgentPubKey, DnaHash};
use std::net::Ipv4Addr;

const ORIGIN: &str = "http://127.0.0.1:8080";

#[test]
fn a_page_can_call_what_it_needs_and_nothing_else() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let node = Conductor::start(options(&happ, dir.path(), NOWHERE)).await.unwrap();
        let page = node.ui_credentials(ORIGIN).await.unwrap();
        let again = node.ui_credentials(ORIGIN).await.unwrap();
        assert_eq!(page.signing_key, again.signing_key, "a reload adds nothing to the chain");
        assert_eq!(page.app_port, again.app_port);
        assert_ne!(page.token, again.token);
        let shown = format!("{page:?}");
        assert!(!shown.contains("secret") && !shown.contains("token"), "{shown}");
        let json = serde_json::to_value(&page).unwrap();
        assert_eq!(json["key_pair"]["secret"].as_array().unwrap().len(), 64);

        let cell = CellId::new(
            DnaHash::try_from_raw_39(page.cell_id.0.clone()).unwrap(),
            AgentPubKey::try_from_raw_39(page.cell_id.1.clone()).unwrap(),
        );
        let keypair = ed25519_dalek::SigningKey::from_keypair_bytes(&page.key_pair.secret.clone().try_into().unwrap());
        let secret: [u8; 64] = page.cap_secret.clone().try_into().unwrap();
        let signer = ClientAgentSigner::default();
        signer.add_credentials(
            cell.clone(),
            SigningCredentials {
                signing_agent_key: AgentPubKey::try_from_raw_39(page.signing_key.clone()).unwrap(),
                keypair: keypair.unwrap(),
                cap_secret: secret.into(),
            },
        );
        let address = (Ipv4Addr::LOCALHOST, page.app_port);
        let stranger = AppWebsocket::connect(
            address,
            page.token.clone(),
            signer.clone().into(),
            Some("http://evil.example".into()),
        );
        assert!(stranger.await.is_err(), "another origin");
        let client =
            AppWebsocket::connect(address, page.token.clone(), signer.into(), Some(ORIGIN.into())).await.unwrap();
        let call = |function: &'static str| {
            client.call_zome(
                cell.clone().into(),
                COORDINATOR_ZOME.into(),
                function.into(),
                ExternIO::encode(()).unwrap(),
            )
        };
        let specs: Vec<ModelSpecRecord> = call("get_all_model_specs").await.unwrap().decode().unwrap();
        assert!(specs.is_empty());
        for forbidden in ["delete_my_capability", "get_open_requests", "sign_receipt"] {
            assert!(call(forbidden).await.is_err(), "{forbidden} is not for pages");
        }
        node.shutdown().await.unwrap();
    });
}
