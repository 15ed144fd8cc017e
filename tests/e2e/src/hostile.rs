//! A provider that means harm: a member of the network whose capability is as good as any, whose conductor does all that it should,
//! and whose sidecar breaks its word. It replies to probes that it has room.

use crate::Observer;
use ainonymous_conductor::Conductor;
use ainonymous_transport::{Address, Endpoint, EndpointOptions, Frame, Link, Load, Stream, TransportSecret};
use ainonymous_types::*;
use ainonymous_verify::audit::draw;
use ainonymous_verify::commit;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// How often a provider that is there says so.
const BEAT: Duration = Duration::from_millis(100);
/// What it says of its speed, in tokens a second.
const CLAIMED: u32 = 1_000_000;

/// Receipts among which one is chosen.
const RECEIPTS: usize = 64;
/// Secrets that it imagines.
const GUESSES: usize = 4;

/// What it does with a question.
#[derive(Clone, Debug)]
pub enum Harm {
    /// Nothing at all.
    Mute,
    /// Says for ever that it is there.
    Beats,
    /// Begins with this text, of these tokens, and then says nothing for ever.
    Stalls(String, Vec<u32>),
    /// Sends bytes that are no frame.
    Garbage,
    /// Sends tokens that no model has chosen, and a receipt that is about something else.
    Forges,
    /// Answers with this text, of these tokens, and signs that there were so many more.
    OverBills(String, Vec<u32>, u32),
    /// Answers with this text, of these tokens, and with that receipt of many which nobody may audit, as far as it can tell.
    LoadsDice(String, Vec<u32>),
    /// Says that it has no such model: its capability lied.
    LacksTheModel,
}

/// The provider; it is gone when it has left.
#[derive(Debug)]
pub struct Hostile {
    member: Observer,
    spec: EntryHash,
    /// Where it answers.
    key: Bytes32,
    at: Address,
    harm: Arc<Mutex<Harm>>,
    asked: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Hostile {
    /// Joins the network of this bootstrap server and offers the first model that somebody else offers there.
    pub async fn join(bootstrap: &str, harm: Harm) -> Self {
        Self::join_on("test", bootstrap, harm).await
    }

    /// The same on such a machine, as it says.
    pub async fn join_on(backend_detail: &str, bootstrap: &str, harm: Harm) -> Self {
        let member = Observer::join(bootstrap).await;
        let conductor = member.conductor();
        let spec = member.spec().await;
        let secret = TransportSecret::from_bytes(rand::random());
        let options = EndpointOptions { listen: (Ipv4Addr::LOCALHOST, 0).into(), secret };
        let endpoint = Endpoint::bind(&options).expect("a socket");
        let (key, at) = (endpoint.key(), endpoint.local_addr().expect("an address"));
        let offer = CapabilityInput {
            roles: vec![Role::Provider],
            transport_key: Some(key),
            must_be_known: false,
            addresses: vec![format!("quic://{at}")],
            backend: Backend::Cpu,
            backend_detail: backend_detail.into(),
            models: vec![ServedModel { spec: spec.clone(), tokens_per_s: CLAIMED }],
            router: None,
            region: None,
        };
        conductor.put_capability(offer).await.expect("a capability");
        let topics = vec![TopicDepth { topic: Topic::Providers(spec.entry.clone()), depth: 0 }];
        conductor.put_places(PlacesInput { topics, renew_before: 0, not_before: 0 }).await.expect("places");
        let (harm, asked, mut serving) = (Arc::new(Mutex::new(harm)), Arc::<AtomicU64>::default(), JoinSet::new());
        serving.spawn(serve(endpoint, conductor.clone(), harm.clone(), asked.clone()));
        let at = format!("quic://{at}").parse().expect("an address");
        Self { member, spec: spec.entry, key, at, harm, asked, _serving: serving }
    }

    /// From the next question on it does this.
    pub fn turns_to(&self, harm: Harm) {
        *self.harm.lock().expect("no panic") = harm;
    }

    /// Its agent.
    pub fn agent(&self) -> String {
        self.member.conductor().agent().to_string()
    }

    /// The model that it says it serves.
    pub fn spec(&self) -> EntryHash {
        self.spec.clone()
    }

    /// Its key and address, for whoever knows no capability.
    pub fn whereabouts(&self) -> (Bytes32, Vec<Address>) {
        (self.key, vec![self.at])
    }

    /// How many questions it has got.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Leaves.
    pub async fn leave(self) {
        self.member.leave().await;
    }
}

async fn serve(endpoint: Endpoint, conductor: Conductor, harm: Arc<Mutex<Harm>>, asked: Arc<AtomicU64>) {
    let mut links = JoinSet::new();
    while let Some(arriving) = endpoint.accept().await {
        let (conductor, harm, asked) = (conductor.clone(), harm.clone(), asked.clone());
        links.spawn(async move {
            if let Some((link, _departed)) = arriving.establish(&|_: &EntryHash| load()).await {
                streams(link, conductor, harm, asked).await;
            }
        });
    }
}

async fn streams(link: Link, conductor: Conductor, harm: Arc<Mutex<Harm>>, asked: Arc<AtomicU64>) {
    let mut answers = JoinSet::new();
    while let Ok(mut stream) = link.accept().await {
        let (conductor, harm, asked) = (conductor.clone(), harm.clone(), asked.clone());
        answers.spawn(async move {
            match stream.receiver.recv().await {
                Ok(Some(Frame::Probe { .. })) => {
                    let _ = stream.sender.send(&Frame::Load(load())).await;
                    stream.sender.finish();
                }
                Ok(Some(Frame::Ask(ask))) => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let harm = harm.lock().expect("no panic").clone();
                    does(harm, &conductor, stream, *ask).await;
                }
                _ => {}
            }
        });
    }
}

fn load() -> Load {
    Load { serves: true, slots: 64, milli_tokens_per_s: u64::from(CLAIMED) * 1_000, ..Load::default() }
}

async fn does(harm: Harm, conductor: &Conductor, mut stream: Stream, ask: Ask) {
    let sender = &mut stream.sender;
    let taken = Frame::Accepted { queue_position: 0 };
    let part = |text: String, tokens| Frame::Tokens { chunk: 0, text, tokens, more: None };
    match harm {
        Harm::Mute => std::future::pending().await,
        Harm::Beats => {
            while sender.send(&taken).await.is_ok() {
                tokio::time::sleep(BEAT).await;
            }
        }
        Harm::Stalls(text, tokens) => {
            let _ = sender.send(&taken).await;
            let _ = sender.send(&part(text, tokens)).await;
            std::future::pending().await
        }
        Harm::Garbage => {
            sender.send_part(&[9, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).await;
            std::future::pending().await
        }
        Harm::Forges => {
            let zeros = Bytes32([0; 32]);
            let receipt = Receipt {
                provider: AgentPubKey::from_raw_36(vec![7; 36]),
                spec: ask.spec,
                session_key: ask.session_key,
                input: zeros,
                output: zeros,
                fingerprint: zeros,
                prompt_tokens: 1,
                completion_tokens: 1,
                finish: FinishReason::Stop,
                finished_at: 1,
                audit: AuditTerms::default(),
            };
            let receipt = Box::new(SignedReceipt { receipt, signature: Bytes64([0; 64]) });
            let done =
                Frame::Done { chunks: 0, receipt, cached_tokens: 0, stopped_by: None, first_token_us: 1, decode_us: 1 };
            let _ = sender.send(&done).await;
            std::future::pending().await
        }
        Harm::OverBills(text, tokens, more) => {
            let mut receipt = receipt(conductor, &ask, &text, &tokens);
            receipt.completion_tokens += more;
            answers(stream, conductor, receipt, text, tokens).await;
        }
        Harm::LoadsDice(text, tokens) => {
            // It does not know the secret that decides: it guesses.
            let guesses: [Bytes32; GUESSES] = std::array::from_fn(|_| Bytes32(rand::random()));
            let mut rarest = (usize::MAX, receipt(conductor, &ask, &text, &tokens));
            for _ in 0..RECEIPTS {
                let another = Receipt { fingerprint: Bytes32(rand::random()), ..rarest.1.clone() };
                let is_audited = |guess: &&Bytes32| draw::is_audited(&draw::beacon(&another, guess), &ask.audit);
                let audited = guesses.iter().filter(is_audited).count();
                if audited < rarest.0 {
                    rarest = (audited, another);
                }
            }
            answers(stream, conductor, rarest.1, text, tokens).await;
        }
        Harm::LacksTheModel => {
            let no = Frame::Refused { reason: RefuseReason::UnknownModel, detail: String::new() };
            let _ = sender.send(&no).await;
            stream.sender.finish();
        }
    }
}

/// A receipt for an answer, with no fingerprint behind it.
fn receipt(conductor: &Conductor, ask: &Ask, text: &str, tokens: &[u32]) -> Receipt {
    Receipt {
        provider: conductor.agent(),
        spec: ask.spec.clone(),
        session_key: ask.session_key,
        input: commit::input(&ask.salt, &ask.input),
        output: commit::output(&ask.salt, tokens, text),
        fingerprint: Bytes32([0; 32]),
        prompt_tokens: 1,
        completion_tokens: tokens.len() as u32,
        finish: FinishReason::Length,
        finished_at: 1,
        audit: ask.audit,
    }
}

/// Says it in one part, and signs.
async fn answers(mut stream: Stream, conductor: &Conductor, receipt: Receipt, text: String, tokens: Vec<u32>) {
    let receipt = Box::new(conductor.sign_receipt(receipt).await.expect("a signature"));
    let done = Frame::Done { chunks: 1, receipt, cached_tokens: 0, stopped_by: None, first_token_us: 1, decode_us: 1 };
    for frame in [Frame::Tokens { chunk: 0, text, tokens, more: None }, done] {
        let _ = stream.sender.send(&frame).await;
    }
    stream.sender.finish();
}
