//! Who may talk to us: nobody from another machine without a key, no web page of another site unless it was named.
//!
//! The address we listen on keeps other machines out. A web page is another matter: the browser on this machine runs
//! it, and by a name that resolves to 127.0.0.1 (DNS rebinding) it would even count as our own origin. So the `Host`
//! must be a loopback name, the `Origin` must be ours, and what browsers say about the site that asks must be too.
//! Where other machines reach the address, any `Host` will do for the API, because every request needs a key.
//!
//! It is the outermost layer: it also counts requests and gives errors the shape of the dialect that was spoken.

use crate::access::{secret, Held};
use crate::answer::shapes::now_s;
use crate::error::ErrorJson;
use crate::metrics::InFlight;
use crate::router::Api;
use crate::{anthropic, ollama, ApiError};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{header, HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::Json;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// Longest host or origin that an error repeats.
const SHOWN_BYTES_MAX: usize = 128;
/// Longest list of headers that a web page may ask for.
const CORS_HEADERS_BYTES_MAX: usize = 2_048;
/// The path that says that the process answers: whoever supervises it has no key.
const LIVE: &str = "/livez";

/// Lets a request pass, or answers it with the reason; writes one line about it without its content.
pub(crate) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let origin = header_text(request.headers(), header::ORIGIN.as_str()).to_owned();
    let dialect = Dialect::of(&path, request.headers());
    let in_flight = api.metrics().request_began();
    let mut response = match check(&api, &request) {
        Ok(Passed::Preflight) => preflight(&request),
        Ok(Passed::Through(held)) => holding(next.run(request).await, in_flight, held),
        Err(error) => error.into_response(),
    };
    in_dialect(dialect, &mut response);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if api.gate().admits_origin(&origin) {
        allow_origin(headers, &origin);
    }
    let status = response.status().as_u16();
    api.metrics().request_ended(&method, route.as_deref(), status);
    tracing::debug!(%method, path, status, ms = started.elapsed().as_millis() as u64);
    response
}

/// What becomes of a request.
enum Passed {
    /// It is answered, and holds a place among those of its key.
    Through(Option<Held>),
    /// A browser asks whether a web page may ask.
    Preflight,
}

fn check(api: &Api, request: &Request) -> Result<Passed, ApiError> {
    let (headers, path) = (request.headers(), request.uri().path());
    let is_page = api.is_page(path);
    let host = host(request.uri(), headers)?;
    if !is_loopback(&host) && (is_page || !api.gate().is_open) {
        return Err(ApiError::ForeignHost { host: shown(&host) });
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let invited = origin.is_some_and(|origin| api.gate().admits_origin(origin)) && !is_page;
    if let Some(origin) = origin.filter(|_| !invited) {
        if !origin.eq_ignore_ascii_case(&format!("http://{host}")) {
            return Err(ApiError::ForeignOrigin { origin: shown(origin) });
        }
    }
    let site = header_text(headers, "sec-fetch-site");
    if matches!(site, "cross-site" | "same-site") && !invited && !is_link_to_page(request) {
        return Err(ApiError::ForeignOrigin { origin: shown(site) });
    }
    if invited && request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Ok(Passed::Preflight);
    }
    // The page has a key of its own; a browser that showed it speaks for the node anyway.
    if is_page || path == LIVE || api.page_key().is_admitted(headers) {
        return Ok(Passed::Through(None));
    }
    api.gate().admit(secret(headers), Instant::now(), now_s()).map(Passed::Through)
}

/// A web page that was invited may send what it says that it will.
fn preflight(request: &Request) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    let wanted = header_text(request.headers(), header::ACCESS_CONTROL_REQUEST_HEADERS.as_str());
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ',' | ' ');
    if wanted.len() <= CORS_HEADERS_BYTES_MAX && wanted.chars().all(fits) {
        if let Ok(wanted) = HeaderValue::from_str(wanted) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
    }
    if header_text(request.headers(), "access-control-request-private-network") == "true" {
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    response
}

fn allow_origin(headers: &mut HeaderMap, origin: &str) {
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let told = "retry-after, x-ainonymous-id, x-ainonymous-ignored, x-ainonymous-provider, x-ainonymous-request, \
        x-ainonymous-route";
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(told));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
}

/// Which shape errors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Anthropic,
    Ollama,
}

impl Dialect {
    /// Known by the path, or where two have the same by the client's version.
    fn of(path: &str, headers: &HeaderMap) -> Self {
        let below = |whole: &str| path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            _ if below("/v1/messages") || (below("/v1/models") && anthropic::is_spoken(headers)) => Self::Anthropic,
            _ if below("/api") => Self::Ollama,
            _ => Self::OpenAi,
        }
    }
}

/// Gives an error the shape of the dialect that was spoken.
fn in_dialect(dialect: Dialect, response: &mut Response) {
    let status = response.status();
    let Some(ErrorJson(ours)) = response.extensions_mut().remove::<ErrorJson>() else { return };
    let theirs = match dialect {
        Dialect::Anthropic => anthropic::error(status, &ours),
        Dialect::Ollama => ollama::error(&ours),
        Dialect::OpenAi => return,
    };
    *response.body_mut() = Json(theirs).into_response().into_body();
    response.headers_mut().remove(header::CONTENT_LENGTH);
}

/// The response, whose end gives the places back that its request held.
fn holding(response: Response, in_flight: InFlight, held: Option<Held>) -> Response {
    response.map(|body| Body::new(Holding { body, _places: (in_flight, held) }))
}

/// A body that holds places until it was sent or dropped.
struct Holding {
    body: Body,
    _places: (InFlight, Option<Held>),
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A person who follows a link to the chat page, from wherever it was shown.
fn is_link_to_page(request: &Request) -> bool {
    request.method() == Method::GET
        && request.uri().path() == "/"
        && header_text(request.headers(), "sec-fetch-mode") == "navigate"
        && header_text(request.headers(), "sec-fetch-dest") == "document"
}

fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (uri.authority(), hosts.next(), hosts.next()) {
        (None, Some(host), None) => Ok(host.to_str().unwrap_or_default().to_owned()),
        (Some(authority), None, None) => Ok(authority.as_str().to_owned()),
        (Some(authority), Some(host), None) if host.as_bytes() == authority.as_str().as_bytes() => {
            Ok(authority.as_str().to_owned())
        }
        _ => Err(ApiError::ForeignHost { host: String::new() }),
    }
}

/// Whether `host[:port]` is this machine by a name that no DNS server can give.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if is_port(port) => name,
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if is_port(&format!(":{port}")) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_names() {
        for ours in ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:11435", "127.9.9.9:80", "[::1]", "[::1]:65535"]
        {
            assert!(is_loopback(ours), "{ours}");
        }
        for foreign in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "10.0.0.1",
            "0.0.0.0",
            "[::1",
            "[::]:1",
            "::1",
            "[fe80::1]",
            "localhost:1:1",
            "user@localhost",
            "[::1]x",
            "2130706433",
        ] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }
}
