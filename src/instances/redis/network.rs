//! What servers are reached through: how they are dialled, and the connections
//! that all of their users on one thread share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::rc::{Rc, Weak};

use tokio::io::{AsyncRead, AsyncWrite};

use super::cluster::Cluster;
use super::config::{Address, Config};
use super::dial::LeftOut;
use super::link::Link;
use crate::engine::{Cause, Environment};

/// What a connection speaks over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Lets the stream's end throw away what was not yet sent: a stale SET must
    /// not arrive after its connection was given up.
    fn discard_unsent(&self);
}

/// A stream on which nothing was said yet, or why there is none.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, Cause>> + 'a>>;

/// How a server's stream is opened. The simulation brings its own.
pub trait Dialler {
    /// Connects to the one server that `config` names, which is none of
    /// sentinels or of a cluster.
    ///
    /// Fails with [`Cause::Unreachable`] where there is no connection. It need
    /// not end by itself: whoever dials has a limit.
    fn connect<'a>(&'a self, config: &'a Config) -> Connecting<'a>;
}

/// One way to the servers, for one thread. Equal configurations share their
/// connections, which are closed with their last user.
pub struct Network {
    pub(super) environment: Rc<dyn Environment>,
    pub(super) dialler: Rc<dyn Dialler>,
    links: Shared<Link>,
    clusters: Shared<Cluster>,
    places: Shared<Config>,
    /// What is left out when they are greeted, by their configurations' hashes: those
    /// have passwords, and are kept no longer than they are used.
    left_out: RefCell<HashMap<u64, LeftOut>>,
    hasher: RandomState,
}

/// So many servers that something is left out for are remembered.
const MOST_LEFT_OUT: usize = 1000;

type Shared<T> = RefCell<HashMap<Config, Weak<T>>>;

impl Network {
    /// A network on which nobody has a connection yet.
    #[must_use]
    pub fn new(environment: Rc<dyn Environment>, dialler: Rc<dyn Dialler>) -> Rc<Self> {
        Rc::new(Self {
            environment,
            dialler,
            links: Shared::default(),
            clusters: Shared::default(),
            places: Shared::default(),
            left_out: RefCell::default(),
            hasher: RandomState::new(),
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
        let links = self.links.borrow();
        let links = links.values().filter_map(Weak::upgrade);
        links.map(|link| link.weight()).sum()
    }

    /// What is left out when the server of `config` is greeted.
    pub(super) fn left_out(&self, config: &Config) -> LeftOut {
        let left_out = self.left_out.borrow();
        if left_out.is_empty() {
            return LeftOut::default();
        }
        let left_out = left_out.get(&self.hasher.hash_one(config));
        left_out.copied().unwrap_or_default()
    }

    /// That is to be left out from now on.
    pub(super) fn leave_out(&self, config: &Config, what: LeftOut) {
        let mut left_out = self.left_out.borrow_mut();
        if left_out.len() >= MOST_LEFT_OUT {
            left_out.clear();
        }
        left_out.insert(self.hasher.hash_one(config), what);
    }

    /// The connection to one server that all of its users share.
    pub(super) fn link(self: &Rc<Self>, config: Config) -> Rc<Link> {
        share(&self.links, config, |config| Link::open(config, self))
    }

    /// What all configurations have in common that lead to one server by nature,
    /// to the same database and with the same prefix, whoever logs in there.
    pub(super) fn place(&self, config: &Config) -> Option<Rc<Config>> {
        config
            .place()
            .map(|place| share(&self.places, place, Rc::new))
    }

    /// The cluster, with some of whose nodes one begins.
    pub(super) fn cluster(self: &Rc<Self>, config: Config, nodes: &[Address]) -> Rc<Cluster> {
        share(&self.clusters, config, |config| {
            Cluster::open(config, nodes, self)
        })
    }
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
