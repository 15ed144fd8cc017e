//! Our hApp in a conductor: found or installed, of the right network, enabled.

use crate::calls::essence;
use crate::link::{wire_text, AdminLink, LinkError, ADMIN_TIMEOUT};
use crate::work::{self, Kept};
use crate::{pack, ConductorError, FoundedNetwork};
use ainonymous_types::{AgentPubKey, DnaHash, NetworkProperties, ROLE_NAME};
use ainonymous_verify::network::Network;
use holochain_conductor_api::{AdminRequest, AdminResponse, AppInfo, CellInfo};
use holochain_types::app::{AppBundleSource, AppStatus, InstallAppPayload, RoleSettings};
use holochain_types::prelude::{CellId, SerializedBytes};
use std::sync::Arc;

/// How Holochain calls the failure of an agent's first actions.
const GENESIS: &str = "enesis";

/// Which app of which network.
#[derive(Debug)]
pub(crate) struct AppSpec {
    pub(crate) app_id: String,
    pub(crate) happ: Vec<u8>,
    pub(crate) network_seed: Option<String>,
    pub(crate) network: Option<FoundedNetwork>,
    pub(crate) dna: DnaHash,
    /// The network, as its zomes see it.
    pub(crate) identity: Network,
    /// Where a new agent and its work are kept until it has joined; a conductor elsewhere has no such place.
    pub(crate) kept: Option<Kept>,
}

/// Makes sure that the app is there and runs.
pub(crate) async fn ensure(admin: &AdminLink, spec: &AppSpec) -> Result<CellId, ConductorError> {
    let info = match find(admin, spec).await? {
        Some(info) => info,
        None => install(admin, spec).await?,
    };
    spec.kept.iter().for_each(Kept::joined);
    let cell = cell_of(&info, spec)?;
    if cell.dna_hash() != &spec.dna {
        return Err(ConductorError::AppOfAnotherNetwork {
            app_id: spec.app_id.clone(),
            expected: spec.dna.clone(),
            found: cell.dna_hash().clone(),
        });
    }
    if info.status != AppStatus::Enabled {
        enable(admin, spec).await?;
    }
    Ok(cell)
}

async fn find(admin: &AdminLink, spec: &AppSpec) -> Result<Option<AppInfo>, ConductorError> {
    const NAME: &str = "list apps";
    let request = AdminRequest::ListApps { status_filter: None };
    match admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(NAME))? {
        AdminResponse::AppsListed(apps) => Ok(apps.into_iter().find(|app| app.installed_app_id == spec.app_id)),
        _ => Err(ConductorError::ConductorTooOld { request: NAME }),
    }
}

/// Installs it under the agent key that the network knows us by, or a new one.
async fn install(admin: &AdminLink, spec: &AppSpec) -> Result<AppInfo, ConductorError> {
    let (agent_key, proof) = admission(admin, spec).await?;
    let properties = spec.network.as_ref().map(|network| &network.properties);
    let is_plain = properties.is_none() && proof.is_none();
    let role = role_settings(properties, proof)?;
    let request = AdminRequest::InstallApp(Box::new(InstallAppPayload {
        source: AppBundleSource::Bytes(spec.happ.clone().into()),
        agent_key,
        installed_app_id: Some(spec.app_id.clone()),
        network_seed: spec.network_seed.clone(),
        roles_settings: (!is_plain).then(|| [(ROLE_NAME.to_string(), role)].into()),
        ignore_genesis_failure: false,
        restore_from_dht: false,
    }));
    tracing::info!(app = %spec.app_id, network = %spec.dna, "installing the app");
    match admin.request(request, ADMIN_TIMEOUT).await {
        Ok(AdminResponse::AppInstalled(info)) => Ok(info),
        Err(LinkError::Refused(error)) => Err(refused(spec, wire_text(error))),
        Ok(_) => Err(ConductorError::ConductorTooOld { request: "install app" }),
        Err(error) => Err(error.into_admin("install app")),
    }
}

/// The agent to be, if it is not for the conductor to make one, and what it shows: its invite; or the work that the network asks
/// for, which is done now.
async fn admission(
    admin: &AdminLink,
    spec: &AppSpec,
) -> Result<(Option<AgentPubKey>, Option<SerializedBytes>), ConductorError> {
    let (agent, invite) = match &spec.network {
        Some(FoundedNetwork { properties: _, agent, proof }) => (agent.clone(), proof.as_ref()),
        None => (None, None),
    };
    let invalid = |problem: String| ConductorError::InvalidHapp { problem };
    if spec.identity.properties.work_bits == 0 {
        let proof = invite.map(SerializedBytes::try_from).transpose().map_err(|e| invalid(e.to_string()))?;
        return Ok((agent, proof));
    }
    let agent = match (agent, &spec.kept) {
        (Some(agent), _) => agent,
        (None, Some(kept)) => kept.agent(new_agent(admin)).await?,
        (None, None) => {
            tracing::warn!("another's conductor keeps no work: if it does not install the app, the work is lost");
            new_agent(admin).await?
        }
    };
    let proof = match spec.identity.work(&agent) {
        Some(asked) => Some(work::done(asked, spec.kept.as_ref()).await?),
        None => None,
    };
    let proof = proof.map(SerializedBytes::try_from).transpose().map_err(|e| invalid(e.to_string()))?;
    Ok((Some(agent), proof))
}

/// A key of the conductor's own keystore: the work is good for one agent, so the agent comes first.
async fn new_agent(admin: &AdminLink) -> Result<AgentPubKey, ConductorError> {
    const NAME: &str = "generate agent key";
    match admin.request(AdminRequest::GenerateAgentPubKey, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(NAME))? {
        AdminResponse::AgentPubKeyGenerated(agent) => Ok(agent),
        _ => Err(ConductorError::ConductorTooOld { request: NAME }),
    }
}

/// Properties, if they are not the hApp's own, and membrane proof.
fn role_settings(
    properties: Option<&NetworkProperties>,
    proof: Option<SerializedBytes>,
) -> Result<RoleSettings, ConductorError> {
    Ok(RoleSettings::Provisioned {
        membrane_proof: proof.map(Arc::new),
        modifiers: properties.map(pack::modifiers).transpose()?,
        init_properties: None,
    })
}

/// The own conductor asks the zome's `genesis_self_check` before it publishes anything.
fn refused(spec: &AppSpec, problem: String) -> ConductorError {
    match problem.contains(GENESIS) {
        true => ConductorError::NotAdmitted { problem: essence(&problem) },
        false => ConductorError::AppNotInstalled { app_id: spec.app_id.clone(), problem },
    }
}

async fn enable(admin: &AdminLink, spec: &AppSpec) -> Result<(), ConductorError> {
    let request = AdminRequest::EnableApp { installed_app_id: spec.app_id.clone() };
    match admin.request(request, ADMIN_TIMEOUT).await {
        Ok(_) => Ok(()),
        Err(LinkError::Refused(error)) => {
            Err(ConductorError::AppNotEnabled { app_id: spec.app_id.clone(), problem: wire_text(error) })
        }
        Err(error) => Err(error.into_admin("enable app")),
    }
}

fn cell_of(info: &AppInfo, spec: &AppSpec) -> Result<CellId, ConductorError> {
    let cells = info.cell_info.get(ROLE_NAME).map(Vec::as_slice).unwrap_or_default();
    let provisioned = cells.iter().find_map(|cell| match cell {
        CellInfo::Provisioned(cell) => Some(cell.cell_id.clone()),
        CellInfo::Cloned(_) | CellInfo::Stem(_) => None,
    });
    provisioned.ok_or_else(|| ConductorError::AppNotInstalled {
        app_id: spec.app_id.clone(),
        problem: format!("it has no cell for the role '{ROLE_NAME}'"),
    })
}
