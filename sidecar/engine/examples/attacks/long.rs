//! Long prompts and long answers: of an answer that is longer than a table speaks of, whoever asked judges as many windows in a row as it speaks
//! of, the ends of the answer nearly as likely as its middle (`node::auditing::tables`).

use crate::give::{compute_again, give, load, options, plain, question, replayed, Given};
use crate::odd;
use crate::providers::Audited;
use crate::row::Row;
use crate::score::{convinces, judge};
use crate::Files;
use ainonymous_engine::request::{Chat, Message, Role};
use ainonymous_engine::{Engine, EngineOptions, LlamaEngine, Prompt, Question};
use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{Calibration, Verdict};
use ainonymous_verify::audit::{leaf, statistics};
use futures::stream::{self, StreamExt};
use std::ops::Range;

/// Tokens of a long answer: three times what tables speak of.
const TOKENS: u32 = 768;
/// Tokens of the longest honest one: what the context has room for.
const TOKENS_LONGEST: u32 = 1_920;
/// Windows that are judged.
const WINDOWS: usize = 8;
/// Tokens of the answer behind a long prompt.
const TOKENS_BEHIND: u32 = 64;
/// Words of a long prompt.
const WORDS: usize = 700;
/// Room for either.
const CONTEXT_TOKENS: u32 = 2_048;
/// Answers under way at a time.
const AT_ONCE: usize = 4;
/// One for so many answers to other attacks: these take longer.
const ONE_OF: u64 = 8;
/// Never fewer.
const ANSWERS_MIN: u64 = 16;
/// Above the seeds of all others.
const FIRST_SEED: u64 = 6_000_000;

struct Machines {
    honest: LlamaEngine,
    cheaper: LlamaEngine,
    checker: LlamaEngine,
}

/// Honest ones, of which few may fail, and a cheat where tables used to end.
pub(crate) async fn rows(files: &Files<'_>, table: &Calibration, answers: u64) -> Vec<Row> {
    let open =
        |model, slots| load(None, EngineOptions { context_tokens: Some(CONTEXT_TOKENS), ..options(model, slots) });
    let machines = Machines {
        honest: open(files.model, 4).await.unwrap(),
        cheaper: open(files.cheaper, 4).await.unwrap(),
        checker: open(files.model, 1).await.unwrap(),
    };
    let some = || FIRST_SEED..FIRST_SEED + (answers / ONE_OF).max(ANSWERS_MIN);

    let prompts = some().map(|n| machines.honest(long_prompt(n), [0..1, 1..2]));
    let prompts: Vec<(Given, Audited)> = stream::iter(prompts).buffered(AT_ONCE).flat_map(stream::iter).collect().await;
    let windows = TOKENS_LONGEST as usize / FINGERPRINT_WINDOW_TOKENS;
    let stretches =
        || (0..windows).step_by(WINDOWS).map(|from| from.min(windows - WINDOWS)).map(|from| from..from + WINDOWS);
    let long = some().map(|n| machines.honest(plain(n, TOKENS_LONGEST, true, 1_000), stretches()));
    let long: Vec<(Given, Audited)> = stream::iter(long).buffered(AT_ONCE).flat_map(stream::iter).collect().await;
    let mut cheats = Vec::new();
    for (attack, laundered, promised_percent) in
        [("q4_0 behind the 256th token", false, 50), ("q4_0 behind the 256th token, laundered", true, 0)]
    {
        let all = some().map(|n| machines.cheats_behind(n, laundered));
        let all: Vec<Audited> = stream::iter(all).buffered(AT_ONCE).collect().await;
        cheats.push(Row {
            attack,
            answer_tokens: Some(TOKENS),
            tried: all.len() as u64,
            found: all.iter().filter(|audited| judge(table, audited).0 == Verdict::Fail).count() as u64,
            convincing: Some(all.iter().filter(|audited| convinces(table, audited)).count() as u64),
            note: "eight windows of 24 are judged; of 31 audits eight look at the first eight, which are honest".into(),
            promised_percent,
            ..Row::default()
        });
    }
    machines.close().await;
    let long_row = odd::row(
        "slander by long answers",
        table,
        &long,
        "each stretch of eight windows of answers of 1,920 tokens; found are those that do not fail",
    );
    let prompts_row = odd::row(
        "slander by long prompts",
        table,
        &prompts,
        "windows behind 700 words; found are those that do not fail",
    );
    [prompts_row, Row { answer_tokens: Some(TOKENS_LONGEST), ..long_row }].into_iter().chain(cheats).collect()
}

impl Machines {
    /// An honest answer, judged in each of these stretches.
    async fn honest(
        &self,
        question: Question,
        stretches: impl IntoIterator<Item = Range<usize>>,
    ) -> Vec<(Given, Audited)> {
        let given = give(&self.honest, question).await;
        let mut all = Vec::new();
        for windows in stretches {
            all.push((given.clone(), self.audit(&given, windows).await));
        }
        all
    }

    /// The right model says as much as a table speaks of, a cheaper one the rest; with the right one's fingerprint, or its own.
    async fn cheats_behind(&self, n: u64, laundered: bool) -> Audited {
        let question = plain(n, TOKENS, true, 1_000);
        let honest = Question { max_tokens: (WINDOWS * FINGERPRINT_WINDOW_TOKENS) as u32, ..question.clone() };
        let mut given = give(&self.honest, honest).await;
        let rest = give(&self.cheaper, Question { begun: given.tokens.clone(), ..question.clone() }).await;
        given.tokens.extend(rest.tokens);
        given.recorded.extend(rest.recorded);
        given.question = question;
        if laundered {
            let forged = compute_again(&self.honest, &given.question, &given.tokens, None).await;
            given.recorded = forged.positions.iter().map(|position| position.fingerprint).collect();
        }
        let windows = given.tokens.len().div_ceil(FINGERPRINT_WINDOW_TOKENS);
        self.audit(&given, leaf::stretch(windows, WINDOWS, n as u32 * 7)).await
    }

    /// Computed again up to the end of the stretch, as nodes do.
    async fn audit(&self, given: &Given, windows: Range<usize>) -> Audited {
        let read = &given.tokens[..given.tokens.len().min(windows.end * FINGERPRINT_WINDOW_TOKENS)];
        let replay = compute_again(&self.checker, &given.question, read, None).await;
        let ours = replayed(read, &replay);
        let outcome = statistics::outcome(&given.opened()[windows.clone()], &ours[windows]).unwrap();
        Audited { outcome, unlike: false, tokens: read.len() as u32 }
    }

    async fn close(self) {
        for engine in [self.honest, self.cheaper, self.checker] {
            engine.shutdown().await;
        }
    }
}

/// Some of what people ask, one after another.
fn long_prompt(n: u64) -> Question {
    let mut text = String::new();
    for at in 0.. {
        if text.split_whitespace().count() >= WORDS {
            break;
        }
        if let Prompt::Chat(chat) = question(n.wrapping_mul(31).wrapping_add(at), TOKENS_BEHIND, true).prompt {
            text.extend(chat.messages.iter().flat_map(|message| [message.content.as_str(), " "]));
        }
    }
    let chat = Chat { messages: vec![Message::new(Role::User, text)], ..Chat::default() };
    Question { prompt: Prompt::Chat(chat), ..plain(n, TOKENS_BEHIND, true, 1_000) }
}
