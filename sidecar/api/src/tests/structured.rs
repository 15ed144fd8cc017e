//! Forms of answers, penalties, biases, log-probabilities: from their fields to the question, and back.

use super::scripted::{done, token, Scripted};
use super::{ask, question};
use ainonymous_node::request::{Adjust, Constraint};
use ainonymous_node::Question;
use ainonymous_types::FinishReason;
use serde_json::{json, Value};
use std::sync::Arc;

async fn asked(extra: Value) -> Question {
    let node = Arc::new(Scripted::new());
    let answer = ask(&node, question(extra)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "");
    node.question().question
}

#[tokio::test]
async fn forms_under_every_name() {
    let schema = json!({ "type": "object", "required": ["a"] });
    let of_schema = || Some(Constraint::JsonSchema(schema.clone()));
    let cases = [
        (json!({ "response_format": { "type": "text" } }), None),
        (json!({ "response_format": { "type": "json_object" } }), Some(Constraint::JsonObject)),
        (json!({ "response_format": { "type": "json_object", "schema": schema } }), of_schema()),
        (
            json!({ "response_format": { "type": "json_schema",
                "json_schema": { "name": "x", "strict": true, "schema": schema } } }),
            of_schema(),
        ),
        (json!({ "json_schema": schema }), of_schema()),
        (json!({ "json_schema": {} }), None),
        (json!({ "guided_json": schema.to_string() }), of_schema()),
        (json!({ "guided_regex": "[a-z]+" }), Some(Constraint::Regex("[a-z]+".into()))),
        (json!({ "guided_choice": ["yes", "no"] }), Some(Constraint::Choice(vec!["yes".into(), "no".into()]))),
        (json!({ "guided_grammar": "start: \"x\"" }), Some(Constraint::Lark("start: \"x\"".into()))),
        (json!({ "grammar": "start: \"x\"" }), Some(Constraint::Lark("start: \"x\"".into()))),
        (json!({ "grammar": "" }), None),
        (json!({ "grammar": "root ::= \"x\"" }), Some(Constraint::Gbnf("root ::= \"x\"".into()))),
        (json!({ "grammar": "start: \"::=\"" }), Some(Constraint::Lark("start: \"::=\"".into()))),
        (json!({ "structured_outputs": { "grammar": "root ::= [a]" } }), Some(Constraint::Gbnf("root ::= [a]".into()))),
        (json!({ "structured_outputs": { "json": schema } }), of_schema()),
        (json!({ "structured_outputs": { "regex": "x" } }), Some(Constraint::Regex("x".into()))),
        (json!({ "structured_outputs": { "choice": ["x"] } }), Some(Constraint::Choice(vec!["x".into()]))),
    ];
    for (extra, wanted) in cases {
        assert!(asked(extra.clone()).await.constraint == wanted, "{extra}");
    }
}

#[tokio::test]
async fn forms_that_make_no_sense_are_named() {
    let cases = [
        (json!({ "response_format": {} }), "response_format.type"),
        (json!({ "response_format": { "type": "yaml" } }), "response_format.type"),
        (json!({ "response_format": { "type": "json_schema" } }), "response_format.schema"),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": {} } }),
            "response_format.json_schema.schema",
        ),
        (json!({ "json_schema": "{" }), "json_schema"),
        (json!({ "json_schema": 5 }), "json_schema"),
        (json!({ "guided_choice": ["a", 5] }), "guided_choice"),
        (json!({ "guided_regex": "x", "guided_choice": ["a"] }), "guided_choice"),
        (json!({ "guided_json": { "x": "y".repeat(256 << 10) } }), "guided_json"),
    ];
    for (extra, param) in cases {
        let answer = ask(&Arc::new(Scripted::new()), question(extra)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["param"].as_str()),
            (400, Some(param)),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn penalties_and_biases() {
    assert!(asked(json!({})).await.adjust.is_neutral());
    let adjust =
        asked(json!({ "presence_penalty": 0.5, "frequency_penalty": -1, "logit_bias": { "7": 3.5 } })).await.adjust;
    let wanted = Adjust { repetition: 1.0, presence: 0.5, frequency: -1.0, last_tokens: 0, bias: vec![(7, 3.5)] };
    assert_eq!(adjust, wanted, "OpenAI's penalties look at the whole answer");
    let adjust = asked(json!({ "repeat_penalty": 1.1 })).await.adjust;
    assert_eq!((adjust.repetition, adjust.last_tokens), (1.1, 64));
    let adjust = asked(json!({ "repetition_penalty": 1.1, "repeat_last_n": -1 })).await.adjust;
    assert_eq!((adjust.repetition, adjust.last_tokens), (1.1, 0));
    let adjust = asked(json!({ "repeat_penalty": 1.5, "repeat_last_n": 0 })).await.adjust;
    assert!(adjust.is_neutral(), "nothing is looked back at");
    let adjust = asked(json!({ "logit_bias": [[3, 1], [4, false]] })).await.adjust;
    assert_eq!(adjust.bias, [(3, 1.0), (4, -100.0)]);
    assert!(asked(json!({ "ignore_eos": true })).await.ignore_end);
    let both =
        ask(&Arc::new(Scripted::new()), question(json!({ "repeat_penalty": 1.1, "repetition_penalty": 1.2 }))).await;
    assert_eq!(both.json()["error"]["param"], "repeat_penalty");
}

#[tokio::test]
async fn logprobs_are_asked_for_and_told() {
    assert_eq!(asked(json!({})).await.logprobs, None);
    assert_eq!(asked(json!({ "logprobs": true })).await.logprobs, Some(0));
    assert_eq!(asked(json!({ "logprobs": true, "top_logprobs": 20 })).await.logprobs, Some(20));
    for extra in [json!({ "top_logprobs": 1 }), json!({ "logprobs": true, "top_logprobs": 21 })] {
        let answer = ask(&Arc::new(Scripted::new()), question(extra)).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["param"].as_str()), (400, Some("top_logprobs")));
    }
    let node = || {
        let first = token("Par", -0.25, &[("Par", -0.25), ("Ro", f32::NEG_INFINITY)]);
        Scripted::saying(vec![first, token("is", -0.5, &[]), done(FinishReason::Stop)])
    };
    let json = ask(&node(), question(json!({ "logprobs": true, "top_logprobs": 2 }))).await.json();
    let content = &json["choices"][0]["logprobs"]["content"];
    let wanted = json!({ "token": "Par", "logprob": -0.25, "bytes": [80, 97, 114], "top_logprobs": [
        { "token": "Par", "logprob": -0.25, "bytes": [80, 97, 114] },
        { "token": "Ro", "logprob": -9999.0, "bytes": [82, 111] },
    ] });
    assert_eq!(content[0], wanted);
    assert_eq!(content[1]["token"], "is");
    let answer = ask(&node(), question(json!({ "logprobs": true, "stream": true }))).await;
    let chunk: Value = serde_json::from_str(answer.events()[1]).unwrap();
    assert_eq!(chunk["choices"][0]["logprobs"]["content"][0]["token"], "Par");
    assert_eq!(chunk["choices"][0]["delta"]["content"], "Par");
}

#[tokio::test]
async fn what_a_way_cannot_carry_is_the_caller_s_to_change() {
    let error = ainonymous_node::AskError::NotThisWay { what: "log-probabilities", way: "the DHT" };
    let answer = ask(&Scripted::failing(error), question(json!({ "logprobs": true }))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "not_this_way"));
}
