//! The network in which attacks are tried: an honest provider, and a node with the model that asks and checks.

use ainonymous_e2e::{calibration_of, Answer, Bootstrap, Client, Node, NodeSpec};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Whatever is waited for comes within this.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Pause between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// So often a question is asked until it is answered, and the pause between.
const TRIES_MAX: usize = 4;
const PAUSE: Duration = Duration::from_secs(6);
/// Answers that go on behind their end have so many tokens, others at most so many.
const TOKENS: (u64, u64) = (160, 64);

const PROMPTS: [&str; 8] = [
    "Tell me a story.",
    "Write about the sea.",
    "Tell me about a dog.",
    "Tell me a story about a king.",
    "Write a poem.",
    "Tell me about the moon and the sun.",
    "How are you today?",
    "Write a letter to a friend.",
];

/// What an audit of one answer found.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) text: String,
    pub(crate) failed: bool,
    pub(crate) tokens: u64,
}

/// Processes on loopback; they end with it.
pub(crate) struct Network {
    _bootstrap: Bootstrap,
    pub(crate) url: String,
    dir: tempfile::TempDir,
    /// What everybody serves, or says so.
    pub(crate) model: PathBuf,
    /// The same weights in fewer bits.
    pub(crate) cheaper: PathBuf,
    /// The calibration that everybody judges by.
    pub(crate) table: PathBuf,
    pub(crate) honest: Node,
    pub(crate) asker: Node,
    /// Where it is asked.
    pub(crate) here: Client,
    pub(crate) answers: usize,
    /// Whoever was started for an attack stays until the end: reads of the DHT wait for those who have just left.
    pub(crate) stays: Vec<Node>,
    /// What the honest provider has answered, and what an audit of that found, by question.
    pub(crate) fair: Vec<Checked>,
}

impl Network {
    /// Starts it, and has the honest provider answer every question first.
    pub(crate) async fn start(model: &Path, cheaper: &Path, answers: usize) -> Self {
        let (mut bootstrap, dir) = (Bootstrap::start(), tempfile::tempdir().expect("a folder"));
        let url = bootstrap.url();
        let mut honest = Node::ready(NodeSpec::new(&url).serving(model));
        let table = calibration_of(model, &honest.client(), dir.path()).await;
        let asker = NodeSpec::new(&url).serving(model);
        let mut asker = Node::ready(asker.with(&["--no-share", "--calibration", &table.to_string_lossy()]));
        let (good, here) = (honest.agent(), asker.client());
        known(&here, &good).await;
        let mut fair = Vec::new();
        for n in 0..answers {
            fair.push(checked(&here, n, &good).await);
        }
        let stays = Vec::new();
        let (model, cheaper) = (model.to_owned(), cheaper.to_owned());
        Self { _bootstrap: bootstrap, url, dir, model, cheaper, table, honest, asker, here, answers, stays, fair }
    }

    /// Honest answers of which an audit says that they are false.
    pub(crate) fn false_alarms(&self) -> u64 {
        self.fair.iter().filter(|checked| checked.failed).count() as u64
    }

    /// A folder for what is made besides.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The n-th question, to this provider: it has another seed than all others. Every other answer ends by itself.
pub(crate) fn question(n: usize, provider: &str) -> Value {
    let mut body = Client::body(PROMPTS[n % PROMPTS.len()]);
    let goes_on = n.is_multiple_of(2);
    body["max_tokens"] = if goes_on { TOKENS.0 } else { TOKENS.1 }.into();
    (body["ignore_eos"], body["seed"]) = (goes_on.into(), (100 + n).into());
    // From all tokens.
    (body["temperature"], body["top_p"], body["top_k"], body["min_p"]) = (1.into(), 1.into(), 0.into(), 0.into());
    body["ainonymous"] = json!({ "route": "direct", "provider": provider });
    body
}

/// Waits until a node knows that somebody offers a model.
pub(crate) async fn known(client: &Client, provider: &str) {
    let deadline = Instant::now() + SOON;
    loop {
        let (_, models) = client.get("/ainonymous/v1/models").await;
        if models.to_string().contains(provider) {
            return;
        }
        assert!(Instant::now() < deadline, "{provider} is not known: {models}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks a provider the n-th question, and has the answer checked.
pub(crate) async fn checked(client: &Client, n: usize, provider: &str) -> Checked {
    let answer = answer(client, question(n, provider)).await;
    let path = text(&answer.last["ainonymous"]["receipt_path"]);
    let (status, made) = client.post(&format!("{path}/verify"), json!({})).await;
    assert_eq!(status, 200, "{made}");
    let failed = made["verdict"] == "fail";
    Checked { text: answer.text, failed, tokens: made["tokens"].as_u64().unwrap_or_default() }
}

/// An answer, though a busy machine may take a node for gone.
pub(crate) async fn answer(client: &Client, question: Value) -> Answer {
    for _ in 0..TRIES_MAX {
        match client.stream(question.clone()).await {
            Ok(answer) => return answer,
            Err(failure) => eprintln!("{}: {}; once more", failure.code(), failure.error["message"]),
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("no answer in {TRIES_MAX} tries")
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
