//! Requests that wait on the DHT, sealed to one provider, and their sealed answers.

use crate::find::{capability, links, me, refuse, valid_known};
use crate::{seal, signal};
use ainonymous_types::{
    limits, AgentPubKey, Answer, AnswerInput, Bytes32, EntryHash, OpenRequest, PeerSignal, PostedAnswer,
    PostedQuestion, Request, RequestInput, TimestampUs,
};
use ainonymous_verify::{ask, chat, commit, Breach};
use hdk::prelude::*;
use inference_integrity::{EntryTypes, LinkTypes, UnitEntryTypes};

/// Posts a question to one provider.
#[hdk_extern]
pub fn create_request(input: RequestInput) -> ExternResult<ActionHash> {
    let RequestInput { capability: capability_action, spec, question, expires_at } = input;
    let (assignee, offered) = capability(&capability_action)?;
    let commitment = commit::input(&question.salt, &question.input);
    sound(&question, &spec.entry, &commitment)?.map_err(refuse)?;
    let reply_key = seal::new_key()?;
    let max_tokens = match question.input.max_tokens {
        0 => limits::ANSWER_TOKENS_MAX,
        n => n,
    };
    let sealed = seal::seal(&reply_key, &offered.sealing_key, &question)?;
    let request = create_entry(EntryTypes::Request(Request {
        commitment,
        spec,
        assignee: assignee.clone(),
        capability: capability_action,
        reply_key,
        max_tokens,
        expires_at,
        sealed,
    }))?;
    create_link(assignee.clone(), request.clone(), LinkTypes::AssigneeToRequest, ())?;
    signal::send(vec![assignee], &PeerSignal::RequestPosted { request: request.clone() })?;
    Ok(request)
}

/// Requests for this agent that are still open and that it has not answered, oldest first, opened.
#[hdk_extern]
pub fn get_open_requests(_: ()) -> ExternResult<Vec<OpenRequest>> {
    let (me, now) = (me()?, sys_time()?.as_micros());
    let answered = answered_by_me()?;
    let mut open = Vec::new();
    for link in links(me.clone(), LinkTypes::AssigneeToRequest)? {
        // Nothing stays open longer than the bound: what is older need not even be fetched.
        if link.timestamp.as_micros().saturating_add(limits::REQUEST_TTL_US_MAX) < now {
            continue;
        }
        let Some(action) = link.target.into_action_hash().filter(|a| !answered.contains(a)) else { continue };
        let Some((requester, request)) = request_at(&action)? else { continue };
        if request.assignee == me && request.expires_at > now {
            open.push(opened(action, requester, &request)?);
        }
        if open.len() == limits::OPEN_REQUESTS_MAX {
            break;
        }
    }
    Ok(open)
}

/// One request for this agent, opened.
#[hdk_extern]
pub fn open_request(action: ActionHash) -> ExternResult<OpenRequest> {
    let (requester, request) = existing_request(&action)?;
    assigned_to_me(&request)?;
    opened(action, requester, &request)
}

/// Posts the answer to a request for this agent.
#[hdk_extern]
pub fn create_answer(input: AnswerInput) -> ExternResult<ActionHash> {
    let AnswerInput { request: request_action, answer } = input;
    let (requester, request) = existing_request(&request_action)?;
    assigned_to_me(&request)?;
    within_bounds(&answer).map_err(refuse)?;
    let (_, offered) = capability(&request.capability)?;
    let sealed = seal::seal(&offered.sealing_key, &request.reply_key, &answer)?;
    let answer = create_entry(EntryTypes::Answer(Answer { request: request_action.clone(), sealed }))?;
    create_link(request_action.clone(), answer.clone(), LinkTypes::RequestToAnswer, ())?;
    signal::send(vec![requester], &PeerSignal::AnswerPosted { request: request_action, answer: answer.clone() })?;
    Ok(answer)
}

/// The answer to a request of this agent, if it is there: by the assignee, and opened.
#[hdk_extern]
pub fn get_answer(action: ActionHash) -> ExternResult<Option<PostedAnswer>> {
    let (_, request) = existing_request(&action)?;
    let (_, offered) = capability(&request.capability)?;
    for link in links(action.clone(), LinkTypes::RequestToAnswer)? {
        let Some(target) = link.target.into_action_hash() else { continue };
        let Some(known) = valid_known(&target)? else { continue };
        let Some((_, answer)) = known.answer().filter(|(_, answer)| answer.request == action) else { continue };
        if known.author != request.assignee {
            continue;
        }
        if let Ok(opened) = seal::open(&request.reply_key, &offered.sealing_key, &answer.sealed, "answer")? {
            return Ok(Some(opened));
        }
    }
    Ok(None)
}

fn request_at(action: &ActionHash) -> ExternResult<Option<(AgentPubKey, Request)>> {
    let known = valid_known(action)?;
    Ok(known.and_then(|known| known.request().map(|(_, request)| (known.author.clone(), request.clone()))))
}

fn existing_request(action: &ActionHash) -> ExternResult<(AgentPubKey, Request)> {
    request_at(action)?.ok_or_else(|| refuse(Breach::WrongReference { what: "request", expected: "request" }))
}

fn assigned_to_me(request: &Request) -> ExternResult<()> {
    if request.assignee != me()? {
        return Err(refuse(Breach::NotAssignee { what: "this call" }));
    }
    Ok(())
}

fn answered_by_me() -> ExternResult<HashSet<ActionHash>> {
    let kind = EntryType::try_from(UnitEntryTypes::Answer)?;
    let answers = query(ChainQueryFilter::new().entry_type(kind).include_entries(true))?;
    answers.iter().map(|record| Ok(Answer::try_from(record)?.request)).collect()
}

fn opened(action: ActionHash, requester: AgentPubKey, request: &Request) -> ExternResult<OpenRequest> {
    let expires_at: TimestampUs = request.expires_at;
    let question = question_of(request)?.map_err(|breach| format!("{}: {breach}", breach.code()));
    Ok(OpenRequest { action, requester, spec: request.spec.entry.clone(), expires_at, question })
}

fn question_of(request: &Request) -> ExternResult<Result<PostedQuestion, Breach>> {
    let (_, offered) = capability(&request.capability)?;
    let opened = seal::open(&offered.sealing_key, &request.reply_key, &request.sealed, "question")?;
    let question: PostedQuestion = match opened {
        Ok(question) => question,
        Err(breach) => return Ok(Err(breach)),
    };
    Ok(sound(&question, &request.spec.entry, &request.commitment)?.map(|()| question))
}

/// Whether a question is within bounds, is what the commitment is to, and is signed by its session key.
fn sound(question: &PostedQuestion, spec: &EntryHash, commitment: &Bytes32) -> ExternResult<Result<(), Breach>> {
    let PostedQuestion { id, input, salt, session_key, audit, signature } = question;
    if let Err(breach) = chat::bounds(input).and_then(|()| ainonymous_verify::signal::audit_terms(audit)) {
        return Ok(Err(breach));
    }
    if commit::input(salt, input) != *commitment {
        return Ok(Err(Breach::CommitmentMismatch { what: "question" }));
    }
    let signed = ask::canonical(id, spec, commitment, session_key, audit);
    let key = AgentPubKey::from_raw_32(session_key.0.to_vec());
    let good = verify_signature_raw(key, Signature(signature.0), signed)?;
    Ok(good.then_some(()).ok_or(Breach::Signature { what: "the question" }))
}

fn within_bounds(answer: &PostedAnswer) -> Result<(), Breach> {
    let PostedAnswer { text, tokens, more, receipt, proof } = answer;
    // Tool calls and probabilities are bounded with the whole, when it is sealed.
    let thought = more.as_deref().map_or(0, |more| more.reasoning.len());
    if text.len().saturating_add(thought) > limits::ANSWER_BYTES_MAX {
        return Err(Breach::TooLong { what: "text", max: limits::ANSWER_BYTES_MAX as u64 });
    }
    if tokens.len() > limits::ANSWER_TOKENS_MAX as usize {
        return Err(Breach::TooMany { what: "tokens", max: limits::ANSWER_TOKENS_MAX.into() });
    }
    ainonymous_verify::signal::receipt(receipt)?;
    ainonymous_verify::signal::batch_proof(proof)
}
