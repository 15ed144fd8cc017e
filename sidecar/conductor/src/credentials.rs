//! Keys that may call functions without being the agent: the sidecar's own when it attaches, and the web page's.
//!
//! Each is a fresh key pair with a capability grant on the source chain that names the functions it may call.

use crate::link::{AdminLink, ZomeCall, ADMIN_TIMEOUT};
use crate::ConductorError;
use ainonymous_types::{ActionHash, AgentPubKey, COORDINATOR_ZOME};
use ed25519_dalek::{Signer, SigningKey};
use holochain_conductor_api::{
    AdminRequest, AdminResponse, AppInterfaceInfo, IssueAppAuthenticationTokenPayload, ZomeCallParamsSigned,
};
use holochain_types::prelude::{
    CapSecret, CellId, GrantConstraint, GrantZomeCallCapabilityGrant, GrantZomeCallCapabilityPayload, GrantedFunctions,
    Nonce256Bits, Signature, Timestamp, ZomeCallGrant, ZomeCallParams, CAP_SECRET_BYTES,
};
use holochain_types::websocket::AllowedOrigins;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

/// What the web page may call: it reads, and it speaks to peers; it never writes to the chain.
pub const UI_FUNCTIONS: [&str; 10] = [
    "get_all_model_specs",
    "get_providers_for_model_spec",
    "send_signal",
    "get_receipt_batch",
    "get_agent_standing",
    "get_audit_reports",
    "get_accusations",
    "get_convictions",
    "get_appeals",
    "get_equivocations",
];

/// How long a page may connect, and reconnect, with one token. Seconds.
const UI_TOKEN_S: u64 = 3_600;
/// A call must reach the conductor before its parameters expire (Holochain's own bound is five minutes).
const CALL_EXPIRES_AFTER: Duration = Duration::from_secs(240);

/// Everything that a page needs to talk to the conductor itself; for `setSigningCredentials` of the JavaScript client.
#[derive(Clone, Serialize)]
pub struct UiCredentials {
    /// Port of the app interface that admits the page's origin.
    pub app_port: u16,
    /// Installed app id.
    pub installed_app_id: String,
    /// Opens the websocket, for an hour.
    pub token: Vec<u8>,
    /// DNA hash and agent key, 39 bytes each.
    pub cell_id: (Vec<u8>, Vec<u8>),
    /// Secret of the capability grant.
    pub cap_secret: Vec<u8>,
    /// The public key as an agent key, 39 bytes.
    pub signing_key: Vec<u8>,
    /// The pair, as libsodium has it.
    pub key_pair: UiKeyPair,
}

/// An Ed25519 key pair as libsodium has it.
#[derive(Clone, Serialize)]
pub struct UiKeyPair {
    /// 32 bytes.
    pub public: Vec<u8>,
    /// 64 bytes: the seed, then the public key.
    pub secret: Vec<u8>,
}

/// A key pair that was granted some functions.
pub(crate) struct Credentials {
    key: SigningKey,
    secret: [u8; CAP_SECRET_BYTES],
    grant: ActionHash,
    cell: CellId,
}

impl Credentials {
    /// Makes a key pair and grants it the functions: one action on the source chain.
    pub(crate) async fn grant(
        admin: &AdminLink,
        cell: &CellId,
        tag: &str,
        functions: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, ConductorError> {
        let key = SigningKey::from_bytes(&rand::random());
        let mut secret = [0; CAP_SECRET_BYTES];
        rand::fill(&mut secret);
        let listed: HashSet<_> = functions.into_iter().map(|f| (COORDINATOR_ZOME.into(), f.into())).collect();
        let request = AdminRequest::GrantZomeCallCapability(Box::new(GrantZomeCallCapabilityPayload {
            cell_id: cell.clone(),
            cap_grant: GrantZomeCallCapabilityGrant {
                tag: tag.to_string(),
                constraint: GrantConstraint::Assigned {
                    secret: secret.into(),
                    assignees: BTreeSet::from([agent_of(&key)]),
                },
                grant: ZomeCallGrant { functions: GrantedFunctions::Listed(listed) },
            },
        }));
        const NAME: &str = "grant zome call capability";
        match admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(NAME))? {
            AdminResponse::ZomeCallCapabilityGranted(grant) => Ok(Self { key, secret, grant, cell: cell.clone() }),
            _ => Err(ConductorError::ConductorTooOld { request: NAME }),
        }
    }

    /// Takes the grant back: one more action on the source chain.
    pub(crate) async fn revoke(&self, admin: &AdminLink) -> Result<(), ConductorError> {
        let request =
            AdminRequest::RevokeZomeCallCapability { action_hash: self.grant.clone(), cell_id: self.cell.clone() };
        admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin("revoke zome call capability"))?;
        Ok(())
    }

    /// True if the grant stands on that cell's chain.
    pub(crate) fn fit(&self, cell: &CellId) -> bool {
        self.cell == *cell
    }

    /// Signs a call.
    pub(crate) fn sign(&self, call: ZomeCall) -> Result<ZomeCallParamsSigned, String> {
        let ZomeCall { cell, function, payload } = call;
        let params = ZomeCallParams {
            provenance: agent_of(&self.key),
            cell_id: cell,
            zome_name: COORDINATOR_ZOME.into(),
            fn_name: function.into(),
            cap_secret: Some(CapSecret::from(self.secret)),
            payload,
            nonce: Nonce256Bits::from(rand::random::<[u8; 32]>()),
            expires_at: Timestamp::now().saturating_add(&CALL_EXPIRES_AFTER),
        };
        let (bytes, hash) = params.serialize_and_hash().map_err(|e| e.to_string())?;
        Ok(ZomeCallParamsSigned::new(bytes, Signature(self.key.sign(&hash).to_bytes())))
    }

    /// In the page's form.
    pub(crate) fn for_page(&self, app_id: &str, app_port: u16, token: Vec<u8>) -> UiCredentials {
        UiCredentials {
            app_port,
            installed_app_id: app_id.to_string(),
            token,
            cell_id: (self.cell.dna_hash().get_raw_39().to_vec(), self.cell.agent_pubkey().get_raw_39().to_vec()),
            cap_secret: self.secret.to_vec(),
            signing_key: agent_of(&self.key).get_raw_39().to_vec(),
            key_pair: UiKeyPair {
                public: self.key.verifying_key().to_bytes().to_vec(),
                secret: self.key.to_keypair_bytes().to_vec(),
            },
        }
    }
}

/// A fresh token for the app's websocket.
pub(crate) async fn issue_token(admin: &AdminLink, app_id: &str, for_page: bool) -> Result<Vec<u8>, ConductorError> {
    const NAME: &str = "issue app authentication token";
    let mut payload = IssueAppAuthenticationTokenPayload::for_installed_app_id(app_id.to_string());
    if for_page {
        payload = payload.single_use(false).expiry_seconds(UI_TOKEN_S);
    }
    let request = AdminRequest::IssueAppAuthenticationToken(payload);
    match admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(NAME))? {
        AdminResponse::AppAuthenticationTokenIssued(issued) => Ok(issued.token),
        _ => Err(ConductorError::ConductorTooOld { request: NAME }),
    }
}

/// Makes a token worthless.
pub(crate) async fn revoke_token(admin: &AdminLink, token: Vec<u8>) -> Result<(), ConductorError> {
    let request = AdminRequest::RevokeAppAuthenticationToken(token);
    admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin("revoke app authentication token"))?;
    Ok(())
}

/// An app interface for one origin and one app. The conductor keeps interfaces for ever, so one that fits is used again.
pub(crate) async fn app_interface(admin: &AdminLink, app_id: &str, origin: &str) -> Result<u16, ConductorError> {
    const LIST: &str = "list app interfaces";
    const ATTACH: &str = "attach app interface";
    let origins = AllowedOrigins::Origins(HashSet::from([origin.to_string()]));
    let fits = |i: &AppInterfaceInfo| i.allowed_origins == origins && i.installed_app_id.as_deref() == Some(app_id);
    match admin.request(AdminRequest::ListAppInterfaces, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(LIST))? {
        AdminResponse::AppInterfacesListed(interfaces) => {
            if let Some(interface) = interfaces.iter().find(|i| fits(i)) {
                return Ok(interface.port);
            }
        }
        _ => return Err(ConductorError::ConductorTooOld { request: LIST }),
    }
    let request = AdminRequest::AttachAppInterface {
        port: None,
        danger_bind_addr: None,
        allowed_origins: origins,
        installed_app_id: Some(app_id.to_string()),
    };
    match admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(ATTACH))? {
        AdminResponse::AppInterfaceAttached { port } => Ok(port),
        _ => Err(ConductorError::ConductorTooOld { request: ATTACH }),
    }
}

fn agent_of(key: &SigningKey) -> AgentPubKey {
    AgentPubKey::from_raw_32(key.verifying_key().to_bytes().to_vec())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("cell", &self.cell).finish_non_exhaustive()
    }
}

impl fmt::Debug for UiCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app_port, installed_app_id, .. } = self;
        f.debug_struct("UiCredentials")
            .field("app_port", app_port)
            .field("app", installed_app_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UiKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiKeyPair").finish_non_exhaustive()
    }
}
