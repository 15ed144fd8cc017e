//! Being known on a link: a proof is good on the connection that it was made for, through routers too, and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_transport::{
    Address, CloseReason, Endpoint, Frame, KnownError, Link, Pool, Registration, RegistrationState, Route, Router,
    RouterLimits, RouterOptions, Stream, Way,
};
use ainonymous_types::*;
use ainonymous_verify::link as judge;
use common::*;
use ed25519_dalek::{Signer, SigningKey};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn network() -> DnaHash {
    DnaHash::from_raw_36(vec![4; 36])
}

fn agent(n: u8) -> AgentPubKey {
    let key = SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes();
    AgentPubKey::from_raw_36([&key[..], &[0; 4]].concat())
}

fn sign(n: u8, claim: &LinkClaim) -> LinkProof {
    let bytes = judge::canonical(&network(), &agent(n), claim);
    LinkProof { agent: agent(n), signature: Bytes64(SigningKey::from_bytes(&[n; 32]).sign(&bytes).to_bytes()) }
}

/// What a provider has seen that answers only agents whom it knows.
#[derive(Default)]
struct Seen {
    claims: Mutex<Vec<LinkClaim>>,
    refused: AtomicUsize,
    unread: AtomicUsize,
    asked_by: Mutex<Vec<AgentPubKey>>,
}

/// Answers one chunk to each question of an agent that has proved itself; reads of others' no more than that it is one.
fn demanding(endpoint: &Endpoint) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let (endpoint, all) = (endpoint.clone(), seen.clone());
    tokio::spawn(async move {
        while let Some(arriving) = endpoint.accept().await {
            let (seen, own) = (all.clone(), endpoint.key());
            tokio::spawn(async move {
                let Some((link, _departed)) = arriving.establish(|_| Default::default()).await else { return };
                let mut known: Option<AgentPubKey> = None;
                while let Ok(Stream { mut sender, mut receiver }) = link.accept().await {
                    if known.is_none() && receiver.brings_question().await.unwrap_or(false) {
                        seen.unread.fetch_add(1, Ordering::Relaxed);
                        let (reason, detail) = (RefuseReason::MustBeKnown, String::new());
                        let _ = sender.send(&Frame::Refused { reason, detail }).await;
                        sender.finish();
                        continue;
                    }
                    match receiver.recv().await {
                        Ok(Some(Frame::Prove { proof, .. })) => {
                            let claim = link.claim_of_asker(own).unwrap();
                            seen.claims.lock().unwrap().push(claim);
                            if judge::proves(&network(), &claim, &proof).is_ok() {
                                known = Some(proof.agent);
                                let _ = sender.send(&Frame::Known).await;
                            } else {
                                seen.refused.fetch_add(1, Ordering::Relaxed);
                                let (reason, detail) = (RefuseReason::NotAdmitted, String::new());
                                let _ = sender.send(&Frame::Refused { reason, detail }).await;
                            }
                            sender.finish();
                        }
                        Ok(Some(Frame::Ask(_))) => {
                            seen.asked_by.lock().unwrap().extend(known.clone());
                            let _ = sender.send(&tokens(0)).await;
                            sender.finish();
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    seen
}

async fn known_link(pool: &Pool, to: &Bytes32, addresses: &[Address], seed: u8) -> Link {
    let way = Way { addresses, known: true, ..Way::default() };
    pool.link_by(to, &way, || secret(seed)).await.unwrap()
}

/// Asks one question as an agent; says what came.
async fn ask_as(n: u8, link: &Link, signed: &AtomicUsize) -> Result<u32, KnownError> {
    let mut stream = link
        .open_known(|claim| async move {
            signed.fetch_add(1, Ordering::Relaxed);
            Some(sign(n, &claim))
        })
        .await?;
    stream.sender.send(&Frame::Ask(Box::new(ask("hello")))).await?;
    match stream.receiver.recv().await? {
        Some(Frame::Tokens { chunk, .. }) => Ok(chunk),
        Some(Frame::Refused { reason, detail }) => Err(KnownError::Refused { reason, detail }),
        other => panic!("{other:?}"),
    }
}

/// Shows a proof that was made elsewhere.
async fn show(link: &Link, proof: LinkProof) -> Option<Frame> {
    let mut stream = link.open().await.unwrap();
    stream.sender.send(&Frame::Prove { version: judge::VERSION, proof: Box::new(proof) }).await.unwrap();
    stream.receiver.recv().await.unwrap()
}

fn is_refused(frame: &Option<Frame>) -> bool {
    matches!(frame, Some(Frame::Refused { reason: RefuseReason::NotAdmitted, .. }))
}

#[tokio::test]
async fn an_agent_is_known_by_one_proof_for_each_connection() {
    let (provider, pool) = (endpoint(1), Pool::new(endpoint(2)));
    let (seen, signed) = (demanding(&provider), AtomicUsize::new(0));
    let link = known_link(&pool, &provider.key(), &at(&provider), 99).await;
    for _ in 0..3 {
        assert_eq!(ask_as(7, &link, &signed).await, Ok(0));
    }
    assert_eq!(signed.load(Ordering::Relaxed), 1, "once, not with each question");
    link.close(CloseReason::Done);
    let again = known_link(&pool, &provider.key(), &at(&provider), 99).await;
    assert_eq!(ask_as(7, &again, &signed).await, Ok(0));
    assert_eq!(signed.load(Ordering::Relaxed), 2);
    assert_eq!(*seen.asked_by.lock().unwrap(), vec![agent(7); 4]);
    let claims = seen.claims.lock().unwrap();
    assert_eq!((claims[0].requester, claims[0].provider), (secret(99).public(), provider.key()));
    assert_ne!(claims[0].binding, claims[1].binding, "no two connections have the same");
    assert_ne!(claims[0].binding, Bytes32([0; 32]));
}

#[tokio::test]
async fn a_question_before_the_proof_is_not_read() {
    let (provider, pool) = (endpoint(1), Pool::new(endpoint(2)));
    let seen = demanding(&provider);
    let link = known_link(&pool, &provider.key(), &at(&provider), 99).await;
    let mut stream = link.open().await.unwrap();
    // It may end in an error: nobody reads the rest.
    let _ = stream.sender.send(&Frame::Ask(Box::new(ask(&"x".repeat(limits::PROMPT_BYTES_MAX))))).await;
    let answer = stream.receiver.recv().await.unwrap();
    assert!(matches!(answer, Some(Frame::Refused { reason: RefuseReason::MustBeKnown, .. })), "{answer:?}");
    let mut taking_up = link.open().await.unwrap();
    taking_up.sender.send(&Frame::Resend { id: RequestId([1; 16]), from_chunk: 0 }).await.unwrap();
    assert!(matches!(taking_up.receiver.recv().await.unwrap(), Some(Frame::Refused { .. })));
    assert_eq!(seen.unread.load(Ordering::Relaxed), 2);
    assert!(seen.asked_by.lock().unwrap().is_empty());
}

#[tokio::test]
async fn whoever_does_not_sign_sends_no_question() {
    let (provider, pool) = (endpoint(1), Pool::new(endpoint(2)));
    let seen = demanding(&provider);
    let link = known_link(&pool, &provider.key(), &at(&provider), 99).await;
    let refused = link.open_known(|_| async { None }).await.map(drop).unwrap_err();
    assert_eq!(refused, KnownError::Unsigned);
    assert_eq!((seen.unread.load(Ordering::Relaxed), seen.claims.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn a_proof_is_worth_nothing_on_another_link_nor_in_another_name() {
    let (provider, asker) = (endpoint(1), Pool::new(endpoint(2)));
    let (seen, recorded) = (demanding(&provider), Mutex::new(None));
    let link = known_link(&asker, &provider.key(), &at(&provider), 99).await;
    let recording = link.open_known(|claim| {
        let proof = sign(7, &claim);
        *recorded.lock().unwrap() = Some(proof.clone());
        async { Some(proof) }
    });
    recording.await.map(drop).unwrap();
    let proof = recorded.lock().unwrap().take().unwrap();
    // The thief even has the asker's transport key.
    for seed in [99, 98] {
        let thief = Pool::new(endpoint(3));
        let other = thief.link(&provider.key(), &at(&provider), || secret(seed)).await.unwrap();
        assert!(is_refused(&show(&other, proof.clone()).await));
        other.close(CloseReason::Done);
    }
    let thief = Pool::new(endpoint(3));
    let own = known_link(&thief, &provider.key(), &at(&provider), 97).await;
    let in_its_name = own.open_known(|claim| async move { Some(LinkProof { agent: agent(7), ..sign(8, &claim) }) });
    assert!(matches!(in_its_name.await.map(drop), Err(KnownError::Refused { .. })));
    assert_eq!(seen.refused.load(Ordering::Relaxed), 3);
    assert!(seen.asked_by.lock().unwrap().is_empty());
}

/// Whoever is shown a proof cannot use it towards another provider.
#[tokio::test]
async fn a_provider_cannot_pass_a_proof_on() {
    let (provider, between, pool) = (endpoint(1), endpoint(2), Pool::new(endpoint(3)));
    let seen = demanding(&provider);
    let (middle, far, near) = (between.clone(), provider.clone(), between.clone());
    let passing_on = tokio::spawn(async move {
        let (link, _departed) = near.accept().await.unwrap().establish(|_| Default::default()).await.unwrap();
        let mut stream = link.accept().await.unwrap();
        let Ok(Some(Frame::Prove { proof, .. })) = stream.receiver.recv().await else { panic!("no proof") };
        let onward = Pool::new(middle).link(&far.key(), &at(&far), || secret(99)).await.unwrap();
        let answer = show(&onward, *proof).await;
        stream.sender.finish();
        answer
    });
    let link = known_link(&pool, &between.key(), &at(&between), 99).await;
    assert!(ask_as(7, &link, &AtomicUsize::new(0)).await.is_err());
    assert!(is_refused(&passing_on.await.unwrap()));
    assert_eq!(seen.refused.load(Ordering::Relaxed), 1);
}

async fn registered(provider: &Endpoint, router: &Router, meet: bool) -> Registration {
    let mut registration = provider.register(router.local_addr().unwrap(), router.key(), meet).unwrap();
    let stands = async {
        while !matches!(registration.state(), RegistrationState::Registered { .. }) {
            registration.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stands).await.expect("registered in time");
    registration
}

fn router(seed: u8) -> Router {
    let limits = RouterLimits::default();
    Router::bind(&RouterOptions { listen: LOOPBACK, secret: secret(seed), limits }).unwrap()
}

#[tokio::test]
async fn through_a_router_it_is_made_end_to_end() {
    let (provider, pool, router) = (endpoint(1), Pool::new(endpoint(2)), router(11));
    let (seen, signed) = (demanding(&provider), AtomicUsize::new(0));
    let place = registered(&provider, &router, false).await;
    let link = known_link(&pool, &provider.key(), &[place.address()], 99).await;
    assert_eq!(link.route(), Route::Routed { hops: 1 });
    for _ in 0..2 {
        assert_eq!(ask_as(7, &link, &signed).await, Ok(0));
    }
    assert_eq!(signed.load(Ordering::Relaxed), 1);
    let claim = seen.claims.lock().unwrap()[0];
    assert_eq!((claim.requester, claim.provider), (secret(99).public(), provider.key()), "no key of the router's");
    assert_eq!(*seen.asked_by.lock().unwrap(), vec![agent(7); 2]);
}

/// A direct connection beside a routed one is another connection: the agent is shown there anew, before a question goes there.
#[tokio::test]
async fn a_link_that_becomes_direct_is_proved_again() {
    let (provider, pool, router) = (endpoint(1), Pool::new(endpoint(2)), router(11));
    let (seen, signed) = (demanding(&provider), AtomicUsize::new(0));
    let place = registered(&provider, &router, true).await;
    let link = known_link(&pool, &provider.key(), &[place.address()], 99).await;
    let becomes_direct = async {
        loop {
            assert_eq!(ask_as(7, &link, &signed).await, Ok(0));
            if link.route() == Route::Direct {
                return assert_eq!(ask_as(7, &link, &signed).await, Ok(0));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), becomes_direct).await.expect("the two meet");
    assert!((1..=2).contains(&signed.load(Ordering::Relaxed)));
    assert_eq!(seen.claims.lock().unwrap().len(), signed.load(Ordering::Relaxed));
    assert_eq!(seen.unread.load(Ordering::Relaxed), 0, "no question before its proof");
}
