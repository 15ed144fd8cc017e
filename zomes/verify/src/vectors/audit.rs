//! The operations of vectors about audits.

use super::{from_json, hexed, to_json, verdict};
use crate::audit::{calibration, draw, evidence, fingerprint, leaf, rate, statistics};
use crate::{agreement, gumbel};
use ainonymous_types::{
    AgentPubKey, Bytes32, Calibration, OpenedLeaf, Outcome, Position, Receipt, ReplayLeaf, Standing,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

/// `gumbel.noise`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NoiseCase {
    pub seed: u64,
    pub position: u32,
    pub id: u32,
}

/// `leaf.salt`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SaltCase {
    pub secret: Bytes32,
    pub index: u32,
}

/// `statistics.outcome`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OutcomeCase {
    pub opened: Vec<OpenedLeaf>,
    pub replay: Vec<ReplayLeaf>,
}

/// `calibration.judge`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct JudgeCase {
    pub calibration: Option<Calibration>,
    pub outcome: Outcome,
}

/// `evidence.add`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EvidenceCase {
    pub standing: Standing,
    pub auditor: AgentPubKey,
    pub llr: i16,
}

/// `draw.all`: everything that follows from a receipt, its secret and an agent.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DrawCase {
    pub receipt: Receipt,
    pub secret: Bytes32,
    pub agent: AgentPubKey,
    pub cases: u32,
}

/// `rate.ppm`.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RateCase {
    pub ok: u32,
    pub bad: u32,
    pub floor_ppm: u32,
    pub gain_milli: u64,
    pub loss_milli: u64,
    pub detection_ppm: u32,
}

/// Does what a case says.
pub(super) fn run(operation: &str, with: &Value) -> Result<Value, String> {
    match operation {
        "gumbel.noise" => from_json(with).map(|c: NoiseCase| gumbel::Dice::new(c.seed, c.position).noise(c.id).into()),
        "fingerprint.encode" => from_json(with).map(|window: Vec<Position>| match fingerprint::encode(&window) {
            Ok(bytes) => hexed(&bytes),
            Err(breach) => verdict(Err(breach)),
        }),
        "fingerprint.decode" => from_json(with).and_then(|bytes: serde_bytes::ByteBuf| {
            fingerprint::decode(&bytes).map_or_else(|breach| Ok(verdict(Err(breach))), |window| to_json(&window))
        }),
        "leaf.salt" => from_json(with).and_then(|c: SaltCase| to_json(&leaf::salt(&c.secret, c.index))),
        "leaf.fingerprint" => from_json(with).and_then(|leaves: Vec<OpenedLeaf>| to_json(&leaf::fingerprint(&leaves))),
        "leaf.replay" => from_json(with).and_then(|leaves: Vec<ReplayLeaf>| to_json(&leaf::replay(&leaves))),
        "statistics.outcome" => from_json(with).and_then(|c: OutcomeCase| {
            statistics::outcome(&c.opened, &c.replay)
                .map_or_else(|breach| Ok(verdict(Err(breach))), |outcome| to_json(&outcome))
        }),
        "calibration.rules" => from_json(with).map(|c: Calibration| verdict(calibration::rules(&c))),
        "calibration.judge" => from_json(with).and_then(|c: JudgeCase| {
            let (verdict, llr) = calibration::judge(c.calibration.as_ref(), &c.outcome);
            Ok(json!({ "verdict": to_json(&verdict)?, "llr": llr }))
        }),
        "evidence.add" => {
            from_json(with).and_then(|c: EvidenceCase| to_json(&evidence::add(&c.standing, &c.auditor, c.llr)))
        }
        "draw.all" => from_json(with).and_then(|c: DrawCase| drawn(&c)),
        "rate.ppm" => from_json(with).map(|c: RateCase| {
            let RateCase { ok, bad, floor_ppm, gain_milli, loss_milli, detection_ppm } = c;
            rate::rate_ppm(&rate::Stakes { ok, bad, floor_ppm, gain_milli, loss_milli, detection_ppm }).into()
        }),
        "agreement.compare" => from_json(with).map(|answers: Vec<Vec<u32>>| {
            let compared = agreement::compare(&answers.iter().map(Vec::as_slice).collect::<Vec<_>>());
            json!({ "left_at": compared.left_at, "agreed_tokens": compared.agreed_tokens })
        }),
        _ => Err(format!("no such operation: {operation}")),
    }
}

fn drawn(case: &DrawCase) -> Result<Value, String> {
    let DrawCase { receipt, secret, agent, cases } = case;
    let beacon = draw::beacon(receipt, secret);
    let jury = draw::jury(&beacon);
    Ok(json!({
        "challenge": to_json(&draw::challenge(secret))?,
        "beacon": to_json(&beacon)?,
        "jury": to_json(&jury)?,
        "is_audited": draw::is_audited(&beacon, &receipt.audit),
        "is_auditor": draw::is_auditor(&beacon, &receipt.audit, agent),
        "is_juror": draw::is_juror(&jury, &receipt.audit, agent),
        "case": draw::case(&jury, agent, *cases),
    }))
}
