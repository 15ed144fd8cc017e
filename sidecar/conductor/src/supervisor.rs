//! The one background task of a conductor: keeps the connection, the state and the signals going, and ends everything.

use crate::conductor::Shared;
use crate::credentials::revoke_token;
use crate::link::AppLink;
use crate::session::{Host, Opened, Session};
use crate::signals::SignalSource;
use crate::state::{judge, others_online, PeerCount};
use crate::{Conductor, JoinStage, NetworkState};
use holochain_conductor_api::{AppRequest, AppResponse};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Pace of looking for peers while joining, and while ready.
const POLL_JOINING: Duration = Duration::from_millis(250);
const POLL_READY: Duration = Duration::from_secs(2);
const POLL_TIMEOUT: Duration = Duration::from_secs(10);
/// Waits between attempts to connect again: doubled from first to last, each shortened at random by up to a half.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(5);
/// Longest time for taking back what was handed out.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs until the conductor is stopped.
pub(crate) async fn run(shared: Arc<Shared>, host: Host, opened: Opened) {
    let mut seen_peer = false;
    let mut live = Some(opened);
    while let Some(Opened { session, signals, credentials: _ }) = live.take() {
        serve(&shared, &session, signals, &mut seen_peer).await;
        if shared.stop.is_cancelled() {
            Box::pin(farewell(&shared, &session)).await;
            break;
        }
        shared.session.send_replace(None);
        tracing::warn!("the connection to the conductor is lost");
        set_state(&shared, NetworkState::Offline { reason: "the connection to the conductor is lost".into() });
        live = reconnect(&shared, &host).await;
    }
    shared.session.send_replace(None);
    host.shutdown().await;
    set_state(&shared, NetworkState::Offline { reason: "the node is stopped".into() });
    shared.stopped.cancel();
}

/// Until the connection is lost or the conductor is stopped.
async fn serve(shared: &Shared, session: &Arc<Session>, signals: SignalSource, seen_peer: &mut bool) {
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = session.closed() => {}
        () = shared.hub.pump(signals, &session.cell) => {}
        () = Box::pin(warm(shared, session)) => {}
        () = watch_network(shared, &session.app, seen_peer) => {}
    }
}

/// The first call after a start runs `init` and compiles the zomes, which takes seconds: better now than in a question.
async fn warm(shared: &Shared, session: &Session) {
    let started = std::time::Instant::now();
    {
        let _write = shared.writes.lock().await;
        let result = Conductor::warm_up(shared, session).await;
        let ms = started.elapsed().as_millis() as u64;
        match result {
            Ok(()) => tracing::debug!(ms, "the zomes are warm"),
            Err(error) => tracing::debug!(ms, %error, "the zomes are not warm"),
        }
    }
    std::future::pending().await
}

/// Looks for our address, our own announcement and peers, for ever.
async fn watch_network(shared: &Shared, app: &AppLink, seen_peer: &mut bool) {
    let mut has_address = false;
    loop {
        if !has_address {
            has_address = has_own_address(app).await;
        }
        let count = count_peers(shared, app).await;
        if let Some(count) = count {
            *seen_peer |= count.others > 0;
            set_state(shared, judge(has_address, count, *seen_peer));
        }
        tokio::time::sleep(if *seen_peer { POLL_READY } else { POLL_JOINING }).await;
    }
}

async fn has_own_address(app: &AppLink) -> bool {
    match app.request(AppRequest::DumpNetworkStats, POLL_TIMEOUT).await {
        Ok(AppResponse::NetworkStatsDumped(stats)) => !stats.transport_stats.peer_urls.is_empty(),
        _ => false,
    }
}

async fn count_peers(shared: &Shared, app: &AppLink) -> Option<PeerCount> {
    let request = AppRequest::AgentInfo { dna_hashes: Some(vec![shared.cell.dna_hash().clone()]) };
    match app.request(request, POLL_TIMEOUT).await {
        Ok(AppResponse::AgentInfo(infos)) => {
            let me = shared.cell.agent_pubkey();
            *shared.online.lock().unwrap_or_else(PoisonError::into_inner) = others_online(&infos, me);
            Some(PeerCount::from_agent_infos(&infos, me))
        }
        _ => None,
    }
}

/// Tries until it works or the conductor is stopped.
async fn reconnect(shared: &Shared, host: &Host) -> Option<Opened> {
    let mut wait = BACKOFF_FIRST;
    loop {
        let jittered = wait.mul_f64(rand::random_range(0.5..=1.0));
        tokio::select! {
            () = shared.stop.cancelled() => return None,
            () = tokio::time::sleep(jittered) => {}
        }
        let attempt = tokio::select! {
            () = shared.stop.cancelled() => return None,
            attempt = Box::pin(host.open(&shared.spec, shared.credentials())) => attempt,
        };
        match attempt {
            Ok(opened) if opened.session.cell == shared.cell => {
                tracing::info!("connected to the conductor again");
                shared.adopt(&opened);
                set_state(shared, NetworkState::Joining { stage: JoinStage::Starting });
                return Some(opened);
            }
            Ok(_) => {
                let reason = "the conductor has another agent now; start the node again to use it".to_string();
                set_state(shared, NetworkState::Offline { reason });
            }
            Err(error) => set_state(shared, NetworkState::Offline { reason: error.to_string() }),
        }
        wait = (wait * 2).min(BACKOFF_LAST);
    }
}

/// Takes back every grant and token, as far as there is time.
async fn farewell(shared: &Shared, session: &Session) {
    let all = async {
        let pages = std::mem::take(&mut *shared.pages.lock().await);
        for token in pages.tokens {
            if let Err(error) = revoke_token(&session.admin, token).await {
                tracing::debug!(%error, "a page's token was not revoked");
            }
        }
        let _write = shared.writes.lock().await;
        let own = shared.credentials();
        for credentials in pages.credentials.values().chain(own.as_deref()) {
            if let Err(error) = credentials.revoke(&session.admin).await {
                tracing::debug!(%error, "a capability grant was not revoked");
            }
        }
    };
    if tokio::time::timeout(FAREWELL_TIMEOUT, all).await.is_err() {
        tracing::debug!("no time to revoke everything");
    }
}

fn set_state(shared: &Shared, state: NetworkState) {
    shared.state.send_if_modified(|now| {
        let changed = *now != state;
        if changed {
            tracing::info!(%state, "network");
            *now = state;
        }
        changed
    });
}

impl Host {
    /// Stops an embedded conductor; one elsewhere goes on without us.
    pub(crate) async fn shutdown(self) {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => Box::pin(embedded.shutdown()).await,
            Self::Attach(_) => {}
        }
    }
}
