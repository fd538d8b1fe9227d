//! The configuration of one Redlock, as JavaScript hands it over.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::shared::Shared;
use crate::engine::{Instance, Patience};
use crate::instances::bridge::Port;
use crate::instances::client::{Client, Mode, Watcher};
use crate::instances::memory::Memory;
use crate::instances::redis::{
    self, Address, Endpoint, Secret, Sentinels, Server, Tls, TlsError, TlsSettings,
};

/// A quorum to be opened.
pub struct Config {
    members: Vec<Member>,
    patience: Patience,
}

enum Member {
    Memory(String),
    Redis(Box<redis::Config>),
    Client(WrittenClient),
}

/// Why a configuration can't be used. Its text isn't shown: it has passwords.
#[derive(Debug, Error)]
pub enum Unusable {
    #[error("the configuration can't be read (at character {0}); please report this as a defect")]
    Unreadable(usize),
    #[error("instances[{0}]: {1}")]
    Tls(usize, TlsError),
    #[error("{0}")]
    OwnTls(TlsError),
}

impl Config {
    /// Reads it from JSON.
    pub fn read(json: &str) -> Result<Self, Unusable> {
        let written: Written =
            serde_json::from_str(json).map_err(|error| Unusable::Unreadable(error.column()))?;
        let read =
            |(place, member)| Member::read(member).map_err(|error| Unusable::Tls(place, error));
        let members: Result<_, _> = written
            .instances
            .into_iter()
            .enumerate()
            .map(read)
            .collect();
        Ok(Self {
            members: members?,
            patience: written.patience.read(),
        })
    }

    /// The instances' addresses, in order, without secrets.
    pub fn addresses(&self) -> Vec<String> {
        let address = |member: &Member| match member {
            Member::Memory(name) => format!("memory://{name}"),
            Member::Redis(config) => config.address(),
            Member::Client(client) => client.address.clone(),
        };
        self.members.iter().map(address).collect()
    }

    /// How long one instance may take.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Opens the instances, on the engine's thread. What concerns the caller's
    /// client at a place goes through the `desk` of that place.
    pub fn open<D: Port + Watcher + 'static>(
        self,
        shared: &Shared,
        desk: impl Fn(u32) -> D,
    ) -> Opened {
        let mut opened = Opened::default();
        for (member, place) in self.members.into_iter().zip(0..) {
            let instance: Rc<dyn Instance> = match member {
                Member::Memory(name) => {
                    let environment = Rc::clone(&shared.environment);
                    Rc::new(Memory::open(&name, environment, &shared.tables))
                }
                Member::Redis(config) => Rc::new(Server::open(*config, &shared.network)),
                Member::Client(written) => {
                    let known = written.same.and_then(|same| opened.clients.get(&same));
                    let client = match known {
                        Some(client) => Rc::clone(client),
                        None => written.open(shared, desk(place), desk(place)),
                    };
                    opened.clients.insert(place, Rc::clone(&client));
                    client
                }
            };
            opened.instances.push(instance);
        }
        opened
    }
}

/// Instances that were opened, and those of them that are the caller's own
/// clients, by their place.
#[derive(Default)]
pub struct Opened {
    pub instances: Vec<Rc<dyn Instance>>,
    pub clients: BTreeMap<u32, Rc<Client>>,
}

impl Member {
    fn read(written: WrittenMember) -> Result<Self, TlsError> {
        match written {
            WrittenMember::Memory { name } => Ok(Self::Memory(name)),
            WrittenMember::Client(client) => Ok(Self::Client(client)),
            WrittenMember::Redis(server) => Ok(Self::Redis(Box::new(server.read()?))),
        }
    }
}

/// A configuration as docs/hand-over.md has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    instances: Vec<WrittenMember>,
    #[serde(default)]
    patience: WrittenPatience,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum WrittenMember {
    Memory { name: String },
    Client(WrittenClient),
    Redis(Box<WrittenServer>),
}

#[derive(Deserialize)]
struct WrittenClient {
    address: String,
    /// Whether it needs no proof.
    native: bool,
    /// The place where the very same client stands already.
    same: Option<u32>,
}

impl WrittenClient {
    fn open(
        self,
        shared: &Shared,
        port: impl Port + 'static,
        watcher: impl Watcher + 'static,
    ) -> Rc<Client> {
        let mode = if self.native {
            Mode::Native
        } else {
            Mode::Auto
        };
        Client::new(
            &self.address,
            mode,
            Rc::clone(&shared.network),
            Rc::new(port),
            Box::new(watcher),
        )
    }
}

/// One server, from JSON.
pub fn read_server(json: &str) -> Result<Box<redis::Config>, Unusable> {
    let written: WrittenServer =
        serde_json::from_str(json).map_err(|error| Unusable::Unreadable(error.column()))?;
    written.read().map(Box::new).map_err(Unusable::OwnTls)
}

/// Absent is the default.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenServer {
    host: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    sentinel: Option<WrittenSentinel>,
    cluster: Option<WrittenCluster>,
    #[serde(default)]
    nat_map: Vec<(WrittenAddress, WrittenAddress)>,
    tls: Option<WrittenTls>,
    username: Option<String>,
    password: Option<String>,
    db: Option<u32>,
    key_prefix: Option<String>,
    client_name: Option<String>,
    connect_timeout: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSentinel {
    sentinels: Vec<WrittenAddress>,
    service: String,
    username: Option<String>,
    password: Option<String>,
    tls: Option<WrittenTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCluster {
    nodes: Vec<WrittenAddress>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAddress {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenTls {
    ca: Vec<String>,
    cert: Option<String>,
    key: Option<String>,
    servername: Option<String>,
    reject_unauthorized: Option<bool>,
}

/// In milliseconds; absent is the default.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenPatience {
    floor: Option<f64>,
    ceiling: Option<f64>,
}

impl WrittenServer {
    fn read(self) -> Result<redis::Config, TlsError> {
        let endpoint = match (self.sentinel, self.cluster, self.path) {
            (Some(sentinel), ..) => Endpoint::Sentinel(sentinel.read()?),
            (_, Some(cluster), _) => Endpoint::Cluster {
                nodes: read_addresses(cluster.nodes),
            },
            (.., Some(path)) => Endpoint::Unix { path },
            _ => Endpoint::Tcp {
                host: self.host.unwrap_or_else(|| "127.0.0.1".to_owned()),
                port: self.port.unwrap_or(6379),
            },
        };
        let default = redis::Config::new(endpoint);
        Ok(redis::Config {
            tls: self.tls.map(WrittenTls::read).transpose()?,
            username: self.username,
            password: self.password.map(Secret::from),
            db: self.db.unwrap_or(0),
            key_prefix: self.key_prefix.unwrap_or_default(),
            client_name: self.client_name,
            connect_timeout: span(self.connect_timeout).unwrap_or(default.connect_timeout),
            nat_map: self
                .nat_map
                .into_iter()
                .map(|(from, to)| (from.read(), to.read()))
                .collect::<BTreeMap<_, _>>(),
            ..default
        })
    }
}

impl WrittenSentinel {
    fn read(self) -> Result<Sentinels, TlsError> {
        Ok(Sentinels {
            addresses: read_addresses(self.sentinels),
            service: self.service,
            username: self.username,
            password: self.password.map(Secret::from),
            tls: self.tls.map(WrittenTls::read).transpose()?,
        })
    }
}

impl WrittenAddress {
    fn read(self) -> Address {
        Address {
            host: self.host,
            port: self.port,
        }
    }
}

fn read_addresses(written: Vec<WrittenAddress>) -> Vec<Address> {
    written.into_iter().map(WrittenAddress::read).collect()
}

impl WrittenTls {
    fn read(self) -> Result<Tls, TlsError> {
        Tls::new(TlsSettings {
            authorities: self.ca.into(),
            certificate: self.cert,
            key: self.key.map(Secret::from),
            server_name: self.servername,
            trust_anybody: self.reject_unauthorized == Some(false),
        })
    }
}

impl WrittenPatience {
    fn read(self) -> Patience {
        let default = Patience::default();
        Patience {
            floor: span(self.floor).unwrap_or(default.floor),
            ceiling: span(self.ceiling).unwrap_or(default.ceiling),
        }
    }
}

fn span(millis: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(millis? / 1000.0).ok()
}
