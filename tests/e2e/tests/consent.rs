//! Auditors who are shown answers: only with consent, only who is drawn, and a provider opens to nobody who has promised nothing.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

use ainonymous_e2e::{calibration, tiny_model, Bootstrap, Client, Node, NodeSpec, Router, Stranger};
use ainonymous_protocol::sign_grant;
use ainonymous_types::{
    ActionHash, AgentPubKey, AuditOrder, AuditRefusal, AuditShown, BatchProof, Bytes32, EntryHash, OpenRefusal,
};
use serde_json::{json, Value};
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Answers that are asked until one is long enough to decide.
const ANSWERS: usize = 8;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An auditor that asks nobody anything of its own accord while a test runs.
fn auditor(url: &str, table: &Path) -> NodeSpec {
    let flags = ["--no-share", "--audit", "--audit-every-s", "604800", "--calibration"];
    NodeSpec::new(url).serving(&tiny_model()).with(&flags).with(&[&table.to_string_lossy()])
}

fn question(n: usize, provider: &str, show_auditors: &str) -> Value {
    let prompts = ["Tell me a story about a fox.", "Tell me about a fox.", "Write about the sea and a fox."];
    let mut body = Client::body(prompts[n % prompts.len()]);
    (body["max_tokens"], body["seed"]) = (64.into(), (100 + n).into());
    (body["temperature"], body["top_p"]) = (1.into(), 1.into());
    body["ainonymous"] = json!({ "route": "direct", "provider": provider, "show_auditors": show_auditors });
    body
}

/// Audits that a node shows, with this mode.
async fn audits(client: &Client, mode: &str) -> Vec<Value> {
    let last = client.status().await["audits"]["last"].as_array().cloned().unwrap_or_default();
    last.into_iter().filter(|made| made["mode"] == mode).collect()
}

/// Asks until an auditor's verdict on the answer is not undecided; returns the state of the answer and the audit.
async fn decided(client: &Client, provider: &str) -> (Value, Value) {
    for n in 0..ANSWERS {
        let before = audits(client, "drawn").await.len();
        let answer = client.stream(question(n, provider, "friends")).await.expect("an answer");
        let deadline = Instant::now() + SOON;
        let made = loop {
            let now = audits(client, "drawn").await;
            if let Some(made) = now.get(before) {
                break made.clone();
            }
            assert!(Instant::now() < deadline, "no auditor has said anything");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let state = loop {
            let (_, state) = client.get(&text(&answer.last["ainonymous"]["receipt_path"])).await;
            if state["audit"] != "running" {
                break state;
            }
            assert!(Instant::now() < deadline, "another auditor is still looked for");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        if made["verdict"] != "inconclusive" {
            return (state, made);
        }
    }
    panic!("no answer was long enough to decide")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_sees_what_a_person_shows_it_and_reports_what_it_finds() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let (mut honest, mut cheater) =
        (Node::start(NodeSpec::new(&url).serving(&tiny_model())), Node::start(NodeSpec::new(&url).cheating()));
    honest.wait_ready();
    cheater.wait_ready();
    let table = calibration(&honest.client(), dir.path()).await;
    let mut auditor = Node::ready(auditor(&url, &table));
    let (there, friend) = (auditor.client(), auditor.agent());
    // Whoever asks has no model, and so cannot check anything itself.
    let mut asker = Node::ready(NodeSpec::new(&url).with(&["--friend", &friend]));
    let here = asker.client();
    here.wait_for_providers(2, SOON).await;
    let (good, bad) = (honest.agent(), cheater.agent());

    // Nobody is shown anything who was not let.
    for (n, show) in [(0, json!(null)), (1, json!("none"))] {
        let mut body = question(n, &bad, "none");
        body["ainonymous"]["show_auditors"] = show;
        let answer = here.stream(body).await.expect("an answer");
        here.receipt(&text(&answer.last["ainonymous"]["id"]), SOON).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(audits(&here, "drawn").await, Vec::<Value>::new());
    let calls = there.status().await["zome_calls"].clone();
    assert!(calls["create_audit_commit"].as_u64().is_none_or(|n| n == 0), "{calls}");
    assert!(calls["get_audit_commits"].as_u64().is_none_or(|n| n == 0), "it has not even been asked: {calls}");

    for (provider, verdict, state) in [(&bad, "fail", "disputed"), (&good, "pass", "audited")] {
        let (shown, made) = decided(&here, provider).await;
        println!("{made}");
        assert_eq!((text(&made["verdict"]), text(&made["provider"])), (verdict.into(), provider.to_string()));
        assert_eq!(text(&made["auditor"]), friend, "{made}");
        assert_eq!(text(&shown["audit"]), state, "{shown}");
        // Everybody reads the same, the provider too; question and answer are nowhere.
        for reader in [&here, &cheater.client()] {
            let deadline = Instant::now() + SOON;
            loop {
                let (_, findings) = reader.get(&format!("/ainonymous/v1/findings/{provider}")).await;
                let mut reports = findings["reports"].as_array().into_iter().flatten();
                if let Some(read) = reports.find(|read| read["action"] == made["report"]) {
                    let facts = (text(&read["verdict"]), read["canary"].clone(), text(&read["author"]));
                    assert_eq!(facts, (verdict.into(), json!(false), friend.clone()));
                    assert_eq!(read["statistics"], made["statistics"]);
                    break;
                }
                assert!(Instant::now() < deadline, "{findings}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
    // Of an answer that is longer than a report can speak of, the stretch that fell to the auditor is judged.
    let mut long = question(1, &good, "friends");
    (long["max_tokens"], long["ignore_eos"]) = (600.into(), true.into());
    here.stream(long).await.expect("an answer");
    let deadline = Instant::now() + SOON;
    let made = loop {
        if let Some(made) = audits(&here, "drawn").await.into_iter().find(|made| made["tokens"] == 600) {
            break made;
        }
        assert!(Instant::now() < deadline, "nobody has said anything of the long one");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("{made}");
    assert_eq!(text(&made["verdict"]), "pass", "{made}");
    let judged = made["statistics"]["tokens"].as_u64().unwrap_or_default();
    assert!((225..=256).contains(&judged), "{made}");

    // Who asks and who answers might be one: a pass earns nothing at the auditor, a fail counts.
    let known = there.status().await["audits"]["providers"].as_array().cloned().unwrap_or_default();
    assert!(known.iter().all(|of| of["provider"] != good.as_str() || of["passed"] == 0), "{known:?}");
    assert!(known.iter().any(|of| of["provider"] == bad.as_str() && of["failed"] == 1), "{known:?}");
    assert!(!auditor.log().contains("fox") && !asker.log().contains("fox"), "no word of it in a log");
    let shown = [there.status().await["audits"].to_string(), here.status().await["audits"].to_string()];
    assert!(shown.iter().all(|shown| !shown.contains("fox")), "{shown:?}");
}

/// Waits until an auditor has said something of an answer of this node; returns who.
async fn heard(client: &Client, count: usize) -> Vec<String> {
    let deadline = Instant::now() + 2 * SOON;
    loop {
        let made = audits(client, "drawn").await;
        if made.len() >= count {
            return made.iter().map(|made| text(&made["auditor"])).collect();
        }
        assert!(Instant::now() < deadline, "no auditor has said anything");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// An auditor that can be reached openly only is not shown what was asked through a router.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_hides_from_the_provider_hides_from_auditors() {
    let (mut bootstrap, dir, mut router) =
        (Bootstrap::start(), tempfile::tempdir().expect("a folder"), Router::start());
    let (url, via) = (bootstrap.url(), router.address());
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()).with(&["--via", &via]));
    let table = calibration(&provider.client(), dir.path()).await;
    let mut open = Node::start(auditor(&url, &table));
    let mut routed = Node::start(auditor(&url, &table).with(&["--via", &via]));
    let (one, other) = (open.agent(), routed.agent());
    let friends = ["--friend", one.as_str(), "--friend", other.as_str(), "--show-auditors", "friends"];
    let mut asker = Node::ready(NodeSpec::new(&url).with(&friends));
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    for n in 0..2 {
        let mut body = question(n, &provider.agent(), "friends");
        body["ainonymous"] = json!({ "provider": provider.agent(), "hide": true });
        let answer = here.stream(body).await.expect("an answer through the router");
        assert_eq!(answer.last["ainonymous"]["route"], "routed");
        assert_eq!(heard(&here, n + 1).await, vec![routed.agent(); n + 1], "and nobody else");
    }
    let calls = open.client().status().await["zome_calls"].clone();
    assert!(calls["get_audit_commits"].as_u64().is_none_or(|n| n == 0), "it has not been asked: {calls}");
    // Whoever does not hide shows it to both, one after the other.
    here.stream(question(5, &provider.agent(), "friends")).await.expect("an answer");
    let mut last = heard(&here, 4).await.split_off(2);
    last.sort();
    let mut both = vec![open.agent(), routed.agent()];
    both.sort();
    assert_eq!(last, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_opens_to_no_auditor_who_has_promised_nothing() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::ready(NodeSpec::new(&url));
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let answer = here.stream(question(0, &provider.agent(), "none")).await.expect("an answer");
    let spec = EntryHash::try_from(text(&answer.last["ainonymous"]["model_spec"]).as_str()).expect("a spec");
    let dna = text(&asker.wait_ready()["dna_hash"]);
    let stranger = Stranger::of(&provider.client(), &dna).await;
    let told = stranger.is_answered(spec).await;
    let (receipt, grant) = (told.receipt.clone(), |auditor| told.grant(auditor));

    // Whoever asked is shown it, and as an auditor nobody is before a commitment stands on the DHT.
    assert_eq!(stranger.opens(receipt.clone(), grant(None)).await, None);
    let begun = Instant::now();
    let named = grant(Some(stranger.agent()));
    let refused = stranger.shows_itself_and_opens(receipt.clone(), named.clone()).await;
    assert_eq!(refused, Some(OpenRefusal::NotCommitted));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(stranger.opens(receipt.clone(), named.clone()).await, Some(OpenRefusal::NotGranted), "unknown");
    // A flood of them waits in bounded numbers, and everybody else is served meanwhile.
    let flood = (0..20).map(|_| stranger.shows_itself_and_opens(receipt.clone(), named.clone()));
    let (refused, own) = tokio::join!(futures::future::join_all(flood), stranger.opens(receipt.clone(), grant(None)),);
    assert_eq!(own, None);
    let busy = refused.iter().filter(|refusal| **refusal == Some(OpenRefusal::Busy)).count();
    let waited = refused.iter().filter(|refusal| **refusal == Some(OpenRefusal::NotCommitted)).count();
    assert!(waited <= 4 && busy + waited == 20, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_fit_is_refused_by_name() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
    let table = calibration(&provider.client(), dir.path()).await;
    let (mut auditor, mut asker) = (Node::ready(auditor(&url, &table)), Node::ready(NodeSpec::new(&url)));
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let answer = here.stream(question(0, &provider.agent(), "none")).await.expect("an answer");
    let spec = EntryHash::try_from(text(&answer.last["ainonymous"]["model_spec"]).as_str()).expect("a spec");
    let dna = text(&asker.wait_ready()["dna_hash"]);
    let (at_provider, stranger) =
        (Stranger::of(&provider.client(), &dna).await, Stranger::of(&auditor.client(), &dna).await);
    let named = AgentPubKey::try_from(auditor.agent().as_str()).expect("an agent");
    let told = at_provider.is_answered(spec.clone()).await;
    let (order, shown) = (told.order(), told.shown_to(&named));

    // What the order itself says: nothing is shown to whoever refuses it.
    let guessed = AuditOrder { secret: Bytes32([9; 32]), ..order.clone() };
    assert_eq!(stranger.orders(guessed, shown.clone()).await, Err((false, AuditRefusal::DoesNotFit)), "another secret");
    let proof = BatchProof { batch: ActionHash::from_raw_36(vec![7; 36]), index: 0, path: vec![] };
    let nowhere = AuditOrder { proof, ..order.clone() };
    assert_eq!(stranger.orders(nowhere, shown.clone()).await, Err((false, AuditRefusal::NotPublished)));
    let moved = BatchProof { index: order.proof.index + 1, ..order.proof.clone() };
    let moved = AuditOrder { proof: moved, ..order.clone() };
    assert_eq!(stranger.orders(moved, shown.clone()).await, Err((false, AuditRefusal::DoesNotFit)));
    // A node without the role takes none at all.
    assert_eq!(at_provider.orders(order.clone(), shown.clone()).await, Err((false, AuditRefusal::NoAuditor)));

    // What is shown.
    let other = at_provider.is_answered(spec).await.shown_to(&named);
    let foreign = AuditShown { grant: shown.grant.clone(), ..other };
    assert_eq!(stranger.orders(order.clone(), foreign).await, Err((true, AuditRefusal::DoesNotFit)), "foreign text");
    let for_another = told.shown_to(&stranger.agent());
    assert_eq!(stranger.orders(order.clone(), for_another).await, Err((true, AuditRefusal::NotGranted)));
    let forged = sign_grant(&[6; 32], told.secret, &told.receipt, Some(named), i64::MAX);
    let forged = AuditShown { grant: forged, ..shown.clone() };
    assert_eq!(stranger.orders(order.clone(), forged).await, Err((true, AuditRefusal::NotGranted)), "another's key");
    let calls = auditor.client().status().await["zome_calls"].clone();
    assert!(calls["create_audit_commit"].as_u64().is_none_or(|n| n == 0), "nothing was promised: {calls}");

    // What fits is audited whoever shows it, and once.
    let report = stranger.orders(order.clone(), shown.clone()).await.expect("a report");
    assert_eq!(text(&audits(&auditor.client(), "drawn").await[0]["report"]), report.to_string());
    assert_eq!(stranger.orders(order, shown).await, Err((false, AuditRefusal::Repeated)));
    let calls = auditor.client().status().await["zome_calls"].clone();
    assert_eq!(calls["create_audit_commit"], 1, "{calls}");
}
