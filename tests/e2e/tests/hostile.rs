//! Providers that mean harm, against whole nodes: each costs its asker a bounded time, has a name if nobody else answers, is left alone
//! after that, and the next one answers.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{run, tiny_model, Bootstrap, Client, Harm, Hostile, Node, NodeSpec};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
const SHORT: &str = "What is the capital of France?";
/// Whatever goes wrong has a name within this.
const NAMED_WITHIN: Duration = Duration::from_secs(5);
/// A question that two providers in a row do not react to is answered by the third within this.
const FAILED_OVER_WITHIN: Duration = Duration::from_secs(1);
/// Somebody who failed is left alone for this long (`protocol::breaker::OPEN_US`).
const LEFT_ALONE: Duration = Duration::from_secs(5);

fn own(answer: &Value) -> &Value {
    &answer["ainonymous"]
}

fn direct(more: &[(&str, Value)]) -> Value {
    let mut body = Client::body(SHORT);
    body["ainonymous"] = json!({ "route": "direct" });
    for (name, value) in more {
        body["ainonymous"][*name] = value.clone();
    }
    body
}

/// Asks; says how the answer came and when its first word did.
async fn asks(client: &Client, by: &str) -> Duration {
    let answer = client.stream(direct(&[])).await.expect("an answer by somebody else");
    assert!(answer.text.contains("Paris"), "{}", answer.text);
    assert_eq!(own(&answer.last)["provider"], by);
    answer.first_text
}

#[test]
fn whoever_breaks_its_word_is_named_left_alone_and_the_next_one_answers() {
    run(async {
        let mut bootstrap = Bootstrap::start();
        let url = bootstrap.url();
        let mut honest = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
        let by = honest.agent();
        let hostile = Hostile::join(&url, Harm::Mute).await;
        // Asked first whenever it is not left alone.
        let mut asker = Node::ready(NodeSpec::new(&url).with(&["--own", &hostile.agent()]));
        let (there, here) = (honest.client(), asker.client());
        here.wait_for_providers(2, SOON).await;
        let alone = there.ask(Client::body(SHORT)).await.expect("an answer").text;
        let beginning: String = alone.chars().take(4).collect();
        let (_, tokens) = there.post("/tokenize", json!({ "content": beginning })).await;
        let tokens: Vec<u32> = serde_json::from_value(tokens["tokens"].clone()).expect("tokens");
        println!("{beginning:?} is {tokens:?}");

        let only = || direct(&[("provider", json!(hostile.agent()))]);
        for (harm, codes, trips) in [
            (Harm::Mute, ["provider_silent", "provider_gone"], true),
            (Harm::Garbage, ["provider_silent", "provider_gone"], true),
            (Harm::Forges, ["provider_broken"; 2], true),
            (Harm::Stalls(beginning.clone(), tokens.clone()), ["provider_gone"; 2], true),
            // It has not failed: it has said so. Whoever claims a model and lacks it has no reason to be tried again, though.
            (Harm::LacksTheModel, ["provider_lost_model"; 2], false),
        ] {
            // Long enough after the last harm that it is tried again.
            tokio::time::sleep(3 * LEFT_ALONE + Duration::from_secs(1)).await;
            hostile.turns_to(harm.clone());
            let (begun, before) = (Instant::now(), hostile.asked());
            let answer = here.stream(direct(&[])).await.expect("an answer by somebody else");
            println!("{harm:?}: {} ms to the end of the answer", begun.elapsed().as_millis());
            assert_eq!(answer.text, alone, "{harm:?}: not a word lost or doubled");
            assert_eq!(own(&answer.last)["provider"], by.as_str(), "{harm:?}");
            assert!(begun.elapsed() < NAMED_WITHIN, "{harm:?}: {:?}", begun.elapsed());
            let tried = hostile.asked() - before;
            // Whoever has failed before may be left alone for longer than its breaker is open: it was asked first once.
            assert!(tried >= 1 || !matches!(harm, Harm::Mute), "{harm:?}: it was asked first");
            // The breaker is open: for a while nobody asks it again.
            asks(&here, &by).await;
            if trips {
                assert_eq!(hostile.asked() - before, tried, "{harm:?}: it was asked again at once");
            }
            // Alone, it has a name.
            let failed = here.stream(only()).await.expect_err("it does not answer");
            assert!(codes.contains(&failed.code()), "{harm:?}: {}", failed.code());
            failed.assert_helpful(NAMED_WITHIN);
        }
        hostile.leave().await;
    });
}

#[test]
fn two_that_never_say_a_word_cost_less_than_a_second() {
    run(async {
        let mut bootstrap = Bootstrap::start();
        let url = bootstrap.url();
        let mut honest = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
        let by = honest.agent();
        let (one, two) = (Hostile::join(&url, Harm::Mute).await, Hostile::join(&url, Harm::Mute).await);
        let owned = ["--own", &one.agent(), "--own", &two.agent()];
        let mut asker = Node::ready(NodeSpec::new(&url).with(&owned));
        let here = asker.client();
        here.wait_for_providers(3, SOON).await;
        let first_word = asks(&here, &by).await;
        println!("past two that never say a word: the first word after {} ms", first_word.as_millis());
        assert_eq!((one.asked(), two.asked()), (1, 1), "both were asked before");
        assert!(first_word < FAILED_OVER_WITHIN, "{first_word:?}");
        let quick = asks(&here, &by).await;
        println!("and the next time after {} ms", quick.as_millis());
        assert_eq!((one.asked(), two.asked()), (1, 1), "they are left alone");

        // One that beats its heart and never answers: the next is asked beside it.
        tokio::time::sleep(3 * LEFT_ALONE + Duration::from_secs(1)).await;
        one.turns_to(Harm::Beats);
        two.turns_to(Harm::Beats);
        let first_word = asks(&here, &by).await;
        println!("past two that only beat their hearts: the first word after {} ms", first_word.as_millis());
        assert!(first_word < Duration::from_secs(10), "{first_word:?}");
        one.leave().await;
        two.leave().await;
    });
}
