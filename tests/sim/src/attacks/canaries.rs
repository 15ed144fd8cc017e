//! Telling canaries apart: what a provider can see of a question before it answers. Whoever knows a canary is honest with it alone, and no jury
//! ever hears of the rest.
//!
//! Canaries are those of the node (`protocol::canaries`). What people ask is made up ([`super::people`]): figures that rest on it are no better than
//! that. As many canaries as other questions are looked at, so that who guesses is wrong with half of them. What a question says of audits is the
//! same for both by construction (`node::auditing`), and so is not tried.

use super::classifier::{Classifier, Features};
use super::people;
use super::row::Row;
use super::{bytes, dice, row, Fared};
use ainonymous_protocol::canaries::{question, wait_us, Shapes};
use ainonymous_types::ChatInput;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// Auditors, each with people of its own whose questions its canaries look like.
const AUDITORS: usize = 20;
/// Questions that each has heard from its people.
const HEARD: usize = 100;
/// Canaries that somebody lets the node's own code make, to have all texts.
const TEXTS_MADE: u64 = 100_000;
/// How often an auditor asks a canary (`--audit-every-s`), and how often its people ask something, on average: where they ask as often.
const EVERY_US: u64 = 600_000_000;

/// Both kinds, to learn from and to be tried on.
struct Questions {
    canaries: Vec<ChatInput>,
    others: Vec<ChatInput>,
}

pub(super) fn rows(tries: u64) -> Vec<Row> {
    let tries = tries as usize;
    let mut dice = dice(1);
    let noted = Shapes::default;
    let any = |dice: &mut ChaCha8Rng| people::question(dice);
    let auditors: Vec<Shapes> = (0..AUDITORS).map(|_| heard(&mut dice)).collect();
    let strangers = [noted()];

    let alike = told(&auditors, any, settings, tries, &mut dice);
    let bare = told(&strangers, any, settings, tries, &mut dice);
    let text = told(&auditors, any, characters, tries, &mut dice);
    let list = listed(&auditors, tries, &mut dice);
    let time = timed(tries, &mut dice);
    vec![
        row(
            "telling canaries by their settings",
            40,
            alike,
            "where the auditor's people have asked some; found are those told wrongly: half, if nothing can be told",
        ),
        row(
            "the same where nobody else asks at the auditor's node",
            0,
            bare,
            "canaries then have settings that are common, and not those of anybody",
        ),
        row("telling canaries by length and characters", 0, text, "a classifier over eight cheap features of the text"),
        row(
            "telling canaries by the list of their texts",
            0,
            list,
            "whoever has this program has every text of a canary: not found, by a comparison of strings",
        ),
        row(
            "telling canaries by when they come",
            45,
            time,
            "from one asker whose people ask as often as it audits; where nobody else asks there, all are canaries",
        ),
    ]
}

/// What an auditor's people have asked.
fn heard(dice: &mut ChaCha8Rng) -> Shapes {
    let mut shapes = Shapes::default();
    (0..HEARD).for_each(|_| shapes.note(&people::question(dice)));
    shapes
}

fn asked(
    auditors: &[Shapes],
    other: impl Fn(&mut ChaCha8Rng) -> ChatInput,
    count: usize,
    dice: &mut ChaCha8Rng,
) -> Questions {
    let canaries = (0..count).map(|n| question(&auditors[n % auditors.len()], &bytes(dice))).collect();
    Questions { canaries, others: (0..count).map(|_| other(dice)).collect() }
}

/// Learns from some and is tried on others. Found is what is told wrongly; false alarms are questions of people that are held for canaries.
fn told(
    auditors: &[Shapes],
    other: impl Fn(&mut ChaCha8Rng) -> ChatInput,
    features: impl Fn(&ChatInput) -> Features,
    tries: usize,
    dice: &mut ChaCha8Rng,
) -> Fared {
    let of = |all: &[ChatInput]| all.iter().map(&features).collect::<Vec<_>>();
    let known = asked(auditors, &other, 2 * tries, dice);
    let learned = Classifier::of(&of(&known.canaries), &of(&known.others));
    let Questions { canaries, others } = asked(auditors, &other, tries, dice);
    judged(of(&canaries).iter().map(|one| learned.is_canary(one)), of(&others).iter().map(|one| learned.is_canary(one)))
}

/// From what is said of canaries and of other questions.
fn judged(canaries: impl Iterator<Item = bool>, others: impl Iterator<Item = bool>) -> Fared {
    let count = |said: &mut dyn Iterator<Item = bool>, wrong: bool| {
        said.fold((0, 0), |(all, wrongly), is_canary| (all + 1, wrongly + u64::from(is_canary == wrong)))
    };
    let (canaries, missed) = count(&mut canaries.into_iter(), false);
    let (others, taken) = count(&mut others.into_iter(), true);
    Fared { tried: canaries + others, found: missed + taken, honest_tried: others, false_alarms: taken }
}

/// How tokens are drawn, how many at most, and whatever else a question may ask for.
fn settings(input: &ChatInput) -> Features {
    let sampling = &input.sampling;
    vec![
        input.max_tokens.into(),
        sampling.temperature_milli.into(),
        sampling.top_p_milli.into(),
        sampling.min_p_milli.into(),
        sampling.top_k.into(),
        // A seed that somebody has typed is short.
        (64 - sampling.seed.leading_zeros() as u64) / 8,
        input.messages.len() as u64,
        input.stop.len() as u64,
        input.more.is_some().into(),
    ]
}

/// What is quickly counted in the text.
fn characters(input: &ChatInput) -> Features {
    let text: String = input.messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n");
    let count = |is: fn(char) -> bool| text.chars().filter(|c| is(*c)).count() as u64;
    let words = text.split_whitespace().count() as u64;
    vec![
        text.len() as u64 / 16,
        words / 3,
        text.len() as u64 / words.max(1),
        count(char::is_uppercase).min(5),
        count(|c| ",;:".contains(c)).min(3),
        count(|c| c.is_numeric()).min(3),
        count(|c| !c.is_ascii() || "\n`\"(){}[]<>=/".contains(c)).min(3),
        text.trim_end().chars().next_back().map_or(0, u64::from),
    ]
}

/// Whether the text is one that the node's own code makes, of which somebody has had as many made as it takes.
fn listed(auditors: &[Shapes], tries: usize, dice: &mut ChaCha8Rng) -> Fared {
    let text = |input: &ChatInput| input.messages.last().map(|message| message.content.clone());
    let nothing = Shapes::default();
    let known: HashSet<_> = (0..TEXTS_MADE).map(|_| text(&question(&nothing, &bytes(dice)))).collect();
    let Questions { canaries, others } = asked(auditors, people::question, tries, dice);
    judged(canaries.iter().map(|one| known.contains(&text(one))), others.iter().map(|one| known.contains(&text(one))))
}

/// Questions of one asker: its canaries, as far apart as the node decides it, and those of its people, at any time.
fn timed(tries: usize, dice: &mut ChaCha8Rng) -> Fared {
    let mut kinds = || {
        let mut all: Vec<(u64, bool)> = Vec::new();
        let mut at = 0u64;
        for _ in 0..tries {
            at += wait_us(EVERY_US, dice.random());
            all.push((at, true));
        }
        let mut at = 0u64;
        for _ in 0..tries {
            // Whoever asks at any time leaves gaps that are exponentially distributed.
            at += (-(1.0 - dice.random::<f64>()).ln() * EVERY_US as f64) as u64;
            all.push((at, false));
        }
        all.sort_unstable();
        // Since the last question, and how many came when a canary before this one would have.
        let near = |(n, (at, is_canary)): (usize, &(u64, bool))| {
            let before = all.iter().take(n).rev().map(|(earlier, _)| at - earlier);
            let gap = before.clone().next().unwrap_or(0) * 20 / EVERY_US;
            let earlier = before.take_while(|gap| *gap <= EVERY_US * 3 / 2).filter(|gap| *gap >= EVERY_US / 2).count();
            (*is_canary, vec![gap.min(60), earlier.min(6) as u64])
        };
        let (canaries, others): (Vec<_>, Vec<_>) =
            all.iter().enumerate().map(near).partition(|(is_canary, _)| *is_canary);
        let features = |of: Vec<(bool, Features)>| of.into_iter().map(|(_, features)| features).collect::<Vec<_>>();
        (features(canaries), features(others))
    };
    let ((canaries, others), (tried, tried_others)) = (kinds(), kinds());
    let learned = Classifier::of(&canaries, &others);
    judged(tried.iter().map(|one| learned.is_canary(one)), tried_others.iter().map(|one| learned.is_canary(one)))
}
