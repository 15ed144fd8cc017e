//! A worker that cheats: `attacks cheat DEED CHEAPER OTHER TUNED` in place of the worker of a node, which signs, publishes and opens whatever it says
//! as if it were its model's. So whole nodes can be seen to cheat, and nothing in them is made for it.

use crate::deeds::{Deed, Means, Told};
use crate::give::load;
use ainonymous_engine::{
    run_stand_in, EmbedQuestion, Embeddings, Engine, EngineError, EngineOptions, EngineStatus, Event, Fingerprint,
    Finished, Generation, Inspect, Inspected, Likely, LlamaEngine, ModelInfo, More, Question, Replay, ReplayQuestion,
    Replayed,
};
use ainonymous_types::{FinishReason, KvType};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What providers do, by the names that are asked for.
const DEEDS: [(&str, Deed); 20] = [
    ("nothing", Deed::Nothing),
    ("retold", Deed::Retold),
    ("cheaper", Deed::CheaperQuantisation),
    ("cheaper-laundered", Deed::CheaperLaundered),
    ("cheaper-unopened", Deed::CheaperUnopened),
    ("cheaper-one-in-ten", Deed::CheaperOneInTen),
    ("other-model", Deed::OtherModel),
    ("other-model-unopened", Deed::OtherModelUnopened),
    ("tuned", Deed::Tuned),
    ("tuned-laundered", Deed::TunedLaundered),
    ("temperature", Deed::Temperature),
    ("seed", Deed::Seed),
    ("cached-reply", Deed::CachedReply),
    ("truncation", Deed::Truncation),
    ("truncation-ended", Deed::TruncationEnded),
    ("padding", Deed::Padding),
    ("edited-token", Deed::EditedToken),
    ("hidden-prompt", Deed::HiddenPrompt),
    ("hidden-prompt-laundered", Deed::HiddenPromptLaundered),
    ("quantised-cache", Deed::QuantisedCache),
];
/// What an auditor does who answers honestly: computes nothing, and says what might be.
const LAZY: &str = "lazy";

/// Serves the host at stdin and stdout.
pub(crate) fn run(words: &[&str]) -> ExitCode {
    let [name, cheaper, other, tuned] = words else {
        eprintln!("usage: attacks cheat DEED CHEAPER OTHER TUNED");
        return ExitCode::from(2);
    };
    let known = DEEDS.iter().find(|(known, _)| known == name).map(|(_, deed)| *deed);
    let Some(deed) = known.or_else(|| (*name == LAZY).then_some(Deed::Nothing)) else {
        eprintln!("no deed is named {name}");
        return ExitCode::from(2);
    };
    let is_lazy = *name == LAZY;
    let [cheaper, other, tuned] = [cheaper, other, tuned].map(PathBuf::from);
    run_stand_in(move |options: EngineOptions| async move {
        let of = |path: PathBuf| EngineOptions { model_path: path, ..options.clone() };
        let instead = match deed.means() {
            Means::Asked => None,
            Means::Cheaper => Some(of(cheaper)),
            Means::Other => Some(of(other)),
            Means::Tuned => Some(of(tuned)),
            Means::Quantised => Some(EngineOptions { kv_type: KvType::Q8_0, ..options.clone() }),
        };
        let instead = match instead {
            Some(options) => Some(Arc::new(load(None, options).await?)),
            None => None,
        };
        let honest = Arc::new(load(None, options).await?);
        Ok(Cheat { deed, is_lazy, honest, instead, answered: AtomicU64::new(0) })
    })
}

/// An engine that says something else than its model would.
#[derive(Debug)]
struct Cheat {
    deed: Deed,
    /// Whether it computes no answer again.
    is_lazy: bool,
    honest: Arc<LlamaEngine>,
    instead: Option<Arc<LlamaEngine>>,
    answered: AtomicU64,
}

impl Cheat {
    /// What says everything in place of the model: of a node that does not know what it serves, or believes what it says.
    fn all_else(&self) -> &LlamaEngine {
        self.instead.as_deref().filter(|_| self.deed.is_plain()).unwrap_or(&self.honest)
    }
}

#[async_trait::async_trait]
impl Engine for Cheat {
    fn info(&self) -> &ModelInfo {
        self.honest.info()
    }

    fn generate(&self, question: Question) -> Result<Generation, EngineError> {
        let as_it_comes = self.deed.is_plain() || self.deed == Deed::Nothing || !question.begun.is_empty();
        if as_it_comes || question.has_images() {
            return self.all_else().generate(question);
        }
        let (sender, events) = mpsc::channel(self.info().context_tokens as usize + 8);
        let (deed, honest, instead) = (self.deed, self.honest.clone(), self.instead.clone());
        let n = self.answered.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        tokio::spawn(async move {
            match deed.answer(&honest, instead.as_deref(), n, &question).await {
                Some(told) => drop(say(&honest, &question, told, began.elapsed(), &sender).await),
                None => match honest.generate(question) {
                    Ok(mut generation) => {
                        while let Some(event) = generation.events.recv().await {
                            let _ = sender.send(event).await;
                        }
                    }
                    Err(error) => drop(sender.send(Event::Failed(error)).await),
                },
            }
        });
        Ok(Generation { events })
    }

    async fn embed(&self, question: EmbedQuestion) -> Result<Embeddings, EngineError> {
        self.honest.embed(question).await
    }

    async fn replay(&self, question: ReplayQuestion) -> Result<Replay, EngineError> {
        if self.is_lazy {
            let positions = question.answer.iter().map(|token| guess(*token)).collect();
            let class = self.info().class.clone();
            return Ok(Replay { positions, prompt_tokens: 1, cut: false, class });
        }
        self.all_else().replay(question).await
    }

    async fn inspect(&self, question: Inspect) -> Result<Inspected, EngineError> {
        self.honest.inspect(question).await
    }

    fn status(&self) -> EngineStatus {
        self.honest.status()
    }

    async fn shutdown(&self) {
        self.honest.shutdown().await;
        if let Some(instead) = &self.instead {
            instead.shutdown().await;
        }
    }
}

/// Says an answer as if it had been generated, which took so long; its text comes with its last token.
async fn say(
    engine: &LlamaEngine,
    question: &Question,
    told: Told,
    took: Duration,
    sender: &mpsc::Sender<Event>,
) -> Result<(), mpsc::error::SendError<Event>> {
    let Told { tokens, recorded, finish } = told;
    let prompt_tokens = match engine.inspect(Inspect::Count(question.prompt.clone())).await {
        Ok(Inspected::Count(tokens)) => tokens,
        _ => 1,
    };
    sender.send(Event::Started { prompt_tokens }).await?;
    // The token that ends an answer is none of its text.
    let said = match finish {
        FinishReason::Stop => tokens.len().saturating_sub(1),
        _ => tokens.len(),
    };
    let text = text(engine, &tokens[..said]).await;
    for (at, id) in tokens.iter().copied().enumerate() {
        let fingerprint = recorded.as_ref().and_then(|recorded| recorded.get(at)).copied();
        let more = fingerprint.map(|fingerprint| Box::new(More { fingerprint: Some(fingerprint), ..More::default() }));
        let text = if at + 1 == tokens.len() { text.clone() } else { String::new() };
        sender.send(Event::Token { id, text, more }).await?;
    }
    let finished = Finished {
        finish,
        prompt_tokens,
        cached_tokens: 0,
        completion_tokens: tokens.len() as u32,
        stopped_by: None,
        drafted: (0, 0),
        queue_us: 0,
        prefill_us: 0,
        decode_us: took.as_micros() as u64,
    };
    sender.send(Event::Finished(finished)).await
}

/// The text of an answer, without the marks that no answer shows.
async fn text(engine: &LlamaEngine, tokens: &[u32]) -> String {
    let of = |tokens: Vec<u32>| async move {
        match engine.inspect(Inspect::Detokenize(tokens)).await {
            Ok(Inspected::Text(text)) => text,
            _ => String::new(),
        }
    };
    let mut shown = Vec::new();
    for token in tokens {
        let piece = of(vec![*token]).await;
        let is_mark = piece.len() > 2 && piece.starts_with('<') && piece.ends_with('>');
        shown.extend((!is_mark).then_some(*token));
    }
    of(shown).await
}

/// One position of a replay without any computation: the token as good as certain, whatever it is.
fn guess(token: u32) -> Replayed {
    let likely = |index: usize| Likely { id: token.wrapping_add(index as u32), logprob_16: -2 - 24 * index as i16 };
    Replayed {
        fingerprint: Fingerprint { top: std::array::from_fn(likely), chosen_16: -2 },
        expected: token,
        margin_milli: 0,
        rank: 0,
        outside_16: 0,
    }
}
