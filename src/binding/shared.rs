//! What all sessions of one engine's thread share.

use std::rc::Rc;

use crate::engine::{Claims, Environment, Queues};
use crate::instances::memory::Tables;
use crate::instances::redis::{Dialler, Network};

/// One thread's clock and chance, its way to the servers, its tables in memory,
/// the callers' own values that are in use, and who waits for what.
#[derive(Clone)]
pub struct Shared {
    pub environment: Rc<dyn Environment>,
    pub network: Rc<Network>,
    pub tables: Rc<Tables>,
    pub claims: Rc<Claims>,
    pub queues: Rc<Queues>,
}

impl Shared {
    pub fn new(environment: Rc<dyn Environment>, dialler: Rc<dyn Dialler>) -> Self {
        Self {
            network: Network::new(Rc::clone(&environment), dialler),
            environment,
            tables: Rc::default(),
            claims: Rc::default(),
            queues: Rc::default(),
        }
    }
}
