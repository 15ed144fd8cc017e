//! Opening a receipt: the provider shows the fingerprint that its receipt names to whoever the requester lets see it, over a link.
//!
//! Who may is decided by `verify::audit::grant`, before anything is read from disk; an auditor must have promised its own replay before
//! ([`committed`]). What is shown is checked against the receipt by whoever asked for it; what the fingerprint is worth is not decided here.

mod committed;

pub(crate) use committed::{audits_at, Awaited};

use crate::direct::{self, LinkAddress, NoWay};
use crate::evidence::{Answered, Asked};
use crate::node::Node;
use crate::receipt_file::{Batch, ReceiptFile};
use crate::serving::now_us;
use crate::{routers, AskError, Hiding};
use ainonymous_transport::{Frame, FrameSender, Open, Stream, OPENED_LEAVES_MAX};
use ainonymous_types::{
    AgentPubKey, BatchProof, OpenGrant, OpenRefusal, OpenedLeaf, ReceiptBatch, RefuseReason, RequestId, SignedReceipt,
};
use ainonymous_verify::audit::{grant, leaf};
use ainonymous_verify::receipt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Fingerprints that are shown at once.
pub(crate) const SHOWING_MAX: usize = 8;
/// Longest wait for the next leaves.
const LEAVES_MAX: Duration = Duration::from_secs(15);

/// Pause between two looks for what has been kept long enough.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// A fingerprint that fits its receipt.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// All leaves, in order.
    pub leaves: Vec<OpenedLeaf>,
}

impl std::fmt::Debug for Opened {
    /// Leaves out what was likely: it tells the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} leaves)", self.leaves.len())
    }
}

/// Why a receipt was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The provider cannot be reached, or not as it must be.
    #[error(transparent)]
    Way(#[from] AskError),
    /// It refuses.
    #[error("the provider does not open its receipt: {}", refusal_in_words(*.0))]
    Refused(OpenRefusal),
    /// It does not speak with whoever asks.
    #[error("the provider does not answer this node")]
    NotWelcome(RefuseReason),
    /// It fell silent.
    #[error("the provider did not show all of the fingerprint")]
    Silent,
    /// What it shows is not what its receipt names.
    #[error("what the provider shows is not the fingerprint that its receipt names")]
    DoesNotFit,
    /// This node has asked no such question, has no answer yet, or does not have it any more.
    #[error("this node has no answer to question {0}")]
    Unknown(RequestId),
}

impl OpenError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Way(e) => e.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::NotWelcome(_) => "provider_not_admitting",
            Self::Silent => "provider_silent",
            Self::DoesNotFit => "fingerprint_does_not_fit",
            Self::Unknown(_) => "unknown_answer",
        }
    }

    /// What can be done.
    pub fn hint(&self) -> String {
        match self {
            Self::Way(e) => e.hint(),
            Self::Refused(OpenRefusal::Busy | OpenRefusal::NotCommitted) | Self::Silent => {
                "Try again in a moment.".into()
            }
            Self::Refused(OpenRefusal::WindowClosed) => {
                "Providers keep fingerprints for two days after the answer.".into()
            }
            Self::Refused(OpenRefusal::NotRecorded) => {
                "Nothing can be compared; the tokens can still be replayed.".into()
            }
            Self::Refused(_) | Self::NotWelcome(_) => "Ask another provider if this matters.".into(),
            Self::DoesNotFit => {
                "The provider has signed one thing and shows another: do not rely on its answers.".into()
            }
            Self::Unknown(_) => "Answers of peers are kept for a week, within a bound.".into(),
        }
    }
}

fn refusal_in_words(refusal: OpenRefusal) -> &'static str {
    match refusal {
        OpenRefusal::UnknownReceipt => "it has signed no such receipt",
        OpenRefusal::NotRecorded => "no fingerprint was recorded",
        OpenRefusal::NotGranted => "the requester has not let this node see it",
        OpenRefusal::WindowClosed => "the time in which it must be kept is over",
        OpenRefusal::NotKept => "it has not kept it",
        OpenRefusal::Busy => "it is busy",
        OpenRefusal::NotCommitted => "it finds no promise of this node to have computed the answer again",
    }
}

/// A peer wants to see the fingerprint of an answer of this node. `known`: whoever has shown itself on the link.
pub(crate) async fn show(node: &Node, known: Option<AgentPubKey>, open: Open, mut sender: FrameSender) {
    let (_permit, shown) = match find(node, known.as_ref(), &open).await {
        Ok(found) => found,
        Err(refusal) => {
            if sender.send(&Frame::NotOpened(refusal)).await.is_ok() {
                sender.finish();
            }
            return;
        }
    };
    let mut first = 0;
    for leaves in shown.chunks(OPENED_LEAVES_MAX) {
        // An error means that nobody waits for it any more.
        if sender.send(&Frame::Opened { first, leaves: leaves.to_vec() }).await.is_err() {
            return;
        }
        first = first.saturating_add(u32::try_from(leaves.len()).unwrap_or(u32::MAX));
    }
    sender.finish();
}

/// What is shown, with one of the places for showing: of its own, so that whoever reads slowly holds up nothing else. An auditor has none
/// while its promise is waited for.
async fn find(
    node: &Node,
    known: Option<&AgentPubKey>,
    open: &Open,
) -> Result<(OwnedSemaphorePermit, Vec<OpenedLeaf>), OpenRefusal> {
    let Open { receipt: signed, grant } = open;
    let place = || Arc::clone(&node.inner.showing).try_acquire_owned().map_err(|_| OpenRefusal::Busy);
    let conductor = node.conductor().ok_or(OpenRefusal::Busy)?;
    let mut permit = place()?;
    grant::judge(signed, grant, &conductor.agent(), known, now_us())?;
    if let Some(auditor) = &grant.auditor {
        drop(permit);
        committed::wait(&node.inner.awaited, &conductor, auditor, signed).await?;
        permit = place()?;
    }
    match node.inner.store.answer(&receipt::leaf(signed)) {
        Ok(Some(kept)) => Ok((permit, kept.leaves)),
        Ok(None) => Err(OpenRefusal::NotKept),
        Err(e) => {
            tracing::error!(error = %e, hint = e.hint(), "what opens a receipt cannot be read");
            Err(OpenRefusal::NotKept)
        }
    }
}

/// Asks the provider of a receipt to open it.
pub(crate) async fn ask(
    node: &Node,
    signed: &SignedReceipt,
    grant: &OpenGrant,
    hide: Hiding,
    known: bool,
) -> Result<Opened, OpenError> {
    let link = way(node, &signed.receipt.provider, hide, known).await?;
    let open = Open { receipt: signed.clone(), grant: grant.clone() };
    let stream = direct::begin(node, &link, &Frame::Open(Box::new(open))).await.map_err(|e| match e {
        NoWay { problem: _, refused: Some((reason, _)) } => OpenError::NotWelcome(reason),
        NoWay { problem, refused: None } => AskError::NoWay { problem }.into(),
    })?;
    let leaves = read(stream, leaf::count(signed.receipt.completion_tokens)).await?;
    if leaf::fingerprint(&leaves) != signed.receipt.fingerprint {
        return Err(OpenError::DoesNotFit);
    }
    Ok(Opened { leaves })
}

/// The same for a question of this node.
pub(crate) async fn own(node: &Node, id: RequestId) -> Result<Opened, OpenError> {
    let asked = node.asked(id).ok_or(OpenError::Unknown(id))?;
    let grant = asked.grant(None).ok_or(OpenError::Unknown(id))?;
    let Some(answer) = &asked.answer else { return Err(OpenError::Unknown(id)) };
    if let Some(leaves) = &answer.opened {
        return Ok(Opened { leaves: leaves.clone() });
    }
    let opened = ask(node, &answer.receipt, &grant, asked.hide, asked.known).await?;
    change(node, id, |answer| answer.opened = Some(opened.leaves.clone()));
    Ok(opened)
}

/// The file about a question of this node; opened before if it can be, and why not if it could not.
pub(crate) async fn file(
    node: &Node,
    id: RequestId,
    open: bool,
) -> Result<(ReceiptFile, Option<OpenError>), OpenError> {
    let unopened = if open { own(node, id).await.err() } else { None };
    let asked = node.asked(id).ok_or(OpenError::Unknown(id))?;
    let file = ReceiptFile::of(asked).ok_or(OpenError::Unknown(id))?;
    Ok((file, unopened))
}

/// Keeps what was asked and answered, if this node shall.
pub(crate) fn keep(node: &Node, asked: &Asked) {
    if !node.inner.habits.audits_wished.keep {
        return;
    }
    if let Err(e) = node.inner.store.put_asked(asked, now_us()) {
        tracing::warn!(error = %e, hint = e.hint(), "an answer could not be kept for later checks");
    }
}

/// Notes where the receipt of a question of this node stands.
pub(crate) fn note_batch(node: &Node, id: RequestId, proof: &BatchProof, batch: &ReceiptBatch) {
    change(node, id, |answer| answer.batch = Some(Batch::new(proof, batch)));
}

/// Notes something with an answer that is kept.
fn change(node: &Node, id: RequestId, note: impl FnOnce(&mut Answered)) {
    let Some(mut asked) = node.asked(id) else { return };
    if let Some(answer) = &mut asked.answer {
        note(answer);
        keep(node, &asked);
    }
}

/// Lets go of what has been kept long enough, again and again.
pub(crate) async fn forget_old(node: Node) {
    loop {
        if let Err(e) = node.inner.store.forget_old(now_us()) {
            tracing::warn!(error = %e, hint = e.hint(), "old answers could not be let go of");
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

/// How a provider is reached as its answer came: not more openly than then.
async fn way(node: &Node, provider: &AgentPubKey, hide: Hiding, known: bool) -> Result<LinkAddress, OpenError> {
    let mut found = node.inner.directory.candidates(node, None, Some(provider)).await?;
    let known = known || node.inner.members.by_invitation();
    found.iter_mut().filter_map(|c| c.link.as_mut()).for_each(|link| link.known = known);
    let found = routers::hide(node, found, hide).await?;
    let mut links = found.into_iter().filter_map(|candidate| candidate.link);
    let problem = "its provider cannot be reached directly, and receipts are opened over links only";
    links.next().ok_or_else(|| AskError::NoWay { problem: problem.into() }.into())
}

async fn read(mut stream: Stream, count: u32) -> Result<Vec<OpenedLeaf>, OpenError> {
    let (mut leaves, count) = (Vec::new(), count as usize);
    while leaves.len() < count {
        match tokio::time::timeout(LEAVES_MAX, stream.receiver.recv()).await {
            Ok(Ok(Some(Frame::Opened { first, leaves: more }))) => {
                if first as usize != leaves.len() || leaves.len() + more.len() > count {
                    return Err(OpenError::DoesNotFit);
                }
                leaves.extend(more);
            }
            Ok(Ok(Some(Frame::NotOpened(refusal)))) => return Err(OpenError::Refused(refusal)),
            Ok(Ok(Some(Frame::Refused { reason, detail: _ }))) => return Err(OpenError::NotWelcome(reason)),
            Ok(Ok(Some(_))) => return Err(OpenError::DoesNotFit),
            Ok(Ok(None)) | Ok(Err(_)) | Err(_) => return Err(OpenError::Silent),
        }
    }
    Ok(leaves)
}
