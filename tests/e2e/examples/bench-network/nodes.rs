//! A node that serves and one that asks it: what both are asked, and who computes.

use crate::ask::Server;
use crate::peer::Settings;
use ainonymous_e2e::{Bootstrap, Client, Node, NodeSpec};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The nodes find each other within this.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Two nodes in a network of their own.
pub(crate) struct Two {
    /// The asker's API: questions go over a link to the provider.
    pub(crate) remote: Server,
    /// The provider's own API, with the same engine behind it.
    pub(crate) own: Server,
    /// The process that computes.
    pub(crate) worker: u32,
    asker: Node,
    provider: Node,
    _bootstrap: Bootstrap,
}

impl Two {
    /// Starts both and waits until the asker knows the provider.
    pub(crate) fn start(lab: &Runtime, model: &Path, settings: Settings, more: &[&str]) -> Self {
        let mut bootstrap = Bootstrap::start();
        let url = bootstrap.url();
        let text = |number: u32| number.to_string();
        let (threads, slots, context) = (text(settings.threads), text(settings.slots), text(settings.context));
        let spec = NodeSpec::new(&url).serving(model).with(more);
        let spec = spec.with(&["--threads", &threads, "--slots", &slots, "--context", &context]);
        let (mut provider, mut asker) = (Node::start(spec), Node::start(NodeSpec::new(&url)));
        provider.wait_ready();
        asker.wait_ready();
        let status = lab.block_on(provider.client().get("/ainonymous/v1/status")).1;
        let worker = status["models"][0]["engine"]["worker_pid"].as_u64().expect("a worker") as u32;
        let server = |name, route| Server {
            name,
            processes: Vec::new(),
            address: String::new(),
            model: String::new(),
            ignores_end: false,
            route,
        };
        let (remote, own) = (server("another node", Some("direct")), server("our engine", None));
        let mut two = Self { remote, own, worker, asker, provider, _bootstrap: bootstrap };
        two.know(lab);
        two
    }

    /// Stops the asker and starts it again: it has no link, and no memory of one.
    pub(crate) fn restart_asker(&mut self, lab: &Runtime) {
        self.asker.stop();
        self.asker.restart();
        self.asker.wait_ready();
        self.know(lab);
    }

    /// Who takes processor time for an answer, by name.
    pub(crate) fn processes(&self) -> [(&'static str, u32); 3] {
        [("asker", self.asker.pid()), ("provider", self.provider.pid()), ("worker", self.worker)]
    }

    /// How often asker and provider have called each zome function.
    pub(crate) fn zome_calls(&mut self, lab: &Runtime) -> [BTreeMap<String, u64>; 2] {
        [self.asker.client(), self.provider.client()].map(|client| {
            let status = lab.block_on(client.get("/ainonymous/v1/status")).1;
            serde_json::from_value(status["zome_calls"].clone()).expect("counts")
        })
    }

    /// Learns addresses and the model's name.
    fn know(&mut self, lab: &Runtime) {
        let (asker, provider) = (self.asker.client(), self.provider.client());
        lab.block_on(asker.wait_for_providers(1, SOON));
        let name = |client: &Client, path| lab.block_on(client.get(path)).1;
        let id = |model: &Value| model["id"].as_str().expect("a model").to_string();
        self.remote.model = id(&name(&asker, "/ainonymous/v1/models")["models"][0]);
        self.own.model = id(&name(&provider, "/v1/models")["data"][0]);
        let address = |client: &Client| client.base().trim_start_matches("http://").trim_end_matches('/').to_string();
        (self.remote.address, self.own.address) = (address(&asker), address(&provider));
        self.remote.processes = self.processes().map(|(_, pid)| pid).into();
        self.own.processes = vec![self.provider.pid(), self.worker];
    }
}
