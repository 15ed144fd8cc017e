//! Entries: decoded as a conductor does, then judged by the rules of the DHT, as if no record could be fetched.
#![no_main]

use ainonymous_types::{ActionHash, Bytes32, EntryHash, Place, Topic};
use ainonymous_verify::judge::{self, Header, Records, Refusal};
use ainonymous_verify::network::Network;
use ainonymous_verify::rules::{Anchor, Known};
use ainonymous_verify::vectors::{self, EntryCase};
use holochain_serialized_bytes::decode;
use libfuzzer_sys::fuzz_target;

/// Nothing can be fetched.
struct Nothing;

impl Records for Nothing {
    type Error = ();

    fn valid(&self, _action: &ActionHash) -> Result<Known, ()> {
        Err(())
    }

    fn anchor(&self, anchor: Anchor) -> Result<EntryHash, ()> {
        Ok(vectors::anchor(anchor))
    }

    fn bucket(&self, topic: &Topic, place: Place) -> Result<EntryHash, ()> {
        Ok(vectors::bucket(topic, place))
    }

    fn receipt(&self, leaf: &Bytes32) -> Result<EntryHash, ()> {
        Ok(vectors::receipt_place(leaf))
    }

    fn network(&self) -> Result<Network, Refusal<()>> {
        Err(Refusal::Records(()))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(case) = decode::<_, EntryCase>(bytes) else { return };
    let header = Header { author: &case.author, timestamp: case.timestamp };
    let _ = judge::entry(header, &case.entry, &Nothing);
});
