//! Who may ask how much: keys, their limits, origins of web pages. The guard asks here; nothing here reads a body.

use crate::keys::{Hash, Key, KeyRing};
use crate::ApiError;
use axum::http::{header, HeaderMap};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the keys are; whoever runs the API knows.
pub trait KeySource: Send + Sync + 'static {
    /// The keys as they are now.
    fn keys(&self) -> Arc<KeyRing>;
}

impl KeySource for KeyRing {
    fn keys(&self) -> Arc<KeyRing> {
        Arc::new(self.clone())
    }
}

/// Who may use the API.
#[derive(Clone)]
pub struct Access {
    /// The keys, if there is a place for them.
    pub keys: Option<Arc<dyn KeySource>>,
    /// Whether programs of this machine need a key too. Others always do.
    pub require_key: bool,
    /// Web pages of these origins may ask, as browsers spell them: `https://example.org`.
    pub cors_origins: Vec<String>,
}

impl Access {
    /// Programs of this machine, without a key.
    pub fn of_this_machine() -> Self {
        Self { keys: None, require_key: false, cors_origins: Vec::new() }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("require_key", &self.require_key).finish_non_exhaustive()
    }
}

/// What a request brings.
pub(crate) struct Gate {
    access: Access,
    /// Whether other machines reach the address.
    pub(crate) is_open: bool,
    usage: Arc<Mutex<HashMap<Hash, Usage>>>,
}

/// What a key did lately.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// When a request would come if they came evenly: ahead of now by as much as was used up.
    due: Option<Instant>,
    running: u32,
}

/// A place among the requests of one key; given back when it is dropped.
pub(crate) struct Held {
    usage: Arc<Mutex<HashMap<Hash, Usage>>>,
    key: Hash,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = usage.get_mut(&self.key) {
            usage.running = usage.running.saturating_sub(1);
        }
    }
}

impl Gate {
    pub(crate) fn new(access: Access, address: SocketAddr) -> Self {
        Self { access, is_open: !address.ip().is_loopback(), usage: Arc::default() }
    }

    /// Whether web pages of this origin may ask.
    pub(crate) fn admits_origin(&self, origin: &str) -> bool {
        self.access.cors_origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }

    /// A place for a request that shows this key. A key that nobody needs is not looked at too closely: clients that
    /// insist on sending one send anything.
    pub(crate) fn admit(&self, secret: Option<&str>, now: Instant, now_s: u64) -> Result<Option<Held>, ApiError> {
        let needed = self.is_open || self.access.require_key;
        let ring = self.access.keys.as_ref().map(|source| source.keys());
        let found = secret.zip(ring.as_ref()).and_then(|(secret, ring)| ring.find(secret));
        match (found, secret) {
            (Some(key), _) => self.hold(key, now, now_s).map(Some),
            (None, _) if !needed => Ok(None),
            (None, None) => Err(ApiError::KeyMissing),
            (None, Some(_)) => Err(ApiError::KeyUnknown),
        }
    }

    fn hold(&self, key: &Key, now: Instant, now_s: u64) -> Result<Held, ApiError> {
        if key.limits.expires.is_some_and(|expires| now_s >= expires) {
            return Err(ApiError::KeyExpired { name: key.name.clone() });
        }
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        if usage.len() > 2 * crate::keys::KEYS_MAX {
            // Of keys that were revoked.
            usage.retain(|_, usage| usage.running > 0);
        }
        let usage = usage.entry(key.hash()).or_default();
        let over = |what, max, wait: Duration| {
            // Rounded up: who comes back then is let in.
            Err(ApiError::KeyLimit { what, max, retry_after_s: wait.as_secs() as u32 + 1 })
        };
        if let Some(max) = key.limits.concurrent.filter(|max| usage.running >= *max) {
            return over("requests at once", max, Duration::ZERO);
        }
        if let Some(max) = key.limits.requests_per_minute {
            match due(usage.due, max, now) {
                Ok(due) => usage.due = Some(due),
                Err(wait) => return over("requests a minute", max, wait),
            }
        }
        usage.running += 1;
        Ok(Held { usage: Arc::clone(&self.usage), key: key.hash() })
    }
}

/// One more request: when the next one would be due, or how long to wait. As many as fit into a minute may come at
/// once; then they come evenly (a leaky bucket).
fn due(before: Option<Instant>, per_minute: u32, now: Instant) -> Result<Instant, Duration> {
    const MINUTE: Duration = Duration::from_secs(60);
    let interval = MINUTE / per_minute.max(1);
    let due = before.map_or(now, |due| due.max(now)) + interval;
    match due.checked_duration_since(now + MINUTE) {
        // Thirds of a minute do not add up to the nanosecond.
        Some(wait) if wait > Duration::from_micros(100) => Err(wait),
        _ => Ok(due),
    }
}

/// The key in the headers: `Authorization: Bearer`, or Anthropic's `x-api-key`.
pub(crate) fn secret(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, secret) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
    });
    let plain = || headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    bearer.or_else(plain).filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Limits;

    fn gate(limits: Limits, require_key: bool) -> (Gate, String) {
        let mut ring = KeyRing::default();
        let secret = ring.create("k", limits, 0).unwrap();
        let access = Access { keys: Some(Arc::new(ring)), require_key, cors_origins: vec![] };
        (Gate::new(access, ([127, 0, 0, 1], 1).into()), secret)
    }

    #[test]
    fn a_key_that_nobody_needs_may_be_anything() {
        let (gate, secret) = gate(Limits::default(), false);
        let now = Instant::now();
        assert!(gate.admit(None, now, 1).unwrap().is_none());
        assert!(gate.admit(Some("sk-anything"), now, 1).unwrap().is_none());
        assert!(gate.admit(Some(&secret), now, 1).unwrap().is_some());
    }

    #[test]
    fn a_key_that_is_needed_must_be_right_and_fresh() {
        let (gate, secret) = gate(Limits { expires: Some(100), ..Limits::default() }, true);
        let now = Instant::now();
        let code = |secret, now_s| gate.admit(secret, now, now_s).map(drop).map_err(|e| e.code());
        assert_eq!(code(None, 1), Err("missing_api_key"));
        assert_eq!(code(Some("ain-x"), 1), Err("invalid_api_key"));
        assert_eq!(code(Some(&secret), 99), Ok(()));
        assert_eq!(code(Some(&secret), 100), Err("expired_api_key"));
    }

    #[test]
    fn an_address_that_others_reach_always_needs_a_key() {
        let access = Access { keys: None, require_key: false, cors_origins: vec![] };
        let gate = Gate::new(access, ([0, 0, 0, 0], 1).into());
        assert_eq!(gate.admit(None, Instant::now(), 1).map(drop).unwrap_err().code(), "missing_api_key");
        assert_eq!(gate.admit(Some("x"), Instant::now(), 1).map(drop).unwrap_err().code(), "invalid_api_key");
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let (gate, secret) = gate(Limits { concurrent: Some(2), ..Limits::default() }, true);
        let now = Instant::now();
        let one = gate.admit(Some(&secret), now, 1).unwrap();
        let _two = gate.admit(Some(&secret), now, 1).unwrap();
        assert_eq!(gate.admit(Some(&secret), now, 1).map(drop).unwrap_err().code(), "key_limit_reached");
        drop(one);
        assert!(gate.admit(Some(&secret), now, 1).is_ok());
    }

    #[test]
    fn so_many_a_minute_and_no_more() {
        for max in [1, 3, 7, 1_000] {
            let (gate, secret) = gate(Limits { requests_per_minute: Some(max), ..Limits::default() }, true);
            let now = Instant::now();
            for _ in 0..max {
                gate.admit(Some(&secret), now, 1).unwrap();
            }
            let Err(ApiError::KeyLimit { retry_after_s, .. }) = gate.admit(Some(&secret), now, 1).map(drop) else {
                panic!("one more than {max}");
            };
            assert!((1..=61).contains(&retry_after_s), "{retry_after_s}");
            let later = now + Duration::from_secs(u64::from(retry_after_s));
            assert!(gate.admit(Some(&secret), later, 1).is_ok(), "who waits that long is let in");
        }
    }

    #[test]
    fn keys_in_headers() {
        let of = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            secret(&headers).map(str::to_owned)
        };
        assert_eq!(of("authorization", "Bearer ain-1").as_deref(), Some("ain-1"));
        assert_eq!(of("authorization", "bearer  ain-1 ").as_deref(), Some("ain-1"));
        assert_eq!(of("authorization", "Basic ain-1"), None);
        assert_eq!(of("x-api-key", "ain-1").as_deref(), Some("ain-1"));
        assert_eq!(of("authorization", "Bearer "), None);
    }
}
