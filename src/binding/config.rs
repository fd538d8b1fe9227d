//! The configuration of one Redlock, as JavaScript hands it over.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::{Environment, Instance, Patience, System};
use crate::instances::memory::Memory;
use crate::instances::redis::{self, Endpoint, Secret, Server};

/// A quorum to be opened.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    instances: Vec<Member>,
    #[serde(default)]
    patience: Times,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Member {
    Memory {
        name: String,
    },
    #[serde(rename_all = "camelCase")]
    Redis {
        host: Option<String>,
        port: Option<u16>,
        path: Option<String>,
        username: Option<String>,
        password: Option<String>,
        db: Option<u32>,
        key_prefix: Option<String>,
        client_name: Option<String>,
        connect_timeout: Option<f64>,
    },
}

/// In milliseconds; absent is the default.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Times {
    share: Option<f64>,
    floor: Option<f64>,
    ceiling: Option<f64>,
    release: Option<f64>,
}

/// The configuration can't be read. Its text isn't shown: it has passwords.
#[derive(Debug)]
pub(super) struct Unreadable {
    column: usize,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the configuration can't be read (at character {}); please report this as a defect",
            self.column
        )
    }
}

impl Config {
    /// Reads it from JSON.
    pub(super) fn read(json: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(json).map_err(|error| Unreadable {
            column: error.column(),
        })
    }

    /// The instances' addresses, in order, without secrets.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.instances.iter().map(Member::address).collect()
    }

    /// How long one instance may take.
    pub(super) fn patience(&self) -> Patience {
        let default = Patience::default();
        let times = &self.patience;
        Patience {
            share: times.share.unwrap_or(default.share),
            floor: span(times.floor).unwrap_or(default.floor),
            ceiling: span(times.ceiling).unwrap_or(default.ceiling),
            release: span(times.release).unwrap_or(default.release),
        }
    }

    /// Opens the instances, on the engine's thread.
    pub(super) fn open(self) -> Vec<Rc<dyn Instance>> {
        self.instances.into_iter().map(Member::open).collect()
    }
}

impl Member {
    fn address(&self) -> String {
        match self {
            Self::Memory { name } => format!("memory://{name}"),
            Self::Redis { .. } => self.server().address(),
        }
    }

    fn open(self) -> Rc<dyn Instance> {
        let environment: Rc<dyn Environment> = Rc::new(System);
        match &self {
            Self::Memory { name } => Rc::new(Memory::open(name, environment)),
            Self::Redis { .. } => Rc::new(Server::open(self.server(), &environment)),
        }
    }

    fn server(&self) -> redis::Config {
        let Self::Redis {
            host,
            port,
            path,
            username,
            password,
            db,
            key_prefix,
            client_name,
            connect_timeout,
        } = self
        else {
            unreachable!("asked of redis members only");
        };
        let endpoint = match path {
            Some(path) => Endpoint::Unix { path: path.clone() },
            None => Endpoint::Tcp {
                host: host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
                port: port.unwrap_or(6379),
            },
        };
        let default = redis::Config::new(endpoint);
        redis::Config {
            username: username.clone(),
            password: password.clone().map(Secret::from),
            db: db.unwrap_or(0),
            key_prefix: key_prefix.clone().unwrap_or_default(),
            client_name: client_name.clone(),
            connect_timeout: span(*connect_timeout).unwrap_or(default.connect_timeout),
            ..default
        }
    }
}

fn span(millis: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(millis? / 1000.0).ok()
}
