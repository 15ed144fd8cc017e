//! What host and worker say to each other: MessagePack in frames of bounded length over the worker's stdin and stdout.
//!
//! Both ends are the same executable, so there is one version and fields go without names. Types here hold prompts and
//! answers and therefore have no `Debug`.

use crate::fit::Reserved;
use crate::request::IMAGES_BYTES_MAX;
use crate::{
    EmbedQuestion, Embeddings, EngineError, EngineOptions, Finished, Inspect, Inspected, ModelInfo, More, Preview,
    Question, Replay, ReplayQuestion,
};
use ainonymous_types::limits;
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Changed with every change of this module.
pub(crate) const PROTOCOL: u32 = 7;
/// Longest token id in a frame, in bytes.
const TOKEN_BYTES_MAX: usize = 5;
/// Largest frame to the worker: the longest prompt, all its images or the longest answer, and room for tools, forms and a begun
/// answer.
pub(crate) const TO_WORKER_BYTES_MAX: usize =
    limits::PROMPT_BYTES_MAX + larger(IMAGES_BYTES_MAX, ANSWER_BYTES) + (2 << 20);
const ANSWER_BYTES: usize = limits::ANSWER_TOKENS_MAX as usize * TOKEN_BYTES_MAX;
/// Largest frame to the host: the longest answer, replayed.
pub(crate) const TO_HOST_BYTES_MAX: usize = 128 << 20;
/// Bytes of the length that precedes a frame.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Host to worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// First, and once: load this model; others were promised so much.
    Load { protocol: u32, options: EngineOptions, reserved: Reserved },
    /// First, and instead: say what loading this would do, or what there is to compute on, and exit.
    Preview { protocol: u32, options: Option<EngineOptions> },
    /// Answer a question.
    Generate { id: u64, question: Box<Question> },
    /// Make vectors of texts.
    Embed { id: u64, question: EmbedQuestion },
    /// Compute an answer again.
    Replay { id: u64, question: Box<ReplayQuestion> },
    /// Ask tokeniser or template.
    Inspect { id: u64, question: Inspect },
    /// Stop answering it.
    Cancel { id: u64 },
    /// Stop everything and exit.
    Shutdown,
}

/// Worker to host.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// What the model will take, before it takes it; again if another plan is tried.
    Planned(Reserved),
    /// Loading goes on; thousandths.
    Loading { permille: u16 },
    /// The model is loaded.
    Loaded(Box<ModelInfo>),
    /// What loading would do.
    Preview(Box<Preview>),
    /// It is not; the worker exits.
    LoadFailed(EngineError),
    /// It computes; sent now and then while there is nothing else to send.
    Alive,
    /// What happened to questions since the last frame, in order.
    Events(Vec<(u64, WireEvent)>),
}

/// What happened to one question.
#[derive(Serialize, Deserialize)]
pub(crate) enum WireEvent {
    Queued { position: u32 },
    Started { prompt_tokens: u32 },
    Token { id: u32, text: String, more: Option<Box<More>> },
    Embedded(Embeddings),
    Replayed(Box<Replay>),
    Inspected(Inspected),
    Finished(Finished),
    Failed(EngineError),
}

const fn larger(a: usize, b: usize) -> usize {
    if a > b {
        a
    } else {
        b
    }
}

/// Encodes one frame behind what `out` already holds.
pub(crate) fn encode<T: Serialize>(message: &T, bytes_max: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    rmp_serde::encode::write(out, message).map_err(|_| invalid("a frame cannot be encoded"))?;
    let length = out.len() - start - LENGTH_BYTES;
    if length > bytes_max {
        out.truncate(start);
        return Err(invalid("a frame is longer than allowed"));
    }
    out[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}

/// Writes one frame.
pub(crate) fn write_frame<T: Serialize>(to: &mut impl Write, message: &T, bytes_max: usize) -> io::Result<()> {
    let mut bytes = Vec::new();
    encode(message, bytes_max, &mut bytes)?;
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one frame; `None` at the end of the stream.
pub(crate) fn read_frame<T: DeserializeOwned>(from: &mut impl Read, bytes_max: usize) -> io::Result<Option<T>> {
    let mut length = [0; LENGTH_BYTES];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let mut bytes = vec![0; checked_length(length, bytes_max)?];
    from.read_exact(&mut bytes)?;
    decode(&bytes).map(Some)
}

/// Takes the first whole frame out of `buffer`, if there is one.
pub(crate) fn take_frame<T: DeserializeOwned>(buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<Option<T>> {
    let Some(length) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let end = LENGTH_BYTES + checked_length(*length, bytes_max)?;
    if buffer.len() < end {
        return Ok(None);
    }
    let message = decode(&buffer[LENGTH_BYTES..end])?;
    buffer.drain(..end);
    Ok(Some(message))
}

fn checked_length(length: [u8; LENGTH_BYTES], bytes_max: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(invalid("a frame is longer than allowed"));
    }
    Ok(length)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|_| invalid("a frame cannot be decoded"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_split_of_the_stream() {
        let mut bytes = Vec::new();
        for id in 0..3 {
            encode(&ToWorker::Cancel { id }, TO_WORKER_BYTES_MAX, &mut bytes).unwrap();
        }
        let (mut buffer, mut seen) = (Vec::new(), Vec::new());
        for byte in bytes {
            buffer.push(byte);
            while let Some(ToWorker::Cancel { id }) = take_frame(&mut buffer, TO_WORKER_BYTES_MAX).unwrap() {
                seen.push(id);
            }
        }
        assert_eq!(seen, [0, 1, 2]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_frame_at_the_bound_passes_and_one_past_it_does_not() {
        let mut bytes = Vec::new();
        encode(&"abc", 4, &mut bytes).unwrap();
        assert_eq!(read_frame::<String>(&mut bytes.as_slice(), 4).unwrap().as_deref(), Some("abc"));
        assert!(read_frame::<String>(&mut bytes.as_slice(), 3).is_err());
        assert!(encode(&"abc", 3, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_plan_survives_the_journey() {
        let degraded = vec![crate::Degraded::Context { wished: 2, chosen: 1 }, crate::Degraded::Paging { missing: 3 }];
        let fit = crate::Fit { degraded, system_free_bytes: None, slots: 7, ..crate::Fit::default() };
        let preview = Preview { fit: Some(fit), devices: vec![], ..Preview::default() };
        let mut bytes = Vec::new();
        encode(&ToHost::Preview(Box::new(preview.clone())), TO_HOST_BYTES_MAX, &mut bytes).unwrap();
        let Ok(Some(ToHost::Preview(back))) = take_frame(&mut bytes, TO_HOST_BYTES_MAX) else { panic!("a preview") };
        assert_eq!(*back, preview);
    }

    #[test]
    fn nonsense_is_an_error_not_a_panic() {
        for length in 0..64u32 {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend((0..length).map(|i| (i * 37 + length) as u8));
            let _ = take_frame::<ToHost>(&mut bytes, TO_HOST_BYTES_MAX);
        }
    }
}
