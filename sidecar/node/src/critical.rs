//! A critical question: several providers of one model answer it with the same dice, and what more than half of them say is handed out,
//! with a statement of who agreed and who did not.
//!
//! Where they agree is decided by `verify::agreement`. All of them see the question. Whoever hands out the text says whose it is and by
//! whose receipt; nobody is punished here for saying something else, because honest machines of unlike kinds differ too.

use crate::choosing::{self, Chosen};
use crate::node::Node;
use crate::routing::to_travel;
use crate::{asking, AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest, Demands, Route};
use ainonymous_types::limits::{AGREEMENT_ANSWERS_MAX, FINGERPRINT_WINDOW_TOKENS};
use ainonymous_types::AgentPubKey;
use ainonymous_verify::agreement::{compare, Agreement};
use futures::future::join_all;
use serde::Serialize;
use tokio::sync::mpsc;

/// Fewest answers that can be compared.
const ANSWERS_MIN: usize = 2;

/// How the answers to a critical question compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agreed {
    /// More than half of those who answered said the same to the end. Otherwise the text that is handed out is one of several.
    pub majority: bool,
    /// Tokens at the beginning that more than half have in common.
    pub agreed_tokens: usize,
    /// For each window of 32 tokens, how many said what most said.
    pub votes: Vec<usize>,
    /// Everybody who was asked.
    pub voices: Vec<Voice>,
}

/// What became of one provider's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voice {
    /// Who, as `uhCAk…`.
    pub provider: String,
    /// Its answer is the one that is handed out.
    pub chosen: bool,
    /// Tokens of its answer.
    pub tokens: usize,
    /// The token at which the window begins in which it left the majority; none if it never did.
    pub dissents_from: Option<usize>,
    /// Why there is no answer, by the error's code; none if there is one.
    pub failed: Option<&'static str>,
}

/// One whole answer.
struct Whole {
    head: AnswerHead,
    parts: Vec<AnswerEvent>,
    done: Box<AnswerDone>,
}

/// Asks as many providers as are demanded; returns when all have answered or failed.
pub(crate) async fn ask(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    if request.route == Route::Posted {
        return Err(AskError::NotThisWay { what: "a critical question", way: "the DHT" });
    }
    let whom = whom(node, &request).await?;
    let one = Demands { answers: 1, ..request.demands };
    let asks = whom.iter().map(|chosen| {
        let (agent, model) = (&chosen.candidate.agent, &chosen.candidate.model_id);
        let request =
            AskRequest { model: Some(model.clone()), provider: Some(agent.clone()), demands: one, ..request.clone() };
        async move {
            let mut whole = whole(node, request).await?;
            // It was demanded by name only because it had been chosen before.
            whole.head.reason = Some(chosen.reason);
            Ok(whole)
        }
    });
    let answers = join_all(asks).await;
    conclude(whom.iter().map(|chosen| chosen.candidate.agent.clone()), answers).await
}

/// So many providers of one model, in the order of the usual choice.
async fn whom(node: &Node, request: &AskRequest) -> Result<Vec<Chosen>, AskError> {
    let wanted = (request.demands.answers as usize).min(AGREEMENT_ANSWERS_MAX);
    let unmet = |there: usize| AskError::DemandsUnmet {
        problem: format!("{wanted} providers of one model shall answer, and {there} can be asked"),
    };
    if request.provider.is_some() {
        return Err(unmet(1));
    }
    let input = to_travel(&request.question)?;
    let found = node.inner.directory.candidates(node, request.model.as_deref(), None).await?;
    let chosen = choosing::order(node, found, &input, &request.demands, request.route != Route::Signals).await?;
    let mut most = 0;
    for first in &chosen {
        let mut same: Vec<Chosen> = Vec::new();
        for other in chosen.iter().filter(|other| other.candidate.spec.entry == first.candidate.spec.entry) {
            if same.iter().all(|one| one.candidate.agent != other.candidate.agent) {
                same.push(other.clone());
            }
        }
        if same.len() >= wanted {
            same.truncate(wanted);
            return Ok(same);
        }
        most = most.max(same.len());
    }
    Err(unmet(most))
}

async fn whole(node: &Node, request: AskRequest) -> Result<Whole, AskError> {
    let AnswerStream { head, mut events } = asking::ask(node, request).await?;
    let mut parts = Vec::new();
    while let Some(event) = events.recv().await {
        match event? {
            AnswerEvent::Queued { .. } => {}
            text @ AnswerEvent::Text { .. } => parts.push(text),
            AnswerEvent::Done(done) => return Ok(Whole { head, parts, done }),
        }
    }
    Err(AskError::Draining)
}

/// What is handed out, and the statement.
async fn conclude(
    whom: impl Iterator<Item = AgentPubKey>,
    answers: Vec<Result<Whole, AskError>>,
) -> Result<AnswerStream, AskError> {
    let (mut voices, mut wholes, mut failure) = (Vec::new(), Vec::new(), None);
    for (agent, answer) in whom.zip(answers) {
        let provider = agent.to_string();
        let silent = Voice { provider, chosen: false, tokens: 0, dissents_from: None, failed: None };
        match answer {
            Ok(whole) => {
                voices.push(Voice { tokens: whole.done.tokens.len(), ..silent });
                wholes.push(whole);
            }
            Err(e) => {
                voices.push(Voice { failed: Some(e.code()), ..silent });
                failure = Some(e);
            }
        }
    }
    if wholes.len() < ANSWERS_MIN {
        return Err(failure.unwrap_or(AskError::Draining));
    }
    let said: Vec<&[u32]> = wholes.iter().map(|whole| whole.done.tokens.as_slice()).collect();
    let agreement = compare(&said);
    let at = chosen(&agreement);
    let Agreement { windows, left_at, agreed_tokens } = &agreement;
    for (voice, (answer, left)) in voices.iter_mut().filter(|v| v.failed.is_none()).zip(left_at.iter().enumerate()) {
        voice.chosen = answer == at;
        voice.dissents_from = left.map(|window| window * FINGERPRINT_WINDOW_TOKENS);
    }
    let agreed = Agreed {
        majority: agreement.chosen().is_some(),
        agreed_tokens: *agreed_tokens,
        votes: windows.iter().map(|window| window.votes).collect(),
        voices,
    };
    let Whole { head, parts, mut done } = wholes.swap_remove(at);
    done.agreement = Some(Box::new(agreed));
    let (sender, events) = mpsc::channel(parts.len() + 1);
    for event in parts.into_iter().chain([AnswerEvent::Done(done)]) {
        // There is room for all of them.
        let _ = sender.send(Ok(event)).await;
    }
    Ok(AnswerStream { head, events })
}

/// The answer of the majority; without one, of those that stayed with it longest the first.
fn chosen(agreement: &Agreement) -> usize {
    let stayed = |left: &Option<usize>| left.unwrap_or(usize::MAX);
    agreement.chosen().unwrap_or_else(|| {
        let longest = agreement.left_at.iter().map(stayed).max();
        agreement.left_at.iter().position(|left| Some(stayed(left)) == longest).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{FinishReason, RequestId};

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn said(text: &str, tokens: Vec<u32>) -> Result<Whole, AskError> {
        let head = AnswerHead {
            id: RequestId([text.as_bytes()[0]; 16]),
            model: "tiny:q8_0".into(),
            provider: None,
            route: Route::Direct,
            reason: None,
            request: None,
            spec: None,
        };
        let parts = vec![AnswerEvent::Text { text: text.into(), tokens: tokens.len() as u32, more: None }];
        let done = AnswerDone {
            finish: FinishReason::Stop,
            prompt_tokens: 3,
            cached_tokens: 0,
            stopped_by: None,
            completion_tokens: tokens.len() as u32,
            begun_by: vec![],
            first_token_us: 0,
            decode_us: 0,
            provider_first_token_us: 0,
            route: Route::Direct,
            receipt: None,
            tokens,
            agreement: None,
        };
        Ok(Whole { head, parts, done: Box::new(done) })
    }

    async fn handed_out(answers: Vec<Result<Whole, AskError>>) -> (String, Agreed) {
        let mut stream = conclude((0..answers.len() as u8).map(agent), answers).await.unwrap();
        let (mut text, mut agreed) = (String::new(), None);
        while let Some(event) = stream.events.recv().await {
            match event.unwrap() {
                AnswerEvent::Text { text: piece, .. } => text.push_str(&piece),
                AnswerEvent::Done(done) => agreed = done.agreement,
                AnswerEvent::Queued { .. } => panic!("nobody waits"),
            }
        }
        (text, *agreed.unwrap())
    }

    #[tokio::test]
    async fn the_majority_is_handed_out_and_who_says_otherwise_is_named() {
        let (good, mut bad): (Vec<u32>, Vec<u32>) = ((0..70).collect(), (0..70).collect());
        bad[40] = 9;
        let (text, agreed) = handed_out(vec![said("bad", bad), said("good", good.clone()), said("also", good)]).await;
        assert_eq!((text.as_str(), agreed.majority, agreed.agreed_tokens), ("good", true, 70));
        assert_eq!(agreed.votes, [3, 2, 2]);
        let of: Vec<_> = agreed.voices.iter().map(|voice| (voice.chosen, voice.dissents_from, voice.tokens)).collect();
        assert_eq!(of, [(false, Some(32), 70), (true, None, 70), (false, None, 70)]);
        assert_eq!(agreed.voices[0].provider, agent(0).to_string());
    }

    #[tokio::test]
    async fn without_a_majority_that_is_said() {
        let (text, agreed) = handed_out(vec![said("one", vec![1]), said("two", vec![2])]).await;
        assert_eq!((text.as_str(), agreed.majority, agreed.agreed_tokens), ("one", false, 0));
    }

    #[tokio::test]
    async fn who_fails_has_no_vote_and_is_named_and_one_answer_is_not_enough() {
        let gone = || Err(AskError::ProviderGone { provider: "p".into(), tokens: 1 });
        let (text, agreed) = handed_out(vec![gone(), said("a", vec![1]), said("b", vec![1])]).await;
        assert_eq!((text.as_str(), agreed.majority, agreed.votes), ("a", true, vec![2]));
        assert_eq!(agreed.voices[0].failed, Some("provider_gone"));
        let too_few = conclude((0..2).map(agent), vec![gone(), said("a", vec![1])]).await;
        assert_eq!(too_few.unwrap_err().code(), "provider_gone");
    }
}
