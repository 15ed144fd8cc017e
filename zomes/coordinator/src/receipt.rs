//! Receipts: signed one by one, written down in batches.

use crate::find::{me, refuse, valid_known};
use ainonymous_types::{Bytes64, Receipt, ReceiptBatch, ReceiptBatchRecord, SignedReceipt};
use ainonymous_verify::rules::{AppEntry, Content};
use ainonymous_verify::{receipt, signal, Breach};
use hdk::prelude::*;
use inference_integrity::EntryTypes;

/// The operation that carries a whole record, as Holochain spells it in validation receipts.
const RECORD_OP: &str = "CreateRecord";

/// Signs a receipt with this agent's key, if it is this agent's.
#[hdk_extern]
pub fn sign_receipt(statement: Receipt) -> ExternResult<SignedReceipt> {
    if statement.provider != me()? {
        return Err(refuse(Breach::NotAuthor { what: "the receipt" }));
    }
    let signature = sign_raw(statement.provider.clone(), receipt::canonical(&statement))?;
    let signed = SignedReceipt { receipt: statement, signature: Bytes64(signature.0) };
    signal::receipt(&signed).map_err(refuse)?;
    Ok(signed)
}

/// Writes a batch of receipts down.
#[hdk_extern]
pub fn create_receipt_batch(batch: ReceiptBatch) -> ExternResult<ActionHash> {
    create_entry(EntryTypes::ReceiptBatch(batch))
}

/// A batch and its author; none while it has not arrived, or if it is not valid.
#[hdk_extern]
pub fn get_receipt_batch(action: ActionHash) -> ExternResult<Option<ReceiptBatchRecord>> {
    Ok(valid_known(&action)?.and_then(|known| match known.content {
        Content::App(_, AppEntry::ReceiptBatch(batch)) => Some(ReceiptBatchRecord { author: known.author, batch }),
        _ => None,
    }))
}

/// Whether anybody else holds a record that this agent wrote: a peer validated it and said so.
#[hdk_extern]
pub fn is_held_by_peers(action: ActionHash) -> ExternResult<bool> {
    let ops = get_validation_receipts(GetValidationReceiptsInput::new(action))?;
    Ok(ops.iter().any(|op| op.op_type == RECORD_OP && !op.receipts.is_empty()))
}
