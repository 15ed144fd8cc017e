//! What headers and statuses mean. Pure: from an answer to a value or an error.

use super::{host, Patience};
use crate::PullError;
use reqwest::header::{HeaderMap, HeaderValue, ETAG, LINK, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::time::Duration;

/// Longest time that a server may ask to wait for before it counts as a refusal.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(20);

/// The answer if it is one, else the error that its status means.
pub(super) fn check(response: Response, what: &str) -> Result<Response, PullError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let (host, what) = (host(response.url()), what.to_owned());
    // The hub hides what does not exist from strangers behind 401, and says so in a header.
    let code = header(response.headers(), "x-error-code").unwrap_or_default();
    Err(match status {
        _ if matches!(code, "RepoNotFound" | "EntryNotFound" | "RevisionNotFound") => {
            PullError::HubNotFound { host, what }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => PullError::Unauthorized { host, what },
        StatusCode::NOT_FOUND | StatusCode::GONE => PullError::HubNotFound { host, what },
        StatusCode::TOO_MANY_REQUESTS => {
            let retry_after_s = response.headers().get(RETRY_AFTER).and_then(seconds);
            PullError::RateLimited { host, retry_after_s }
        }
        _ => PullError::HubStatus { host, what, status: status.as_u16() },
    })
}

/// May the same request succeed soon?
pub(crate) fn transient(error: &PullError) -> bool {
    match error {
        PullError::Unreachable { .. } | PullError::Broken { .. } | PullError::Stalled { .. } => true,
        PullError::RateLimited { retry_after_s, .. } => retry_after_s.unwrap_or(0) <= RETRY_AFTER_MAX.as_secs(),
        PullError::HubStatus { status, .. } => matches!(status, 408 | 500..),
        _ => false,
    }
}

/// The pause after so many failures in a row.
pub(crate) fn wait_of(error: &PullError, failures: u32, patience: &Patience) -> Duration {
    let doubled = patience.backoff.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    match error {
        PullError::RateLimited { retry_after_s: Some(seconds), .. } => doubled.max(Duration::from_secs(*seconds)),
        _ => doubled,
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `bytes 0-99/1234` as first, last and length of the whole, which may be `*`.
pub(crate) fn content_range(value: &HeaderValue) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, total.parse().ok()))
}

/// The digest in an ETag of the hub, which is a SHA-256 for large files and a hash of git for small ones.
pub(super) fn sha256_of(etag: &str) -> Option<String> {
    let bare = etag.trim_matches('"').trim_start_matches("sha256:");
    (bare.len() == 64 && bare.bytes().all(|b| b.is_ascii_hexdigit())).then(|| bare.to_ascii_lowercase())
}

/// A version that means the same bytes.
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (etag.starts_with('"') && etag.len() <= 256).then(|| etag.to_owned())
}

/// The next page of a listing.
pub(super) fn link_next(headers: &HeaderMap, url: &Url) -> Option<Url> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let address = next.trim().strip_prefix('<')?.split('>').next()?;
    url.join(address).ok()
}

/// An encrypted connection is never followed by one that is not.
pub(super) fn may_redirect(from: &Url, to: &Url) -> bool {
    matches!((from.scheme(), to.scheme()), ("https", "https") | ("http", "http" | "https"))
}

fn seconds(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.trim().parse().ok()
}

/// The innermost reason, without addresses: those may be signed.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::addr_eq(cause, error) {
        return if error.is_timeout() { "it takes too long" } else { "the request failed" }.into();
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_digests_and_links() {
        let range = |text: &str| content_range(&HeaderValue::from_str(text).unwrap());
        assert_eq!(range("bytes 0-9/10"), Some((0, 9, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, 9, None)));
        for text in ["bytes */10", "0-9/10", "bytes 9-5/10", "bytes a-b/c", "bytes 0-99999999999999999999/1"] {
            assert_eq!(range(text), None, "{text}");
        }
        let hex = "AB".repeat(32);
        assert_eq!(sha256_of(&format!("\"{hex}\"")), Some(hex.to_lowercase()));
        assert_eq!(sha256_of("\"da39a3ee5e6b4b0d3255bfef95601890afd80709\""), None, "a hash of git");
        let url = Url::parse("https://hub/api/x?recursive=true").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_static("<https://hub/api/x?cursor=2>; rel=\"next\""));
        assert_eq!(link_next(&headers, &url).unwrap().query(), Some("cursor=2"));
    }

    #[test]
    fn redirects_stay_encrypted() {
        let may = |from: &str, to: &str| may_redirect(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        assert!(may("https://a/", "https://b/") && may("http://a/", "https://b/") && may("http://a/", "http://b/"));
        assert!(!may("https://a/", "http://a/") && !may("http://a/", "file:///etc/passwd"));
    }

    #[test]
    fn pauses_double_and_obey() {
        let patience = Patience { backoff: Duration::from_millis(100), ..Patience::default() };
        let stalled = PullError::Stalled { host: "h".into(), seconds: 1 };
        let pause = |failures| wait_of(&stalled, failures, &patience).as_millis();
        assert_eq!((pause(1), pause(2), pause(4), pause(60)), (100, 200, 800, 20_000));
        let limited = |retry_after_s| PullError::RateLimited { host: "h".into(), retry_after_s };
        assert_eq!(wait_of(&limited(Some(7)), 1, &patience).as_secs(), 7);
        assert!(transient(&limited(Some(60))) && !transient(&limited(Some(61))) && transient(&limited(None)));
        let status = |status| PullError::HubStatus { host: "h".into(), what: "w".into(), status };
        assert!(transient(&status(503)) && !transient(&status(400)));
    }
}
