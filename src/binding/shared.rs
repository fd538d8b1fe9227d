//! What all sessions of one engine's thread share.

use std::rc::Rc;

use crate::engine::{Claims, Environment};
use crate::instances::memory::Tables;
use crate::instances::redis::{Dialler, Network};

/// One thread's clock and chance, its way to the servers, its tables in memory,
/// and the callers' own values that are in use.
#[derive(Clone)]
pub struct Shared {
    pub environment: Rc<dyn Environment>,
    pub network: Rc<Network>,
    pub tables: Rc<Tables>,
    pub claims: Rc<Claims>,
}

impl Shared {
    pub fn new(environment: Rc<dyn Environment>, dialler: Rc<dyn Dialler>) -> Self {
        Self {
            network: Network::new(Rc::clone(&environment), dialler),
            environment,
            tables: Rc::default(),
            claims: Rc::default(),
        }
    }
}
