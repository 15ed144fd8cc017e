//! What a node stores for the network: to measure what one answer costs everybody, and to search it for what must not be there.

use crate::link::{AdminLink, ADMIN_TIMEOUT};
use crate::ConductorError;
use holochain_conductor_api::{AdminRequest, AdminResponse};
use holochain_types::prelude::{Action, ActionData, CellId, ChainOp, DhtOp, EntryType};
use serde::Serialize;
use std::collections::BTreeMap;

/// Ops read at once.
const PAGE_OPS: u32 = 500;

/// What a node stores for the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DhtStats {
    /// Ops that are integrated, rejected ones included.
    pub ops: u64,
    /// Their bytes, as Holochain encodes them.
    pub bytes: u64,
    /// Ops that wait for validation or integration.
    pub waiting: u64,
    /// By kind: `<op> <action>`, for example `CreateEntry Create app 0.2` (zome and entry type by number).
    pub by_kind: BTreeMap<String, KindStats>,
}

/// Ops of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindStats {
    /// How many.
    pub ops: u64,
    /// Their bytes.
    pub bytes: u64,
}

pub(crate) async fn collect(admin: &AdminLink, cell: &CellId) -> Result<DhtStats, ConductorError> {
    let mut stats = DhtStats::default();
    each_op(admin, cell, |op, integrated| {
        if !integrated {
            stats.waiting += 1;
            return Ok(());
        }
        let bytes = encode(op)?.len() as u64;
        stats.ops += 1;
        stats.bytes += bytes;
        let kind = stats.by_kind.entry(kind_of(op)).or_default();
        kind.ops += 1;
        kind.bytes += bytes;
        Ok(())
    })
    .await?;
    Ok(stats)
}

pub(crate) async fn raw_ops(admin: &AdminLink, cell: &CellId) -> Result<Vec<Vec<u8>>, ConductorError> {
    let mut ops = Vec::new();
    each_op(admin, cell, |op, _| {
        ops.push(encode(op)?);
        Ok(())
    })
    .await?;
    Ok(ops)
}

/// Shows every op and whether it is integrated.
async fn each_op(
    admin: &AdminLink,
    cell: &CellId,
    mut see: impl FnMut(&DhtOp, bool) -> Result<(), ConductorError>,
) -> Result<(), ConductorError> {
    const NAME: &str = "dump full state";
    let mut cursor = None;
    loop {
        let request = AdminRequest::DumpFullState {
            cell_id: Box::new(cell.clone()),
            dht_ops_cursor: cursor,
            limit: Some(PAGE_OPS),
        };
        let dump = match admin.request(request, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(NAME))? {
            AdminResponse::FullStateDumped(state) => state.integration_dump,
            _ => return Err(ConductorError::ConductorTooOld { request: NAME }),
        };
        dump.integrated.iter().try_for_each(|op| see(op, true))?;
        dump.validation_limbo.iter().chain(&dump.integration_limbo).try_for_each(|op| see(op, false))?;
        match dump.dht_ops_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn encode(op: &DhtOp) -> Result<Vec<u8>, ConductorError> {
    holochain_serialized_bytes::encode(op)
        .map_err(|e| ConductorError::WrongShape { function: "dump full state", problem: e.to_string() })
}

fn kind_of(op: &DhtOp) -> String {
    match op {
        DhtOp::WarrantOp(_) => "Warrant".into(),
        DhtOp::ChainOp(op) => {
            let name = match **op {
                ChainOp::CreateRecord(..) => "CreateRecord",
                ChainOp::CreateEntry(..) => "CreateEntry",
                ChainOp::AgentActivity(..) => "AgentActivity",
                ChainOp::UpdateEntry(..) => "UpdateEntry",
                ChainOp::UpdateRecord(..) => "UpdateRecord",
                ChainOp::DeleteEntry(..) => "DeleteEntry",
                ChainOp::DeleteRecord(..) => "DeleteRecord",
                ChainOp::CreateLink(..) => "CreateLink",
                ChainOp::DeleteLink(..) => "DeleteLink",
            };
            format!("{name} {}", action_of(op.signed_action().data()))
        }
    }
}

fn action_of(action: &Action) -> String {
    let name = action.action_type().to_string();
    match (action.entry_type(), &action.data) {
        (Some(EntryType::App(def)), _) => format!("{name} app {}.{}", def.zome_index.0, def.entry_index.0),
        (Some(EntryType::AgentPubKey), _) => format!("{name} agent"),
        (Some(EntryType::CapGrant), _) => format!("{name} grant"),
        (Some(EntryType::CapClaim), _) => format!("{name} claim"),
        (None, ActionData::CreateLink(link)) => format!("{name} link {}.{}", link.zome_index.0, link.link_type.0),
        (None, _) => name,
    }
}
