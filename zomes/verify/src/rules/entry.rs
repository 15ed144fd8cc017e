//! The rules for what entries say, alone and against the records that they refer to.

use super::bounds::{at_most, bytes_at_least, bytes_at_most, key, not_empty, range, unique};
use super::Known;
use crate::{text, Breach};
use ainonymous_types::{
    limits, AgentPubKey, Answer, Capability, ModelSpec, ReceiptBatch, Request, Role, RouterOffer, ServedModel, SpecRef,
    TimestampUs,
};

/// A model spec: labels, lengths and counts within bounds.
pub fn model_spec(spec: &ModelSpec) -> Result<(), Breach> {
    let ModelSpec {
        name,
        quantization,
        architecture,
        gguf_hash: _,
        gguf_root: _,
        gguf_bytes,
        tokenizer_hash: _,
        template_hash: _,
        sampler_version: _,
        kv_type: _,
        context_tokens,
    } = spec;
    text::name("name", name, limits::MODEL_NAME_BYTES_MAX)?;
    text::label("quantization", quantization, limits::QUANTIZATION_BYTES_MAX)?;
    text::label("architecture", architecture, limits::ARCHITECTURE_BYTES_MAX)?;
    range("gguf_bytes", *gguf_bytes, 1, limits::MODEL_FILE_BYTES_MAX, "bytes")?;
    range("context_tokens", (*context_tokens).into(), 1, limits::CONTEXT_TOKENS_MAX.into(), "tokens")
}

/// A capability: roles in order, keys, addresses, models, router and region within bounds; models only with the provider role,
/// a router with the router role and never without.
pub fn capability(capability: &Capability) -> Result<(), Breach> {
    let Capability {
        roles,
        sealing_key,
        transport_key,
        addresses,
        must_be_known: _,
        backend: _,
        backend_detail,
        models,
        router,
        region,
    } = capability;
    not_empty("roles", roles.len())?;
    at_most("roles", roles.len(), limits::CAPABILITY_ROLES_MAX)?;
    if !roles.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Breach::Unordered { what: "roles" });
    }
    key("sealing_key", sealing_key)?;
    if let Some(transport_key) = transport_key {
        key("transport_key", transport_key)?;
    }
    at_most("addresses", addresses.len(), limits::CAPABILITY_ADDRESSES_MAX)?;
    for address in addresses {
        text::name("addresses", address, limits::ADDRESS_BYTES_MAX)?;
    }
    unique("addresses", addresses)?;
    text::detail("backend_detail", backend_detail, limits::BACKEND_DETAIL_BYTES_MAX)?;
    at_most("models", models.len(), limits::CAPABILITY_MODELS_MAX)?;
    if !models.is_empty() && !roles.contains(&Role::Provider) {
        return Err(Breach::ModelsWithoutProvider);
    }
    for ServedModel { spec: _, tokens_per_s } in models {
        range("tokens_per_s", (*tokens_per_s).into(), 0, limits::TOKENS_PER_S_MAX.into(), "tokens a second")?;
    }
    let specs: Vec<_> = models.iter().map(|m| &m.spec.entry).collect();
    unique("models", &specs)?;
    if router.is_some() != roles.contains(&Role::Router) {
        return Err(Breach::RouterAndRole);
    }
    router.as_ref().map_or(Ok(()), router_offer)?;
    region.as_ref().map_or(Ok(()), |region| text::region("region", region, limits::REGION_BYTES_MAX))
}

/// A router: a key, and at least one address.
fn router_offer(router: &RouterOffer) -> Result<(), Breach> {
    let RouterOffer { key: of_router, addresses } = router;
    key("router.key", of_router)?;
    not_empty("router.addresses", addresses.len())?;
    at_most("router.addresses", addresses.len(), limits::ROUTER_ADDRESSES_MAX)?;
    for address in addresses {
        text::name("router.addresses", address, limits::ADDRESS_BYTES_MAX)?;
    }
    unique("router.addresses", addresses)
}

/// A reference to a model spec: `known` is the valid record at `spec.action`.
pub fn spec_ref(spec: &SpecRef, known: &Known) -> Result<(), Breach> {
    let (entry_hash, _) =
        known.model_spec().ok_or(Breach::WrongReference { what: "spec.action", expected: "model spec" })?;
    (*entry_hash == spec.entry).then_some(()).ok_or(Breach::HashMismatch { what: "spec.entry" })
}

/// A request by itself.
pub fn request(request: &Request) -> Result<(), Breach> {
    let Request { commitment: _, spec: _, assignee: _, capability: _, reply_key, max_tokens, expires_at: _, sealed } =
        request;
    key("reply_key", reply_key)?;
    range("max_tokens", (*max_tokens).into(), 1, limits::ANSWER_TOKENS_MAX.into(), "tokens")?;
    bytes_at_least("sealed", sealed.len(), limits::SEALED_BYTES_MIN)?;
    bytes_at_most("sealed", sealed.len(), limits::SEALED_REQUEST_BYTES_MAX)
}

/// A request against the time of its own action.
pub fn request_time(request: &Request, written_at: TimestampUs) -> Result<(), Breach> {
    if request.expires_at <= written_at {
        return Err(Breach::Expired);
    }
    let open_us = request.expires_at.saturating_sub(written_at);
    (open_us <= limits::REQUEST_TTL_US_MAX)
        .then_some(())
        .ok_or(Breach::OpenTooLong { max_us: limits::REQUEST_TTL_US_MAX })
}

/// A request against the capability that it relies on: the assignee's, as provider, listing the spec.
pub fn request_capability(request: &Request, known: &Known) -> Result<(), Breach> {
    let capability = lists(known, &request.spec)?;
    if known.author != request.assignee {
        return Err(Breach::NotAssignee { what: "the capability" });
    }
    capability.roles.contains(&Role::Provider).then_some(()).ok_or(Breach::NotProvider)
}

/// An answer by itself.
pub fn answer(answer: &Answer) -> Result<(), Breach> {
    let Answer { request: _, sealed } = answer;
    bytes_at_least("sealed", sealed.len(), limits::SEALED_BYTES_MIN)?;
    bytes_at_most("sealed", sealed.len(), limits::SEALED_ANSWER_BYTES_MAX)
}

/// An answer against its request: only the assignee answers.
pub fn answer_request(author: &AgentPubKey, known: &Known) -> Result<(), Breach> {
    let (_, request) = known.request().ok_or(Breach::WrongReference { what: "request", expected: "request" })?;
    (request.assignee == *author).then_some(()).ok_or(Breach::NotAssignee { what: "the answer" })
}

/// A batch of receipts by itself.
pub fn receipt_batch(batch: &ReceiptBatch) -> Result<(), Breach> {
    let ReceiptBatch { capability: _, spec: _, root: _, count, prompt_tokens, completion_tokens } = batch;
    range("count", (*count).into(), 1, limits::BATCH_RECEIPTS_MAX.into(), "receipts")?;
    let reach = |max: u32| u64::from(*count).saturating_mul(max.into());
    if *completion_tokens > reach(limits::ANSWER_TOKENS_MAX) {
        return Err(Breach::SumTooLarge { what: "completion_tokens", count: *count });
    }
    if *prompt_tokens > reach(limits::CONTEXT_TOKENS_MAX) {
        return Err(Breach::SumTooLarge { what: "prompt_tokens", count: *count });
    }
    Ok(())
}

/// A batch's sums against its model spec: no prompt is longer than the context.
pub fn receipt_batch_sums(batch: &ReceiptBatch, known: &Known) -> Result<(), Breach> {
    let (_, spec) = known.model_spec().ok_or(Breach::WrongReference { what: "spec.action", expected: "model spec" })?;
    let reach = u64::from(batch.count).saturating_mul(spec.context_tokens.into());
    (batch.prompt_tokens <= reach)
        .then_some(())
        .ok_or(Breach::SumTooLarge { what: "prompt_tokens", count: batch.count })
}

/// A batch against the capability that it relies on: the author's own, listing the spec.
pub fn receipt_batch_capability(batch: &ReceiptBatch, author: &AgentPubKey, known: &Known) -> Result<(), Breach> {
    lists(known, &batch.spec)?;
    (known.author == *author).then_some(()).ok_or(Breach::NotAuthor { what: "the capability" })
}

fn lists<'a>(known: &'a Known, spec: &SpecRef) -> Result<&'a Capability, Breach> {
    let (_, capability) =
        known.capability().ok_or(Breach::WrongReference { what: "capability", expected: "capability" })?;
    let listed = capability.models.iter().any(|m| m.spec.entry == spec.entry);
    listed.then_some(capability).ok_or(Breach::SpecNotListed)
}
