//! What the API needs of a node, so that its tests can stand on a scripted one.

use ainonymous_node::{
    AnswerAudit, AnswerStream, AskError, AskRequest, AuditMade, AuditRefused, EmbedQuestion, Embeddings, Findings,
    Inspect, Inspected, KeepAlive, KnownPeers, ModelEntry, Node, NodeError, Offer, Pull, PullRefused, ReceiptState,
    Roster, Status, Timeline, UiCredentials,
};
use ainonymous_types::{ActionHash, AgentPubKey, PostedAnswer, RequestId};
use async_trait::async_trait;
use std::time::Duration;

/// A node as the API sees it.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The whole picture.
    fn status(&self) -> Status;
    /// Every model that a question can name.
    async fn models(&self) -> Vec<ModelEntry>;
    /// Asks; dropping the answer cancels the question.
    async fn ask(&self, request: AskRequest) -> Result<AnswerStream, AskError>;
    /// Makes vectors of texts; returns the model's id as well.
    async fn embed(&self, model: Option<&str>, question: EmbedQuestion) -> Result<(String, Embeddings), AskError>;
    /// Asks the tokeniser or the template of a model of this node; returns the model's id as well.
    async fn inspect(&self, model: Option<&str>, question: Inspect) -> Result<(String, Inspected), AskError>;
    /// Loads a model of this node; resolves when it is ready. Returns its id.
    async fn load(&self, model: &str) -> Result<String, AskError>;
    /// Takes a model of this node out of memory. Returns its id.
    async fn unload(&self, model: &str) -> Result<String, AskError>;
    /// Says how long a model of this node stays in memory that nobody asks. Returns its id.
    async fn keep(&self, model: &str, keep: KeepAlive) -> Result<String, AskError>;
    /// Where the receipt of a question stands; waits at most `wait` for it to be checked.
    async fn receipt(&self, id: RequestId, wait: Duration) -> Option<ReceiptState>;
    /// Where the answer to a question stands with this node's audits.
    fn audit_state(&self, id: RequestId) -> AnswerAudit;
    /// Computes the answer to a question again and compares.
    async fn audit(&self, id: RequestId) -> Result<AuditMade, AuditRefused>;
    /// What is published about a provider.
    async fn findings(&self, provider: AgentPubKey) -> Result<Findings, NodeError>;
    /// The receipt file about a question, as text; with `open`, its provider is asked for the fingerprint first, and the code says why
    /// it did not show it.
    async fn receipt_file(&self, id: RequestId, open: bool) -> Option<(String, Option<&'static str>)>;
    /// The answer to a posted request, if there is one yet.
    async fn fetch_answer(&self, request: ActionHash) -> Result<Option<PostedAnswer>, AskError>;
    /// Everybody who serves.
    async fn peers(&self) -> KnownPeers;
    /// Who is in the network.
    async fn roster(&self) -> Roster;
    /// Counts over time.
    fn timeline(&self) -> Timeline;
    /// Models that are known to be good.
    async fn catalogue(&self) -> Vec<Offer>;
    /// Pulls of this run.
    fn pulls(&self) -> Vec<Pull>;
    /// Begins to fetch a model.
    fn pull(&self, model: &str) -> Result<Pull, PullRefused>;
    /// Calls a pull off.
    fn cancel_pull(&self, id: u64) -> Result<(), PullRefused>;
    /// Whether questions of peers are refused for now.
    fn set_paused(&self, paused: bool);
    /// Asks for the end of the node.
    fn want_end(&self);
    /// What the chat page needs to talk to the conductor from `origin` (`http://host:port`).
    async fn ui_credentials(&self, origin: &str) -> Result<UiCredentials, NodeError>;
}

#[async_trait]
impl Backend for Node {
    fn status(&self) -> Status {
        Node::status(self)
    }

    async fn models(&self) -> Vec<ModelEntry> {
        Node::models(self).await
    }

    async fn ask(&self, request: AskRequest) -> Result<AnswerStream, AskError> {
        Node::ask(self, request).await
    }

    async fn embed(&self, model: Option<&str>, question: EmbedQuestion) -> Result<(String, Embeddings), AskError> {
        Node::embed(self, model, question).await
    }

    async fn inspect(&self, model: Option<&str>, question: Inspect) -> Result<(String, Inspected), AskError> {
        Node::inspect(self, model, question).await
    }

    async fn load(&self, model: &str) -> Result<String, AskError> {
        Node::load_model(self, model).await
    }

    async fn unload(&self, model: &str) -> Result<String, AskError> {
        Node::unload_model(self, model).await
    }

    async fn keep(&self, model: &str, keep: KeepAlive) -> Result<String, AskError> {
        Node::keep_model(self, model, keep).await
    }

    async fn receipt(&self, id: RequestId, wait: Duration) -> Option<ReceiptState> {
        Node::receipt(self, id, wait).await
    }

    fn audit_state(&self, id: RequestId) -> AnswerAudit {
        Node::audit_state(self, id)
    }

    async fn audit(&self, id: RequestId) -> Result<AuditMade, AuditRefused> {
        Node::audit(self, id).await
    }

    async fn findings(&self, provider: AgentPubKey) -> Result<Findings, NodeError> {
        Node::findings(self, provider).await
    }

    async fn receipt_file(&self, id: RequestId, open: bool) -> Option<(String, Option<&'static str>)> {
        let (file, unopened) = Node::receipt_file(self, id, open).await.ok()?;
        Some((file.to_text(), unopened.map(|e| e.code())))
    }

    async fn fetch_answer(&self, request: ActionHash) -> Result<Option<PostedAnswer>, AskError> {
        Node::fetch_answer(self, request).await
    }

    async fn peers(&self) -> KnownPeers {
        Node::peers(self).await
    }

    async fn roster(&self) -> Roster {
        Node::roster(self).await
    }

    fn timeline(&self) -> Timeline {
        Node::timeline(self)
    }

    async fn catalogue(&self) -> Vec<Offer> {
        Node::catalogue(self).await
    }

    fn pulls(&self) -> Vec<Pull> {
        Node::pulls(self)
    }

    fn pull(&self, model: &str) -> Result<Pull, PullRefused> {
        Node::pull(self, model)
    }

    fn cancel_pull(&self, id: u64) -> Result<(), PullRefused> {
        Node::cancel_pull(self, id)
    }

    fn set_paused(&self, paused: bool) {
        Node::set_paused(self, paused);
    }

    fn want_end(&self) {
        Node::want_end(self);
    }

    async fn ui_credentials(&self, origin: &str) -> Result<UiCredentials, NodeError> {
        Node::ui_credentials(self, origin).await
    }
}
