//! Answers that can be checked: receipts are opened, become files, and files are checked without a node.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod forged;

use ainonymous_e2e::{binary, root, tiny_model, Bootstrap, Client, Node, NodeSpec, Stranger, PASSPHRASE};
use ainonymous_node::receipt_file::ReceiptFile;
use ainonymous_protocol::sign_grant;
use ainonymous_types::{EntryHash, OpenRefusal, RefuseReason};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const QUESTION: &str = "Tell me a story about a fox.";

fn ainonymous(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command
        .env_remove("AINONYMOUS_CONFIG")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("AINONYMOUS_PASSPHRASE", PASSPHRASE)
        .args(args);
    command.output().expect("the executable starts")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// What `verify` says, and with which code it ends.
fn verify(file: &Path, more: &[&str]) -> (Value, i32) {
    let output = ainonymous(&[&["verify", "--json", path(file)], more].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{output:?}"));
    (said, output.status.code().expect("a code"))
}

fn coarser_model() -> PathBuf {
    root().join("tests/models/tiny-gemma-q4_0.gguf")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_becomes_a_file_that_can_be_checked_without_a_node() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::start(NodeSpec::new(&url).with(&["--audit-rate", "20000", "--auditors-drawn", "70000"]));
    provider.wait_ready();
    asker.wait_ready();
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let dir = tempfile::tempdir().expect("a folder");
    let (file, api) = (dir.path().join("receipt.json"), here.base().to_owned());

    let ask = ["ask", "--api", &api, "--seed", "11", "--receipt", path(&file), "--json", "--route", "direct"];
    let asked = ainonymous(&[&ask[..], &["--max-tokens", "120", QUESTION]].concat());
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    let written = std::fs::read_to_string(&file).expect("a file");
    let receipt: Value = serde_json::from_str(&written).expect("JSON");
    assert!(written.contains(QUESTION), "it contains the question");
    let terms = &receipt["receipt"]["receipt"]["audit"];
    assert_eq!(
        (&terms["rate_ppm"], &terms["auditors_ppm"]),
        (&json!(1_000_000), &json!(70_000)),
        "a newcomer is always looked at"
    );
    assert!(receipt["fingerprint"].as_array().is_some_and(|leaves| !leaves.is_empty()), "the provider has opened it");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for its owner's eyes only");
    }
    drop(asker);

    // Neither node nor network from here on.
    let (said, code) = verify(&file, &["--no-model"]);
    assert_eq!((said["verdict"].as_str(), said["level"].as_u64(), code), (Some("pass"), Some(1), 0), "{said}");
    assert!(said["findings"].as_array().expect("findings").iter().all(|part| part["found"] == "fits"), "{said}");
    let (said, code) = verify(&file, &["--model", path(&tiny_model())]);
    println!("an honest answer: {}", said["replay"]);
    assert_eq!((said["verdict"].as_str(), said["level"].as_u64(), code), (Some("pass"), Some(2), 0), "{said}");
    assert_eq!(said["replay"]["same_choice"], said["replay"]["tokens"], "{said}");
    let models = dir.path().join("models");
    std::fs::create_dir(&models).expect("a folder");
    std::fs::copy(tiny_model(), models.join("any-name.gguf")).expect("a copy");
    let (said, code) = verify(&file, &["--models-dir", path(&models)]);
    assert_eq!((said["level"].as_u64(), code), (Some(2), 0), "found by its hash: {said}");
    let other = ainonymous(&["verify", path(&file), "--model", path(&coarser_model())]);
    assert_eq!(other.status.code(), Some(2), "{other:?}");
    assert!(String::from_utf8_lossy(&other.stderr).contains("another model"), "{other:?}");

    let changed = dir.path().join("changed.json");
    std::fs::write(&changed, written.replace(QUESTION, "Tell me a story about a dog.")).expect("a file");
    let words = ainonymous(&["verify", path(&changed)]);
    let talk = String::from_utf8_lossy(&words.stdout);
    assert_eq!(words.status.code(), Some(10), "{words:?}");
    assert!(talk.contains("DOES NOT FIT: The question is not the one") && talk.contains("fail: "), "{talk}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_a_receipt_survives_a_restart_sealed() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::start(NodeSpec::new(&url));
    provider.wait_ready();
    asker.wait_ready();
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let mut body = ainonymous_e2e::Client::body(QUESTION);
    body["ainonymous"] = json!({ "route": "direct" });
    let answer = here.stream(body).await.expect("an answer");
    let id = answer.last["ainonymous"]["id"].as_str().expect("an id").to_owned();
    let (_, closed) = here.get(&format!("/ainonymous/v1/receipts/{id}/file")).await;
    assert!(closed["fingerprint"].is_null() && closed["text"] == answer.text.as_str(), "{closed}");

    for data in [provider.data_dir(), asker.data_dir()] {
        for needle in [QUESTION, &answer.text[..20]] {
            assert_eq!(files_with(&data, needle), Vec::<PathBuf>::new(), "in clear on disk");
        }
    }
    assert!(!provider.log().contains("fox") && !asker.log().contains("fox"), "no word of it in a log");
    assert_eq!(provider.stop(), Some(0));
    provider.restart();
    provider.wait_ready();
    here.wait_for_providers(1, SOON).await;
    let opened = eventually_open(&here, &id).await;
    let leaves = opened["fingerprint"].as_array().expect("leaves").len() as u64;
    let tokens = opened["receipt"]["receipt"]["completion_tokens"].as_u64().expect("a count");
    assert_eq!(leaves, tokens.div_ceil(32));
    // Whoever has the whole file, secret and all, but not the key that asked, is shown nothing.
    let file = ReceiptFile::parse(&serde_json::to_vec(&opened).expect("JSON")).expect("a receipt file");
    let stranger = Stranger::of(&provider.client(), asker.wait_ready()["dna_hash"].as_str().expect("a hash")).await;
    let forged = |auditor| sign_grant(&[6; 32], file.secret, &file.receipt, auditor, i64::MAX);
    assert_eq!(stranger.opens(file.receipt.clone(), forged(None)).await, Some(OpenRefusal::NotGranted));
    let auditor = file.receipt.receipt.provider.clone();
    assert_eq!(stranger.opens(file.receipt.clone(), forged(Some(auditor))).await, Some(OpenRefusal::NotGranted));
    let mut other = file.receipt.clone();
    other.receipt.completion_tokens += 1;
    assert_eq!(stranger.opens(other, forged(None)).await, Some(OpenRefusal::UnknownReceipt));
    let (status, unknown) = here.get(&format!("/ainonymous/v1/receipts/{}/file?open=true", "cd".repeat(16))).await;
    assert_eq!((status, unknown["error"]["code"].as_str()), (404, Some("receipt_not_found")));
}

/// A provider that comes back needs a moment to be found again.
async fn eventually_open(client: &ainonymous_e2e::Client, id: &str) -> Value {
    for _ in 0..60 {
        let (_, file) = client.get(&format!("/ainonymous/v1/receipts/{id}/file?open=true")).await;
        if !file["fingerprint"].is_null() {
            return file;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("never opened")
}

fn files_with(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|w| w == needle.as_bytes())) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_by_a_coarser_model_under_a_finer_ones_name_shows() {
    let dir = tempfile::tempdir().expect("a folder");
    let written = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    // Signed by keys of the test's own, so that the provider can claim what it likes.
    let honest = written("honest.json", forged::file(&tiny_model(), &tiny_model(), 3).await.to_text());
    let cheat = written("cheat.json", forged::file(&coarser_model(), &tiny_model(), 3).await.to_text());
    let model = ["--model", path(&tiny_model()).to_owned().leak()];
    let (said, code) = verify(&honest, &model);
    println!("honest: {}", said["replay"]);
    assert_eq!((said["verdict"].as_str(), code), (Some("pass"), 0), "{said}");
    let (said, code) = verify(&cheat, &model);
    println!("q4_0 under the name of q8_0: {}", said["replay"]);
    assert_eq!((said["verdict"].as_str(), said["level"].as_u64(), code), (Some("inconclusive"), Some(2), 11), "{said}");
    assert!(
        said["findings"].as_array().expect("findings").iter().all(|part| part["found"] != "does_not_fit"),
        "{said}"
    );
    let per_token = |said: &Value| {
        let count = |value: &Value| value.as_f64().expect("a number");
        count(&said["replay"]["statistics"]["delta_sum"]) / count(&said["replay"]["tokens"])
    };
    let honest = per_token(&verify(&honest, &model).0);
    assert!(per_token(&said) > 10.0 * honest.max(0.2), "{honest} and {}", per_token(&said));
}

/// Whoever opens nothing is judged by the tokens: a coarser model's show now and then, honest ones never.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_fingerprint_was_not_opened_is_judged_by_its_tokens() {
    let dir = tempfile::tempdir().expect("a folder");
    let table = root().join("docs/reference/calibration/tiny-gemma-q8_0.cpu-zen4.table.json");
    let model = tiny_model();
    let known = ["--model", path(&model), "--calibration", path(&table)];
    let mut failed = 0;
    // Of a coarser model's answers few have another token at this temperature.
    for (computed, answers) in [(tiny_model(), 6), (coarser_model(), 24)] {
        for seed in 0..answers {
            let file = forged::file(&computed, &model, seed).await.to_text();
            let mut file: Value = serde_json::from_str(&file).expect("a file");
            file["fingerprint"] = Value::Null;
            let unopened = dir.path().join("unopened.json");
            std::fs::write(&unopened, file.to_string()).expect("a file");
            let (said, code) = verify(&unopened, &known);
            println!("{}", said["replay"]);
            match said["verdict"].as_str() {
                Some("fail") => {
                    assert_eq!((computed == coarser_model(), code), (true, 10), "{said}");
                    failed += 1;
                }
                verdict => assert!(matches!(verdict, Some("pass" | "inconclusive")), "{said}"),
            }
        }
    }
    println!("{failed} of 24 by q4_0 fail");
    assert!(failed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_providers_the_majority_is_handed_out_and_the_coarser_one_is_named() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let dir = tempfile::tempdir().expect("a folder");
    let lying = forged::under_anothers_name(dir.path(), &coarser_model(), &tiny_model());
    let honest = || Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let (mut one, mut two, mut asker) = (honest(), honest(), Node::start(NodeSpec::new(&url)));
    let mut liar = Node::start_in(dir, NodeSpec::new(&url).serving(&lying));
    for node in [&mut one, &mut two, &mut asker, &mut liar] {
        node.wait_ready();
    }
    let here = asker.client();
    here.wait_for_providers(3, SOON).await;
    let liar = liar.agent();

    // A question to whose answer the two models choose different words: which ones do depends on the dice.
    let mut named = None;
    for seed in 1..=20 {
        let mut body = ainonymous_e2e::Client::body("Tell me a story about a king.");
        (body["seed"], body["temperature"]) = (json!(seed), json!(1.4));
        body["ainonymous"] = json!({ "route": "direct", "critical": 3 });
        let answer = here.stream(body).await.expect("an answer");
        let ours = &answer.last["ainonymous"];
        let agreement = &ours["agreement"];
        let voices = agreement["voices"].as_array().expect("voices");
        assert_eq!((voices.len(), &agreement["majority"]), (3, &json!(true)), "{agreement}");
        assert_eq!(ours["reason"]["candidates"], 3, "chosen among all who were asked: {}", ours["why"]);
        if let Some(dissents) = voices.iter().find(|voice| !voice["dissents_from"].is_null()) {
            println!("seed {seed}: {agreement}");
            assert_eq!(dissents["provider"], liar.as_str(), "{agreement}");
            assert_ne!(ours["provider"], liar.as_str(), "the majority's answer is handed out");
            named = Some(seed);
            break;
        }
    }
    assert!(named.is_some(), "the coarser model never said anything else");
    let api = here.base().to_owned();
    let seed = named.unwrap_or_default().to_string();
    let flags = ["ask", "--api", &api, "--critical", "3", "--seed", &seed, "--temperature", "1.4", "--route", "direct"];
    let asked = ainonymous(&[&flags[..], &["Tell me a story about a king."]].concat());
    let talk = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(0), "{talk}");
    assert!(talk.contains("agreement: 2 of 3 providers say exactly this"), "{talk}");
    assert!(talk.contains(&format!("{}… says otherwise from token", &liar[..9])), "{talk}");
    let too_many = ainonymous(&["ask", "--api", &api, "--critical", "4", "Hello?"]);
    assert_eq!(too_many.status.code(), Some(4), "{too_many:?}");
}

/// Two receipts for one question are a proof against whoever signed them: so nobody can have two, whatever id they ask by, and though the
/// provider was killed in between.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_two_receipts_for_one_question() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::ready(NodeSpec::new(&url));
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let answer = here.stream(Client::body("What is the capital of France?")).await.expect("an answer");
    let spec = answer.last["ainonymous"]["model_spec"].as_str().expect("a spec");
    let spec = EntryHash::try_from(spec).expect("a spec");
    let dna = asker.wait_ready()["dna_hash"].as_str().expect("a hash").to_owned();

    let told = Stranger::of(&provider.client(), &dna).await.is_answered(spec.clone()).await;
    for killed in [false, true] {
        if killed {
            provider.kill();
            provider.restart();
            provider.wait_ready();
        }
        let stranger = Stranger::of(&provider.client(), &dna).await;
        let again = stranger.asks_again(&told).await.map(|told| told.receipt);
        assert_eq!(again, Err(RefuseReason::Malformed), "killed: {killed}");
        // With a salt and a challenge of its own the same is another question.
        stranger.is_answered(spec.clone()).await;
    }
}
