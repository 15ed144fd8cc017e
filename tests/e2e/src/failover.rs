//! Providers that die: told by tests, measured by the benchmark.

use crate::{tiny_model, Client, Held, Node, NodeSpec, Slow};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most of a slow worker's time is rest.
const RUNNING: Duration = Duration::from_millis(2);
const RESTING: Duration = Duration::from_millis(30);

/// Several nodes that serve the tiny model.
#[derive(Debug)]
pub struct Providers {
    nodes: BTreeMap<String, (Node, u64)>,
}

/// What came of a question whose provider died.
#[derive(Debug)]
pub struct Survived {
    /// The whole answer.
    pub text: String,
    /// The last event of the stream.
    pub last: Value,
    /// Who died.
    pub dead: String,
    /// From its death to the next word, or the longest silence after it.
    pub silence: Duration,
    /// What it had taken to say the beginning: to compute that again would take as long.
    pub beginning: Duration,
}

impl Providers {
    /// Starts them, with these arguments besides.
    pub async fn start(bootstrap: &str, count: usize, args: &[&str]) -> Self {
        let start = || Node::start(NodeSpec::new(bootstrap).serving(&tiny_model()).with(args));
        let started: Vec<Node> = (0..count).map(|_| start()).collect();
        let mut nodes = BTreeMap::new();
        for mut node in started {
            let agent = node.agent();
            let (_, status) = node.client().get("/ainonymous/v1/status").await;
            let worker = status["models"][0]["engine"]["worker_pid"].as_u64().expect("a worker");
            nodes.insert(agent, (node, worker));
        }
        Self { nodes }
    }

    /// A client of one of them.
    pub fn client(&mut self) -> Client {
        self.nodes.values_mut().next().expect("a provider").0.client()
    }

    fn workers(&self) -> Vec<u64> {
        self.nodes.values().map(|(_, worker)| *worker).collect()
    }

    fn kill(&mut self, agent: &str) {
        let (mut node, _) = self.nodes.remove(agent).expect("one of them");
        node.kill();
    }
}

/// Asks, and kills whoever answers when so many bytes of the answer are there.
pub async fn dies_in_mid_answer(
    providers: &mut Providers,
    asker: &Client,
    question: Value,
    after_bytes: usize,
) -> Survived {
    let asked = Instant::now();
    let slow: Vec<Slow> = providers.workers().into_iter().map(|pid| Slow::down(pid, RUNNING, RESTING)).collect();
    let mut stream = asker.open(question).await.expect("somebody answers");
    let dead = stream.header("x-ainonymous-provider");
    let (mut text, mut last, mut killed) = (String::new(), Value::Null, false);
    let (mut heard, mut silence, mut beginning) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    while let Some(data) = stream.next().await.filter(|data| data != "[DONE]") {
        last = serde_json::from_str(&data).expect("JSON");
        assert!(last["error"].is_null(), "{last}");
        text.push_str(last["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        if killed {
            silence = silence.max(heard.elapsed());
        } else if text.len() > after_bytes {
            beginning = asked.elapsed();
            providers.kill(&dead);
            killed = true;
        }
        heard = Instant::now();
    }
    drop(slow);
    assert!(killed, "it answered before it was killed");
    Survived { text, last, dead, silence, beginning }
}

/// Asks, and kills whoever has taken the question before its first word.
pub async fn dies_before_the_first_word(providers: &mut Providers, asker: &Client, question: &str) -> Survived {
    let held: Vec<Held> = providers.workers().into_iter().map(Held::hold).collect();
    let mut stream = asker.open(Client::body(question)).await.expect("somebody takes it");
    let dead = stream.header("x-ainonymous-provider");
    providers.kill(&dead);
    let died = Instant::now();
    drop(held);
    let (mut text, mut last, mut first) = (String::new(), Value::Null, None);
    while let Some(data) = stream.next().await.filter(|data| data != "[DONE]") {
        last = serde_json::from_str(&data).expect("JSON");
        assert!(last["error"].is_null(), "{last}");
        let piece = last["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        if !piece.is_empty() {
            first.get_or_insert_with(|| died.elapsed());
        }
        text.push_str(piece);
    }
    Survived { text, last, dead, silence: first.expect("a first word"), beginning: Duration::ZERO }
}
