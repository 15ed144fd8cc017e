//! The chat page: who gets it, and what is in it.

use super::scripted::Scripted;
use super::{api, get, request, send, Answer};
use crate::{Api, Site, SiteError};
use axum::body::Body;
use axum::http::Method;
use std::io::Write as _;
use std::sync::Arc;

const INDEX: &str = "<!doctype html><head><!--ainonymous-env--><script type=module src=./assets/a.js></script></head>";

fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn site() -> Site {
    Site::from_zip(&zip_of(&[("index.html", INDEX), ("assets/a.js", "import"), ("icon.png", "png")])).unwrap()
}

async fn page(api: &Api, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(api, request.body(Body::empty()).unwrap()).await
}

/// The page's key turned into its cookie.
async fn cookie(api: &Api) -> String {
    let url = api.chat_url();
    let answer = page(api, url.strip_prefix("http://127.0.0.1:11435").unwrap(), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"));
    let set = answer.header("set-cookie");
    for part in ["ainonymous_11435=", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_gets_a_token_and_no_credentials() {
    let api = api(&Arc::new(Scripted::new()), Some(site()));
    let cookie = cookie(&api).await;
    let answer = page(&api, "/", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status, 200);
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("connect-src 'self';") && !policy.contains("ws:"), "{policy}");
    let start = format!("window.__AINONYMOUS_NODE__={{\"token\":\"{}\"}};</script>", api.page_key().token());
    assert!(answer.body.contains(&start), "{}", answer.body);
    assert!(!answer.body.contains("__HC_LAUNCHER_ENV__") && !answer.body.contains("key_pair"));
}

#[tokio::test]
async fn as_a_runtime_the_page_gets_its_keys_in_a_script_with_a_nonce() {
    let api = api(&Arc::new(Scripted::new()), Some(site()));
    let cookie = cookie(&api).await;
    let answer = page(&api, "/?as=happ", &[("cookie", &format!("a=b; {cookie}"))]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("connect-src 'self' ws://localhost:45678 ws://127.0.0.1:45678;"), "{policy}");
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert!(answer
        .body
        .starts_with(&format!("<!doctype html><head><script nonce=\"{nonce}\">window.__HC_LAUNCHER_ENV__=")));
    assert!(!answer.body.contains("<!--ainonymous-env-->"));
    assert_eq!(answer.body.matches("</script>").count(), 2, "no content can end the script");
    assert!(
        answer.body.contains(r#""APP_INTERFACE_PORT":45678"#)
            && answer.body.contains(r#""APP_INTERFACE_TOKEN":[1,2,3]"#)
    );
    assert!(
        answer.body.contains("window.__AINONYMOUS_SIGNING__={") && answer.body.contains(r#""key_pair":{"public":[8,"#)
    );
    assert!(!answer.body.contains("__AINONYMOUS_NODE__"), "a runtime has no sidecar");
    let again = page(&api, "/?as=happ", &[("cookie", &cookie)]).await;
    assert!(!again.header("content-security-policy").contains(&nonce), "a nonce is used once");
}

#[tokio::test]
async fn without_the_key_there_are_no_secrets() {
    let api = api(&Arc::new(Scripted::new()), Some(site()));
    let cookie = cookie(&api).await;
    let wrong = format!("{}x", &cookie[..cookie.len() - 1]);
    for (path, cookie) in [
        ("/", ""),
        ("/?as=happ", ""),
        ("/?key=", ""),
        ("/?key=00000000000000000000000000000000", ""),
        ("/", wrong.as_str()),
    ] {
        let answer = page(&api, path, &[("cookie", cookie)]).await;
        assert_eq!(answer.status, 401, "{path} {cookie}");
        assert!(!answer.body.contains("APP_INTERFACE_TOKEN") && !answer.body.contains("__AINONYMOUS_NODE__"));
        assert!(answer.body.contains("ainonymous up"));
    }
    let other = super::api(&Arc::new(Scripted::new()), Some(site()));
    assert_eq!(page(&other, "/", &[("cookie", &cookie)]).await.status, 401, "another start, another key");
}

#[tokio::test]
async fn while_the_conductor_starts_the_page_looks_again_by_itself() {
    let mut node = Scripted::new();
    node.ui_ready = false;
    let api = api(&Arc::new(node), Some(site()));
    let cookie = cookie(&api).await;
    let answer = page(&api, "/?as=happ", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.body.contains("http-equiv=\"refresh\""));
    assert_eq!(
        page(&api, "/", &[("cookie", &cookie)]).await.status,
        200,
        "the page that asks here shows how far it is"
    );
}

#[tokio::test]
async fn files_come_with_their_type_and_tag() {
    let api = api(&Arc::new(Scripted::new()), Some(site()));
    let script = page(&api, "/assets/a.js", &[]).await;
    assert_eq!((script.status.as_u16(), script.body.as_str()), (200, "import"));
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(script.header("x-content-type-options"), "nosniff");
    let again = page(&api, "/assets/a.js", &[("if-none-match", script.header("etag"))]).await;
    assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    assert_eq!(page(&api, "/icon.png", &[]).await.header("content-type"), "image/png");
    assert_eq!(page(&api, "/index.html", &[]).await.status, 404, "only / is the page");
    let post = request(Method::POST, "/assets/a.js").body(Body::empty()).unwrap();
    assert_eq!(send(&api, post).await.status, 405);
}

#[tokio::test]
async fn without_a_page_there_is_a_word_about_building_it() {
    let answer = get(&Arc::new(Scripted::new()), "/").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("cargo xtask build"));
}

#[test]
fn bundles_that_are_none() {
    let code = |bytes: &[u8]| Site::from_zip(bytes).unwrap_err().code();
    assert_eq!(code(b"nonsense"), "ui_damaged");
    assert_eq!(code(&zip_of(&[("other.html", "x")])), "ui_without_index");
    assert!(matches!(Site::from_zip(&zip_of(&[])), Err(SiteError::NoIndex)));
}
