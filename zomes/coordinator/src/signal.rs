//! Signals between peers, and from peers to the websockets of this cell.

use crate::find::{me, refuse};
use ainonymous_types::{AgentPubKey, LocalSignal, PeerSignal, SendSignal};
use ainonymous_verify::{signal, Breach};
use hdk::prelude::*;
use holochain_serialized_bytes::{decode, encode};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Says something to peers. They may never hear it.
#[hdk_extern]
pub fn send_signal(input: SendSignal) -> ExternResult<()> {
    signal::sending(&input).map_err(refuse)?;
    send(input.to, &input.signal)
}

/// A peer said something. What is nonsense or out of bounds goes no further than a note of who and why.
#[hdk_extern]
pub fn recv_remote_signal(received: Received) -> ExternResult<()> {
    let from = call_info()?.provenance;
    emit_signal(match understood(received) {
        Ok(signal) => LocalSignal::Peer { from, signal },
        Err(breach) => LocalSignal::Rejected { from, reason: format!("{}: {breach}", breach.code()) },
    })
}

/// Sends a signal within bounds; to this agent itself without a detour.
pub(crate) fn send(to: Vec<AgentPubKey>, message: &PeerSignal) -> ExternResult<()> {
    let bytes = encode(message).map_err(|e| wasm_error!(e))?;
    signal::encoded_bytes(bytes.len()).map_err(refuse)?;
    let me = me()?;
    let (own, others): (Vec<_>, Vec<_>) = to.into_iter().partition(|agent| *agent == me);
    if !own.is_empty() {
        emit_signal(LocalSignal::Peer { from: me, signal: message.clone() })?;
    }
    if !others.is_empty() {
        send_remote_signal(ExternIO(bytes), others)?;
    }
    Ok(())
}

fn understood(received: Received) -> Result<PeerSignal, Breach> {
    let undecodable = Breach::Undecodable { what: "the signal" };
    let bytes = received.0.ok_or(undecodable)?;
    signal::encoded_bytes(bytes.len())?;
    let message: PeerSignal = decode(&bytes).map_err(|_| undecodable)?;
    signal::bounds(&message)?;
    Ok(message)
}

/// The bytes of a signal; none if the peer sent anything else. Taking everything is what lets nonsense be told apart
/// from a fault of ours.
#[derive(Debug)]
pub struct Received(Option<Vec<u8>>);

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(deserializer.deserialize_any(Bytes).unwrap_or(Self(None)))
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Received;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Received, E> {
        Ok(Received(Some(bytes.to_vec())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Received, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Received(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Received, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Received(None))
    }
}
