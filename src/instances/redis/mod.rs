//! Redis and Valkey over connections of our own: single servers, masters that
//! sentinels name, and clusters.
//!
//! - `protocol`: commands out, replies in.
//! - `dial`: from a configuration to a connection that is logged in.
//! - `link`: one server's connection, which is kept up; what waits for it, and in which
//!   order it is written.
//! - `watch`: a second connection to one server, which tells of keys that change.
//! - `cluster`: which node has a key, and what becomes of MOVED and ASK.
//! - `network`: which of those the users of one thread share.

mod cluster;
mod config;
mod dial;
mod future_set;
#[cfg(test)]
mod fuzz;
mod link;
mod link_registry;
mod network;
mod owed_releases;
mod protocol;
mod redact;
mod script;
mod secret;
mod shared;
mod state_observers;
#[cfg(test)]
pub(super) mod test_questions;
mod timer;
mod tls;
mod watch;
mod weight;

use std::rc::{Rc, Weak};

use cluster::Cluster;
pub use config::{Address, Config, Endpoint, Sentinels};
#[cfg(target_os = "linux")]
pub use dial::Readable;
pub use dial::{Connecting, Dialler, Resolve, Resolving, Sockets, Stream};
use link::{Link, SlotState};
pub use network::Network;
pub use script::{default_texts, fair_texts, release_each_text, script};
pub use secret::Secret;
pub use tls::{Tls, TlsError, TlsSettings};
use watch::{WatchConnection, watched_key};

use crate::engine::{Cause, Instance, Observer, Question, Responder, RoundTrip, Watch, Watcher};

/// One server as a member of the quorum, or what stands for one: whichever is
/// the master of a sentinels' group, or a cluster.
pub struct Server {
    /// What it shares with those that are the same server by nature.
    identity: Option<Rc<Config>>,
    backend: Backend,
}

/// How it is asked.
enum Backend {
    Link {
        link: Rc<Link>,
        watch: Rc<WatchConnection>,
    },
    Cluster(Rc<Cluster>),
}

impl Server {
    /// Opens what `config` describes. Equal configurations share their
    /// connections on `network`, which are closed with their last user.
    #[must_use]
    pub fn open(config: Config, network: &Rc<Network>) -> Self {
        let identity = network.identity(&config);
        let backend = match &config.endpoint {
            Endpoint::Cluster { nodes } => {
                let nodes = nodes.clone();
                Backend::Cluster(network.cluster(config, &nodes))
            }
            _ => Backend::Link {
                watch: network.watch_connection(config.clone()),
                link: network.link(config),
            },
        };
        Self { identity, backend }
    }

    /// Whether it is a master, to which alone one can write; `None` if it has
    /// not said so. Of a cluster, the masters are asked.
    #[must_use]
    pub fn is_master(&self) -> Option<bool> {
        match &self.backend {
            Backend::Link { link, .. } => link.is_master(),
            Backend::Cluster(cluster) => cluster.is_known().then_some(true),
        }
    }

    /// About how many bytes it keeps for what is not answered yet, and for the
    /// releases that it owes.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.backend {
            Backend::Link { link, .. } => link.weight(),
            Backend::Cluster(cluster) => cluster.weight(),
        }
    }
}

impl Instance for Server {
    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        match &self.backend {
            Backend::Link { link, .. } => link.ask(question, responder, SlotState::Owned),
            Backend::Cluster(cluster) => cluster.ask(question, responder),
        }
    }

    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        match &self.backend {
            Backend::Link { link, watch } => {
                watch.observe(index, Weak::clone(&observer));
                link.observe(index, observer);
            }
            Backend::Cluster(cluster) => cluster.observe(index, observer),
        }
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        match &self.backend {
            Backend::Link { link, .. } => link.round_trip(),
            Backend::Cluster(cluster) => cluster.round_trip(),
        }
    }

    fn trouble(&self) -> Option<Rc<str>> {
        match &self.backend {
            Backend::Link { link, .. } => link.trouble(),
            Backend::Cluster(_) => None,
        }
    }

    fn unreached(&self) -> Option<Cause> {
        match &self.backend {
            Backend::Link { link, .. } => link.unreached(),
            Backend::Cluster(_) => None,
        }
    }

    fn keys_are_those_of(&self) -> Option<usize> {
        // Equal configurations share it.
        Some(match &self.backend {
            Backend::Link { link, .. } => Rc::as_ptr(link).addr(),
            Backend::Cluster(cluster) => Rc::as_ptr(cluster).addr(),
        })
    }

    fn is_refusal_final(&self) -> bool {
        // Each acquire is written at most once (rule 13).
        true
    }

    fn identity(&self) -> Option<usize> {
        self.identity.as_ref().map(|same| Rc::as_ptr(same).addr())
    }

    fn watch(
        &self,
        resource: &str,
        index: usize,
        watcher: Weak<dyn Watcher>,
    ) -> Option<Rc<dyn Watch>> {
        match &self.backend {
            Backend::Link { watch, .. } => watched_key::watch(watch, resource, index, watcher),
            Backend::Cluster(_) => None,
        }
    }

    fn no_wakeups(&self) -> Option<Rc<str>> {
        match &self.backend {
            Backend::Link { watch, .. } => watch.trouble(),
            Backend::Cluster(_) => Some(
                "the keys of a cluster are not watched: each of its nodes would have to be, and \
                 a key moves from one to another"
                    .into(),
            ),
        }
    }
}
