//! Redis and Valkey over connections of our own: single servers, masters that
//! sentinels name, and clusters.

mod addresses;
mod certificate;
mod cluster;
mod command;
mod config;
mod dial;
mod frame;
#[cfg(test)]
mod fuzz;
mod line;
mod link;
mod network;
mod owed;
mod pump;
mod queue;
mod redact;
mod script;
mod secret;
mod sentinel;
mod slots;
mod sockets;
mod standing;
mod tls;
mod together;
mod word;

use std::rc::{Rc, Weak};

pub use addresses::{Resolve, Resolving};
use cluster::Cluster;
pub use config::{Address, Config, Endpoint, Sentinels};
use link::{Link, Slot};
pub use network::{Connecting, Dialler, Network, Stream};
pub use script::{default_texts, script};
pub use secret::Secret;
pub use sockets::Sockets;
pub use tls::{Tls, TlsError, TlsSettings};

use crate::engine::{Cause, Instance, Observer, Question, Reply, RoundTrip};

/// One server as a member of the quorum, or what stands for one: whichever is
/// the master of a sentinels' group, or a cluster.
pub struct Server {
    address: Box<str>,
    /// What it shares with those that are the same server by nature.
    place: Option<Rc<Config>>,
    reach: Reach,
}

/// How it is asked.
enum Reach {
    Link(Rc<Link>),
    Cluster(Rc<Cluster>),
}

impl Server {
    /// Opens what `config` describes. Equal configurations share their
    /// connections on `network`, which are closed with their last user.
    #[must_use]
    pub fn open(config: Config, network: &Rc<Network>) -> Self {
        let address = config.address().into();
        let place = network.place(&config);
        let reach = match &config.endpoint {
            Endpoint::Cluster { nodes } => {
                let nodes = nodes.clone();
                Reach::Cluster(network.cluster(config, &nodes))
            }
            _ => Reach::Link(network.link(config)),
        };
        Self {
            address,
            place,
            reach,
        }
    }

    /// Whether it is a master, to which alone one can write; `None` if it has
    /// not said so. Of a cluster, the masters are asked.
    #[must_use]
    pub fn is_master(&self) -> Option<bool> {
        match &self.reach {
            Reach::Link(link) => link.is_master(),
            Reach::Cluster(cluster) => cluster.is_known().then_some(true),
        }
    }

    /// About how many bytes it keeps for what is not answered yet, and for the
    /// releases that it owes.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.reach {
            Reach::Link(link) => link.weight(),
            Reach::Cluster(cluster) => cluster.weight(),
        }
    }
}

impl Instance for Server {
    fn address(&self) -> &str {
        &self.address
    }

    fn ask(&self, question: &Rc<Question>, reply: Reply) {
        match &self.reach {
            Reach::Link(link) => link.ask(question, reply, Slot::Own),
            Reach::Cluster(cluster) => cluster.ask(question, reply),
        }
    }

    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        match &self.reach {
            Reach::Link(link) => link.observe(index, observer),
            Reach::Cluster(cluster) => cluster.observe(index, observer),
        }
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        match &self.reach {
            Reach::Link(link) => link.round_trip(),
            Reach::Cluster(cluster) => cluster.round_trip(),
        }
    }

    fn trouble(&self) -> Option<Rc<str>> {
        match &self.reach {
            Reach::Link(link) => link.trouble(),
            Reach::Cluster(_) => None,
        }
    }

    fn unreached(&self) -> Option<Cause> {
        match &self.reach {
            Reach::Link(link) => link.unreached(),
            Reach::Cluster(_) => None,
        }
    }

    fn identity(&self) -> Option<usize> {
        self.place.as_ref().map(|place| Rc::as_ptr(place).addr())
    }
}
