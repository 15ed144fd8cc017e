//! Models in the shape of Anthropic, page by page.

use crate::answer::shapes::rfc3339;
use crate::ApiError;
use ainonymous_node::ModelEntry;
use serde_json::{json, Value};
use std::time::{Duration, UNIX_EPOCH};

/// Models on a page that nobody said the length of (Anthropic's number).
const PAGE_DEFAULT: usize = 20;
/// Most models on a page.
const PAGE_MAX: usize = 1_000;

/// One model. `created` is when this API began to list it: nobody knows when a model was made.
pub(crate) fn model(model: &ModelEntry, created: u64) -> Value {
    json!({
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": rfc3339(UNIX_EPOCH + Duration::from_secs(created)),
    })
}

/// The models that `limit`, `after_id` and `before_id` name.
pub(crate) fn model_page(models: &[ModelEntry], created: u64, query: Option<&str>) -> Result<Value, ApiError> {
    let (mut limit, mut after, mut before) = (PAGE_DEFAULT, None, None);
    for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        let place = || {
            let id = decoded(value);
            let at = models.iter().position(|model| id.as_deref() == Some(model.id.as_str()));
            at.ok_or_else(|| ApiError::invalid(name, "must be the id of a model that is listed"))
        };
        match name {
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                let problem = || ApiError::invalid("limit", format!("must be a whole number from 1 to {PAGE_MAX}"));
                limit = number.ok_or_else(problem)?;
            }
            "after_id" => after = Some(place()? + 1),
            "before_id" => before = Some(place()?),
            _ => {}
        }
    }
    let (from, to) = match (after, before) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("before_id", "contradicts 'after_id'")),
        (None, Some(end)) => (end.saturating_sub(limit), end),
        (after, None) => {
            let from = after.unwrap_or(0);
            (from, models.len().min(from.saturating_add(limit)))
        }
    };
    let page = &models[from..to];
    let has_more = if before.is_some() { from > 0 } else { to < models.len() };
    Ok(json!({
        "data": page.iter().map(|entry| model(entry, created)).collect::<Vec<_>>(),
        "first_id": page.first().map(|model| &model.id),
        "last_id": page.last().map(|model| &model.id),
        "has_more": has_more,
    }))
}

/// A value of a query, without its `%` escapes.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}
