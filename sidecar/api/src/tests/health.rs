//! Health.

use super::get;
use super::scripted::Scripted;
use ainonymous_node::{NetworkState, Phase};
use std::sync::Arc;

fn degraded() -> Phase {
    Phase::Degraded { code: "not_gguf", problem: "the file is not a GGUF".into(), hint: "give a GGUF file".into() }
}

#[tokio::test]
async fn a_running_node_is_ready() {
    for path in ["/health", "/readyz", "/livez"] {
        let answer = get(&Arc::new(Scripted::new()), path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), serde_json::json!({ "status": "ok" }));
    }
}

#[tokio::test]
async fn a_node_that_is_not_ready_says_why_but_lives() {
    for (phase, status, reason) in
        [(Phase::Starting, "starting", "tiny-gemma:q8_0 is loading"), (Phase::Draining, "draining", "stopping")]
    {
        let node = Arc::new(Scripted::new().in_phase(phase));
        assert_eq!(get(&node, "/livez").await.status, 200);
        for path in ["/health", "/readyz"] {
            let answer = get(&node, path).await;
            assert_eq!(answer.status, 503);
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(answer.json()["status"], status);
            assert!(answer.json()["reason"].as_str().unwrap().contains(reason));
            assert!(answer.json()["hint"].is_string());
        }
    }
}

#[tokio::test]
async fn a_degraded_node_is_ready_as_long_as_somebody_can_answer() {
    let mut node = Scripted::new().in_phase(degraded());
    let answer = get(&Arc::new(Scripted::new().in_phase(degraded())), "/readyz").await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("degraded")));
    assert_eq!(answer.json()["reason"], "the file is not a GGUF");
    node.status.network = Some(NetworkState::Offline { reason: "x".into() });
    let answer = get(&Arc::new(node), "/readyz").await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (503, Some("unavailable")));
}
