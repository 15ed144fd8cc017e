//! Writes what fuzzing begins with: `corpus/TARGET/…`, from the golden vectors and the models of the tests. What is there besides, found by
//! fuzzing, stays.
#![allow(clippy::expect_used, clippy::print_stdout)] // A tool of the tests, run by hand.

use ainonymous_fuzz::{invite_fields, invite_text};
use ainonymous_types::*;
use ainonymous_verify::invite::{Invite, Pass};
use ainonymous_verify::network;
use ainonymous_verify::vectors::{from_json, DnaCase, EntryCase, File, LinkCase, MembershipCase};
use holochain_serialized_bytes::encode;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Of a model's file the beginning of its header: all of it would be mostly words.
const HEADER_BYTES_MAX: usize = 4 << 10;

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../..");
    let mut seeds = Seeds { corpus: here.join("corpus"), count: BTreeMap::new() };
    frames(&mut seeds, &root);
    for control in [
        "0001",
        "013c00c00002019221",
        "02",
        "030120010db80000000000000000000000019221",
        "04090909090909090909090909090909090909090909090909090909090909090900",
        "05ac0200",
        "05010100c00002019221",
        "0600",
        "0606",
    ] {
        seeds.put("control", &hex::decode(control).expect("hexadecimal"));
    }
    for datagram in ["00aa", "01aa", "7faa", "8001aa", "ac02aa", "ffffff7faa"] {
        seeds.put("datagram", &hex::decode(datagram).expect("hexadecimal"));
    }
    let via = format!("quic://192.0.2.1:4242/via/{}", "0f".repeat(32));
    for address in ["quic://192.0.2.1:4242", "quic://[2001:db8::1]:1", via.as_str()] {
        seeds.put("address", address.as_bytes());
    }
    for file in ["said", "entries", "networks", "links", "audits"] {
        vectors(&mut seeds, &root.join(format!("tests/vectors/{file}.json")));
    }
    invites(&mut seeds);
    for model in ["tiny-gemma-q4_0.gguf", "draft-gemma-q8_0.gguf", "images/mmproj-tiny-gemma-f32.gguf"] {
        let bytes = fs::read(root.join("tests/models").join(model)).expect("a model of the tests");
        seeds.put("gguf", &bytes[..bytes.len().min(HEADER_BYTES_MAX)]);
    }
    for (target, count) in seeds.count {
        println!("{target}: {count} seeds");
    }
}

struct Seeds {
    corpus: PathBuf,
    count: BTreeMap<&'static str, usize>,
}

impl Seeds {
    fn put(&mut self, target: &'static str, bytes: &[u8]) {
        let folder = self.corpus.join(target);
        let count = self.count.entry(target).or_default();
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("seed-{count:03}")), bytes).expect("a file");
        *count += 1;
    }
}

fn frames(seeds: &mut Seeds, root: &Path) {
    let golden = fs::read_to_string(root.join("sidecar/transport/tests/frames.json")).expect("golden frames");
    let golden: BTreeMap<String, String> = serde_json::from_str(&golden).expect("frames by name");
    let golden: Vec<Vec<u8>> = golden.values().map(|frame| hex::decode(frame).expect("hexadecimal")).collect();
    for frame in &golden {
        seeds.put("frame", &frame[4..]);
    }
    // Whole streams: a question and what may follow it, an answer, and one that breaks off.
    seeds.put("stream", &golden.concat());
    seeds.put("stream", &golden[1..4].concat());
    seeds.put("stream", &golden[0][..golden[0].len() - 1]);
    // What routers and clients say has a shorter length before it.
    seeds.put("stream", &hex::decode("0200000101000202000600").expect("hexadecimal"));
}

fn vectors(seeds: &mut Seeds, path: &Path) {
    let file: File = serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("vectors");
    for case in file.cases {
        // Some cases are about what cannot even be spelt.
        match case.operation.as_str() {
            "chat.bounds" => {
                if let Ok(input) = from_json::<ChatInput>(&case.with) {
                    seeds.put("question", &encode(&input).expect("a question"));
                }
            }
            "rules.link" => {
                if let Ok(link) = from_json::<LinkCase>(&case.with) {
                    seeds.put("link", &encode(&link).expect("a link"));
                }
            }
            "rules.membership" => {
                if let Some(proof) = from_json::<MembershipCase>(&case.with).ok().and_then(|case| case.proof) {
                    seeds.put("membership", &proof);
                }
            }
            "fingerprint.decode" => {
                let bytes = case.with.as_str().and_then(|text| hex::decode(text.strip_prefix("0x")?).ok());
                bytes.into_iter().for_each(|bytes| seeds.put("fingerprint", &bytes));
            }
            "signal.bounds" => {
                if let Ok(signal) = from_json::<PeerSignal>(&case.with) {
                    seeds.put("signal", &encode(&signal).expect("a signal"));
                }
            }
            "rules.entry" => {
                if let Ok(entry) = from_json::<EntryCase>(&case.with) {
                    seeds.put("entry", &encode(&entry).expect("an entry"));
                }
            }
            "network.of_dna" => {
                if let Ok(dna) = from_json::<DnaCase>(&case.with) {
                    seeds.put("network", &dna.properties);
                }
            }
            _ => {}
        }
    }
}

fn invites(seeds: &mut Seeds) {
    let agent = |n| AgentPubKey::from_raw_36(vec![n; 36]);
    for (kind, founders, work_bits, bound) in [
        (NetworkKind::Public, vec![], 0, None),
        (NetworkKind::Public, vec![], 20, None),
        (NetworkKind::Private, vec![agent(1), agent(2)], 0, Some(agent(4))),
        (NetworkKind::Lan, vec![agent(2)], 0, None),
    ] {
        let (version, name) = (NETWORK_VERSION, "Reading circle".to_owned());
        let properties = NetworkProperties { version, name, kind, founders, work_bits };
        let seed = "00112233".to_owned();
        let pass = (kind != NetworkKind::Public).then(|| Pass {
            terms: InviteTerms {
                network: network::id(&properties, &seed),
                founder: agent(2),
                key: Bytes32([3; 32]),
                expires_at: 1_760_000_000_000_000,
                agent: bound,
            },
            founder_signature: Bytes64([5; 64]),
            secret: Bytes32([6; 32]),
        });
        let invite = Invite { properties, seed, bootstrap: "https://b.example".into(), relay: None, pass };
        let text = invite.to_text().expect("an invite");
        let fields = invite_fields(&text).expect("base32");
        assert_eq!(invite_text(&fields), text, "the wrapping here is the wrapping there");
        seeds.put("invite", &fields);
    }
}
