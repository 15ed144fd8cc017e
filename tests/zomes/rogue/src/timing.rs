//! How long the judgement of one report takes in wasm: what everybody who stores it pays.
//!
//! Everything but the way to the host and back is in it: the records that are referred to are at hand and decoded.

use crate::payload::{RawEntry, Timed, TimedReport};
use ainonymous_types::{ActionHash, AuditReport, Bytes32, EntryHash, Place, Topic};
use ainonymous_verify::judge::{self, Header, Records, Refusal};
use ainonymous_verify::network::Network;
use ainonymous_verify::rules::{self, Anchor, AppEntry, Content, Known};
use hdk::prelude::*;
use holochain_serialized_bytes::{decode, encode};
use std::collections::HashMap;

struct AtHand(HashMap<ActionHash, Known>);

impl Records for AtHand {
    type Error = ();
    fn valid(&self, action: &ActionHash) -> Result<Known, ()> {
        self.0.get(action).cloned().ok_or(())
    }
    fn anchor(&self, _: Anchor) -> Result<EntryHash, ()> {
        Err(())
    }
    fn bucket(&self, _: &Topic, _: Place) -> Result<EntryHash, ()> {
        Err(())
    }
    fn receipt(&self, _: &Bytes32) -> Result<EntryHash, ()> {
        Err(())
    }
    fn network(&self) -> Result<Network, Refusal<()>> {
        Err(Refusal::Records(()))
    }
}

pub(crate) fn run(timed: &TimedReport) -> ExternResult<Timed> {
    let mut at_hand = AtHand(HashMap::new());
    for (action, author, raw) in &timed.records {
        let content = Content::App(EntryHash::from_raw_36(vec![0; 36]), entry(raw)?);
        at_hand.0.insert(action.clone(), Known { author: author.clone(), content });
    }
    let header = Header { author: &timed.author, timestamp: 0 };
    let mut found = Timed { least_us: i64::MAX, all_us: 0, verdict: String::new() };
    for _ in 0..timed.rounds {
        let began = sys_time()?.as_micros();
        let report: AuditReport = decode(&timed.report).map_err(|e| wasm_error!(e))?;
        let report = AppEntry::AuditReport(report);
        let verdict = judge::entry(header, &report, &at_hand);
        let AppEntry::AuditReport(report) = report else { continue };
        let again = encode(&report).map_err(|e| wasm_error!(e))?;
        let same = rules::entry_encoding(&timed.report, &again);
        let took = sys_time()?.as_micros() - began;
        found.least_us = found.least_us.min(took);
        found.all_us += took;
        found.verdict = match (verdict, same) {
            (Ok(()), Ok(())) => "ok".into(),
            (Err(Refusal::Breach(breach)), _) | (_, Err(breach)) => breach.code().into(),
            (Err(Refusal::Records(())), _) => "missing".into(),
        };
    }
    Ok(found)
}

fn entry(raw: &RawEntry) -> ExternResult<AppEntry> {
    let bytes = &raw.bytes;
    let read = match raw.entry_type {
        1 => decode(bytes).map(AppEntry::Capability),
        4 => decode(bytes).map(AppEntry::ReceiptBatch),
        6 => decode(bytes).map(AppEntry::Calibration),
        7 => decode(bytes).map(AppEntry::AuditCommit),
        8 => decode(bytes).map(AppEntry::AuditReport),
        _ => return Err(wasm_error!(WasmErrorInner::Guest("no entry that a report refers to".into()))),
    };
    read.map_err(|e| wasm_error!(e))
}
