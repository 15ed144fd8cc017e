//! Which network this is: its properties, its seed, and the identity that both have together.
//!
//! The identity does not depend on the hApp's bytes: an invite is good for the next version of the rules too.

use crate::canonical::Encoder;
use crate::rules::bounds::{at_most, not_empty, range, unique};
use crate::work::Work;
use crate::{text, Breach};
use ainonymous_types::{limits, AgentPubKey, Bytes32, NetworkKind, NetworkProperties, NETWORK_VERSION};

/// Properties that nobody set, as Holochain encodes them.
const NO_PROPERTIES: &[u8] = &[0xc0];
/// What the network is called whose properties nobody set.
pub const DEFAULT_NAME: &str = "ainonymous";

/// A network: what its founders decided, and its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// See [`id`].
    pub id: Bytes32,
    /// What its founders decided.
    pub properties: NetworkProperties,
}

impl Network {
    /// A network of these properties and this seed.
    pub fn new(properties: NetworkProperties, seed: &str) -> Result<Self, Breach> {
        bounds(&properties)?;
        Ok(Self { id: id(&properties, seed), properties })
    }

    /// The network of a DNA, by the modifiers of the DNA. Without properties it is public.
    pub fn of_dna(properties: &[u8], seed: &str) -> Result<Self, Breach> {
        if properties == NO_PROPERTIES {
            return Self::new(public(DEFAULT_NAME), seed);
        }
        let what = "the network's properties";
        let properties: NetworkProperties =
            holochain_serialized_bytes::decode(properties).map_err(|_| Breach::Undecodable { what })?;
        Self::new(properties, seed)
    }

    /// Whether nobody has to be invited.
    pub fn is_open(&self) -> bool {
        self.properties.kind == NetworkKind::Public
    }

    /// Whether nothing at all has to be shown: every agent is in it.
    pub fn admits_all(&self) -> bool {
        self.is_open() && self.properties.work_bits == 0
    }

    /// The work that a new agent of this network has to do; none where none is asked for.
    pub fn work(&self, agent: &AgentPubKey) -> Option<Work> {
        let bits = self.properties.work_bits;
        (self.is_open() && bits > 0).then(|| Work::new(&self.id, agent, bits))
    }

    /// Whether an agent invites and revokes.
    pub fn is_founder(&self, agent: &AgentPubKey) -> bool {
        self.properties.founders.contains(agent)
    }
}

/// Properties of a public network that asks for nothing.
pub fn public(name: &str) -> NetworkProperties {
    NetworkProperties {
        version: NETWORK_VERSION,
        name: name.to_owned(),
        kind: NetworkKind::Public,
        founders: Vec::new(),
        work_bits: 0,
    }
}

/// The identity of a network: a hash over everything that its founders decided, and the seed. Networks without work have the
/// identity that they had before there was any.
pub fn id(properties: &NetworkProperties, seed: &str) -> Bytes32 {
    let NetworkProperties { version, name, kind, founders, work_bits } = properties;
    let kind = match kind {
        NetworkKind::Public => 0,
        NetworkKind::Private => 1,
        NetworkKind::Lan => 2,
    };
    let mut e = Encoder::hash("ainonymous/network/v1").u32((*version).into()).u8(kind).text(name).count(founders.len());
    for founder in founders {
        e = e.holo(founder);
    }
    let e = e.text(seed);
    match work_bits {
        0 => e.finish(),
        bits => e.u8(*bits).finish(),
    }
}

/// Whether properties are within bounds: founders where there are invites, none where there are not; work the other way round.
pub fn bounds(properties: &NetworkProperties) -> Result<(), Breach> {
    let NetworkProperties { version, name, kind, founders, work_bits } = properties;
    range("version", (*version).into(), NETWORK_VERSION.into(), NETWORK_VERSION.into(), "of this build")?;
    text::name("name", name, limits::NETWORK_NAME_BYTES_MAX)?;
    match kind {
        NetworkKind::Public => {
            at_most("founders of a public network", founders.len(), 0)?;
            range("work_bits", (*work_bits).into(), 0, limits::WORK_BITS_MAX.into(), "bits")
        }
        NetworkKind::Private | NetworkKind::Lan => {
            range("work_bits", (*work_bits).into(), 0, 0, "bits where members are invited")?;
            not_empty("founders", founders.len())?;
            at_most("founders", founders.len(), limits::FOUNDERS_MAX)?;
            unique("founders", founders)
        }
    }
}
