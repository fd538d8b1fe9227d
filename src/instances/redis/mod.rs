//! Redis and Valkey servers, each over one connection of our own.

mod command;
mod config;
mod dial;
mod frame;
mod link;
mod owed;
mod script;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

pub use config::{Config, Endpoint, Secret};
use link::Link;
pub use script::{default_texts, script};
pub use tls::{Tls, TlsError, TlsSettings};

use crate::engine::{Environment, Instance, Observer, Question, Reply};

/// One server as a member of the quorum.
pub struct Server {
    address: Box<str>,
    link: Rc<Link>,
}

thread_local! {
    static LINKS: RefCell<HashMap<Config, Weak<Link>>> = RefCell::default();
}

impl Server {
    /// Opens the server that `config` describes. Equal configurations share
    /// one connection, which is closed with its last user.
    ///
    /// The environment of the first user serves all.
    #[must_use]
    pub fn open(config: Config, environment: &Rc<dyn Environment>) -> Self {
        let address = config.address().into();
        let link = LINKS.with_borrow_mut(|links| {
            links.retain(|_, link| link.strong_count() > 0);
            let open = links.get(&config).and_then(Weak::upgrade);
            open.unwrap_or_else(|| {
                let link = Link::open(config.clone(), environment);
                links.insert(config, Rc::downgrade(&link));
                link
            })
        });
        Self { address, link }
    }
}

impl Instance for Server {
    fn address(&self) -> &str {
        &self.address
    }

    fn ask(&self, question: &Rc<Question>, reply: Reply) {
        self.link.ask(question, reply);
    }

    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.link.observe(index, observer);
    }

    fn connection(&self) -> Option<usize> {
        Some(Rc::as_ptr(&self.link).addr())
    }
}
