//! What all dials of one thread have in common.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;

use super::stream::Dialler;
use crate::engine::Environment;
use crate::instances::redis::config::Config;

/// The way to the servers: by which clock, over which streams, and what is left out
/// when they are greeted.
pub(crate) struct Transport {
    pub(crate) environment: Rc<dyn Environment>,
    pub(super) dialler: Rc<dyn Dialler>,
    /// By the configurations' hashes: those have passwords, and are kept no longer
    /// than they are used.
    omitted: RefCell<HashMap<u64, OmittedCommands>>,
    hasher: RandomState,
}

/// Which of a greeting's commands are left out, whose answers one can do without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OmittedCommands {
    /// The connection's name, for people.
    pub(super) name: bool,
    /// What the server says of itself: whether it is a master, and who it is.
    pub(super) info: bool,
}

/// So many servers that something is left out for are remembered.
const MOST_SERVERS: usize = 1000;

impl Transport {
    pub(crate) fn new(environment: Rc<dyn Environment>, dialler: Rc<dyn Dialler>) -> Self {
        Self {
            environment,
            dialler,
            omitted: RefCell::default(),
            hasher: RandomState::new(),
        }
    }

    /// What is left out when the server of `config` is greeted.
    pub(super) fn omitted_for(&self, config: &Config) -> OmittedCommands {
        let omitted = self.omitted.borrow();
        if omitted.is_empty() {
            return OmittedCommands::default();
        }
        let omitted = omitted.get(&self.hasher.hash_one(config));
        omitted.copied().unwrap_or_default()
    }

    /// Those are left out from now on.
    pub(super) fn omit_for(&self, config: &Config, commands: OmittedCommands) {
        let mut omitted = self.omitted.borrow_mut();
        if omitted.len() >= MOST_SERVERS {
            omitted.clear();
        }
        omitted.insert(self.hasher.hash_one(config), commands);
    }
}
