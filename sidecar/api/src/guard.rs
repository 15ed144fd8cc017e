//! Who may talk to us: nobody from another machine, no web page of another site.
//!
//! The address we listen on keeps other machines out. A web page is another matter: the browser on this machine runs
//! it, and by a name that resolves to 127.0.0.1 (DNS rebinding) it would even count as our own origin. So the `Host`
//! must be a loopback name, the `Origin` must be ours, and what browsers say about the site that asks must be too.

use crate::ApiError;
use axum::extract::Request;
use axum::http::{header, HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::time::Instant;

/// Longest host or origin that an error repeats.
const SHOWN_BYTES_MAX: usize = 128;

/// Lets a request pass, or answers it with the reason; writes one line about it without its content.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    tracing::debug!(%method, path, status = response.status().as_u16(), ms = started.elapsed().as_millis() as u64);
    response
}

fn check(request: &Request) -> Result<(), ApiError> {
    let host = host(request.uri(), request.headers())?;
    if !is_loopback(&host) {
        return Err(ApiError::ForeignHost { host: shown(&host) });
    }
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !origin.eq_ignore_ascii_case(&format!("http://{host}")) {
            return Err(ApiError::ForeignOrigin { origin: shown(origin) });
        }
    }
    let site = header_text(request.headers(), "sec-fetch-site");
    if matches!(site, "cross-site" | "same-site") && !is_link_to_page(request) {
        return Err(ApiError::ForeignOrigin { origin: shown(site) });
    }
    Ok(())
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
