//! Networks from the page: who may see and change them, what is refused, and that no secret is left behind.

use super::manage::order;
use super::scripted::{circle, provider, Scripted};
use super::{api, get, request, send};
use crate::{Access, Api, Backend, MadeInvite};
use axum::body::Body;
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;

const PATHS: [(Method, &str, &str); 6] = [
    (Method::GET, "/ainonymous/v1/networks", ""),
    (Method::GET, "/ainonymous/v1/networks/members", ""),
    (Method::POST, "/ainonymous/v1/networks", r#"{"name":"Circle"}"#),
    (Method::POST, "/ainonymous/v1/networks/invite", r#"{"network":"circle","expires_s":3600}"#),
    (Method::POST, "/ainonymous/v1/networks/join", r#"{"invite":"ainonymous-invite:aa"}"#),
    (Method::POST, "/ainonymous/v1/networks/revoke", r#"{"network":"circle","whom":"uhCAk"}"#),
];

#[tokio::test]
async fn whoever_does_not_have_the_token_of_the_page_neither_sees_nor_changes_networks() {
    let node = Arc::new(Scripted::new());
    let api = api(&node, None);
    let token = api.page_key().token().to_owned();
    for (method, path, body) in PATHS {
        for (name, value) in [("x-other", ""), ("x-ainonymous-token", "0"), ("authorization", "Bearer ain-1")] {
            let request = request(method.clone(), path).header(name, value);
            let answer = send(&api, request.body(Body::from(body)).unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "page_token_needed"), "{path}");
        }
    }
    assert!(node.done.lock().unwrap().is_empty());
    for (method, path, body) in PATHS {
        let request = request(method, path).header("x-ainonymous-token", &token);
        let answer = send(&api, request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let done = ["create Circle Private 0 ", "invite circle 3600 ", "join 20 bytes", "revoke circle uhCAk"];
    assert_eq!(*node.done.lock().unwrap(), done);
}

#[tokio::test]
async fn networks_and_members_as_the_page_reads_them() {
    let node = Arc::new(Scripted::new());
    let api = api(&node, None);
    let token = api.page_key().token().to_owned();
    let see = async |path: &str| {
        let request = request(Method::GET, path).header("x-ainonymous-token", &token);
        send(&api, request.body(Body::empty()).unwrap()).await.json()
    };
    let list = see("/ainonymous/v1/networks").await;
    assert_eq!((list["running"].as_str(), list["can_change"].as_bool()), (Some("circle"), Some(true)));
    assert_eq!(list["networks"], json!([circle()]));
    assert_eq!(list["networks"][0]["kind"], "private");
    let members = see("/ainonymous/v1/networks/members").await;
    assert_eq!(members["by_invitation"], true);
    let own = json!({ "agent": provider().to_string(), "is_self": true, "is_online": true, "standing": "member", "invite": null });
    assert_eq!(members["members"][0], own);
    assert_eq!(members["members"][1]["standing"], "refused");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_door() {
    let node = Arc::new(Scripted::new());
    for (path, body, code) in [
        ("", json!({}), "missing_field"),
        ("", json!({ "name": "" }), "invalid_value"),
        ("", json!({ "name": "x".repeat(49) }), "invalid_value"),
        ("", json!({ "name": "x", "kind": "secret" }), "invalid_value"),
        ("", json!({ "name": "x", "bootstrap": "x".repeat(5_000) }), "invalid_value"),
        ("", json!({ "name": "x", "kind": "public", "work_bits": 41 }), "invalid_value"),
        ("", json!({ "name": "x", "kind": "lan", "work_bits": 1 }), "invalid_value"),
        ("/invite", json!({ "network": "circle" }), "missing_field"),
        ("/invite", json!({ "network": "circle", "expires_s": 59 }), "invalid_value"),
        ("/invite", json!({ "network": "circle", "expires_s": 315_360_001 }), "invalid_value"),
        ("/invite", json!({ "network": "circle", "expires_s": 60, "agent": "x".repeat(65) }), "invalid_value"),
        ("/invite", json!({ "network": "other", "expires_s": 60 }), "network_unknown"),
        ("/join", json!({ "invite": "x".repeat(4_097) }), "invalid_value"),
        ("/revoke", json!({ "network": "circle" }), "missing_field"),
    ] {
        let path = format!("/ainonymous/v1/networks{path}");
        let answer = order(&node, &path, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, code), "{path} {body}");
    }
    assert!(node.done.lock().unwrap().is_empty());
    let broken = json!({ "network": "circle", "whom": "broken" });
    let answer = order(&node, "/ainonymous/v1/networks/revoke", broken).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "keystore_failed"));
    for body in
        [json!({ "network": "circle", "expires_s": 60 }), json!({ "network": "circle", "expires_s": 315_360_000 })]
    {
        assert_eq!(order(&node, "/ainonymous/v1/networks/invite", body).await.status, 200, "at the bound");
    }
    let dear = json!({ "name": "All", "kind": "public", "work_bits": 40 });
    assert_eq!(order(&node, "/ainonymous/v1/networks", dear).await.status, 200, "at the bound");
    assert_eq!(node.done.lock().unwrap().last().map(String::as_str), Some("create All Public 40 "));
}

#[tokio::test]
async fn an_api_without_networks_says_so() {
    let node: Arc<dyn Backend> = Arc::new(Scripted::new());
    let api = Api::new(node, super::HOST.parse().unwrap(), None, Access::of_this_machine());
    let token = api.page_key().token().to_owned();
    let request = request(Method::GET, "/ainonymous/v1/networks").header("x-ainonymous-token", token);
    let answer = send(&api, request.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "networks_unavailable"));
    assert_eq!(get(&Arc::new(Scripted::new()), "/ainonymous/v1/networks").await.status, 403);
}

#[test]
fn the_text_of_an_invite_is_not_printed() {
    let made = MadeInvite {
        network: "circle".into(),
        invite: "ainonymous-invite:secret".into(),
        key: "0d".into(),
        expires_at: 1,
        qr: vec!["1".into()],
    };
    assert!(!format!("{made:?}").contains("secret"));
}
