//! A conductor whose coordinator does what no honest one would, and things to write with it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod breaches;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../../tests/zomes/rogue/src/payload.rs"]
pub mod payload;

use crate::common::repository;
use ainonymous_conductor::pack;
use ainonymous_types::*;
use holochain::conductor::api::AdminInterfaceApi;
use holochain::conductor::space::Spaces;
use holochain::conductor::{Conductor as Holochain, ConductorHandle};
use holochain_conductor_api::conductor::{ConductorConfig, ConductorTuningParams, KeystoreConfig, NetworkConfig};
use holochain_conductor_api::{AdminRequest, AdminResponse, CellInfo};
use holochain_types::app::{AppBundleSource, InstallAppPayload, RoleSettings};
use holochain_types::prelude::{
    CellId, DnaModifiersOpt, ExternIO, Nonce256Bits, Timestamp, YamlProperties, ZomeCallParams, ZomeCallResponse,
};
use payload::Act;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A conductor that has the rogue coordinator as well, on the same network as all others.
pub struct Rogue {
    conductor: ConductorHandle,
    pub happ: Vec<u8>,
}

/// One agent of it.
#[derive(Clone)]
pub struct RogueAgent {
    conductor: ConductorHandle,
    cell: CellId,
}

impl Rogue {
    pub async fn start(dir: &Path, url: &str, self_validation: bool) -> Self {
        ainonymous_conductor::install_crypto_provider();
        let builder = Holochain::builder().config(config(dir, url, self_validation));
        let builder = builder.passphrase(Some(passphrase())).no_print_setup();
        Self { conductor: Box::pin(builder.build()).await.unwrap(), happ: rogue_happ().await }
    }

    /// A new agent.
    pub async fn agent(&self, name: &str) -> RogueAgent {
        self.join(name, None, None, None).await.unwrap()
    }

    /// A new agent key.
    pub async fn key(&self) -> AgentPubKey {
        self.conductor.keystore().new_sign_keypair_random().await.unwrap()
    }

    /// An agent in a public network that asks for work, with what it shows; or why its own conductor does not let it.
    pub async fn join(
        &self,
        name: &str,
        network: Option<(&NetworkProperties, &str)>,
        agent_key: Option<AgentPubKey>,
        proof: Option<WorkProof>,
    ) -> Result<RogueAgent, String> {
        let role = network.map(|(properties, _)| {
            let NetworkProperties { version, name, kind, founders: _, work_bits } = properties;
            let manifest = Manifest { version: *version, name, kind: *kind, founders: [], work_bits: *work_bits };
            let properties = Some(YamlProperties::new(yaml_serde::to_value(manifest).unwrap()));
            RoleSettings::Provisioned {
                membrane_proof: proof.map(|proof| Arc::new(proof.try_into().unwrap())),
                modifiers: Some(DnaModifiersOpt { network_seed: None, properties }),
                init_properties: None,
            }
        });
        let api = AdminInterfaceApi::new(self.conductor.clone());
        let install = AdminRequest::InstallApp(Box::new(InstallAppPayload {
            source: AppBundleSource::Bytes(self.happ.clone().into()),
            agent_key,
            installed_app_id: Some(name.into()),
            network_seed: network.map(|(_, seed)| seed.to_owned()),
            roles_settings: role.map(|role| [(ROLE_NAME.to_string(), role)].into()),
            ignore_genesis_failure: false,
            restore_from_dht: false,
        }));
        let info = match Box::pin(api.handle_request(Ok(install))).await.unwrap() {
            AdminResponse::AppInstalled(info) => info,
            refused => return Err(format!("{refused:?}")),
        };
        let enable = AdminRequest::EnableApp { installed_app_id: name.into() };
        Box::pin(api.handle_request(Ok(enable))).await.unwrap();
        let CellInfo::Provisioned(cell) = &info.cell_info[ROLE_NAME][0] else { panic!("no cell") };
        Ok(RogueAgent { conductor: self.conductor.clone(), cell: cell.cell_id.clone() })
    }

    /// Begins a chain as a conductor would that asks its zomes for nothing: joining afterwards finds it there.
    pub async fn begin_unasked(
        &self,
        dir: &Path,
        url: &str,
        dna: &DnaHash,
        agent: &AgentPubKey,
        proof: Option<WorkProof>,
    ) {
        let spaces = Spaces::new(Arc::new(config(dir, url, false)), passphrase()).await.unwrap();
        let (store, keystore) = (spaces.dht_store(dna).unwrap(), self.conductor.keystore().clone());
        let proof = proof.map(|proof| Arc::new(proof.try_into().unwrap()));
        holochain_state::source_chain::genesis(store, keystore, dna.clone(), agent.clone(), proof).await.unwrap();
    }

    pub async fn stop(self) {
        Box::pin(self.conductor.shutdown()).await.unwrap().unwrap();
    }
}

impl RogueAgent {
    pub fn key(&self) -> AgentPubKey {
        self.cell.agent_pubkey().clone()
    }

    pub async fn call<O: DeserializeOwned + Debug>(
        &self,
        zome: &'static str,
        function: &'static str,
        input: impl Serialize + Debug,
    ) -> Result<O, String> {
        let params = ZomeCallParams {
            provenance: self.key(),
            cell_id: self.cell.clone(),
            zome_name: zome.into(),
            fn_name: function.into(),
            cap_secret: None,
            payload: ExternIO::encode(input).unwrap(),
            nonce: Nonce256Bits::from(rand::random::<[u8; 32]>()),
            expires_at: Timestamp::now().saturating_add(&Duration::from_secs(300)),
        };
        let conductor = self.conductor.clone();
        let called = tokio::spawn(Box::pin(async move { conductor.call_zome(params).await })).await.unwrap();
        match called {
            Ok(Ok(ZomeCallResponse::Ok(output))) => Ok(output.decode().unwrap()),
            Ok(Ok(other)) => Err(format!("{other:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes something down, all of it in one commit.
    pub async fn act(&self, acts: Vec<Act>) -> Result<Vec<ActionHash>, String> {
        self.call("rogue", "act", acts).await
    }
}

fn config(dir: &Path, url: &str, self_validation: bool) -> ConductorConfig {
    ConductorConfig {
        data_root_path: Some(dir.to_path_buf().into()),
        keystore: KeystoreConfig::LairServerInProc { lair_root: None },
        network: NetworkConfig {
            bootstrap_url: url2::Url2::parse(url),
            relay_url: url2::Url2::parse(url),
            // Peers that are gone are asked too; do not wait for them.
            request_timeout_s: 5,
            advanced: Some(serde_json::json!({
                "irohTransport": { "relayAllowPlainText": true },
                "k2Gossip": { "initialInitiateIntervalMs": 500, "initiateIntervalMs": 1_000,
                    "minInitiateIntervalMs": 900, "initiateJitterMs": 100, "roundTimeoutMs": 10_000 },
                "coreBootstrap": { "backoffMinMs": 500, "backoffMaxMs": 3_000 },
            })),
            ..NetworkConfig::default()
        },
        tuning_params: Some(ConductorTuningParams {
            disable_self_validation: !self_validation,
            sys_validation_retry_delay: Some(Duration::from_secs(1)),
            ..ConductorTuningParams::new()
        }),
        ..ConductorConfig::default()
    }
}

fn passphrase() -> Arc<Mutex<sodoken::LockedArray>> {
    Arc::new(Mutex::new(sodoken::LockedArray::from(b"rogue".to_vec())))
}

/// Properties of a public network as they stand in a manifest. Their order is part of the DNA hash.
#[derive(Serialize)]
struct Manifest<'a> {
    version: u16,
    name: &'a str,
    kind: NetworkKind,
    founders: [String; 0],
    work_bits: u8,
}

/// The app with the rogue coordinator beside ours.
async fn rogue_happ() -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    for file in [
        "tests/zomes/rogue/dna.yaml",
        "happ.yaml",
        "workdir/zomes/inference.wasm",
        "workdir/zomes/inference_integrity.wasm",
        "workdir/zomes/rogue.wasm",
    ] {
        std::fs::create_dir_all(out.path().join(file).parent().unwrap()).unwrap();
        std::fs::copy(repository(file), out.path().join(file)).unwrap();
    }
    let path = |file: &str| out.path().join(file);
    pack::pack_dna(&path("tests/zomes/rogue/dna.yaml"), &path("workdir/inference.dna")).await.unwrap();
    pack::pack_happ(&path("happ.yaml"), &path("workdir/rogue.happ")).await.unwrap()
}

pub fn model_spec(name: &str) -> ModelSpec {
    ModelSpec {
        name: name.into(),
        quantization: "q8_0".into(),
        architecture: "gemma4".into(),
        gguf_hash: Bytes32([1; 32]),
        gguf_root: Bytes32([2; 32]),
        gguf_bytes: 3_000_000,
        tokenizer_hash: Bytes32([3; 32]),
        template_hash: Bytes32([4; 32]),
        sampler_version: 1,
        kv_type: KvType::F16,
        context_tokens: 2_048,
    }
}

pub fn provider(spec: &SpecRef, tokens_per_s: u32) -> CapabilityInput {
    CapabilityInput {
        roles: vec![Role::Provider],
        transport_key: None,
        addresses: vec![],
        must_be_known: false,
        backend: Backend::Cpu,
        backend_detail: "test".into(),
        models: vec![ServedModel { spec: spec.clone(), tokens_per_s }],
        router: None,
        region: None,
    }
}

pub fn offered(spec: &SpecRef) -> Capability {
    let CapabilityInput {
        roles,
        transport_key,
        addresses,
        must_be_known,
        backend,
        backend_detail,
        models,
        router,
        region,
    } = provider(spec, 1);
    let sealing_key = Bytes32([5; 32]);
    Capability {
        roles,
        sealing_key,
        transport_key,
        addresses,
        must_be_known,
        backend,
        backend_detail,
        models,
        router,
        region,
    }
}
