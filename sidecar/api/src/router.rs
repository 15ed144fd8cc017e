//! The paths: one table decides what is served, what an unknown path is told, and which methods a path takes.

use crate::access::{Access, Gate};
use crate::metrics::Metrics;
use crate::page::{PageKey, Site};
use crate::{
    admin, anthropic, guard, health, llama, manage, metrics, models, networks, ollama, openai, openapi, page, ApiError,
    Backend, Networks,
};
use axum::extract::{OriginalUri, State};
use axum::http::Method;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use axum::Router;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most questions that are answered at once.
pub const IN_FLIGHT_MAX: usize = 256;

/// Every path: method, pattern, what it is.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/v1/chat/completions", "ask, streaming or not"),
    ("POST", "/v1/completions", "continue texts or tokens as they are"),
    ("POST", "/v1/embeddings", "vectors of texts, made by this node"),
    ("POST", "/v1/responses", "ask in OpenAI's newer shape; nothing is stored"),
    ("POST", "/v1/messages", "ask in Anthropic's shape"),
    ("POST", "/v1/messages/count_tokens", "how many tokens a question in Anthropic's shape has"),
    ("GET", "/v1/models", "models that can be asked, and how far each is"),
    ("GET", "/v1/models/{model}", "one of them"),
    ("GET", "/models", "llama-server: the same"),
    ("POST", "/models/load", "llama-server: load a model"),
    ("POST", "/models/unload", "llama-server: take a model out of memory"),
    ("POST", "/tokenize", "llama-server: the tokens of a text"),
    ("POST", "/detokenize", "llama-server: the text of tokens"),
    ("POST", "/apply-template", "llama-server: the prompt that a conversation becomes"),
    ("GET", "/api/version", "Ollama: the version"),
    ("GET", "/api/tags", "Ollama: models that can be asked"),
    ("GET", "/api/ps", "Ollama: models loaded here"),
    ("POST", "/api/show", "Ollama: one of them"),
    ("POST", "/api/chat", "Ollama: ask, streaming unless told otherwise"),
    ("POST", "/api/generate", "Ollama: ask with a single text, or continue it as it is"),
    ("POST", "/api/embed", "Ollama: vectors of texts, made by this node"),
    ("POST", "/api/embeddings", "Ollama: the older form, one text"),
    ("GET", "/health", "whether questions are answered, and if not why"),
    ("GET", "/readyz", "the same"),
    ("GET", "/livez", "whether the process answers"),
    ("GET", "/ainonymous/v1/status", "the node"),
    ("GET", "/ainonymous/v1/models", "models, with everything that is known of them"),
    ("GET", "/ainonymous/v1/receipts/{id}", "where the receipt of an answer stands"),
    ("GET", "/ainonymous/v1/receipts/{id}/file", "question, answer and receipt in one file, to be checked anywhere"),
    ("POST", "/ainonymous/v1/receipts/{id}/verify", "compute the answer again here, and say what follows"),
    ("GET", "/ainonymous/v1/findings/{agent}", "what is published about a provider: reports, accusations, convictions"),
    ("GET", "/ainonymous/v1/posted/{request}", "the answer to a posted request"),
    ("GET", "/ainonymous/v1/peers", "who serves what, and what is known of them"),
    ("GET", "/ainonymous/v1/timeline", "counts of the last hours"),
    ("GET", "/ainonymous/v1/catalogue", "models that can be pulled by a word"),
    ("GET", "/ainonymous/v1/pulls", "models that are being pulled, and how far they are"),
    ("POST", "/ainonymous/v1/pulls", "pull a model (the page's token)"),
    ("POST", "/ainonymous/v1/pulls/cancel", "call a pull off (the page's token)"),
    ("POST", "/ainonymous/v1/pause", "refuse questions of peers for now, or no more (the page's token)"),
    ("POST", "/ainonymous/v1/stop", "end the node (the page's token)"),
    ("GET", "/ainonymous/v1/networks", "networks of this node (the page's token)"),
    ("GET", "/ainonymous/v1/networks/members", "who is in the network that runs (the page's token)"),
    ("POST", "/ainonymous/v1/networks", "make a network (the page's token)"),
    ("POST", "/ainonymous/v1/networks/invite", "invite to a network (the page's token)"),
    ("POST", "/ainonymous/v1/networks/join", "take up an invite (the page's token)"),
    ("POST", "/ainonymous/v1/networks/revoke", "shut somebody out of a network (the page's token)"),
    ("GET", "/slots", "what each model here is doing"),
    ("GET", "/metrics", "counts and times for monitoring (OpenMetrics)"),
    ("GET", "/openapi.json", "this API as an OpenAPI document"),
    ("GET", "/", "the chat page"),
];

/// The API over one node.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    backend: Arc<dyn Backend>,
    address: SocketAddr,
    site: Option<Site>,
    networks: OnceLock<Arc<dyn Networks>>,
    key: PageKey,
    gate: Gate,
    metrics: Arc<Metrics>,
    in_flight: Arc<Semaphore>,
    started_s: u64,
}

impl Api {
    /// The API of `backend`, reachable at `address` by those who have `access`, with the chat page if there is one.
    pub fn new(backend: Arc<dyn Backend>, address: SocketAddr, site: Option<Site>, access: Access) -> Self {
        let started_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Self(Arc::new(Shared {
            backend,
            address,
            site,
            networks: OnceLock::new(),
            key: PageKey::new(address.port()),
            gate: Gate::new(access, address),
            metrics: Arc::new(Metrics::new()),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            started_s,
        }))
    }

    /// With networks that its page can manage; the first ones count.
    pub fn with_networks(self, networks: Arc<dyn Networks>) -> Self {
        let _ = self.0.networks.set(networks);
        self
    }

    /// Address of the API without `/v1`, as programs of this machine reach it.
    pub fn url(&self) -> String {
        let mut address = self.0.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }

    /// Address of the chat page, with the key that admits a browser. Secret.
    pub fn chat_url(&self) -> String {
        format!("{}/?key={}", self.url(), self.0.key.secret())
    }

    /// Everything that it serves.
    pub fn into_router(self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(openai::chat_completions))
            .route("/v1/completions", post(openai::completions))
            .route("/v1/embeddings", post(openai::embeddings))
            .route("/v1/responses", post(openai::responses))
            .route("/v1/messages", post(anthropic::messages))
            .route("/v1/messages/count_tokens", post(anthropic::count_tokens))
            .route("/v1/models", get(models::models))
            .route("/v1/models/{*model}", get(models::model))
            .route("/models", get(models::models))
            .route("/models/load", post(llama::load))
            .route("/models/unload", post(llama::unload))
            .route("/tokenize", post(llama::tokenize))
            .route("/detokenize", post(llama::detokenize))
            .route("/apply-template", post(llama::apply_template))
            .route("/api/version", get(ollama::version))
            .route("/api/tags", get(ollama::tags))
            .route("/api/ps", get(ollama::loaded))
            .route("/api/show", post(ollama::show))
            .route("/api/chat", post(ollama::chat))
            .route("/api/generate", post(ollama::generate))
            .route("/api/embed", post(ollama::embed))
            .route("/api/embeddings", post(ollama::embeddings))
            .route("/health", get(health::ready))
            .route("/readyz", get(health::ready))
            .route("/livez", get(health::live))
            .route("/ainonymous/v1/status", get(admin::status))
            .route("/ainonymous/v1/models", get(admin::models))
            .route("/ainonymous/v1/receipts/{id}", get(admin::receipt))
            .route("/ainonymous/v1/receipts/{id}/file", get(admin::receipt_file))
            .route("/ainonymous/v1/receipts/{id}/verify", post(admin::verify))
            .route("/ainonymous/v1/findings/{agent}", get(admin::findings))
            .route("/ainonymous/v1/posted/{request}", get(admin::posted))
            .route("/ainonymous/v1/peers", get(manage::peers))
            .route("/ainonymous/v1/timeline", get(manage::timeline))
            .route("/ainonymous/v1/catalogue", get(manage::catalogue))
            .route("/ainonymous/v1/pulls", get(manage::pulls).post(manage::pull))
            .route("/ainonymous/v1/pulls/cancel", post(manage::cancel_pull))
            .route("/ainonymous/v1/pause", post(manage::pause))
            .route("/ainonymous/v1/stop", post(manage::stop))
            .route("/ainonymous/v1/networks", get(networks::list).post(networks::create))
            .route("/ainonymous/v1/networks/members", get(networks::members))
            .route("/ainonymous/v1/networks/invite", post(networks::invite))
            .route("/ainonymous/v1/networks/join", post(networks::join))
            .route("/ainonymous/v1/networks/revoke", post(networks::revoke))
            .route("/slots", get(metrics::slots))
            .route("/metrics", get(metrics::metrics))
            .route("/openapi.json", get(openapi::serve))
            .route("/", get(page::index))
            .fallback(file_or_unknown)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self)
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        self.0.backend.as_ref()
    }

    pub(crate) fn site(&self) -> Option<&Site> {
        self.0.site.as_ref()
    }

    pub(crate) fn networks(&self) -> Option<&dyn Networks> {
        self.0.networks.get().map(AsRef::as_ref)
    }

    pub(crate) fn page_key(&self) -> &PageKey {
        &self.0.key
    }

    /// Seconds since the epoch when this API was made.
    pub(crate) fn started_s(&self) -> u64 {
        self.0.started_s
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Whether a path is the chat page's, which has a key of its own.
    pub(crate) fn is_page(&self, path: &str) -> bool {
        path == "/" || self.site().is_some_and(|site| site.file(path).is_some())
    }

    /// Places for so many questions among those that are being answered.
    pub(crate) fn admit(&self, questions: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let places = u32::try_from(questions).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.0.in_flight).try_acquire_many_owned(places);
        permits.map_err(|_| ApiError::TooManyRequests { max: IN_FLIGHT_MAX })
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("address", &self.0.address).finish_non_exhaustive()
    }
}

/// What there is, in one line.
pub(crate) fn listing() -> String {
    ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect::<Vec<_>>().join(", ")
}

async fn file_or_unknown(
    State(api): State<Api>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: axum::http::HeaderMap,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::UnknownPath { path: shown(uri.path()) };
    let file = api.site().and_then(|site| site.file(uri.path())).ok_or_else(unknown)?;
    if method != Method::GET && method != Method::HEAD {
        return Err(ApiError::MethodNotAllowed {
            method: method.to_string(),
            path: shown(uri.path()),
            allowed: "GET".into(),
        });
    }
    Ok(page::serve_file(file, &headers))
}

async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    let fits = |pattern: &str| match pattern.split_once('{') {
        Some((fixed, _)) => uri.path().starts_with(fixed),
        None => uri.path() == pattern,
    };
    let allowed = ROUTES.iter().filter(|(_, pattern, _)| fits(pattern)).map(|(method, ..)| *method).next();
    ApiError::MethodNotAllowed {
        method: method.to_string(),
        path: shown(uri.path()),
        allowed: allowed.unwrap_or("GET").into(),
    }
}

/// A path as an error repeats it.
fn shown(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(128).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_lists_the_same_paths() {
        let reference = include_str!("../../../docs/reference/api.md");
        for (method, path, what) in super::ROUTES {
            assert!(reference.contains(&format!("| `{method} {path}` | {what}")), "{method} {path}");
        }
        assert_eq!(
            reference.matches("\n| `GET /").count() + reference.matches("\n| `POST /").count(),
            super::ROUTES.len()
        );
    }
}
