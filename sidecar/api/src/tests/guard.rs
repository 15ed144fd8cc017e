//! Who is let in.

use super::scripted::Scripted;
use super::{api, send, Answer};
use axum::body::Body;
use axum::http::Request;
use std::sync::Arc;

async fn with(path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&api(&Arc::new(Scripted::new()), None), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn names_of_this_machine_are_let_in() {
    for host in ["127.0.0.1:11435", "localhost:11435", "[::1]:8080", "localhost"] {
        let answer = with("/livez", &[("host", host)]).await;
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
        let origin = format!("http://{host}");
        assert_eq!(with("/livez", &[("host", host), ("origin", &origin)]).await.status, 200);
    }
}

#[tokio::test]
async fn other_names_are_not() {
    for headers in [
        &[("host", "evil.example")][..],
        &[("host", "192.168.1.2:11435")],
        &[],
        &[("host", "a"), ("host", "localhost")],
    ] {
        let answer = with("/v1/models", headers).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "foreign_host"), "{headers:?}");
        assert_eq!(answer.json()["error"]["type"], "permission_error");
    }
    let absolute = with("http://evil.example/livez", &[("host", "localhost")]).await;
    assert_eq!(absolute.status, 403);
}

#[tokio::test]
async fn pages_of_other_sites_are_not() {
    let host = ("host", "localhost:11435");
    for origin in
        ["https://evil.example", "http://localhost:3000", "null", "https://localhost:11435", "http://127.0.0.1:11435"]
    {
        let answer = with("/v1/models", &[host, ("origin", origin)]).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "foreign_origin"), "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(with("/v1/models", &[host, ("sec-fetch-site", site)]).await.status, 403);
        let link = [host, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(with("/", &link).await.status, 404, "a link to the page opens");
        assert_eq!(with("/v1/models", &link).await.status, 403);
        let frame = [host, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert_eq!(with("/", &frame).await.status, 403);
    }
    assert_eq!(with("/v1/models", &[host, ("sec-fetch-site", "same-origin")]).await.status, 200);
}
