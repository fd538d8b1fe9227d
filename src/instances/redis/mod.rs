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

use command::{refused, unexpected};
pub use config::{Config, Endpoint, Secret};
use link::Link;
use redis::{Value, cmd};
pub use script::{default_texts, script};
pub use tls::{Tls, TlsError, TlsSettings};

use crate::engine::{Cause, Environment, Instance, Observer, Question, Reply};

/// One server as a member of the quorum.
pub struct Server {
    address: Box<str>,
    key_prefix: Box<str>,
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
        let key_prefix = config.key_prefix.as_str().into();
        let link = LINKS.with_borrow_mut(|links| {
            links.retain(|_, link| link.strong_count() > 0);
            let open = links.get(&config).and_then(Weak::upgrade);
            open.unwrap_or_else(|| {
                let link = Link::open(config.clone(), environment);
                links.insert(config, Rc::downgrade(&link));
                link
            })
        });
        Self {
            address,
            key_prefix,
            link,
        }
    }

    /// Whether it is a master, to which alone one can write; `None` if it has
    /// not said so.
    #[must_use]
    pub fn is_master(&self) -> Option<bool> {
        self.link.is_master()
    }

    /// Reads what the key of `resource` has, if it is there. Fails at once while
    /// there is no connection.
    pub fn read(
        &self,
        resource: &str,
        done: impl FnOnce(Result<Option<Vec<u8>>, Cause>) + 'static,
    ) {
        let mut get = cmd("GET");
        get.arg(format!("{}{resource}", self.key_prefix));
        let done = move |reply| {
            done(match reply {
                Ok(Value::BulkString(value)) => Ok(Some(value)),
                Ok(Value::Nil) => Ok(None),
                Ok(Value::ServerError(error)) => Err(refused(&error, &[])),
                Ok(other) => Err(unexpected(&other)),
                Err(cause) => Err(cause),
            });
        };
        self.link.call(&get, Box::new(done));
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
