//! One stream: frames out, frames in. Reading is cancel-safe, memory grows only with what has really arrived.

use crate::error::LinkError;
use crate::frame::{self, Frame, HEADER_BYTES, USUAL_BYTES_MAX};
use crate::room::{Reserved, Room, FREE_BYTES};
use crate::silence::Silence;
use bytes::BytesMut;
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use std::time::Duration;

/// A reader that takes nothing for this long is given up.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Most bytes taken from the connection at once.
const READ_BYTES: usize = 64 << 10;
/// The code of a stream that is not wanted any more.
const NOT_WANTED: VarInt = VarInt::from_u32(1);

/// Both halves of a stream.
#[derive(Debug)]
pub struct Stream {
    /// What this side says.
    pub sender: FrameSender,
    /// What the other side says.
    pub receiver: FrameReceiver,
}

/// The half that sends. Dropping it without [`FrameSender::finish`] tells the other side that no more is coming.
#[derive(Debug)]
pub struct FrameSender {
    stream: SendStream,
    finished: bool,
}

/// The half that receives. Dropping it tells the other side that nothing more is read.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: RecvStream,
    buffer: BytesMut,
    body_max: usize,
    /// Of the side that asks.
    silence: Option<Silence>,
    /// Of the side that answers.
    room: Option<Room>,
    reserved: Option<Reserved>,
}

impl Stream {
    pub(crate) fn new((sender, receiver): (SendStream, RecvStream), body_max: usize) -> Self {
        Self {
            sender: FrameSender { stream: sender, finished: false },
            receiver: FrameReceiver {
                stream: receiver,
                buffer: BytesMut::new(),
                body_max,
                silence: None,
                room: None,
                reserved: None,
            },
        }
    }

    /// Large frames wait for room.
    pub(crate) fn within(mut self, room: Room) -> Self {
        self.receiver.room = Some(room);
        self
    }

    /// While nothing is heard on it, this side speaks up.
    pub(crate) fn breaking(mut self, silence: Silence) -> Self {
        self.receiver.silence = Some(silence);
        self
    }
}

impl FrameSender {
    /// Sends a frame; waits while the other side does not read, but not for ever. Not cancel-safe.
    pub async fn send(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let bytes = frame.encode()?;
        match tokio::time::timeout(STALL_MAX, self.stream.write_all(&bytes)).await {
            Ok(written) => written.map_err(on_write),
            Err(_) => Err(LinkError::Stalled { after: STALL_MAX }),
        }
    }

    /// Sends bytes as they are, and ends: for tests of what the other side does with them.
    #[doc(hidden)]
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.send_part(bytes).await;
        self.finished = true;
        let _ = self.stream.finish();
    }

    /// The same without an end.
    #[doc(hidden)]
    pub async fn send_part(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Says that this was all.
    pub fn finish(mut self) {
        self.finished = true;
        // An error means that the stream or its link has ended already.
        let _ = self.stream.finish();
    }

    /// Resolves when the other side wants no more: it stopped reading, or the link is gone.
    pub async fn unwanted(&self) -> LinkError {
        match self.stream.stopped().await {
            Ok(_) => LinkError::Ended,
            Err(quinn::StoppedError::ConnectionLost(e)) => from_connection(&e),
            Err(quinn::StoppedError::ZeroRttRejected) => LinkError::Broken { reason: "early data was refused".into() },
        }
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.stream.reset(NOT_WANTED);
        }
    }
}

impl FrameReceiver {
    /// The next frame; none at the end. Cancel-safe.
    pub async fn recv(&mut self) -> Result<Option<Frame>, LinkError> {
        loop {
            if let Some(frame) = frame::split(&mut self.buffer, self.body_max)? {
                self.reserved = None;
                return Ok(Some(frame));
            }
            self.reserve().await;
            let read = self.stream.read_chunk(READ_BYTES, true);
            let read = match &mut self.silence {
                Some(silence) => silence.until(read).await,
                None => read.await,
            };
            match read.map_err(on_read)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(LinkError::Truncated),
            }
        }
    }

    /// Whether what is read came before the handshake had ended: somebody may have recorded and repeated it.
    pub fn is_early(&self) -> bool {
        self.stream.is_0rtt()
    }

    /// Whether a frame of unusual length is on its way, which takes its time.
    pub fn reads_large(&self) -> bool {
        self.buffer
            .first_chunk::<HEADER_BYTES>()
            .is_some_and(|header| u32::from_le_bytes(*header) as usize > USUAL_BYTES_MAX)
    }

    /// Whether the next frame is a question, or takes one up; nothing of it is read but what kind it is. False at the end.
    /// Cancel-safe.
    pub async fn brings_question(&mut self) -> Result<bool, LinkError> {
        while self.buffer.len() <= HEADER_BYTES {
            match self.stream.read_chunk(HEADER_BYTES + 1, true).await.map_err(on_read)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None => return Ok(false),
            }
        }
        Ok(frame::is_question(self.buffer[HEADER_BYTES]))
    }

    /// Makes sure that there is room for the frame that has begun.
    async fn reserve(&mut self) {
        let begun = self.buffer.first_chunk::<HEADER_BYTES>().map(|header| u32::from_le_bytes(*header) as usize);
        if let (Some(room), None, Some(len)) = (&self.room, &self.reserved, begun.filter(|len| *len > FREE_BYTES)) {
            self.reserved = room.reserve(len).await;
        }
    }
}

pub(crate) fn from_connection(e: &quinn::ConnectionError) -> LinkError {
    match e {
        quinn::ConnectionError::ApplicationClosed(_) | quinn::ConnectionError::LocallyClosed => LinkError::Ended,
        other => LinkError::Broken { reason: other.to_string() },
    }
}

pub(crate) fn on_write(e: WriteError) -> LinkError {
    match e {
        WriteError::Stopped(_) => LinkError::Ended,
        WriteError::ConnectionLost(e) => from_connection(&e),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => LinkError::Broken { reason: e.to_string() },
    }
}

pub(crate) fn on_read(e: ReadError) -> LinkError {
    match e {
        ReadError::Reset(_) => LinkError::Ended,
        ReadError::ConnectionLost(e) => from_connection(&e),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            LinkError::Broken { reason: e.to_string() }
        }
    }
}
