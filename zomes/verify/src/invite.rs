//! Invites: what a founder signs, what a joiner signs, and the text that travels from one to the other.
//!
//! An invite has a key pair of its own. The founder signs the public half; the secret half travels in the text, and
//! whoever joins signs the own agent key with it. So a proof that was published admits nobody but its agent.
//!
//! The text is base32, because that is what people can read out, type, and scan: case does not matter and neither do
//! spaces or line breaks. Making keys and signatures is for those who hold keys.

mod base32;
mod reader;

use crate::canonical::Encoder;
use crate::network::{self, Network};
use crate::{text, Breach};
use ainonymous_types::{
    limits, AgentPubKey, Bytes32, Bytes64, InviteTerms, NetworkKind, NetworkProperties, TimestampUs, NETWORK_VERSION,
};
use base32::{from_base32, to_base32};
use reader::Reader;
use std::fmt;

/// What the text of an invite begins with.
pub const PREFIX: &str = "ainonymous-invite:";
/// Version of a text that says how much work the network asks for. Texts to other networks have the version that they always had,
/// so older programs go on reading them, and say of these that they have to be updated.
const VERSION_WITH_WORK: u16 = 2;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// The bytes that a founder signs.
pub fn terms(terms: &InviteTerms) -> Vec<u8> {
    let InviteTerms { network, founder, key, expires_at, agent } = terms;
    let e = Encoder::bytes("ainonymous/invite/v1").bytes32(network).holo(founder).bytes32(key).i64(*expires_at);
    match agent {
        None => e.u8(0),
        Some(agent) => e.u8(1).holo(agent),
    }
    .finish()
}

/// The bytes that the invite's own key signs for the agent that joins.
pub fn joining(terms: &InviteTerms, agent: &AgentPubKey) -> Vec<u8> {
    Encoder::bytes("ainonymous/join/v1").bytes32(&terms.network).bytes32(&terms.key).holo(agent).finish()
}

/// Everything that somebody needs to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// What the founders decided.
    pub properties: NetworkProperties,
    /// Seed of the network.
    pub seed: String,
    /// Where its nodes find each other.
    pub bootstrap: String,
    /// Who forwards what cannot go directly; none means the bootstrap server.
    pub relay: Option<String>,
    /// What admits; none in a public network.
    pub pass: Option<Pass>,
}

/// What admits to a network by invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    /// What the founder signed.
    pub terms: InviteTerms,
    /// The founder's signature.
    pub founder_signature: Bytes64,
    /// Secret half of `terms.key`: whoever has it can join.
    pub secret: Bytes32,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// Why a text is no invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteTextError {
    /// It begins otherwise.
    #[error("an invite begins with {PREFIX}")]
    NoInvite,
    /// It is far too long.
    #[error("the text is longer than {max} bytes")]
    TooLong {
        /// Bound in bytes.
        max: usize,
    },
    /// A character was lost, added or changed.
    #[error("the invite is damaged: its checksum does not fit")]
    Damaged,
    /// It was made by another generation of the program.
    #[error("the invite has version {found}; this program understands versions up to {VERSION_WITH_WORK}")]
    Version {
        /// As found.
        found: u16,
    },
    /// What it says breaks a bound.
    #[error("the invite makes no sense: {0}")]
    Breach(#[from] Breach),
}

impl InviteTextError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoInvite => "invite_unknown",
            Self::TooLong { .. } => "invite_too_long",
            Self::Damaged => "invite_damaged",
            Self::Version { .. } => "invite_version",
            Self::Breach(_) => "invite_invalid",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoInvite | Self::TooLong { .. } => "copy the whole text that `ainonymous network invite` printed",
            Self::Damaged => "copy it again, from the first character to the last, or scan the QR code",
            Self::Version { .. } => "both sides need the same version of the program: update the older one",
            Self::Breach(_) => "ask the founder for a new invite",
        }
    }
}

impl Invite {
    /// The text: a prefix, then base32 over a version, the fields and a checksum.
    pub fn to_text(&self) -> Result<String, Breach> {
        self.bounds()?;
        let mut bytes = self.fields();
        bytes.extend(checksum(&bytes));
        Ok(format!("{PREFIX}{}", to_base32(&bytes)))
    }

    /// Reads a text, however it is broken into lines.
    pub fn from_text(text: &str) -> Result<Self, InviteTextError> {
        if text.len() > limits::INVITE_TEXT_BYTES_MAX {
            return Err(InviteTextError::TooLong { max: limits::INVITE_TEXT_BYTES_MAX });
        }
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let bytes = from_base32(bare.strip_prefix(PREFIX).ok_or(InviteTextError::NoInvite)?);
        let bytes = bytes.ok_or(InviteTextError::Damaged)?;
        let at = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(InviteTextError::Damaged)?;
        let (fields, sum) = bytes.split_at(at);
        if checksum(fields) != sum {
            return Err(InviteTextError::Damaged);
        }
        let mut reader = Reader::new(fields);
        let version = u16::from(reader.u8()?);
        let has_work = match version {
            NETWORK_VERSION => false,
            VERSION_WITH_WORK => true,
            found => return Err(InviteTextError::Version { found }),
        };
        let invite = Self::read(&mut reader, has_work)?;
        reader.end()?;
        invite.bounds()?;
        Ok(invite)
    }

    /// The network that it leads to.
    pub fn network(&self) -> Result<Network, Breach> {
        Network::new(self.properties.clone(), &self.seed)
    }

    /// Whether an invite can hold the addresses of the servers.
    pub fn addresses(&self) -> Result<(), Breach> {
        text::name("bootstrap", &self.bootstrap, limits::SERVER_URL_BYTES_MAX)?;
        match &self.relay {
            Some(relay) => text::name("relay", relay, limits::SERVER_URL_BYTES_MAX),
            None => Ok(()),
        }
    }

    fn bounds(&self) -> Result<(), Breach> {
        let Self { properties, seed, bootstrap: _, relay: _, pass } = self;
        network::bounds(properties)?;
        text::name("seed", seed, limits::NETWORK_SEED_BYTES_MAX)?;
        self.addresses()?;
        match (properties.kind, pass) {
            (NetworkKind::Public, None) => Ok(()),
            (NetworkKind::Public, Some(_)) => Err(Breach::Unsupported { what: "invites to a public network" }),
            (NetworkKind::Private | NetworkKind::Lan, None) => Err(Breach::NotInvited),
            (NetworkKind::Private | NetworkKind::Lan, Some(pass)) => {
                let known = properties.founders.contains(&pass.terms.founder);
                known.then_some(()).ok_or(Breach::NotFounder { what: "the invite" })
            }
        }
    }

    fn fields(&self) -> Vec<u8> {
        let Self { properties, seed, bootstrap, relay, pass } = self;
        let NetworkProperties { version, name, kind, founders, work_bits } = properties;
        let version = if *work_bits == 0 { *version } else { VERSION_WITH_WORK };
        // The bounds were checked: every length and the version fit into a byte.
        let mut bytes = vec![version as u8, kind_byte(*kind)];
        let mut put = |text: &str| {
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        };
        for text in [name, seed, bootstrap, relay.as_deref().unwrap_or_default()] {
            put(text);
        }
        bytes.push(founders.len() as u8);
        for founder in founders {
            bytes.extend(founder.get_raw_36());
        }
        if *work_bits > 0 {
            bytes.push(*work_bits);
        }
        let Some(Pass { terms, founder_signature, secret }) = pass else { return bytes };
        let InviteTerms { network: _, founder, key, expires_at, agent } = terms;
        let index = founders.iter().position(|known| known == founder).unwrap_or_default();
        bytes.push(index as u8);
        bytes.extend(key.0);
        bytes.extend(expires_at.to_le_bytes());
        bytes.push(agent.is_some().into());
        bytes.extend(agent.iter().flat_map(|agent| agent.get_raw_36()));
        bytes.extend(founder_signature.0);
        bytes.extend(secret.0);
        bytes
    }

    fn read(reader: &mut Reader<'_>, has_work: bool) -> Result<Self, InviteTextError> {
        let kind = match reader.u8()? {
            0 => NetworkKind::Public,
            1 => NetworkKind::Private,
            2 => NetworkKind::Lan,
            _ => return Err(Breach::OutOfRange { what: "kind", min: 0, max: 2, unit: "kinds" }.into()),
        };
        let (name, seed, bootstrap, relay) = (reader.text()?, reader.text()?, reader.text()?, reader.text()?);
        let count = reader.u8()?;
        let founders = (0..count).map(|_| reader.agent()).collect::<Result<Vec<_>, _>>()?;
        let work_bits = match has_work.then(|| reader.u8()).transpose()? {
            None => 0,
            // There is one text for each invite.
            Some(0) => return Err(Breach::NotCanonical { what: "the invite" }.into()),
            Some(bits) => bits,
        };
        let properties = NetworkProperties { version: NETWORK_VERSION, name, kind, founders, work_bits };
        let relay = Some(relay).filter(|relay| !relay.is_empty());
        let pass = match kind {
            NetworkKind::Public => None,
            NetworkKind::Private | NetworkKind::Lan => Some(Self::read_pass(reader, &properties, &seed)?),
        };
        Ok(Self { properties, seed, bootstrap, relay, pass })
    }

    fn read_pass(reader: &mut Reader<'_>, properties: &NetworkProperties, seed: &str) -> Result<Pass, Breach> {
        let index = reader.u8()?;
        let founder = properties.founders.get(usize::from(index)).ok_or(Breach::NotFounder { what: "the invite" })?;
        let terms = InviteTerms {
            network: network::id(properties, seed),
            founder: founder.clone(),
            key: Bytes32(reader.array()?),
            expires_at: TimestampUs::from_le_bytes(reader.array()?),
            agent: match reader.u8()? {
                0 => None,
                _ => Some(reader.agent()?),
            },
        };
        Ok(Pass { terms, founder_signature: Bytes64(reader.array()?), secret: Bytes32(reader.array()?) })
    }
}

fn kind_byte(kind: NetworkKind) -> u8 {
    match kind {
        NetworkKind::Public => 0,
        NetworkKind::Private => 1,
        NetworkKind::Lan => 2,
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = Encoder::hash("ainonymous/invite-text/v1").raw(bytes).finish();
    [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn invite() -> Invite {
        let properties = NetworkProperties {
            version: NETWORK_VERSION,
            name: "Reading circle".into(),
            kind: NetworkKind::Private,
            founders: vec![agent(1), agent(2)],
            work_bits: 0,
        };
        let seed = "00112233".to_owned();
        let terms = InviteTerms {
            network: network::id(&properties, &seed),
            founder: agent(2),
            key: Bytes32([3; 32]),
            expires_at: 1_760_000_000_000_000,
            agent: Some(agent(4)),
        };
        let pass = Some(Pass { terms, founder_signature: Bytes64([5; 64]), secret: Bytes32([6; 32]) });
        Invite { properties, seed, bootstrap: "https://b.example".into(), relay: None, pass }
    }

    #[test]
    fn a_text_comes_back_however_it_was_pasted() {
        let invite = invite();
        let text = invite.to_text().unwrap();
        assert_eq!(Invite::from_text(&text).unwrap(), invite);
        let folded: String = text.to_ascii_uppercase().chars().flat_map(|c| [c, '\n']).collect();
        assert_eq!(Invite::from_text(&folded).unwrap(), invite);
        let public =
            Invite { properties: network::public("All"), pass: None, relay: Some("https://r".into()), ..invite };
        assert_eq!(Invite::from_text(&public.to_text().unwrap()).unwrap(), public);
        let mut dear = public;
        dear.properties.work_bits = limits::WORK_BITS_MAX;
        assert_eq!(Invite::from_text(&dear.to_text().unwrap()).unwrap(), dear);
    }

    #[test]
    fn every_single_mistake_is_noticed() {
        let text = invite().to_text().unwrap();
        for at in PREFIX.len()..text.len() {
            let mut changed: Vec<u8> = text.clone().into();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Invite::from_text(&changed), Err(InviteTextError::Damaged), "{at}");
        }
        for end in PREFIX.len()..text.len() {
            assert_eq!(Invite::from_text(&text[..end]), Err(InviteTextError::Damaged), "{end}");
        }
    }

    #[test]
    fn what_is_no_invite_is_named() {
        let code = |text: &str| Invite::from_text(text).unwrap_err().code();
        assert_eq!(code(""), "invite_unknown");
        assert_eq!(code("https://example.org"), "invite_unknown");
        assert_eq!(code(&"a".repeat(limits::INVITE_TEXT_BYTES_MAX + 1)), "invite_too_long");
        assert_eq!(code("ainonymous-invite:é"), "invite_damaged");
        let mut newer = invite().fields();
        newer[0] = 3;
        newer.extend(checksum(&newer));
        assert_eq!(code(&format!("{PREFIX}{}", to_base32(&newer))), "invite_version");
        let mut longer = invite().fields();
        longer.push(0);
        longer.extend(checksum(&longer));
        assert_eq!(code(&format!("{PREFIX}{}", to_base32(&longer))), "invite_invalid");
        // Work of no bits, or in a network by invitation, is what no program writes.
        for (kind, bits) in [(NetworkKind::Public, 0), (NetworkKind::Public, 41), (NetworkKind::Private, 20)] {
            let mut properties = NetworkProperties { kind, work_bits: 1, ..network::public("n") };
            properties.founders.extend((kind != NetworkKind::Public).then(|| agent(2)));
            let pass = invite().pass.filter(|_| kind != NetworkKind::Public);
            let seed = String::new();
            let mut fields = Invite { properties, seed: seed.clone(), bootstrap: seed, relay: None, pass }.fields();
            let at = 2 + 5 + 1 + 36 * usize::from(kind != NetworkKind::Public);
            assert_eq!(fields[at], 1, "the byte of work");
            fields[at] = bits;
            fields.extend(checksum(&fields));
            assert_eq!(code(&format!("{PREFIX}{}", to_base32(&fields))), "invite_invalid", "{kind:?} {bits}");
        }
    }

    #[test]
    fn bounds_hold_when_it_is_made() {
        let made = |spoil: &dyn Fn(&mut Invite)| {
            let mut invite = invite();
            spoil(&mut invite);
            invite.to_text().map_err(|breach| breach.code()).map(drop)
        };
        assert_eq!(made(&|i| i.seed = "s".repeat(limits::NETWORK_SEED_BYTES_MAX)), Ok(()));
        assert_eq!(made(&|i| i.seed = "s".repeat(limits::NETWORK_SEED_BYTES_MAX + 1)), Err("too_long"));
        assert_eq!(made(&|i| i.bootstrap = "b".repeat(limits::SERVER_URL_BYTES_MAX)), Ok(()));
        assert_eq!(made(&|i| i.bootstrap = "b".repeat(limits::SERVER_URL_BYTES_MAX + 1)), Err("too_long"));
        assert_eq!(made(&|i| i.relay = Some("b".repeat(limits::SERVER_URL_BYTES_MAX + 1))), Err("too_long"));
        assert_eq!(made(&|i| i.pass = None), Err("not_invited"));
        assert_eq!(made(&|i| i.properties = network::public("x")), Err("unsupported"));
        assert_eq!(made(&|i| i.properties.founders = vec![agent(9)]), Err("not_founder"));
        assert_eq!(made(&|i| i.properties.work_bits = 1), Err("out_of_range"));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", invite()).contains("06060606"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Invite::from_text(&format!("{PREFIX}{text}"));
            let mut whole = bytes.clone();
            whole.extend(checksum(&bytes));
            let _ = Invite::from_text(&format!("{PREFIX}{}", to_base32(&whole)));
        }
    }
}
