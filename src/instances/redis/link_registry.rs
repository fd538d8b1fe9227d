//! The links that all users of one thread share.

use std::rc::Rc;

use super::config::Config;
use super::dial::Transport;
use super::link::{Link, reconnect};
use super::shared::Shared;

/// One link for each configuration. It is closed with its last user.
pub(super) struct Links {
    pub(super) transport: Rc<Transport>,
    all: Shared<Link>,
}

impl Links {
    /// None yet; their servers are to be reached over `transport`.
    pub(super) fn over(transport: Transport) -> Rc<Self> {
        Rc::new(Self {
            transport: Rc::new(transport),
            all: Shared::default(),
        })
    }

    /// The link to the server of `config`.
    pub(super) fn open(&self, config: Config) -> Rc<Link> {
        self.all
            .get_or_open(config, |config| reconnect::open(config, &self.transport))
    }

    /// About how many bytes wait, or are owed, on all of them.
    #[cfg(feature = "sabotage")]
    pub(super) fn weight(&self) -> usize {
        self.all.all().iter().map(|link| link.weight()).sum()
    }
}
