//! Redis and Valkey over connections of our own: single servers, masters that
//! sentinels name, and clusters.

mod cluster;
mod command;
mod config;
mod dial;
mod frame;
#[cfg(test)]
mod fuzz;
mod link;
mod owed;
mod script;
mod sentinel;
mod slots;
mod standing;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use cluster::Cluster;
pub use config::{Address, Config, Endpoint, Secret, Sentinels};
use link::{Link, Slot};
pub use script::{default_texts, script};
pub use tls::{Tls, TlsError, TlsSettings};

use crate::engine::{Environment, Instance, Observer, Question, Reply};

/// One server as a member of the quorum, or what stands for one: whichever is
/// the master of a sentinels' group, or a cluster.
pub struct Server {
    address: Box<str>,
    reach: Reach,
}

/// How it is asked.
enum Reach {
    Link(Rc<Link>),
    Cluster(Rc<Cluster>),
}

type Shared<T> = RefCell<HashMap<Config, Weak<T>>>;

thread_local! {
    static LINKS: Shared<Link> = RefCell::default();
    static CLUSTERS: Shared<Cluster> = RefCell::default();
}

/// What is open for `config`, or what `open` makes of it.
fn share<T>(shared: &Shared<T>, config: Config, open: impl FnOnce(Config) -> Rc<T>) -> Rc<T> {
    let mut shared = shared.borrow_mut();
    shared.retain(|_, one| one.strong_count() > 0);
    let known = shared.get(&config).and_then(Weak::upgrade);
    known.unwrap_or_else(|| {
        let one = open(config.clone());
        shared.insert(config, Rc::downgrade(&one));
        one
    })
}

/// The connection to one server that all of its users share.
fn link_to(config: Config, environment: &Rc<dyn Environment>) -> Rc<Link> {
    LINKS.with(|links| share(links, config, |config| Link::open(config, environment)))
}

impl Server {
    /// Opens what `config` describes. Equal configurations share their
    /// connections, which are closed with their last user.
    ///
    /// The environment of the first user serves all.
    #[must_use]
    pub fn open(config: Config, environment: &Rc<dyn Environment>) -> Self {
        let address = config.address().into();
        let reach = match &config.endpoint {
            Endpoint::Cluster { nodes } => {
                let nodes = nodes.clone();
                let open = |config| Cluster::open(config, &nodes, environment);
                Reach::Cluster(CLUSTERS.with(|clusters| share(clusters, config, open)))
            }
            _ => Reach::Link(link_to(config, environment)),
        };
        Self { address, reach }
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

    fn trouble(&self) -> Option<Rc<str>> {
        match &self.reach {
            Reach::Link(link) => link.trouble(),
            Reach::Cluster(_) => None,
        }
    }

    fn connection(&self) -> Option<usize> {
        Some(match &self.reach {
            Reach::Link(link) => Rc::as_ptr(link).addr(),
            Reach::Cluster(cluster) => Rc::as_ptr(cluster).addr(),
        })
    }
}
