//! Reads a request body up to its bound. It must not know what is in it.

use crate::ApiError;
use ainonymous_node::request::IMAGES_BYTES_MAX;
use ainonymous_types::limits::PROMPT_BYTES_MAX;
use axum::body::Body;
use axum::http::{header, HeaderMap};
use futures::StreamExt as _;
use std::time::Duration;

/// Largest body: the longest prompt, all its images in base64, and room for what JSON escapes.
pub const BODY_BYTES_MAX: usize = PROMPT_BYTES_MAX + IMAGES_BYTES_MAX / 3 * 4 + (4 << 20);
/// How much of a body that is too large is still taken in, so that its sender hears the reason instead of a reset.
const DRAIN_BYTES_MAX: usize = 64 << 20;
/// Longest time that a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest time that the rest of a body that is too large is listened to.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// The whole body, or why not.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, ApiError> {
    let declared = declared_length(headers);
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        // Who waits to be told to go on is told at once; everybody else is sending already.
        if !headers.contains_key(header::EXPECT) {
            drain(body).await;
        }
        return Err(ApiError::BodyTooLarge { bytes: declared, max: BODY_BYTES_MAX });
    }
    match tokio::time::timeout(BODY_TIME_MAX, collect(body)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::BodyTooSlow { after: BODY_TIME_MAX }),
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| ApiError::BodyInterrupted { bytes: bytes.len() })?;
        if bytes.len() + part.len() > BODY_BYTES_MAX {
            drop(bytes);
            drain(Body::from_stream(stream)).await;
            return Err(ApiError::BodyTooLarge { bytes: None, max: BODY_BYTES_MAX });
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

async fn drain(body: Body) {
    let discard = async {
        let mut stream = body.into_data_stream();
        let mut seen = 0;
        while let Some(Ok(part)) = stream.next().await {
            seen += part.len();
            if seen > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, discard).await;
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
