//! A client of the Hugging Face API, or of any server that hands out files. It must not know where files go.
//!
//! Everything that a server says is bounded and checked here. The token goes to the hub's own origin and nowhere else:
//! redirects are followed by hand, because the one to the storage behind the hub must not carry it.

mod answer;

use crate::name::{is_gguf, Repo, RepoFile};
use crate::PullError;
pub(crate) use answer::{content_range, transient, wait_of};
use answer::{header, link_next, sha256_of, strong_etag};
use reqwest::header::{HeaderValue, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, LOCATION, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use std::time::Duration;

/// The hub unless `HF_ENDPOINT` says otherwise.
const ENDPOINT_DEFAULT: &str = "https://huggingface.co";
/// Largest answer of the API. Bytes.
const JSON_BYTES_MAX: usize = 8 << 20;
/// Most pages of a listing.
const PAGES_MAX: usize = 20;
/// Most files of a repository.
const FILES_MAX: usize = 10_000;
/// Most redirects in a row.
const HOPS_MAX: usize = 5;
/// Largest file. Bytes.
const FILE_BYTES_MAX: u64 = 4 << 40;

/// How long to wait for a server.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest time to connect.
    pub connect: Duration,
    /// Longest silence.
    pub stall: Duration,
    /// Attempts in a row without progress.
    pub attempts: u32,
    /// Pause after the first failure; it doubles.
    pub backoff: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            attempts: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

/// The hub, and other servers.
#[derive(Clone, Debug)]
pub struct Hub {
    http: Client,
    base: Url,
    /// Marked as sensitive: `Debug` does not show it.
    authorization: Option<HeaderValue>,
    pub(crate) patience: Patience,
}

/// A file that the hub offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    pub(crate) file: RepoFile,
    pub(crate) bytes: u64,
    /// Lower-case hex.
    pub(crate) sha256: Option<String>,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Asked again when `url` has expired.
    pub(crate) origin: Url,
    /// Where the bytes are now.
    pub(crate) url: Url,
    pub(crate) bytes: u64,
    /// Lower-case hex.
    pub(crate) sha256: Option<String>,
    /// The file's version at `url`, if it says so and there is no digest.
    pub(crate) etag: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Hub {
    /// The hub that `HF_ENDPOINT` and `HF_TOKEN` say.
    pub fn from_env(patience: Patience) -> Result<Self, PullError> {
        let said = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = said("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT_DEFAULT.into());
        Self::new(&endpoint, said("HF_TOKEN").as_deref(), patience)
    }

    /// A hub.
    pub fn new(endpoint: &str, token: Option<&str>, patience: Patience) -> Result<Self, PullError> {
        let bad = |problem: &str| PullError::BadAnswer { host: "HF_ENDPOINT".into(), problem: problem.into() };
        let base = Url::parse(endpoint.trim()).map_err(|_| bad("it is no address"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(bad("it must begin with https:// or http://"));
        }
        let authorization = match token {
            None => None,
            Some(token) => {
                let bad = |_| PullError::BadAnswer { host: "HF_TOKEN".into(), problem: "it is no token".into() };
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(bad)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut builder = Client::builder()
            .user_agent(concat!("ainonymous/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // Chunks in parallel want connections of their own.
            .http1_only()
            .connect_timeout(patience.connect)
            .read_timeout(patience.stall);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| unreachable(&base, &e))?;
        Ok(Self { http, base, authorization, patience })
    }

    /// The GGUF files of a repository, as its `main` has them.
    pub(crate) async fn files(&self, repo: &Repo) -> Result<Vec<RemoteFile>, PullError> {
        let what = repo.to_string();
        let mut next =
            Some(self.at(&["api", "models", repo.org(), repo.name(), "tree", "main"], Some("recursive=true"))?);
        let mut files = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(url) = next.take() else { return Ok(files) };
            let (response, url) = self.follow(Method::GET, url, None, None, &what).await?;
            let response = answer::check(response, &what)?;
            next = link_next(response.headers(), &url).filter(|next| self.is_hub(next));
            let listed: Vec<Listed> = serde_json::from_slice(&self.body(response).await?)
                .map_err(|e| bad_answer(&url, format!("its list of files is broken: {e}")))?;
            for one in listed {
                files.extend(remote(one, &url)?);
            }
            if files.len() > FILES_MAX {
                return Err(bad_answer(&self.base, format!("it lists more than {FILES_MAX} files")));
            }
        }
        Err(bad_answer(&self.base, format!("its list of files has more than {PAGES_MAX} pages")))
    }

    /// The address that gives a file of a repository.
    pub(crate) fn address(&self, repo: &Repo, file: &RepoFile) -> Result<Url, PullError> {
        let mut parts = vec![repo.org(), repo.name(), "resolve", "main"];
        parts.extend(file.as_str().split('/'));
        self.at(&parts, None)
    }

    /// Where the bytes of an address are, and how many. The hub says so when it redirects; others when they arrive.
    pub(crate) async fn locate(&self, origin: &Url) -> Result<Target, PullError> {
        let what = last_part(origin);
        let mut url = origin.clone();
        for _ in 0..=HOPS_MAX {
            let mut response = self.send(Method::HEAD, &url, None, None).await?;
            let asks_get = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED, StatusCode::FORBIDDEN];
            if asks_get.contains(&response.status()) {
                // Signed addresses of some stores are for GET only.
                response = self.send(Method::GET, &url, Some((0, 0)), None).await?;
            }
            let headers = response.headers();
            let linked = header(headers, "x-linked-size").and_then(|size| size.parse().ok());
            let digest = header(headers, "x-linked-etag").and_then(sha256_of);
            if response.status().is_redirection() {
                let next = self.redirect(&url, &response)?;
                if let Some(bytes) = linked {
                    return target(origin, next, bytes, digest, None);
                }
                url = next;
                continue;
            }
            let response = answer::check(response, &what)?;
            let headers = response.headers();
            let (length, range) = (headers.get(CONTENT_LENGTH), headers.get(CONTENT_RANGE));
            let bytes = match (linked, range.and_then(content_range), length) {
                (Some(bytes), ..) => Some(bytes),
                (None, Some((_, _, total)), _) => total,
                (None, None, Some(length)) => length.to_str().ok().and_then(|text| text.parse().ok()),
                (None, None, None) => None,
            };
            let bytes = bytes.ok_or_else(|| bad_answer(&url, format!("it does not say how long {what} is")))?;
            let etag = digest.is_none().then(|| strong_etag(headers)).flatten();
            return target(origin, url, bytes, digest, etag);
        }
        Err(bad_answer(origin, format!("it redirects more than {HOPS_MAX} times")))
    }

    /// Bytes `from..=to` of a target, or all of them if the server knows no ranges. The caller looks at the status.
    pub(crate) async fn read(
        &self,
        target: &Target,
        url: Url,
        from: u64,
        to: u64,
    ) -> Result<(Response, Url), PullError> {
        let what = last_part(&target.origin);
        let etag = target.etag.as_deref();
        let (response, url) = self.follow(Method::GET, url, Some((from, to)), etag, &what).await?;
        Ok((answer::check(response, &what)?, url))
    }

    async fn follow(
        &self,
        method: Method,
        mut url: Url,
        range: Option<(u64, u64)>,
        etag: Option<&str>,
        what: &str,
    ) -> Result<(Response, Url), PullError> {
        for _ in 0..=HOPS_MAX {
            let response = self.send(method.clone(), &url, range, etag).await?;
            if !response.status().is_redirection() {
                return Ok((response, url));
            }
            url = self.redirect(&url, &response)?;
        }
        Err(bad_answer(&url, format!("{what} is redirected more than {HOPS_MAX} times")))
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        range: Option<(u64, u64)>,
        etag: Option<&str>,
    ) -> Result<Response, PullError> {
        let mut request = self.http.request(method, url.clone());
        if let Some((from, to)) = range {
            request = request.header(RANGE, format!("bytes={from}-{to}"));
            if let Some(etag) = etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_hub(url)) {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        match tokio::time::timeout(self.patience.stall, request.send()).await {
            Ok(sent) => sent.map_err(|e| self.fault(url, &e)),
            Err(_) => Err(self.stalled(url)),
        }
    }

    /// The next bytes of an answer; `None` at its end.
    pub(crate) async fn next(&self, response: &mut Response, url: &Url) -> Result<Option<impl AsRef<[u8]>>, PullError> {
        match tokio::time::timeout(self.patience.stall, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|e| self.fault(url, &e)),
            Err(_) => Err(self.stalled(url)),
        }
    }

    fn fault(&self, url: &Url, error: &reqwest::Error) -> PullError {
        match error.is_timeout() && !error.is_connect() {
            true => self.stalled(url),
            false => unreachable(url, error),
        }
    }

    fn stalled(&self, url: &Url) -> PullError {
        PullError::Stalled { host: host(url), seconds: self.patience.stall.as_secs_f64().ceil() as u64 }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, PullError> {
        let url = response.url().clone();
        let mut body = Vec::new();
        while let Some(chunk) = self.next(&mut response, &url).await? {
            let chunk = chunk.as_ref();
            if body.len() + chunk.len() > JSON_BYTES_MAX {
                return Err(bad_answer(&url, format!("its answer has more than {JSON_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(chunk);
        }
        Ok(body)
    }

    fn redirect(&self, url: &Url, response: &Response) -> Result<Url, PullError> {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| url.join(location).ok());
        let next = next.ok_or_else(|| bad_answer(url, "it redirects to nowhere".into()))?;
        match answer::may_redirect(url, &next) {
            true => Ok(next),
            false => Err(bad_answer(url, "it redirects to a connection that is not encrypted".into())),
        }
    }

    fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn at(&self, parts: &[&str], query: Option<&str>) -> Result<Url, PullError> {
        let mut url = self.base.clone();
        let mut path = url.path_segments_mut().map_err(|()| bad_answer(&self.base, "it is no address".into()))?;
        path.pop_if_empty().extend(parts);
        drop(path);
        url.set_query(query);
        Ok(url)
    }
}

/// A GGUF file of a listing; `None` for what is none. An unsafe name condemns the whole repository.
fn remote(listed: Listed, url: &Url) -> Result<Option<RemoteFile>, PullError> {
    let Listed { kind, path, size, lfs } = listed;
    if kind != "file" || !is_gguf(&path) {
        return Ok(None);
    }
    let Some(file) = RepoFile::parse(&path) else {
        let name = path.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(PullError::UnsafeFileName { host: host(url), name });
    };
    let (bytes, sha256) = lfs.map_or((size, None), |lfs| (lfs.size, sha256_of(&lfs.oid)));
    Ok(Some(RemoteFile { file, bytes, sha256 }))
}

fn target(
    origin: &Url,
    url: Url,
    bytes: u64,
    sha256: Option<String>,
    etag: Option<String>,
) -> Result<Target, PullError> {
    if !(1..=FILE_BYTES_MAX).contains(&bytes) {
        return Err(bad_answer(origin, format!("a file of {bytes} bytes is no model")));
    }
    Ok(Target { origin: origin.clone(), url, bytes, sha256, etag })
}

fn bad_answer(url: &Url, problem: String) -> PullError {
    PullError::BadAnswer { host: host(url), problem }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> PullError {
    PullError::Unreachable { host: host(url), problem: answer::root_cause(error) }
}

/// Host and port, never path or query: those of signed addresses are secrets for a while.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What an address calls its file.
pub(crate) fn last_part(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
    last.unwrap_or("file").chars().filter(|c| !c.is_control()).take(120).collect()
}

fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}
