//! Networks, times and revocations as people and scripts read and write them.

use super::file::{Issued, Member};
use crate::error::CliError;
use ainonymous_api::{IssuedInvite, NetworkView, Revocation};
use ainonymous_node::revocations::State;
use ainonymous_types::{Bytes32, NetworkKind, Revoked, TimestampUs};
use ainonymous_verify::invite::Invite;
use serde_json::{json, Value};
use std::time::{SystemTime, UNIX_EPOCH};

const MINUTE_US: i64 = 60 * 1_000_000;
/// Longest time that an invite can be taken up: ten years.
const INVITE_US_MAX: i64 = 3_650 * 24 * 60 * MINUTE_US;

/// Everything of an invite but what admits.
pub(super) fn sample(member: &Member) -> Invite {
    // A public network's invite is whole without a pass; for others the founder's is put in.
    let Member { network, seed, bootstrap, relay, .. } = member;
    let (seed, bootstrap, relay) = (seed.clone(), bootstrap.clone(), relay.clone());
    Invite { properties: network.properties.clone(), seed, bootstrap, relay, pass: None }
}

/// A network on one line.
pub(super) fn line(member: &Member) -> String {
    let founder = if member.is_founder() { "  founder" } else { "" };
    let work = match member.network.properties.work_bits {
        0 => String::new(),
        bits => format!("  {bits} bits of work"),
    };
    format!("{:<32} {:<8} {}{founder}{work}", member.label, kind(member), member.bootstrap)
}

/// A network on several.
pub(super) fn lines(member: &Member) -> Result<Vec<String>, CliError> {
    let mut lines = vec![
        format!("network   {}  {}", member.label, member.network.properties.name),
        format!("kind      {}", kind(member)),
        format!("id        {}", member.network.id),
        format!("agent     {}{}", member.agent, if member.is_founder() { "  founder" } else { "" }),
        format!("bootstrap {}", member.bootstrap),
    ];
    if member.network.properties.work_bits > 0 {
        lines.push(format!("work      {}", work(member.network.properties.work_bits)));
    }
    lines.extend(member.relay.iter().map(|relay| format!("relay     {relay}")));
    lines.extend(member.network.properties.founders.iter().map(|founder| format!("founder   {founder}")));
    if let Some(proof) = &member.proof {
        lines.push(format!("invite    {}  {}", proof.terms.key, end(proof.terms.expires_at)));
    }
    for Issued { key, expires_at, agent } in &member.issued {
        let agent = agent.as_ref().map(|agent| format!("  for {agent}")).unwrap_or_default();
        lines.push(format!("invited   {key}  {}{agent}", end(*expires_at)));
    }
    for wish in member.revocations().list()? {
        lines.push(format!("revoked   {}  {}", target(&wish.target), state(&wish.state)));
    }
    Ok(lines)
}

/// A network as an object.
pub(super) fn view(member: &Member) -> Result<NetworkView, CliError> {
    let revoked = member.revocations().list()?;
    let revoked = revoked.iter().map(|wish| Revocation { revoked: target(&wish.target), state: state(&wish.state) });
    let issued = member.issued.iter().map(|Issued { key, expires_at, agent }| IssuedInvite {
        key: key.clone(),
        expires_at: *expires_at,
        agent: agent.clone(),
    });
    Ok(NetworkView {
        network: member.label.clone(),
        name: member.network.properties.name.clone(),
        kind: member.network.properties.kind,
        work_bits: member.network.properties.work_bits,
        id: member.network.id.to_hex(),
        agent: member.agent.to_string(),
        is_founder: member.is_founder(),
        founders: member.network.properties.founders.iter().map(ToString::to_string).collect(),
        bootstrap: member.bootstrap.clone(),
        relay: member.relay.clone(),
        invite: member.proof.as_ref().map(|proof| proof.terms.key.to_hex()),
        issued: issued.collect(),
        revoked: revoked.collect(),
    })
}

/// The work of a new agent, and what it comes to here.
pub(crate) fn work(bits: u8) -> String {
    let expected_s = ainonymous_conductor::work::expected(bits).as_secs();
    let takes = match expected_s {
        0 => "less than a second".to_owned(),
        s if s < 120 => format!("about {s} s"),
        s if s < 120 * 60 => format!("about {} min", s / 60),
        s if s < 48 * 3_600 => format!("about {} h", s / 3_600),
        s => format!("about {} d", s / 86_400),
    };
    format!("{bits} bits from every new agent, once: {takes} on one thread of this machine")
}

/// The same for scripts.
pub(super) fn object(member: &Member) -> Result<Value, CliError> {
    Ok(json!(view(member)?))
}

/// An agent, or an invite's key.
pub(super) fn target(target: &Revoked) -> String {
    match target {
        Revoked::Agent(agent) => agent.to_string(),
        Revoked::Invite(key) => key.to_hex(),
    }
}

/// How far a revocation is, in a word.
pub(super) fn state(state: &State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Published { .. } => "revoked",
        State::Refused { .. } => "refused",
    }
}

/// `30m`, `12h` or `7d` in microseconds, within bounds.
pub(super) fn duration_us(text: &str) -> Result<i64, CliError> {
    let unit_us = match text.chars().last() {
        Some('m') => MINUTE_US,
        Some('h') => 60 * MINUTE_US,
        Some('d') => 24 * 60 * MINUTE_US,
        _ => 0,
    };
    let number: Option<i64> = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse().ok());
    let lasts_us = number.and_then(|number| number.checked_mul(unit_us));
    lasts_us.filter(|us| (1..=INVITE_US_MAX).contains(us)).ok_or_else(|| CliError::Value {
        value: text.to_owned(),
        what: "--expires",
        problem: "it must be a number of minutes, hours or days, for example 30m, 12h or 7d, at most 3650d".into(),
    })
}

/// 64 hexadecimal digits.
pub(super) fn parse_key(text: &str) -> Option<Bytes32> {
    let mut key = Bytes32([0; 32]);
    if text.len() != 2 * Bytes32::LEN || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in key.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Microseconds since the epoch.
pub(super) fn now_us() -> TimestampUs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn kind(member: &Member) -> &'static str {
    match member.network.properties.kind {
        NetworkKind::Public => "public",
        NetworkKind::Private => "private",
        NetworkKind::Lan => "lan",
    }
}

fn end(expires_at: TimestampUs) -> String {
    match expires_at.saturating_sub(now_us()) {
        left if left <= 0 => "expired".into(),
        left if left < 120 * MINUTE_US => format!("ends in {} min", left / MINUTE_US + 1),
        left if left < 48 * 60 * MINUTE_US => format!("ends in {} h", left / (60 * MINUTE_US) + 1),
        left => format!("ends in {} d", left / (24 * 60 * MINUTE_US) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, minutes) in [("1m", 1), ("12h", 720), ("7d", 10_080), ("3650d", 5_256_000)] {
            assert_eq!(duration_us(text).unwrap(), minutes * MINUTE_US, "{text}");
        }
        for text in ["", "d", "7", "0d", "-1d", "3651d", "1w", "1.5h", "99999999999999999999d", "7é"] {
            assert_eq!(duration_us(text).unwrap_err().code(), "invalid_value", "{text}");
        }
    }

    #[test]
    fn keys_of_invites() {
        assert_eq!(parse_key(&"0f".repeat(32)), Some(Bytes32([0x0f; 32])));
        for text in ["", "0f", &"0g".repeat(32), &"+1".repeat(31), &"é".repeat(32)] {
            assert_eq!(parse_key(text), None, "{text}");
        }
    }

    #[test]
    fn ends_in_words() {
        let now = now_us();
        assert_eq!(end(now - 1), "expired");
        assert_eq!(end(now + 30 * MINUTE_US - 1_000), "ends in 30 min");
        assert_eq!(end(now + 24 * 60 * MINUTE_US - 1_000_000), "ends in 24 h");
        assert_eq!(end(now + 7 * 24 * 60 * MINUTE_US - 1_000_000), "ends in 7 d");
    }
}
