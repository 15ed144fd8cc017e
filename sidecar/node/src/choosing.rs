//! Whom to ask, of those that are known. The rules are those of `protocol::choosing`; this remembers what they decide by, and
//! probes whom they name.

use crate::direct::LinkAddress;
use crate::directory::Candidate;
use crate::node::{lock, Node};
use crate::serving::now_us;
use crate::store::Store;
use crate::{AskError, ChoiceMade, Heard, Peers};
use ainonymous_protocol::breaker::{Breaker, Breakers};
use ainonymous_protocol::choosing::{
    self, probe_patience_us, Demands, Kinship, Need, Price, Probed, Reason, PROBE_WAIT_US,
};
use ainonymous_protocol::hedge::{slow_us, Budget};
use ainonymous_protocol::history::{History, HistoryRow, Observed, Outcome};
use ainonymous_protocol::reports::{to_tell, Report, Reports, Standing};
use ainonymous_protocol::{Speed, RANDOM_BYTES};
use ainonymous_transport::{Address, Hide, Load, Seen, TransportSecret};
use ainonymous_types::{AgentPubKey, ChatInput, ChatMessage, ChatPrompt, ChatRole, EntryHash};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Probed peers remembered.
const PROBED_MAX: usize = 4_096;
/// Conversations remembered, with who has their beginning in its cache.
const CONVERSATIONS_MAX: usize = 1_024;
/// Choices told to people.
const MADE_MAX: usize = 32;
/// A peer is asked for reports this often at most.
const REPORTS_EVERY: Duration = Duration::from_secs(60);
/// Peers remembered to have been asked for reports.
const REPORTERS_ASKED_MAX: usize = 1_024;
/// Bytes of text that make a token, roughly.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens that an image takes, roughly: those of Gemma's.
const TOKENS_PER_IMAGE: usize = 256;
/// Tokens of an answer whose length nobody has bounded.
const ANSWER_TOKENS_TYPICAL: u32 = 256;
/// Experience is written down this often at most.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// What choices are made by.
#[derive(Debug)]
pub(crate) struct Chooser {
    known: Mutex<Known>,
    made: Mutex<VecDeque<ChoiceMade>>,
    /// Makes conversations into numbers that mean nothing elsewhere.
    hasher: RandomState,
}

#[derive(Debug)]
struct Known {
    breakers: Breakers,
    history: History,
    /// What may be told to others: nothing of questions whose asker hides, nothing of earlier runs.
    tellable: History,
    reports: Reports,
    reports_asked: HashMap<AgentPubKey, Instant>,
    hedges: Budget,
    probed: HashMap<(AgentPubKey, EntryHash), (Probed, u32)>,
    conversations: HashMap<u64, (AgentPubKey, u32)>,
    conversations_order: VecDeque<u64>,
    saved: Instant,
}

/// A candidate in its place, and why it is there.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) candidate: Candidate,
    pub(crate) reason: Reason,
    /// How long after asking its first word is slow, by its own history.
    pub(crate) slow_us: u64,
}

impl Chooser {
    /// With what earlier runs have seen.
    pub(crate) fn new(store: &Store) -> Self {
        let rows: Vec<HistoryRow> = store.history().unwrap_or_default();
        let known = Known {
            breakers: Breakers::default(),
            history: History::from(rows),
            tellable: History::default(),
            reports: Reports::default(),
            reports_asked: HashMap::new(),
            hedges: Budget::default(),
            probed: HashMap::new(),
            conversations: HashMap::new(),
            conversations_order: VecDeque::new(),
            saved: Instant::now(),
        };
        Self { known: Mutex::new(known), made: Mutex::default(), hasher: RandomState::new() }
    }

    /// The last choices, oldest first.
    pub(crate) fn made(&self) -> Vec<ChoiceMade> {
        lock(&self.made).iter().cloned().collect()
    }

    /// Remembers a choice for people.
    pub(crate) fn note(&self, made: ChoiceMade) {
        let mut all = lock(&self.made);
        all.push_back(made);
        while all.len() > MADE_MAX {
            all.pop_front();
        }
    }

    /// A question ended well.
    pub(crate) fn answered(
        &self,
        candidate: &Candidate,
        outcome: Outcome,
        messages: &[ChatMessage],
        text: &str,
        tokens: u32,
    ) {
        let next = ChatMessage::new(ChatRole::Assistant, text.to_owned());
        let conversation = self.conversation(messages.iter().chain([&next]));
        let mut known = lock(&self.known);
        known.observe(candidate, outcome);
        known.breakers.on_success(&candidate.agent);
        if known.conversations.insert(conversation, (candidate.agent.clone(), tokens)).is_none() {
            known.conversations_order.push_back(conversation);
        }
        while known.conversations_order.len() > CONVERSATIONS_MAX {
            if let Some(oldest) = known.conversations_order.pop_front() {
                known.conversations.remove(&oldest);
            }
        }
    }

    /// A question ended with silence, or with what no honest peer does.
    pub(crate) fn failed(&self, candidate: &Candidate) {
        let mut known = lock(&self.known);
        known.observe(candidate, Outcome::Failed);
        known.breakers.on_failure(&candidate.agent, micros_now());
    }

    /// A question was withdrawn, because another provider was quicker to its first word.
    pub(crate) fn late(&self, candidate: &Candidate, waited_us: u64) {
        lock(&self.known).observe(candidate, Outcome::Late { waited_us });
    }

    /// What this node tells a peer of its own experience.
    pub(crate) fn tells(&self, spec: &EntryHash) -> Vec<Seen> {
        let known = lock(&self.known);
        let rows = known.tellable.peers(spec).into_iter().map(|(agent, seen)| (agent.clone(), seen));
        let told = to_tell(rows, rand::random::<u32>() as usize);
        let seen = |Report { agent, speed, troubled_permille }: Report| Seen {
            agent,
            milli_tokens_per_s: speed.milli(),
            troubled_permille: u16::try_from(troubled_permille).unwrap_or(1_000),
        };
        told.into_iter().map(seen).collect()
    }

    /// A peer told what it saw of others. Whether that counts depends on what is known of the peer itself.
    fn on_reports(&self, peers: &Peers, by: &Candidate, seen: Vec<Seen>) {
        let mut known = lock(&self.known);
        let spec = &by.spec.entry;
        let claimed = Speed::tokens_per_s(by.claimed_tokens_per_s);
        let Some(standing) = Standing::of(kinship(peers, by), claimed, known.history.of(spec, &by.agent)) else {
            return;
        };
        let report = |Seen { agent, milli_tokens_per_s, troubled_permille }| Report {
            agent,
            speed: Speed::from(milli_tokens_per_s),
            troubled_permille: u32::from(troubled_permille),
        };
        let told: Vec<Report> = seen.into_iter().map(report).collect();
        known.reports.on_told(spec, &by.agent, standing, &told, micros_now());
    }

    /// Writes experience down, if there is new one and the last time was long ago.
    pub(crate) fn save(&self, store: &Store, now: bool) {
        let rows: Vec<HistoryRow> = {
            let mut known = lock(&self.known);
            if !now && known.saved.elapsed() < SAVE_EVERY {
                return;
            }
            known.saved = Instant::now();
            known.history.clone().into()
        };
        if let Err(e) = store.put_history(&rows) {
            tracing::warn!(error = %e, hint = e.hint(), "what was seen of peers cannot be written down");
        }
    }

    fn conversation<'a>(&self, messages: impl Iterator<Item = &'a ChatMessage>) -> u64 {
        let all: Vec<(u8, &str)> = messages.map(|m| (m.role as u8, m.content.trim())).collect();
        self.hasher.hash_one(all)
    }
}

impl Known {
    fn observe(&mut self, candidate: &Candidate, outcome: Outcome) {
        let (spec, agent) = (&candidate.spec.entry, &candidate.agent);
        self.history.observe(spec, agent, outcome, micros_now());
        if candidate.link.as_ref().is_none_or(|link| link.hide != Hide::OneRouter) {
            self.tellable.observe(spec, agent, outcome, micros_now());
        }
    }

    /// Whether this peer may be asked for reports now; if so, it is not for a while.
    fn may_ask_reports(&mut self, agent: &AgentPubKey) -> bool {
        let now = Instant::now();
        self.reports_asked.retain(|_, at| now.duration_since(*at) < REPORTS_EVERY);
        if self.reports_asked.contains_key(agent) || self.reports_asked.len() >= REPORTERS_ASKED_MAX {
            return false;
        }
        self.reports_asked.insert(agent.clone(), now);
        true
    }
}

/// Puts candidates in the order in which they shall be asked; the demands are met by all of them. Whom no link will go to is not
/// probed: a probe shows this machine's address.
pub(crate) async fn order(
    node: &Node,
    mut found: Vec<Candidate>,
    input: &ChatInput,
    demands: &Demands,
    by_link: bool,
) -> Result<Vec<Chosen>, AskError> {
    found
        .retain(|c| !node.inner.habits.peers.blocked.contains(&c.agent) && !node.inner.auditing.is_convicted(&c.agent));
    found.truncate(choosing::CANDIDATES_MAX);
    if found.is_empty() {
        return Ok(vec![]);
    }
    let need = need(input);
    let unmet = |refusal: choosing::Refusal| AskError::DemandsUnmet { problem: refusal.to_string() };
    let probes = with_knowledge(node, &found, input, |candidates, now_us| {
        choosing::plan(need, demands, candidates, now_us, &dice())
    })
    .map_err(unmet)?;
    let away = probe(node, &found, if by_link { probes } else { vec![] }).await;
    let there: Vec<Candidate> =
        found.iter().enumerate().filter(|(at, _)| !away.contains(at)).map(|(_, c)| c.clone()).collect();
    // If all say that they cannot answer, one of them says why.
    let there = if there.is_empty() { found } else { there };
    with_knowledge(node, &there, input, |candidates, now_us| {
        let choice = choosing::choose(need, demands, candidates, now_us, &dice())?;
        let chosen = |(at, reason): (usize, Reason)| {
            let slow_us = slow_us(reason.expected.first_token_us, candidates.get(at)?.own);
            Some(Chosen { candidate: there.get(at)?.clone(), reason, slow_us })
        };
        Ok(choice.order.into_iter().zip(choice.reasons).filter_map(chosen).collect())
    })
    .map_err(unmet)
}

/// A question is asked of peers: it earns its share of what may be asked twice.
pub(crate) fn on_question(node: &Node) {
    lock(&node.inner.chooser.known).hedges.on_question();
}

/// Whether a second provider may be asked beside a slow one now; if so, that is counted.
pub(crate) fn may_hedge(node: &Node) -> bool {
    lock(&node.inner.chooser.known).hedges.take()
}

/// Asks a peer that has just been probed what it saw of others, now and then, and beside the question: nobody waits for it.
fn ask_reports(node: &Node, candidate: &Candidate) {
    let Some(link) = candidate.link.clone() else { return };
    if !lock(&node.inner.chooser.known).may_ask_reports(&candidate.agent) {
        return;
    }
    let (node2, candidate) = (node.clone(), candidate.clone());
    node.spawn(async move {
        let Some(open) = node2.inner.plane.as_ref().and_then(|plane| plane.pool.open_by(&link.key, link.hide)) else {
            return;
        };
        match open.reports(candidate.spec.entry.clone()).await {
            Ok(seen) => node2.inner.chooser.on_reports(&node2.inner.habits.peers, &candidate, seen),
            Err(e) => tracing::debug!(error = %e, "a peer tells nothing of others"),
        }
    });
}

/// Asks those how busy they are; returns who says that it does not answer questions for that model now.
async fn probe(node: &Node, found: &[Candidate], probes: Vec<usize>) -> Vec<usize> {
    let Some(plane) = &node.inner.plane else { return vec![] };
    // A look is a trial: whoever failed lately gets one at a time.
    for at in &probes {
        lock(&node.inner.chooser.known).breakers.try_pass(&found[*at].agent, micros_now());
    }
    let mut replies: FuturesUnordered<_> = probes
        .into_iter()
        .filter_map(|at| Some((at, found[at].link.as_ref()?)))
        .map(|(at, link)| async move {
            let begun = Instant::now();
            let fresh = || TransportSecret::from_bytes(rand::random());
            let spec = found[at].spec.entry.clone();
            let reply = plane.pool.probe_by(&link.key, &link.way(), spec, fresh).await;
            (at, reply.map(|(load, _)| (load, begun.elapsed())))
        })
        .collect();
    let begun = Instant::now();
    let mut patience = Duration::from_micros(PROBE_WAIT_US);
    let mut away = vec![];
    while let Ok(Some((at, reply))) =
        tokio::time::timeout(patience.saturating_sub(begun.elapsed()), replies.next()).await
    {
        let mut known = lock(&node.inner.chooser.known);
        match reply {
            Ok((load, round_trip)) => {
                if load.serves && !load.draining {
                    known.breakers.on_success(&found[at].agent);
                } else {
                    away.push(at);
                }
                let elapsed = begun.elapsed();
                let said = probed(&load, round_trip);
                patience =
                    patience.min(Duration::from_micros(probe_patience_us(crate::routing::micros(elapsed), &said)));
                let key = (found[at].agent.clone(), found[at].spec.entry.clone());
                if known.probed.len() < PROBED_MAX || known.probed.contains_key(&key) {
                    known.probed.insert(key, (said, 0));
                } else {
                    known.probed.clear();
                }
                drop(known);
                ask_reports(node, &found[at]);
            }
            Err(e) => {
                tracing::debug!(error = %e, "a provider could not be probed");
                known.breakers.on_failure(&found[at].agent, micros_now());
            }
        }
    }
    away
}

fn probed(load: &Load, round_trip: Duration) -> Probed {
    Probed {
        at_us: micros_now(),
        round_trip_us: crate::routing::micros(round_trip),
        queue_depth: load.queued,
        slots: load.slots.max(1),
        free_slots: load.slots.saturating_sub(load.running),
        speed: Speed::from(load.milli_tokens_per_s),
        price: Some(Price(load.milli_price)),
    }
}

/// Hands what is known of the candidates to a rule.
fn with_knowledge<T>(
    node: &Node,
    found: &[Candidate],
    input: &ChatInput,
    rule: impl FnOnce(&[choosing::Candidate<'_>], u64) -> T,
) -> T {
    let chooser = &node.inner.chooser;
    let earlier = input.messages.split_last().map(|(_, earlier)| chooser.conversation(earlier.iter()));
    let known = lock(&chooser.known);
    let now_us = micros_now();
    let session = earlier.and_then(|earlier| known.conversations.get(&earlier));
    let candidates: Vec<choosing::Candidate<'_>> = found
        .iter()
        .map(|c| {
            let own: Option<&Observed> = known.history.of(&c.spec.entry, &c.agent);
            let probed = known.probed.get(&(c.agent.clone(), c.spec.entry.clone()));
            let open = c.link.as_ref().and_then(|l| node.inner.plane.as_ref()?.pool.open(&l.key));
            choosing::Candidate {
                kinship: kinship(&node.inner.habits.peers, c),
                routed: c.link.as_ref().is_some_and(LinkAddress::is_routed),
                region: c.region,
                own,
                reported: known.reports.of(&c.spec.entry, &c.agent, now_us),
                reputation: node.inner.auditing.reputation(node, &c.agent),
                probed: probed.map(|(probed, _)| *probed),
                asked_since: probed.map_or(0, |(_, asked)| *asked),
                breaker: known.breakers.state(&c.agent, now_us),
                warm: open.is_some(),
                prefix_tokens: session.filter(|(agent, _)| *agent == c.agent).map_or(0, |(_, tokens)| *tokens),
                ..choosing::Candidate::stranger(&c.agent, Speed::tokens_per_s(c.claimed_tokens_per_s))
            }
        })
        .collect();
    rule(&candidates, now_us)
}

/// What is known of a candidate, for people.
#[derive(Clone, Debug)]
pub(crate) struct KnownOf {
    pub(crate) kinship: &'static str,
    pub(crate) failing: bool,
    pub(crate) measured_tokens_per_s: Option<f64>,
    pub(crate) heard: Option<Heard>,
}

/// What is known of candidates; nobody is asked for it.
pub(crate) fn known_of(node: &Node, candidates: &[Candidate]) -> Vec<KnownOf> {
    let known = lock(&node.inner.chooser.known);
    let now_us = micros_now();
    let of = |candidate: &Candidate| {
        let speed = known.history.of(&candidate.spec.entry, &candidate.agent).map(|observed| observed.speed);
        let probed = known.probed.get(&(candidate.agent.clone(), candidate.spec.entry.clone()));
        let heard = probed.map(|(probed, asked)| Heard {
            ago_s: now_us.saturating_sub(probed.at_us) / 1_000_000,
            round_trip_ms: probed.round_trip_us as f64 / 1_000.0,
            queued: probed.queue_depth.saturating_add(*asked),
            slots: probed.slots,
            free_slots: probed.free_slots,
            milli_price: probed.price.map(|price| price.0),
        });
        KnownOf {
            kinship: match kinship(&node.inner.habits.peers, candidate) {
                Kinship::Own => "own",
                Kinship::Friend => "friend",
                Kinship::Lan => "lan",
                Kinship::Public => "public",
            },
            failing: !matches!(known.breakers.state(&candidate.agent, now_us), Breaker::Closed),
            measured_tokens_per_s: speed.filter(|speed| speed.is_known()).map(|speed| speed.milli() as f64 / 1_000.0),
            heard,
        }
    };
    candidates.iter().map(of).collect()
}

/// A question is about to go to a candidate: what its last reply said of its queue is that much less true.
pub(crate) fn asks(node: &Node, candidate: &Candidate) {
    let mut known = lock(&node.inner.chooser.known);
    if let Some((_, asked)) = known.probed.get_mut(&(candidate.agent.clone(), candidate.spec.entry.clone())) {
        *asked = asked.saturating_add(1);
    }
    known.breakers.try_pass(&candidate.agent, micros_now());
}

/// How close whoever is behind a candidate is.
pub(crate) fn kinship(peers: &Peers, candidate: &Candidate) -> Kinship {
    let near = |address: &Address| match address {
        Address::Direct(at) => is_local(at.ip()),
        Address::Routed { .. } => false,
    };
    if peers.own.contains(&candidate.agent) {
        Kinship::Own
    } else if peers.friends.contains(&candidate.agent) {
        Kinship::Friend
    } else if candidate.link.as_ref().is_some_and(|link| link.addresses.iter().any(near)) {
        Kinship::Lan
    } else {
        Kinship::Public
    }
}

/// Addresses that only machines nearby can have.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn need(input: &ChatInput) -> Need {
    let message = |m: &ChatMessage| {
        let images = m.more.as_deref().map_or(0, |more| more.images.len());
        m.content.len() / BYTES_PER_TOKEN + images * TOKENS_PER_IMAGE
    };
    let besides = input.more.as_deref().map_or(0, |more| {
        let tools: usize = more.tools.iter().map(|tool| tool.parameters.len()).sum();
        let prompt = match &more.prompt {
            Some(ChatPrompt::Text(text)) => text.len() / BYTES_PER_TOKEN,
            Some(ChatPrompt::Tokens(tokens)) => tokens.len(),
            None => 0,
        };
        tools / BYTES_PER_TOKEN + prompt + more.begun.len()
    });
    let prompt = input.messages.iter().map(message).sum::<usize>() + besides;
    let answer_tokens = if input.max_tokens == 0 { ANSWER_TOKENS_TYPICAL } else { input.max_tokens };
    Need { prompt_tokens: u32::try_from(prompt).unwrap_or(u32::MAX), answer_tokens }
}

fn dice() -> [u8; RANDOM_BYTES] {
    rand::random()
}

fn micros_now() -> u64 {
    u64::try_from(now_us()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_addresses_are_those_of_networks_at_home() {
        for ip in ["192.168.1.5", "10.0.0.1", "127.0.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1"] {
            assert!(is_local(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["203.0.113.7", "8.8.8.8", "2001:db8::1"] {
            assert!(!is_local(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn the_next_turn_of_a_conversation_finds_who_has_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let chooser = Chooser::new(&Store::open(&dir.path().join("node.redb")).unwrap());
        let say = |role, content: &str| ChatMessage::new(role, content);
        let first = vec![say(ChatRole::User, "Hello")];
        let hash = || vec![1; 36];
        let candidate = Candidate {
            agent: AgentPubKey::from_raw_36(hash()),
            capability: ainonymous_types::ActionHash::from_raw_36(hash()),
            spec: ainonymous_types::SpecRef {
                entry: EntryHash::from_raw_36(hash()),
                action: ainonymous_types::ActionHash::from_raw_36(hash()),
            },
            model_id: "m:q8_0".into(),
            claimed_tokens_per_s: 0,
            region: None,
            link: None,
        };
        let outcome = Outcome::Answered { first_token_us: 1_000, tokens: 5, decode_us: 1_000 };
        chooser.answered(&candidate, outcome, &first, "Hi there. ", 12);
        // Clients trim what they send back.
        let turns = [first[0].clone(), say(ChatRole::Assistant, "Hi there.")];
        let known = chooser.conversation(turns.iter());
        assert_eq!(lock(&chooser.known).conversations.get(&known), Some(&(candidate.agent.clone(), 12)));
        let other = [first[0].clone(), say(ChatRole::Assistant, "Hi!")];
        assert_eq!(lock(&chooser.known).conversations.get(&chooser.conversation(other.iter())), None);
    }
}
