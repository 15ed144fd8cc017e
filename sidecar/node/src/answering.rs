//! One question of a peer on its way from engine to requester: parts are sent as they come, the end is signed, and all of it
//! is kept until nobody can miss a part.

use crate::node::Node;
use crate::requester::{Reply, Sent};
use crate::routing::micros;
use crate::serving::{ended_at_us, refusal, Order, Taken};
use crate::signing::sign_and_keep;
use ainonymous_conductor::Conductor;
use ainonymous_engine::Event;
use ainonymous_protocol::timing::{KEEP_ANSWER_US, RESEND_CHUNKS_MAX, RESUME_US};
use ainonymous_protocol::{AnswerEnd, Answering};
use ainonymous_types::{PeerSignal, RefuseReason};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Answers one question to its end, then keeps it for lost parts.
pub(crate) async fn run(
    node: Node,
    conductor: Conductor,
    mut taken: Taken,
    reply: Reply,
    serial: u64,
    mut orders: mpsc::Receiver<Order>,
) {
    let id = taken.id;
    let mut way = Way { reply, lost_at: None };
    let outcome = match generate(&mut way, &mut taken, &mut orders).await {
        End::Engine(end) => finish(&node, &conductor, &mut way, &mut taken, end).await,
        End::Failed(reason, detail) => Err((reason, detail)),
        End::Cancelled => {
            // The generation goes with it: the engine stops at its next step.
            drop(taken);
            return node.inner.serving.forget(id, serial);
        }
    };
    match outcome {
        Ok(()) => {
            node.inner.counts.answered.fetch_add(1, Ordering::Relaxed);
            node.inner.serving.finished(id, serial);
            keep(&mut way, &taken.answering, &mut orders).await;
        }
        Err((reason, detail)) => {
            node.inner.counts.refused.fetch_add(1, Ordering::Relaxed);
            way.reply.send(PeerSignal::Refused { id, reason, detail }).await;
            way.reply.finish();
        }
    }
    node.inner.serving.forget(id, serial);
}

enum End {
    Engine(AnswerEnd),
    Cancelled,
    Failed(RefuseReason, String),
}

/// The way to the requester, and since when it is broken.
struct Way {
    reply: Reply,
    lost_at: Option<Instant>,
}

impl Way {
    /// Sends a part; false if nobody wants it any more.
    async fn send(&mut self, signal: PeerSignal) -> bool {
        match self.reply.send(signal).await {
            Sent::OnItsWay => true,
            Sent::Lost => {
                let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
                lost_at.elapsed() < Duration::from_micros(RESUME_US)
            }
            Sent::NotWanted => false,
        }
    }

    /// The requester is back: it gets what it missed.
    async fn take_up(&mut self, sender: ainonymous_transport::FrameSender, answering: &Answering, from: u32) -> bool {
        *self = Self { reply: Reply::Stream(Some(sender)), lost_at: None };
        let mut next = from;
        while next < answering.chunks() {
            for chunk in answering.resend(next) {
                if !self.send(chunk).await {
                    return false;
                }
            }
            next = next.saturating_add(RESEND_CHUNKS_MAX as u32);
        }
        true
    }
}

async fn generate(way: &mut Way, taken: &mut Taken, orders: &mut mpsc::Receiver<Order>) -> End {
    loop {
        let now = micros(taken.clock.elapsed());
        let tick = Duration::from_micros(taken.answering.next_tick_us().saturating_sub(now));
        let out: Vec<PeerSignal> = tokio::select! {
            event = taken.generation.events.recv() => match event {
                Some(Event::Queued { position }) => {
                    vec![taken.answering.on_queued(position, micros(taken.clock.elapsed()))]
                }
                Some(Event::Started { .. }) => vec![],
                Some(Event::Token { id, text, more }) => {
                    let more = taken.record(id, more);
                    let out = taken.answering.on_token(id, &text, more, micros(taken.clock.elapsed()));
                    if taken.answering.is_full() {
                        return End::Failed(RefuseReason::EngineFailed, "the answer is too long".into());
                    }
                    out
                }
                Some(Event::Finished(f)) => {
                    return End::Engine(AnswerEnd {
                        finish: f.finish,
                        prompt_tokens: f.prompt_tokens,
                        cached_tokens: f.cached_tokens,
                        stopped_by: f.stopped_by,
                        finished_at: ended_at_us(taken.clock.elapsed()),
                        fingerprint: taken.fingerprint(),
                        decode_us: f.decode_us,
                    });
                }
                Some(Event::Failed(e)) => {
                    let (reason, detail) = refusal(&e);
                    return End::Failed(reason, detail);
                }
                None => return End::Failed(RefuseReason::EngineFailed, String::new()),
            },
            order = orders.recv() => match order {
                Some(Order::Resend(from_chunk)) => {
                    for chunk in taken.answering.resend(from_chunk) {
                        if !way.send(chunk).await {
                            return End::Cancelled;
                        }
                    }
                    vec![]
                }
                Some(Order::TakeUp(sender, from_chunk)) => {
                    if !way.take_up(sender, &taken.answering, from_chunk).await {
                        return End::Cancelled;
                    }
                    vec![]
                }
                Some(Order::Cancel) | None => return End::Cancelled,
            },
            () = tokio::time::sleep(tick) => {
                taken.answering.on_tick(micros(taken.clock.elapsed())).into_iter().collect()
            }
        };
        for signal in out {
            if !way.send(signal).await {
                return End::Cancelled;
            }
        }
    }
}

async fn finish(
    node: &Node,
    conductor: &Conductor,
    way: &mut Way,
    taken: &mut Taken,
    end: AnswerEnd,
) -> Result<(), (RefuseReason, String)> {
    let (rest, receipt) = taken.answering.finish(conductor.agent(), end, micros(taken.clock.elapsed()));
    if let Some(rest) = rest {
        way.send(rest).await;
    }
    let signed = sign_and_keep(node, conductor, taken, receipt).await?;
    way.send(taken.answering.done(signed)).await;
    way.reply.finish();
    Ok(())
}

/// A finished answer stays for a while, in case a part was lost.
async fn keep(way: &mut Way, answering: &Answering, orders: &mut mpsc::Receiver<Order>) {
    let until = tokio::time::Instant::now() + Duration::from_micros(KEEP_ANSWER_US);
    while let Ok(Some(order)) = tokio::time::timeout_at(until, orders.recv()).await {
        match order {
            Order::Cancel => return,
            Order::Resend(from_chunk) => {
                let chunks = answering.resend(from_chunk);
                let all = chunks.len() < RESEND_CHUNKS_MAX;
                for chunk in chunks {
                    way.send(chunk).await;
                }
                if let Some(done) = answering.signed_done().filter(|_| all) {
                    way.send(done).await;
                }
            }
            Order::TakeUp(sender, from_chunk) => {
                if way.take_up(sender, answering, from_chunk).await {
                    if let Some(done) = answering.signed_done() {
                        way.send(done).await;
                    }
                }
                way.reply.finish();
            }
        }
    }
}
