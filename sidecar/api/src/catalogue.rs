//! The models that can be named, each name once: every dialect lists these and finds its models among them.

use crate::router::Api;
use crate::ApiError;
use ainonymous_node::{ModelEntry, ModelState};
use serde_json::{json, Value};
use std::collections::HashSet;

/// All of them. Of two with one name the first is meant: ours come first.
pub(crate) async fn listed(api: &Api) -> Vec<ModelEntry> {
    let mut names = HashSet::new();
    let models = api.backend().models().await.into_iter();
    models.filter(|model| names.insert(model.id.clone())).collect()
}

/// The model that a name means, with or without its quantisation; without a name, whichever answers
/// soonest.
pub(crate) async fn find(api: &Api, name: Option<&str>) -> Result<ModelEntry, ApiError> {
    let mut models = listed(api).await;
    let fits = |name: &str, model: &ModelEntry| {
        let base = model.id.rsplit_once(':').map_or(model.id.as_str(), |(base, _)| base);
        model.id.eq_ignore_ascii_case(name) || base.eq_ignore_ascii_case(name)
    };
    let found = match name {
        Some(name) => models.iter().position(|model| fits(name, model)),
        None => models.iter().position(|model| model.state == ModelState::Loaded).or((!models.is_empty()).then_some(0)),
    };
    match found {
        Some(at) => Ok(models.swap_remove(at)),
        None => Err(unknown(name.unwrap_or("any model"), &models)),
    }
}

/// None of these has that name.
pub(crate) fn unknown(name: &str, models: &[ModelEntry]) -> ApiError {
    let known = models.iter().map(|model| model.id.clone()).collect();
    ApiError::UnknownModel { model: name.to_owned(), known }
}

/// How far a model is, as llama-server's router says it.
pub(crate) fn status(model: &ModelEntry) -> Value {
    let mut status = json!({ "value": model.state.name() });
    if model.state == ModelState::Failed {
        status["failed"] = true.into();
        status["problem"] = model.problem.as_deref().into();
    }
    status
}

/// What a model can do, in Ollama's words. Of a peer's model this is not told: any can be offered tools, some see or think.
pub(crate) fn capabilities(model: &ModelEntry) -> Vec<&'static str> {
    let Some(details) = &model.details else { return vec!["completion", "tools"] };
    let all = [
        ("completion", true),
        ("tools", details.tools),
        ("thinking", details.thinking),
        ("embedding", details.embedding),
    ];
    all.into_iter().filter_map(|(name, can)| can.then_some(name)).collect()
}
