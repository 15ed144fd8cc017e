//! Whatever can be asked of one's own engine can be asked of a peer, and the answer is the same.

#![allow(clippy::expect_used)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, tiny_projector, Bootstrap, Client, Node, NodeSpec};
use serde_json::{json, Value};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Two nodes that know each other: who asks and who answers.
async fn pair() -> (Bootstrap, Node, Node) {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::start(NodeSpec::new(&url));
    provider.wait_ready();
    asker.wait_ready();
    asker.client().wait_for_providers(1, SOON).await;
    (bootstrap, asker, provider)
}

fn question(text: &str, more: Value) -> Value {
    let mut body = json!({ "model": "tiny-gemma", "seed": 5, "messages": [{ "role": "user", "content": text }] });
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

fn weather() -> Value {
    let parameters = json!({ "type": "object", "additionalProperties": false, "required": ["city"],
        "properties": { "city": { "type": "string", "maxLength": 10 } } });
    json!({ "type": "function", "function": { "name": "weather", "description": "The weather.", "parameters": parameters } })
}

/// Everything that distinguishes an answer: not its id, times or who gave it. Log-probabilities apart: of them millionths travel.
fn taken_apart(answer: &Value) -> (Value, Vec<f64>) {
    let mut choice = answer["choices"][0].clone();
    let calls = choice["message"]["tool_calls"].as_array_mut();
    calls.into_iter().flatten().for_each(|call| call["id"] = "call".into());
    let mut likely = Vec::new();
    let mut take = |value: &mut Value| likely.push(std::mem::take(value).as_f64().expect("a number"));
    for token in choice["logprobs"]["content"].as_array_mut().into_iter().flatten() {
        take(&mut token["logprob"]);
        token["top_logprobs"].as_array_mut().into_iter().flatten().for_each(|top| take(&mut top["logprob"]));
    }
    let usage = [&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]];
    (json!({ "choice": choice, "usage": usage }), likely)
}

fn said(answer: &Value) -> Value {
    taken_apart(answer).0
}

fn assert_same(one: &Value, other: &Value, what: &str) {
    let ((one, likely), (other, as_likely)) = (taken_apart(one), taken_apart(other));
    assert_eq!(one, other, "{what}");
    assert_eq!(likely.len(), as_likely.len(), "{what}");
    for (a, b) in likely.iter().zip(as_likely) {
        assert!((a - b).abs() < 1e-5, "{what}: {a} and {b}");
    }
}

async fn ask(client: &Client, path: &str, route: Option<&str>, mut body: Value) -> Value {
    if let Some(route) = route {
        body["ainonymous"] = json!({ "route": route });
    }
    let (status, answer) = client.post(path, body.clone()).await;
    assert_eq!(status, 200, "{route:?} {body}: {answer}");
    if let Some(route) = route {
        assert_eq!(answer["ainonymous"]["route"], route, "{answer}");
        assert_eq!(answer["ainonymous"]["begun_by"], json!([]));
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_asked_for_everything_that_the_own_engine_is() {
    let (_bootstrap, mut asker, mut provider) = pair().await;
    let (here, there) = (asker.client(), provider.client());
    let chat = "/v1/chat/completions";
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["city", "size"],
        "properties": { "city": { "type": "string", "maxLength": 12 }, "size": { "enum": ["small", "large"] } } });
    let form = json!({ "type": "json_schema", "json_schema": { "name": "city", "schema": schema } });
    let called = json!([
        { "role": "user", "content": "What is the weather in Paris?" },
        { "role": "assistant", "tool_calls": [
            { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } }] },
        { "role": "tool", "tool_call_id": "call_1", "content": "It rains." },
    ]);
    let city = "Which city?";
    let cases = [
        ("tools", question("What is the weather?", json!({ "tools": [weather()], "tool_choice": "required" }))),
        ("a call's result", question("x", json!({ "messages": called, "tools": [weather()], "max_tokens": 40 }))),
        ("a schema", question(city, json!({ "response_format": form }))),
        ("a grammar", question(city, json!({ "grammar": "root ::= [a-z]+ \"!\"", "max_tokens": 30 }))),
        ("a choice", question(city, json!({ "guided_choice": ["Paris", "Rome"] }))),
        ("probabilities", question(city, json!({ "logprobs": true, "top_logprobs": 3, "max_tokens": 40 }))),
        (
            "penalties",
            question(
                "Count to 100.",
                json!({ "frequency_penalty": 1.5, "presence_penalty": 0.3,
            "repeat_penalty": 1.2, "logit_bias": { "300": -100, "301": 5 }, "max_tokens": 60 }),
            ),
        ),
        ("no end", question(city, json!({ "ignore_eos": true, "max_tokens": 50 }))),
        (
            "thinking",
            question(city, json!({ "reasoning_effort": "low", "chat_template_kwargs": { "a": 1 }, "max_tokens": 40 })),
        ),
    ];
    for (what, body) in &cases {
        let own = ask(&there, chat, None, body.clone()).await;
        for route in ["direct", "signals"] {
            assert_same(&ask(&here, chat, Some(route), body.clone()).await, &own, &format!("{what} by {route}"));
        }
    }
    let (_, tools) = &cases[0];
    let calls = said(&ask(&there, chat, None, tools.clone()).await)["choice"]["message"]["tool_calls"].clone();
    assert_eq!(calls[0]["function"]["name"], "weather", "the cases ask for what they say: {calls}");
    let likely = taken_apart(&ask(&here, chat, Some("direct"), cases[5].1.clone()).await).1;
    assert!(likely.len() > 20 && likely.iter().all(|number| *number <= 0.0), "{likely:?}");
    let streamed = here.stream(cases[5].1.clone()).await.expect("an answer as a stream");
    let whole = said(&ask(&there, chat, None, cases[5].1.clone()).await);
    assert_eq!(whole["choice"]["message"]["content"], streamed.text);

    // What stopped it is told, and a prompt that is no conversation is continued.
    let stop = json!({ "model": "tiny-gemma", "max_tokens": 100, "temperature": 0.0, "stop_sequences": ["Paris"],
        "messages": [{ "role": "user", "content": "What is the capital of France?" }] });
    let stopped = ask(&here, "/v1/messages", None, stop).await;
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&"stop_sequence".into(), &"Paris".into()));
    let raw = json!({ "model": "tiny-gemma", "prompt": "One day Tom went", "max_tokens": 20, "temperature": 0 });
    let own = ask(&there, "/v1/completions", None, raw.clone()).await;
    let peer = ask(&here, "/v1/completions", None, raw).await;
    assert_eq!(peer["choices"][0]["text"], own["choices"][0]["text"]);
    assert!(own["choices"][0]["text"].as_str().is_some_and(|text| text.len() > 20), "{own}");

    // A receipt over thoughts and calls is checked like any other.
    let answer = ask(&here, chat, Some("direct"), tools.clone()).await;
    let id = answer["ainonymous"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(here.receipt(&id, SOON).await["checked"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_or_does_not_fit_is_named() {
    let (_bootstrap, mut asker, mut provider) = pair().await;
    let (here, there) = (asker.client(), provider.client());
    let bad = question("x", json!({ "guided_regex": "(" }));
    let refused = here.ask(bad).await.expect_err("no regular expression");
    refused.assert_helpful(Duration::from_secs(10));
    assert_eq!((refused.status, refused.code()), (400, "request_malformed"));
    assert!(refused.error["message"].as_str().is_some_and(|text| text.contains("constraint")), "{refused:?}");

    let form =
        json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": { "enum": ["small", "large"] } } });
    let posted = |more: Value| {
        let mut body = question("Which?", more);
        body["ainonymous"] = json!({ "route": "posted" });
        body
    };
    let refused = here.ask(posted(json!({ "logprobs": true }))).await.expect_err("an entry has no room for them");
    assert_eq!((refused.status, refused.code()), (400, "not_this_way"));
    refused.assert_helpful(Duration::from_secs(10));
    let own =
        said(&ask(&there, "/v1/chat/completions", None, question("Which?", json!({ "response_format": form }))).await);
    let answer = here.ask(posted(json!({ "response_format": form }))).await.expect("an answer by the DHT");
    assert_eq!(said(&answer.last), own);
    let tools = json!({ "tools": [weather()], "tool_choice": "required" });
    let answer = here.ask(posted(tools)).await.expect("a call by the DHT");
    assert_eq!(answer.last["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "weather");
}

/// A PNG of one colour: chunks without compression.
fn picture(shade: u8) -> String {
    let mut raw = Vec::new();
    let side = 48u32;
    for row in 0..side as u8 {
        raw.push(0);
        raw.extend((0..side as u8).flat_map(|column| [shade, row.wrapping_mul(5), column.wrapping_mul(5)]));
    }
    let length = u16::try_from(raw.len()).expect("a short image").to_le_bytes();
    let stored = [&[0x78, 0x01, 0x01][..], &length, &length.map(|b| !b), &raw, &adler(&raw).to_be_bytes()].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", stored), (b"IEND", vec![])] {
        let body = [&kind[..], &data].concat();
        png.extend(u32::try_from(data.len()).expect("a short chunk").to_be_bytes());
        png.extend(&body);
        png.extend(crc(&body).to_be_bytes());
    }
    format!("data:image/png;base64,{}", base64(&png))
}

fn adler(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        let letter = |at: usize| match at <= three.len() {
            true => char::from(LETTERS[(word >> (18 - 6 * at) & 63) as usize]),
            false => '=',
        };
        (0..4).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// Whoever sees no images says so, and who does is asked next.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_finds_a_provider_that_sees_it() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut blind = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::start(NodeSpec::new(&url));
    blind.wait_ready();
    asker.wait_ready();
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let shown = |shade: u8| {
        let content = json!([{ "type": "image_url", "image_url": { "url": picture(shade) } },
            { "type": "text", "text": "What is this?" }]);
        json!({ "model": "tiny-gemma", "max_tokens": 12, "temperature": 0, "logprobs": true,
            "messages": [{ "role": "user", "content": content }] })
    };
    let refused = here.ask(shown(1)).await.expect_err("nobody sees");
    assert_eq!((refused.status, refused.code()), (400, "provider_cannot_see"));
    refused.assert_helpful(Duration::from_secs(10));

    let projector = tiny_projector();
    let projector = projector.to_str().expect("a path");
    let mut seeing = Node::start(NodeSpec::new(&url).serving(&tiny_model()).with(&["--mmproj", projector]));
    let agent = seeing.agent();
    here.wait_for_providers(2, SOON).await;
    let there = seeing.client();
    let mut seen = Vec::new();
    for shade in [1, 1, 200, 200] {
        let answer = here.ask(shown(shade)).await.expect("one of them sees").last;
        assert_eq!(answer["ainonymous"]["provider"], agent.as_str(), "{answer}");
        assert_same(&answer, &there.ask(shown(shade)).await.expect("an answer").last, "an image");
        seen.push(answer);
    }
    assert_same(&seen[0], &seen[1], "the same image");
    assert_ne!(taken_apart(&seen[1]).1, taken_apart(&seen[2]).1, "the image counts");
    // By signals too: it is small enough.
    let mut body = shown(200);
    body["ainonymous"] = json!({ "route": "signals" });
    assert_same(&here.ask(body).await.expect("an answer").last, &seen[2], "by signals");
}
