//! Room for what has not arrived whole. A question may be several megabytes; without this a link could make its peer hold one for each
//! of its streams, and never send the rest.
//!
//! Whoever finds no room is not read until there is some: QUIC then holds the sender back.

use crate::frame::FRAME_BYTES_MAX;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size need no room: there is always some for a link's streams.
pub(crate) const FREE_BYTES: usize = 4 << 10;
/// Bytes of larger frames on one link: one of the largest, and a few others.
const LINK_BYTES_MAX: usize = FRAME_BYTES_MAX + (256 << 10);
/// Bytes of larger frames on all links.
const ALL_BYTES_MAX: usize = 128 << 20;
/// What is counted.
const UNIT_BYTES: usize = 1 << 10;

/// Room for all links of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Rooms(Arc<Semaphore>);

/// Room for one link.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    link: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// A place for one frame; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reserved(#[allow(dead_code, reason = "its drop gives the room back")] [OwnedSemaphorePermit; 2]);

impl Default for Rooms {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL_BYTES_MAX / UNIT_BYTES)))
    }
}

impl Rooms {
    /// For another link.
    pub(crate) fn of_link(&self) -> Room {
        Room { link: Arc::new(Semaphore::new(LINK_BYTES_MAX / UNIT_BYTES)), all: self.0.clone() }
    }
}

impl Room {
    /// Waits for room for a frame of this size, at most the largest that is taken. Cancel-safe.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let units = u32::try_from(bytes.min(LINK_BYTES_MAX).div_ceil(UNIT_BYTES)).ok()?;
        // The link's first: whoever sends much waits for himself before others wait for him.
        let of_link = self.link.clone().acquire_many_owned(units).await.ok()?;
        let of_all = self.all.clone().acquire_many_owned(units).await.ok()?;
        Some(Reserved([of_link, of_all]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn the_largest_frame_finds_room_and_a_second_one_waits() {
        const { assert!(FRAME_BYTES_MAX <= LINK_BYTES_MAX && LINK_BYTES_MAX < 2 * FRAME_BYTES_MAX) };
        let room = Rooms::default().of_link();
        let first = room.reserve(FRAME_BYTES_MAX).now_or_never().flatten().expect("room");
        assert!(room.reserve(FRAME_BYTES_MAX).now_or_never().is_none());
        assert!(room.reserve(FREE_BYTES + 1).now_or_never().is_some(), "a small one passes");
        drop(first);
        assert!(room.reserve(FRAME_BYTES_MAX).now_or_never().is_some());
    }

    #[test]
    fn all_links_together_have_a_bound() {
        let rooms = Rooms::default();
        let full = |n: usize| (0..n).map(|_| rooms.of_link().reserve(FRAME_BYTES_MAX).now_or_never().flatten());
        let places = (ALL_BYTES_MAX / UNIT_BYTES) / FRAME_BYTES_MAX.div_ceil(UNIT_BYTES);
        let taken: Vec<_> = full(places + 1).collect();
        assert_eq!(taken.iter().filter(|reserved| reserved.is_some()).count(), places);
        drop(taken);
        assert!(full(1).all(|reserved| reserved.is_some()));
    }
}
