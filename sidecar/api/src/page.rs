//! The chat page: its files from the bundle in memory, and the keys that it needs to talk to the conductor.
//!
//! The page speaks for the node's cell, so it is given only to a browser that showed the key from the address that
//! `ainonymous up` prints: another user of this machine can reach the port, but does not know the key. The key becomes
//! a cookie (`HttpOnly`, `SameSite=Strict`, its name has the port because browsers share cookies between ports) and
//! leaves the address bar. It is valid until the node stops. The other files hold nothing secret and need no key.
//!
//! The page asks through this API and gets a token for what changes the node. `/?as=happ` opens it as a Holochain runtime
//! would: with a conductor and credentials for its cell instead, and no sidecar.
//!
//! Scripts run only from the bundle and from the one element made here (a nonce, fresh for each request).

use crate::health::{Health, RETRY_AFTER_S};
use crate::router::Api;
use ainonymous_node::{NodeError, UiCredentials};
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{header, HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rand::Rng as _;
use serde_json::json;
use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;

/// Where the page wants its keys.
const MARKER: &str = "<!--ainonymous-env-->";
/// The query that asks for the page as a Holochain runtime would show it.
const AS_HAPP: &str = "as=happ";
/// Most files in a bundle.
const FILES_MAX: usize = 2_000;
/// Most bytes of all files of a bundle together.
const SITE_BYTES_MAX: u64 = 64 << 20;

/// Why the files of the chat page cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Not a zip, or damaged.
    #[error("the chat page's bundle cannot be read: {0}")]
    Damaged(#[from] zip::result::ZipError),
    /// A file of it is damaged.
    #[error("the file {name} of the chat page cannot be read: {source}")]
    DamagedFile {
        /// Which.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// Too much.
    #[error("the chat page has more than {FILES_MAX} files or {SITE_BYTES_MAX} bytes")]
    TooLarge,
    /// No page in it.
    #[error("the chat page's bundle has no index.html")]
    NoIndex,
}

impl SiteError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) | Self::DamagedFile { .. } => "ui_damaged",
            Self::TooLarge => "ui_too_large",
            Self::NoIndex => "ui_without_index",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> &'static str {
        "build the bundle again with `cargo xtask build`"
    }
}

/// The files of the chat page.
pub struct Site {
    index: String,
    files: HashMap<String, File>,
}

/// One file.
pub(crate) struct File {
    bytes: Bytes,
    content_type: &'static str,
    etag: String,
}

impl Site {
    /// Unpacks a bundle.
    pub fn from_zip(bytes: &[u8]) -> Result<Self, SiteError> {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))?;
        if archive.len() > FILES_MAX {
            return Err(SiteError::TooLarge);
        }
        let mut files = HashMap::new();
        let mut left = SITE_BYTES_MAX;
        for at in 0..archive.len() {
            let entry = archive.by_index(at)?;
            let name = entry.name().trim_start_matches("./").to_owned();
            if entry.is_dir() {
                continue;
            }
            let etag = format!("\"{:08x}-{:x}\"", entry.crc32(), entry.size());
            let mut content = Vec::new();
            let read = entry.take(left + 1).read_to_end(&mut content);
            let read = read.map_err(|source| SiteError::DamagedFile { name: name.clone(), source })?;
            left = left.checked_sub(read as u64).ok_or(SiteError::TooLarge)?;
            let content_type = content_type(&name);
            files.insert(name, File { bytes: content.into(), content_type, etag });
        }
        let index = files.remove("index.html").ok_or(SiteError::NoIndex)?;
        Ok(Self { index: String::from_utf8_lossy(&index.bytes).into_owned(), files })
    }

    /// The file at a path; never the index.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path.strip_prefix('/')?)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// The key in the address of the page, and the cookie that it becomes. Fresh at each start.
pub(crate) struct PageKey {
    secret: String,
    cookie_name: String,
    cookie: String,
    /// What the page shows when it changes the node. Scripts can read it, unlike the cookie; other sites cannot.
    token: String,
}

impl PageKey {
    /// New ones for the page at this port.
    pub(crate) fn new(port: u16) -> Self {
        let random = || hex::encode(rand::rng().random::<[u8; 16]>());
        Self { secret: random(), cookie_name: format!("ainonymous_{port}"), cookie: random(), token: random() }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    #[cfg(test)]
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn is_token(&self, shown: &str) -> bool {
        same(shown, &self.token)
    }

    fn is_key(&self, query: &str) -> bool {
        query.split('&').filter_map(|pair| pair.strip_prefix("key=")).any(|key| same(key, &self.secret))
    }

    /// Whether a browser shows the cookie that the key became.
    pub(crate) fn is_admitted(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == self.cookie_name && same(value, &self.cookie))
    }

    fn set_cookie(&self) -> String {
        format!("{}={}; HttpOnly; SameSite=Strict; Path=/", self.cookie_name, self.cookie)
    }
}

/// `GET /`.
pub(crate) async fn index(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some(site) = api.site() else { return no_page() };
    let key = api.page_key();
    if key.is_key(query.as_deref().unwrap_or_default()) {
        let headers = [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, key.set_cookie())];
        return (StatusCode::SEE_OTHER, headers).into_response();
    }
    if !key.is_admitted(&headers) {
        return no_key();
    }
    if query.as_deref() != Some(AS_HAPP) {
        return chat_page(site, &format!("window.__AINONYMOUS_NODE__={{\"token\":\"{}\"}};", key.token), "");
    }
    match api.backend().ui_credentials(&origin(&headers)).await {
        Ok(credentials) => {
            let port = credentials.app_port;
            chat_page(site, &environment(&credentials), &format!(" ws://localhost:{port} ws://127.0.0.1:{port}"))
        }
        Err(NodeError::NotReady) => not_ready(&Health::of(&api.backend().status())),
        Err(error) => {
            not_ready(&Health { status: "unavailable", reason: Some(error.to_string()), hint: Some(error.hint()) })
        }
    }
}

/// The page's own origin; the guard has seen to it that the host is this machine.
fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("http://{}", host.to_ascii_lowercase())
}

/// A file of the bundle, unless the browser has it already.
pub(crate) fn serve_file(file: &File, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == file.etag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(file.bytes.clone()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// The page with what it starts from. `sockets`: where it may connect besides here.
fn chat_page(site: &Site, start: &str, sockets: &str) -> Response {
    let nonce = hex::encode(rand::rng().random::<[u8; 16]>());
    let script = format!("<script nonce=\"{nonce}\">{start}</script>");
    let html = match site.index.split_once(MARKER) {
        Some((before, after)) => format!("{before}{script}{after}"),
        None => match site.index.split_once("<head>") {
            Some((before, after)) => format!("{before}<head>{script}{after}"),
            None => format!("{script}{}", site.index),
        },
    };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; \
         img-src 'self' data:; font-src 'self'; manifest-src 'self'; \
         connect-src 'self'{sockets}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    html_response(StatusCode::OK, html, &policy)
}

/// What the page's window gets, as a script that no content can break out of.
fn environment(credentials: &UiCredentials) -> String {
    let launcher = json!({
        "APP_INTERFACE_PORT": credentials.app_port,
        "INSTALLED_APP_ID": credentials.installed_app_id,
        "APP_INTERFACE_TOKEN": credentials.token,
    });
    let signing = json!({
        "cell_id": credentials.cell_id,
        "cap_secret": credentials.cap_secret,
        "signing_key": credentials.signing_key,
        "key_pair": { "public": credentials.key_pair.public, "secret": credentials.key_pair.secret },
    });
    format!(
        "window.__HC_LAUNCHER_ENV__={};window.__AINONYMOUS_SIGNING__={};",
        for_script(&launcher.to_string()),
        for_script(&signing.to_string())
    )
}

/// JSON as a script element can hold it.
fn for_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn not_ready(health: &Health) -> Response {
    let reason = health.reason.as_deref().unwrap_or("the node is starting");
    let hint = health.hint.as_deref().unwrap_or("this page looks again by itself");
    let body = format!("<p>{}</p><p>{}</p>", escape(reason), escape(hint));
    let mut response = small_page(StatusCode::SERVICE_UNAVAILABLE, "AInonymous is starting", &body, true);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    response
}

fn no_key() -> Response {
    let body = "<p>This page speaks for the node, so it opens only with its key.</p>\
        <p>Open the whole address behind <b>chat</b> that <code>ainonymous up</code> printed at its start. \
        It is a new one each time.</p>";
    small_page(StatusCode::UNAUTHORIZED, "AInonymous needs its key", body, false)
}

fn no_page() -> Response {
    let body = "<p>This program was built without the chat page.</p>\
        <p>Run <code>cargo xtask build</code>, then start it again; or give it a bundle: \
        <code>ainonymous up --happ ainonymous.webhapp</code>.</p><p>The API works without it: \
        <code>/v1/chat/completions</code>.</p>";
    small_page(StatusCode::NOT_FOUND, "AInonymous has no chat page", body, false)
}

fn small_page(status: StatusCode, title: &str, body: &str, reload: bool) -> Response {
    let reload = if reload { "<meta http-equiv=\"refresh\" content=\"1\">" } else { "" };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">{reload}<title>{title}</title></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    html_response(status, html, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}

fn html_response(status: StatusCode, html: String, policy: &str) -> Response {
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(header::CACHE_CONTROL, "no-store");
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(header::X_FRAME_OPTIONS, "DENY");
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Equality in a time that tells nothing about where two secrets differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
