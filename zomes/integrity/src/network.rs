//! The network that this cell is in, out of its DNA's modifiers.

use ainonymous_verify::network::Network;
use ainonymous_verify::Breach;
use hdi::prelude::{dna_info, DnaModifiers, ExternResult};

/// The network, or what is wrong with its properties: then nobody can join it.
pub fn network() -> ExternResult<Result<Network, Breach>> {
    let DnaModifiers { network_seed, properties } = dna_info()?.modifiers;
    Ok(Network::of_dna(properties.bytes(), &network_seed))
}
