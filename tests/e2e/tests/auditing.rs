//! Audits among real nodes: whoever serves what it promised passes, whoever serves something cheaper is found and asked no more; a canary
//! is reported for everybody to see, and enough of them bring the provider before a jury.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{calibration, dies_in_mid_answer, tiny_model, Bootstrap, Client, Node, NodeSpec, Providers};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Answers asked of each provider.
const ANSWERS: usize = 8;

fn question(n: usize, provider: Option<&str>) -> Value {
    let prompts = ["Tell me a story.", "Write about the sea.", "Tell me about a dog.", "Tell me a story about a king."];
    let mut body = Client::body(prompts[n % prompts.len()]);
    body["max_tokens"] = 64.into();
    body["seed"] = (100 + n).into();
    body["temperature"] = 1.into();
    body["top_p"] = 1.into();
    body["ainonymous"] = json!({ "route": "direct" });
    if let Some(provider) = provider {
        body["ainonymous"]["provider"] = provider.into();
    }
    body
}

fn audits_of(status: &Value, provider: &str) -> (u64, u64, u64) {
    let of = status["audits"]["providers"].as_array().into_iter().flatten().find(|of| of["provider"] == provider);
    let number = |name: &str| of.and_then(|of| of[name].as_u64()).unwrap_or_default();
    (number("passed"), number("failed"), number("inconclusive"))
}

/// Waits until so many answers of a provider were audited.
async fn audited(client: &Client, provider: &str, answers: u64) -> (u64, u64, u64) {
    let deadline = Instant::now() + SOON;
    loop {
        let (passed, failed, inconclusive) = audits_of(&client.status().await, provider);
        if passed + failed + inconclusive >= answers {
            return (passed, failed, inconclusive);
        }
        assert!(Instant::now() < deadline, "{passed} passed, {failed} failed, {inconclusive} inconclusive");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a check of an answer of this provider says, and its state afterwards. Not every answer
/// is long enough to decide.
async fn settled(client: &Client, provider: &str) -> (String, String) {
    let mut found = (String::new(), String::new());
    for n in 0..ANSWERS {
        let answer = client.stream(question(n, Some(provider))).await.expect("an answer");
        let path = text(&answer.last["ainonymous"]["receipt_path"]);
        let (status, made) = client.post(&format!("{path}/verify"), json!({})).await;
        assert_eq!(status, 200, "{made}");
        let (_, state) = client.get(&path).await;
        found = (text(&state["audit"]), text(&made["verdict"]));
        if found.1 != "inconclusive" {
            break;
        }
    }
    found
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_provider_passes_and_one_that_serves_something_cheaper_is_found() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let (mut honest, mut cheater) =
        (Node::start(NodeSpec::new(&url).serving(&tiny_model())), Node::start(NodeSpec::new(&url).cheating()));
    honest.wait_ready();
    cheater.wait_ready();
    let table = calibration(&honest.client(), dir.path()).await;
    let asker = NodeSpec::new(&url).serving(&tiny_model());
    let mut asker = Node::ready(asker.with(&["--no-share", "--calibration", &table.to_string_lossy()]));
    let here = asker.client();
    here.wait_for_providers(2, SOON).await;
    let (good, bad) = (honest.agent(), cheater.agent());
    // By whatever way an answer comes: this one lay on the DHT.
    let mut posted = question(0, Some(&good));
    posted["ainonymous"]["route"] = "posted".into();
    let answer = here.ask(posted).await.expect("an answer by the DHT");
    assert_eq!(answer.last["ainonymous"]["route"], "posted");
    audited(&here, &good, 1).await;
    for n in 0..ANSWERS {
        for provider in [&good, &bad] {
            let answer = here.stream(question(n, Some(provider))).await.expect("an answer");
            assert_eq!(answer.last["ainonymous"]["provider"], provider.as_str());
        }
    }
    // Of a newcomer every answer is audited, of whoever passes fewer and fewer: the dice decide how many of eight.
    let (passed, failed, inconclusive) = audited(&here, &good, 1 + ANSWERS as u64 / 4).await;
    println!("honest: {passed} passed, {failed} failed, {inconclusive} inconclusive");
    assert_eq!(failed, 0);
    assert!(passed >= ANSWERS as u64 / 4, "{passed}");
    let (passed, failed, inconclusive) = audited(&here, &bad, ANSWERS as u64 / 2).await;
    println!("q4_0 for q8_0: {passed} passed, {failed} failed, {inconclusive} inconclusive");
    assert!(failed >= ANSWERS as u64 / 4, "{failed}");

    // A person can have any answer checked, whatever the dice said; its state then says so.
    for (provider, state, verdict) in [(&good, "audited", "pass"), (&bad, "disputed", "fail")] {
        let found = settled(&here, provider).await;
        assert_eq!((found.0.as_str(), found.1.as_str()), (state, verdict), "{provider}");
    }

    // Of an answer that is longer than the table speaks of a stretch is judged, wherever it lies.
    let mut long = question(1, Some(&good));
    (long["max_tokens"], long["ignore_eos"]) = (600.into(), true.into());
    let answer = here.stream(long).await.expect("an answer");
    let path = text(&answer.last["ainonymous"]["receipt_path"]);
    let (_, made) = here.post(&format!("{path}/verify"), json!({})).await;
    assert_eq!((&made["verdict"], &made["tokens"]), (&json!("pass"), &json!(600)), "{made}");
    let judged = made["statistics"]["tokens"].as_u64().unwrap_or_default();
    assert!((225..=256).contains(&judged), "{made}");

    // From now on the honest one is asked, and it is said why.
    for n in 0..6 {
        let answer = here.stream(question(n, None)).await.expect("an answer");
        assert_eq!(answer.last["ainonymous"]["provider"], good.as_str(), "{}", answer.last["ainonymous"]["why"]);
    }
    let answer = here.stream(question(0, Some(&bad))).await.expect("an answer, if it is wanted");
    let why = answer.last["ainonymous"]["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("worse by failed audits"), "{why}");
    // Nothing of what was said is shown.
    let shown = here.status().await["audits"].to_string();
    assert!(!shown.contains("story") && !shown.contains("king"), "{shown}");
    // It is remembered.
    asker.stop();
    asker.restart();
    asker.wait_ready();
    let (_, again, _) = audits_of(&asker.client().status().await, &bad);
    assert!(again >= failed, "{again}");
}

/// Most people have no calibration: another model is found all the same, and nobody honest suffers for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_table_finds_what_no_rounding_explains() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut honest = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let mut cheater = Node::start(NodeSpec::new(&url).doing("tuned-laundered").serving(&tiny_model()));
    let mut asker = Node::ready(NodeSpec::new(&url).serving(&tiny_model()).with(&["--no-share"]));
    honest.wait_ready();
    cheater.wait_ready();
    let here = asker.client();
    here.wait_for_providers(2, SOON).await;
    let mut found = Vec::new();
    for provider in [honest.agent(), cheater.agent()] {
        let mut failed = 0;
        for n in 0..ANSWERS {
            let answer = here.stream(question(n, Some(&provider))).await.expect("an answer");
            let path = text(&answer.last["ainonymous"]["receipt_path"]);
            let (status, made) = here.post(&format!("{path}/verify"), json!({})).await;
            assert_eq!(status, 200, "{made}");
            let expected = if made["verdict"] == "fail" { "beyond_rounding" } else { "uncalibrated" };
            assert_eq!(made["why"], expected, "{made}");
            failed += u64::from(made["verdict"] == "fail");
        }
        println!("{failed} of {ANSWERS} failed");
        found.push(failed);
    }
    assert!(found[0] == 0 && found[1] >= ANSWERS as u64 / 4, "{found:?}");
    let (_, failed, _) = audits_of(&asker.client().status().await, &cheater.agent());
    assert_eq!(failed, found[1], "and it counts");
}

/// Whoever is asked to go on where another has died is audited for what it adds.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_to_an_answer_that_another_has_begun_is_computed_again() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let mut providers = Providers::start(&url, 2, &[]).await;
    let table = calibration(&providers.client(), dir.path()).await;
    let asker = NodeSpec::new(&url).serving(&tiny_model());
    let mut asker = Node::ready(asker.with(&["--no-share", "--calibration", &table.to_string_lossy()]));
    let here = asker.client();
    here.wait_for_providers(2, SOON).await;
    let mut asked = question(0, None);
    (asked["max_tokens"], asked["ignore_eos"]) = (128.into(), true.into());
    let survived = dies_in_mid_answer(&mut providers, &here, asked, 100).await;
    let own = &survived.last["ainonymous"];
    let (begun, receipt) = (own["begun_by"][0]["tokens"].as_u64().unwrap_or_default(), text(&own["receipt_path"]));
    assert!((8..120).contains(&begun), "{own}");
    let (status, made) = here.post(&format!("{receipt}/verify"), json!({})).await;
    assert_eq!((status, &made["tokens"]), (200, &json!(128 - begun)), "{made}");
    assert_ne!(made["verdict"], "fail", "{made}");
    assert_eq!(made["statistics"]["tokens"], made["tokens"], "its fingerprint was opened and compared: {made}");
    let (passed, failed, inconclusive) = audits_of(&here.status().await, &text(&own["provider"]));
    assert_eq!((failed, passed + inconclusive), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_asks_like_anybody_and_reports_what_it_finds() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let mut cheater = Node::ready(NodeSpec::new(&url).cheating());
    let table = calibration(&cheater.client(), dir.path()).await;
    let spec = NodeSpec::new(&url).serving(&tiny_model());
    let table = table.to_string_lossy().into_owned();
    let mut auditor =
        Node::ready(spec.with(&["--no-share", "--audit", "--audit-every-s", "1", "--calibration", &table]));
    let (here, bad) = (auditor.client(), cheater.agent());
    let deadline = Instant::now() + 2 * SOON;
    let report = loop {
        let audits = here.status().await["audits"].clone();
        let last = audits["last"].as_array().cloned().unwrap_or_default();
        // One whose answer came out too long to be shown is the auditor's own.
        if let Some(made) = last.iter().find(|made| made["verdict"] == "fail" && made["mode"] == "canary") {
            break made.clone();
        }
        assert!(Instant::now() < deadline, "{audits}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    println!("{report}");
    assert_eq!(report["provider"].as_str(), Some(bad.as_str()));
    assert!(report["report"].as_str().is_some_and(|action| action.starts_with("uhCkk")), "{report}");
    // Everybody can read it, the one that it is about too.
    let path = format!("/ainonymous/v1/findings/{bad}");
    for reader in [&here, &cheater.client()] {
        let deadline = Instant::now() + SOON;
        loop {
            let (code, findings) = reader.get(&path).await;
            assert_eq!(code, 200, "{findings}");
            let mut reports = findings["reports"].as_array().into_iter().flatten();
            if let Some(read) = reports.find(|read| read["action"] == report["report"]) {
                let facts = (read["verdict"].as_str(), read["canary"].as_bool(), read["author"].as_str());
                assert_eq!(facts, (Some("fail"), Some(true), Some(auditor.agent().as_str())));
                assert_eq!(read["statistics"], report["statistics"]);
                break;
            }
            assert!(Instant::now() < deadline, "{findings}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let calls = here.status().await["zome_calls"].clone();
    for function in ["create_calibration", "create_audit_commit", "create_audit_report"] {
        assert!(calls[function].as_u64().is_some_and(|n| n > 0), "{function}: {calls}");
    }
    assert_eq!(calls["create_calibration"], 1, "written down once");
    // The verdict is no breach: the provider's own node knows of no warrant, and goes on.
    let answer = here.stream(question(0, Some(&bad))).await.expect("an answer");
    assert!(!answer.text.is_empty());
}

/// What one auditor can add to the evidence (`verify::audit::evidence::share_max`).
const SHARE_MAX: u64 = 2_244;

/// Waits until what is published about an agent is as it shall be; returns it.
async fn published(client: &Client, agent: &str, until: impl Fn(&Value) -> bool, patience: Duration) -> Value {
    let deadline = Instant::now() + patience;
    loop {
        let (_, findings) = client.get(&format!("/ainonymous/v1/findings/{agent}")).await;
        if until(&findings) {
            return findings;
        }
        assert!(Instant::now() < deadline, "{findings}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Somebody who audits so often, with this table.
fn auditor(spec: NodeSpec, every_s: &str, table: &str) -> NodeSpec {
    let often = ["--no-share", "--audit", "--audit-every-s", every_s, "--auditors-drawn", "1000000"];
    spec.with(&often).with(&["--calibration", table])
}

/// Three auditors one after the other, so that each builds on the last: what one can add is bounded, two cannot cross the bound, three
/// can. What the accused's own node has is not lost when an auditor leaves.
async fn accused(provider: &mut Node, mut auditor: impl FnMut() -> NodeSpec) {
    let agent = provider.agent();
    for n in 1..=3 {
        let mut party = Node::ready(auditor());
        let until = |findings: &Value| match n {
            3 => findings["accusations"].as_array().is_some_and(|found| !found.is_empty()),
            _ => {
                let mut reports = findings["reports"].as_array().into_iter().flatten();
                reports.any(|report| report["score"].as_u64().is_some_and(|score| score >= n * SHARE_MAX))
            }
        };
        published(&party.client(), &agent, until, 3 * SOON).await;
        let findings = published(&provider.client(), &agent, until, SOON).await;
        println!("after auditor {n}: {} reports", findings["reports"].as_array().map_or(0, Vec::len));
        assert_eq!(findings["convictions"], json!([]), "nobody is judge in a case of its own");
        assert!(n == 3 || findings["accusations"] == json!([]), "{n} cannot accuse");
    }
}

fn is_convicted(findings: &Value) -> bool {
    findings["convictions"].as_array().is_some_and(|found| !found.is_empty())
}

/// With these as friends besides.
fn befriending<'a>(spec: NodeSpec, friends: impl Iterator<Item = &'a mut Node>) -> NodeSpec {
    friends.fold(spec, |spec, friend| spec.with(&["--friend", &friend.agent()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn enough_evidence_calls_a_jury_and_who_trusts_its_jurors_asks_the_convicted_no_more() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let mut cheater = Node::ready(NodeSpec::new(&url).cheating());
    let bad = cheater.agent();
    let table = calibration(&cheater.client(), dir.path()).await.to_string_lossy().into_owned();
    let auditor = |every_s: &str| auditor(NodeSpec::new(&url).serving(&tiny_model()), every_s, &table);
    accused(&mut cheater, || auditor("1")).await;
    // Whoever comes later is no party, and everybody is drawn.
    let mut jurors = [(); 3].map(|()| Node::start(auditor("8")));
    for juror in &mut jurors {
        juror.wait_ready();
    }
    let mut friend = Node::ready(befriending(NodeSpec::new(&url), jurors.iter_mut()));
    let convicted = published(&jurors[0].client(), &bad, is_convicted, 4 * SOON).await;
    let conviction = &convicted["convictions"][0];
    assert_eq!(conviction["confirmations"].as_array().map(Vec::len), Some(3), "{conviction}");
    let accusations = convicted["accusations"].as_array().cloned().unwrap_or_default();
    assert!(accusations.iter().any(|found| found["action"] == conviction["accusation"]), "{convicted}");

    // Whoever knows none of the jurors is told, and believes nothing: the convicted itself, for one.
    let told = published(&cheater.client(), &bad, is_convicted, 2 * SOON).await;
    assert_eq!(told["convictions"][0]["believed"], false);
    // The jury's reports may come after the conviction that names them.
    let is_believed = |findings: &Value| {
        findings["convictions"].as_array().into_iter().flatten().any(|found| found["believed"] == true)
    };
    published(&friend.client(), &bad, is_believed, 3 * SOON).await;
}

/// The provider is honest; those who audit it at first compute with another file than they say, and so do the first jurors.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_convicted_wrongly_appeals_and_a_second_jury_finds_otherwise() {
    let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
    let url = bootstrap.url();
    let begun = Instant::now();
    let said = |what: &str| println!("{what} after {} s", begun.elapsed().as_secs());
    let mut honest = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
    let agent = honest.agent();
    let table = calibration(&honest.client(), dir.path()).await.to_string_lossy().into_owned();
    let broken = |every_s: &str| auditor(NodeSpec::new(&url).cheating(), every_s, &table);
    accused(&mut honest, || broken("1")).await;
    said("accused");
    let mut first = [(); 3].map(|()| Node::start(broken("8")));
    for juror in &mut first {
        juror.wait_ready();
    }
    published(&honest.client(), &agent, is_convicted, 4 * SOON).await;
    said("convicted");
    // It looks for itself, finds its own model in every answer, and asks for others to look. Nobody has to tell it to.
    let appeal = |findings: &Value| {
        let mut convictions = findings["convictions"].as_array().into_iter().flatten();
        convictions
            .find_map(|found| found["appeal"].as_object().map(|appeal| (found["believed"].clone(), appeal.clone())))
    };
    let asked = published(&first[0].client(), &agent, |findings| appeal(findings).is_some(), 3 * SOON).await;
    println!("{:?}", appeal(&asked));
    said("appealed");
    // Whoever convicted is not heard again: others have to come. What those have said stays.
    let friends = befriending(NodeSpec::new(&url), first.iter_mut());
    drop(first);
    let mut second = [(); 3].map(|()| Node::start(auditor(NodeSpec::new(&url).serving(&tiny_model()), "8", &table)));
    for juror in &mut second {
        juror.wait_ready();
    }
    let mut friend = Node::ready(befriending(friends, second.iter_mut()));
    let overturned = |findings: &Value| appeal(findings).is_some_and(|(_, appeal)| appeal["overturned"] == true);
    let found = published(&friend.client(), &agent, overturned, 10 * SOON).await;
    let (believed, appeal) = appeal(&found).expect("the appeal");
    println!("{appeal:?}");
    said("overturned");
    assert_eq!(believed, false, "whoever trusts both juries believes the second");
    assert_eq!((appeal["passed"].as_array().map(Vec::len), &appeal["failed"]), (Some(3), &json!([])));
    assert_eq!(appeal["author"], agent.as_str());
}
