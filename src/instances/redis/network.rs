//! The connections that all users of one thread share.

use std::rc::Rc;

use super::cluster::{Cluster, topology};
use super::config::{Address, Config};
use super::dial::{Dialler, Transport};
use super::link::Link;
use super::link_registry::Links;
use super::shared::Shared;
use super::watch::WatchConnection;
use crate::engine::Environment;

/// One way to the servers, for one thread. Equal configurations share their
/// connections, which are closed with their last user.
pub struct Network {
    environment: Rc<dyn Environment>,
    links: Rc<Links>,
    watch_connections: Shared<WatchConnection>,
    clusters: Shared<Cluster>,
    identities: Shared<Config>,
}

impl Network {
    /// A network on which nobody has a connection yet.
    #[must_use]
    pub fn new(environment: Rc<dyn Environment>, dialler: Rc<dyn Dialler>) -> Rc<Self> {
        let transport = Transport::new(Rc::clone(&environment), dialler);
        Rc::new(Self {
            environment,
            links: Links::over(transport),
            watch_connections: Shared::default(),
            clusters: Shared::default(),
            identities: Shared::default(),
        })
    }

    /// Whose clock, chance and tasks its connections have.
    #[must_use]
    pub fn environment(&self) -> Rc<dyn Environment> {
        Rc::clone(&self.environment)
    }

    /// About how many bytes wait, or are owed, on all of its connections.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn weight(&self) -> usize {
        self.links.weight()
    }

    /// The connection to one server that all of its users share.
    pub(super) fn link(&self, config: Config) -> Rc<Link> {
        self.links.open(config)
    }

    /// The connection that tells of changes on one server, which all of its users share.
    /// It is dialled when somebody first watches.
    pub(super) fn watch_connection(&self, config: Config) -> Rc<WatchConnection> {
        let open = |config| WatchConnection::new(config, Rc::clone(&self.links.transport));
        self.watch_connections.get_or_open(config, open)
    }

    /// What all configurations have in common that lead to one server by nature,
    /// to the same database and with the same prefix, whoever logs in there.
    pub(super) fn identity(&self, config: &Config) -> Option<Rc<Config>> {
        config
            .sole_server()
            .map(|place| self.identities.get_or_open(place, Rc::new))
    }

    /// The cluster, with some of whose nodes one begins.
    pub(super) fn cluster(&self, config: Config, nodes: &[Address]) -> Rc<Cluster> {
        self.clusters
            .get_or_open(config, |config| topology::open(config, nodes, &self.links))
    }
}
