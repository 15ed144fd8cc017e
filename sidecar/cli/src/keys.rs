//! `ainonymous keys`: makes, lists and revokes API keys. A key is shown once; what is kept is its hash.

use crate::args::{KeyLimits, Keys, KeysDo};
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::key_file::KeyFile;
use crate::out::Out;
use crate::paths;
use ainonymous_api::keys::{Key, Limits};
use serde_json::{json, Value};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

/// Does what the flags say.
pub(crate) fn run(flags: Keys, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let Keys { data_dir, command } = flags;
    let data_dir = match data_dir.or_else(|| config.data_dir.clone()) {
        Some(path) => path,
        None => paths::data_dir()?,
    };
    let file = KeyFile::of(&data_dir);
    let mut ring = file.load()?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    match command {
        KeysDo::Create { name, limits } => {
            let secret = ring.create(&name, bounds(&limits, now_s), now_s)?;
            file.save(&ring)?;
            match out.is_json() {
                true => out.object(&json!({ "name": name, "key": secret })),
                false => out.line(&secret),
            }
            out.talk("this is the only time that the key is shown; clients send it as `Authorization: Bearer KEY`");
        }
        KeysDo::List => {
            let keys: Vec<Value> = ring.keys().iter().map(|key| shown(key, now_s)).collect();
            if out.is_json() {
                out.object(&json!({ "keys": keys }));
            } else if keys.is_empty() {
                out.talk("there is no key; make one with `ainonymous keys create NAME`");
            } else {
                ring.keys().iter().for_each(|key| out.line(&line(key, now_s)));
            }
        }
        KeysDo::Revoke { name } => {
            ring.revoke(&name)?;
            file.save(&ring)?;
            match out.is_json() {
                true => out.object(&json!({ "revoked": name })),
                false => out.line(&format!("revoked {name}")),
            }
        }
    }
    Ok(Exit::Ok)
}

fn bounds(flags: &KeyLimits, now_s: u64) -> Limits {
    let KeyLimits { requests_per_minute, concurrent, expires_days } = flags;
    Limits {
        requests_per_minute: *requests_per_minute,
        concurrent: *concurrent,
        expires: expires_days.map(|days| now_s + u64::from(days) * DAY_S),
    }
}

fn shown(key: &Key, now_s: u64) -> Value {
    let Limits { requests_per_minute, concurrent, expires } = key.limits;
    json!({
        "name": key.name,
        "created": key.created,
        "requests_per_minute": requests_per_minute,
        "concurrent": concurrent,
        "expires": expires,
        "expired": is_over(expires, now_s),
    })
}

fn line(key: &Key, now_s: u64) -> String {
    let Limits { requests_per_minute, concurrent, expires } = key.limits;
    let days = |seconds: u64| seconds.div_ceil(DAY_S);
    let end = match expires {
        None => "never ends".to_owned(),
        Some(_) if is_over(expires, now_s) => "expired".to_owned(),
        Some(expires) => format!("ends in {} d", days(expires - now_s)),
    };
    let limit = |limit: Option<u32>, what: &str| limit.map_or(String::new(), |limit| format!("  {limit} {what}"));
    format!(
        "{:<24} {:>4} d old  {end}{}{}",
        key.name,
        now_s.saturating_sub(key.created) / DAY_S,
        limit(requests_per_minute, "a minute"),
        limit(concurrent, "at once"),
    )
}

fn is_over(expires: Option<u64>, now_s: u64) -> bool {
    expires.is_some_and(|expires| now_s >= expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_api::keys::KeyRing;

    #[test]
    fn days_become_a_moment_and_days_again() {
        let flags = KeyLimits { requests_per_minute: Some(9), concurrent: Some(2), expires_days: Some(3) };
        let mut ring = KeyRing::default();
        ring.create("a", bounds(&flags, 1_000), 1_000).unwrap();
        let key = &ring.keys()[0];
        assert_eq!(line(key, 1_000), "a                           0 d old  ends in 3 d  9 a minute  2 at once");
        assert!(line(key, 1_000 + 3 * DAY_S).contains("expired"));
        assert_eq!(shown(key, 1_000 + 3 * DAY_S)["expired"], true);
    }
}
