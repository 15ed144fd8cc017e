//! Models in the shape of OpenAI, with the fields that llama-server's router adds.

use crate::catalogue;
use ainonymous_node::ModelEntry;
use serde::Serialize;
use serde_json::Value;

/// All of them.
pub(crate) fn model_list(models: Vec<ModelEntry>, created: u64) -> ModelList {
    ModelList { object: "list", data: models.into_iter().map(|entry| model(entry, created)).collect() }
}

/// One of them. `created` is when this API began to list it: nobody knows when a model was made.
pub(crate) fn model(model: ModelEntry, created: u64) -> ModelView {
    let status = catalogue::status(&model);
    let capabilities = catalogue::capabilities(&model);
    let ModelEntry { id, local, providers, context_tokens, file_bytes, gguf_hash, .. } = model;
    ModelView {
        id,
        object: "model",
        created,
        owned_by: if local { "local" } else { "peers" },
        context_length: context_tokens,
        status,
        capabilities,
        ainonymous: ModelExtension { local, providers, file_bytes, gguf_hash },
    }
}

/// Models that can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<ModelView>,
}

/// A model that can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct ModelView {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    context_length: u32,
    status: Value,
    capabilities: Vec<&'static str>,
    ainonymous: ModelExtension,
}

#[derive(Debug, Serialize)]
struct ModelExtension {
    local: bool,
    providers: Vec<String>,
    file_bytes: u64,
    gguf_hash: Option<String>,
}
