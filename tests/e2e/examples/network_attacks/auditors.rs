//! Auditors that do not compute, or lie. A person who has the model too lets them see answers: what they report is held against what the node
//! has found itself.

use crate::network::{self, known, question, text, Network, LOOK, SOON};
use crate::row::Row;
use ainonymous_e2e::{Client, Node, NodeSpec};
use ainonymous_verify::audit::calibration::{LLR_MAX, LLR_MIN};
use serde_json::{json, Value};
use std::path::PathBuf;
use std::time::Instant;

/// Most answers that are shown: a node's API lists its last 32 audits.
const SHOWN_MAX: usize = 6;

/// What an auditor does, and with whom.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Names for `attacks cheat`: of the auditor's engine, and of the provider's.
    auditor: &'static str,
    provider: &'static str,
    /// It judges by a table in which everything honest fails.
    poisoned: bool,
    pub(crate) quick: bool,
    note: &'static str,
}

pub(crate) const ATTACKS: [Attack; 4] = [
    Attack {
        name: "a lazy auditor",
        auditor: "lazy",
        provider: "nothing",
        poisoned: false,
        quick: false,
        note: "promises guesses before it sees anything; found are answers whose own audit says otherwise",
    },
    Attack {
        name: "slander by an auditor",
        auditor: "cheaper",
        provider: "nothing",
        poisoned: false,
        quick: false,
        note: "computes with q4_0 and says q8_0; found are answers whose own audit says otherwise",
    },
    Attack {
        name: "collusion of provider and auditor",
        auditor: "cheaper",
        provider: "cheaper",
        poisoned: false,
        quick: true,
        note: "both q4_0: the auditor lets the provider pass; found are answers whose own audit says otherwise",
    },
    Attack {
        name: "an auditor with a poisoned table",
        auditor: "nothing",
        provider: "nothing",
        poisoned: true,
        quick: false,
        note: "in which everything honest fails, by invented counts; found are answers whose own audit says otherwise",
    },
];

pub(crate) async fn row(network: &mut Network, attack: &Attack) -> Row {
    let table = if attack.poisoned { poisoned(network) } else { network.table.clone() };
    let spec = || NodeSpec::new(&network.url);
    let role = ["--audit", "--audit-every-s", "604800", "--calibration"];
    let auditor = spec().doing(attack.auditor).serving(&network.model).with(&["--no-share"]).with(&role);
    let mut auditor = Node::start(auditor.with(&[&table.to_string_lossy()]));
    let mut cheat =
        (attack.provider != "nothing").then(|| Node::start(spec().doing(attack.provider).serving(&network.model)));
    auditor.wait_ready();
    let asked = cheat.as_mut().unwrap_or(&mut network.honest).agent();
    let friend = auditor.agent();
    // Somebody who shows what it is answered to that auditor, and has looked itself.
    let table = network.table.to_string_lossy();
    let flags = ["--no-share", "--no-self-audit", "--friend", &friend, "--calibration", &table];
    let mut asker = Node::ready(spec().serving(&network.model).with(&flags));
    let here = asker.client();
    known(&here, &asked).await;
    let (mut heard, mut contradicted, mut false_alarms) = (Vec::new(), 0, 0);
    for n in 0..network.answers.div_ceil(2).min(SHOWN_MAX) {
        let mut body = question(n, &asked);
        body["ainonymous"]["show_auditors"] = json!("friends");
        let answer = network::answer(&here, body).await;
        let path = text(&answer.last["ainonymous"]["receipt_path"]);
        // The dice do not choose every answer of whoever has passed before.
        if let Some(told) = told(&here, &path, heard.len()).await {
            heard.push((path, told));
        }
    }
    let mut reports = 0;
    for (path, told) in &heard {
        let (_, own) = here.post(&format!("{path}/verify"), json!({})).await;
        let ours = text(&own["verdict"]);
        if told != "inconclusive" && ours != "inconclusive" {
            reports += 1;
            contradicted += u64::from(*told != ours);
        }
        false_alarms += u64::from(attack.provider == "nothing" && ours == "fail");
    }
    network.stays.extend([asker, auditor].into_iter().chain(cheat));
    Row {
        attack: attack.name,
        nodes: Some(3),
        tried: reports,
        found: contradicted,
        audits_median: (contradicted > 0).then_some(1),
        false_alarms,
        honest_tried: if attack.provider == "nothing" { heard.len() as u64 } else { 0 },
        note: attack.note.into(),
        promised_percent: 80,
        ..Row::default()
    }
}

/// The auditor's verdict on an answer, behind so many others; none if it is not shown to anybody.
async fn told(client: &Client, path: &str, before: usize) -> Option<String> {
    let deadline = Instant::now() + SOON;
    loop {
        let last = client.status().await["audits"]["last"].as_array().cloned().unwrap_or_default();
        let mut drawn = last.into_iter().filter(|made| made["mode"] == "drawn");
        if let Some(made) = drawn.nth(before) {
            return Some(text(&made["verdict"]));
        }
        if client.get(path).await.1["audit"] == "unaudited" {
            return None;
        }
        assert!(Instant::now() < deadline, "the auditor has said nothing");
        tokio::time::sleep(LOOK).await;
    }
}

/// The network's table with invented counts: as many answers, all said to be better than the best that there can be. The rules take it.
fn poisoned(network: &Network) -> PathBuf {
    let bytes = std::fs::read(&network.table).expect("the table");
    let mut file: Value = serde_json::from_slice(&bytes).expect("JSON");
    for part in file["by_temperature"].as_array_mut().into_iter().flatten() {
        for row in part["rows"].as_array_mut().into_iter().flatten() {
            for table in row["tables"].as_array_mut().into_iter().flatten() {
                let honest: u64 = table["honest"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
                (table["cuts"], table["honest"]) = (json!([0]), json!([honest, 0]));
                (table["llr"], table["fail_bin"]) = (json!([LLR_MIN, LLR_MAX]), json!(1));
            }
        }
    }
    let path = network.dir().join("poisoned.table.json");
    std::fs::write(&path, file.to_string()).expect("a file");
    path
}
