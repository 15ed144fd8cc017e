//! Models, status, receipts, posted answers.

use super::scripted::{provider, request_action, Scripted, ID_HEX};
use super::{get, post_to};
use serde_json::json;
use std::sync::Arc;

fn node() -> Arc<Scripted> {
    Arc::new(Scripted::new())
}

#[tokio::test]
async fn models_in_openai_s_shape() {
    let answer = get(&node(), "/v1/models").await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["object"], "list");
    let model = &json["data"][0];
    assert_eq!((model["id"].as_str(), model["object"].as_str()), (Some("tiny-gemma:q8_0"), Some("model")));
    assert_eq!((model["owned_by"].as_str(), model["context_length"].as_u64()), (Some("peers"), Some(4_096)));
    assert!(model["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(model["ainonymous"]["providers"], json!([provider().to_string()]));

    assert_eq!(get(&node(), "/v1/models/tiny-gemma:q8_0").await.json()["id"], "tiny-gemma:q8_0");
    let unknown = get(&node(), "/v1/models/org/other").await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "model_not_found"));
    assert!(unknown.json()["error"]["hint"].as_str().unwrap().contains("tiny-gemma:q8_0"));
    assert_eq!(get(&node(), "/v1/models/%ff").await.error_code(), "invalid_value");
}

#[tokio::test]
async fn status_and_models_of_our_own() {
    let status = get(&node(), "/ainonymous/v1/status").await.json();
    assert_eq!(status["phase"]["phase"], "running");
    assert_eq!(status["network"], json!({ "state": "ready", "peers": 1 }));
    assert_eq!(status["models"][0], json!({ "id": "tiny-gemma:q8_0", "state": "loading" }));
    let models = get(&node(), "/ainonymous/v1/models").await.json();
    assert_eq!(models["models"][0]["file_bytes"], 3_000_000);
}

#[tokio::test]
async fn receipts() {
    let state = get(&node(), &format!("/ainonymous/v1/receipts/{ID_HEX}")).await.json();
    let file = format!("/ainonymous/v1/receipts/{ID_HEX}/file?open=true");
    let verify = format!("/ainonymous/v1/receipts/{ID_HEX}/verify");
    let about = json!({ "audit": "disputed", "audit_why": "cut_off", "file": file, "verify": verify });
    let mut expected =
        json!({ "id": ID_HEX, "batch": request_action().to_string(), "checked": false, "problem": null });
    expected.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
    assert_eq!(state, expected);
    let waited = get(&node(), &format!("/ainonymous/v1/receipts/chatcmpl-{ID_HEX}?wait_ms=1000")).await;
    assert_eq!(waited.json()["checked"], true);
    let unknown = get(&node(), &format!("/ainonymous/v1/receipts/{}", "cd".repeat(16))).await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "receipt_not_found"));
    for (path, param) in [
        ("xyz".to_owned(), "id"),
        ("ab".repeat(15), "id"),
        (format!("{ID_HEX}?wait_ms=60001"), "wait_ms"),
        (format!("{ID_HEX}?wait_ms=soon"), "wait_ms"),
        (format!("{ID_HEX}?what=1"), "query"),
    ] {
        let answer = get(&node(), &format!("/ainonymous/v1/receipts/{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "invalid_value"), "{path}");
        assert_eq!(answer.json()["error"]["param"], param);
    }
}

#[tokio::test]
async fn answers_are_checked_when_somebody_wants_it() {
    let made = post_to(&node(), &format!("/ainonymous/v1/receipts/{ID_HEX}/verify"), "").await;
    assert_eq!(
        (made.status.as_u16(), made.json()["verdict"].as_str(), made.json()["why"].as_str()),
        (200, Some("fail"), Some("cut_off"))
    );
    let elsewhere = post_to(&node(), &format!("/ainonymous/v1/receipts/{}/verify", "cd".repeat(16)), "").await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.error_code().as_str()), (409, "model_not_here"));
    let bad = post_to(&node(), "/ainonymous/v1/receipts/xyz/verify", "").await;
    assert_eq!((bad.status.as_u16(), bad.error_code().as_str()), (400, "invalid_value"));
}

#[tokio::test]
async fn what_is_published_about_a_provider() {
    let about = ainonymous_types::AgentPubKey::from_raw_32(vec![3; 32]).to_string();
    let found = get(&node(), &format!("/ainonymous/v1/findings/{about}")).await;
    let json = found.json();
    assert_eq!(
        (found.status.as_u16(), json["provider"].as_str(), json["more"].as_bool()),
        (200, Some(&*about), Some(true))
    );
    let report = &json["reports"][0];
    assert_eq!((report["verdict"].as_str(), report["canary"].as_bool()), (Some("fail"), Some(true)));
    assert_eq!(report["action"], request_action().to_string());
    for bad in ["uhCAk", "uhCkkxyz", &request_action().to_string()] {
        let refused = get(&node(), &format!("/ainonymous/v1/findings/{bad}")).await;
        assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (400, "invalid_value"), "{bad}");
    }
}

#[tokio::test]
async fn posted_answers() {
    let answer = get(&node(), &format!("/ainonymous/v1/posted/{}", request_action())).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!((json["text"].as_str(), json["finish_reason"].as_str()), (Some("Paris."), Some("stop")));
    assert_eq!((json["completion_tokens"].as_u64(), json["batch_index"].as_u64()), (Some(3), Some(4)));
    assert_eq!(json["batch"], request_action().to_string());
    let other = ainonymous_types::ActionHash::from_raw_32(vec![8; 32]);
    let none = get(&node(), &format!("/ainonymous/v1/posted/{other}")).await;
    assert_eq!((none.status.as_u16(), none.error_code().as_str()), (404, "answer_not_found"));
    let nonsense = get(&node(), "/ainonymous/v1/posted/uhCkkNonsense").await;
    assert_eq!((nonsense.status.as_u16(), nonsense.error_code().as_str()), (400, "invalid_value"));
}
