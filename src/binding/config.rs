//! The configuration of one Redlock, as JavaScript hands it over.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::ids::Index;
use super::shared::Shared;
use crate::engine::{DeadlineBounds, Instance};
use crate::instances::client::port::Port;
use crate::instances::client::{Client, Mode, RouteObserver};
use crate::instances::memory::Memory;
use crate::instances::redis::{
    self, Address, Endpoint, Secret, Sentinels, Server, Tls, TlsError, TlsSettings,
};

/// A quorum to be opened.
pub struct Config {
    instances: Vec<InstanceConfig>,
    deadlines: DeadlineBounds,
}

enum InstanceConfig {
    Memory(String),
    Redis(Box<redis::Config>),
    Client(ClientJson),
}

/// Why a configuration can't be used. Its text isn't shown: it has passwords.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("the configuration can't be read (at character {0}); please report this as a defect")]
    Unreadable(usize),
    #[error("instances[{0}]: {1}")]
    Tls(usize, TlsError),
    #[error("{0}")]
    OwnTls(TlsError),
}

impl Config {
    /// Reads it from JSON.
    pub fn read(json: &str) -> Result<Self, ConfigError> {
        let json: ConfigJson =
            serde_json::from_str(json).map_err(|error| ConfigError::Unreadable(error.column()))?;
        let read = |(index, instance)| {
            InstanceConfig::read(instance).map_err(|error| ConfigError::Tls(index, error))
        };
        let instances: Result<_, _> = json.instances.into_iter().enumerate().map(read).collect();
        Ok(Self {
            instances: instances?,
            deadlines: json.deadlines.read(),
        })
    }

    /// The instances' addresses, in order, without secrets.
    pub fn addresses(&self) -> Vec<String> {
        let address = |instance: &InstanceConfig| match instance {
            InstanceConfig::Memory(name) => format!("memory://{name}"),
            InstanceConfig::Redis(config) => config.address(),
            InstanceConfig::Client(client) => client.address.clone(),
        };
        self.instances.iter().map(address).collect()
    }

    /// How long one instance may take.
    pub fn deadlines(&self) -> DeadlineBounds {
        self.deadlines
    }

    /// Opens the instances, on the engine's thread. What concerns a caller's client
    /// goes through the `port` of its index.
    pub fn open<P: Port + RouteObserver + 'static>(
        self,
        shared: &Shared,
        port: impl Fn(Index) -> P,
    ) -> Opened {
        let mut opened = Opened::default();
        for (config, index) in self.instances.into_iter().zip(0..) {
            let index = Index(index);
            let instance: Rc<dyn Instance> = match config {
                InstanceConfig::Memory(name) => {
                    let environment = Rc::clone(&shared.environment);
                    Rc::new(Memory::open(&name, environment, &shared.tables))
                }
                InstanceConfig::Redis(config) => Rc::new(Server::open(*config, &shared.network)),
                InstanceConfig::Client(json) => {
                    let same = json.same.map(Index);
                    let known = same.and_then(|same| opened.clients.get(&same));
                    let client = match known {
                        Some(client) => Rc::clone(client),
                        None => json.open(shared, port(index), port(index)),
                    };
                    opened.clients.insert(index, Rc::clone(&client));
                    client
                }
            };
            opened.instances.push(instance);
        }
        opened
    }
}

/// Instances that were opened, and those of them that are the caller's own clients.
#[derive(Default)]
pub struct Opened {
    pub instances: Vec<Rc<dyn Instance>>,
    pub clients: BTreeMap<Index, Rc<Client>>,
}

impl InstanceConfig {
    fn read(json: InstanceJson) -> Result<Self, TlsError> {
        match json {
            InstanceJson::Memory { name } => Ok(Self::Memory(name)),
            InstanceJson::Client(client) => Ok(Self::Client(client)),
            InstanceJson::Redis(server) => Ok(Self::Redis(Box::new(server.read()?))),
        }
    }
}

/// A configuration as docs/hand-over.md has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigJson {
    instances: Vec<InstanceJson>,
    #[serde(default)]
    deadlines: DeadlinesJson,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum InstanceJson {
    Memory { name: String },
    Client(ClientJson),
    Redis(Box<ServerJson>),
}

#[derive(Deserialize)]
struct ClientJson {
    address: String,
    /// Whether it needs no proof.
    native: bool,
    /// The index that the very same client has already.
    same: Option<u32>,
}

impl ClientJson {
    fn open(
        self,
        shared: &Shared,
        port: impl Port + 'static,
        watcher: impl RouteObserver + 'static,
    ) -> Rc<Client> {
        let mode = if self.native {
            Mode::OwnConnection
        } else {
            Mode::Auto
        };
        Client::new(
            mode,
            Rc::clone(&shared.network),
            Rc::new(port),
            Box::new(watcher),
        )
    }
}

/// One server, from JSON.
pub fn read_server(json: &str) -> Result<Box<redis::Config>, ConfigError> {
    let server: ServerJson =
        serde_json::from_str(json).map_err(|error| ConfigError::Unreadable(error.column()))?;
    server.read().map(Box::new).map_err(ConfigError::OwnTls)
}

/// Absent is the default.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerJson {
    host: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    sentinel: Option<SentinelJson>,
    cluster: Option<ClusterJson>,
    #[serde(default)]
    nat_map: Vec<(AddressJson, AddressJson)>,
    tls: Option<TlsJson>,
    username: Option<String>,
    password: Option<String>,
    db: Option<u32>,
    key_prefix: Option<String>,
    client_name: Option<String>,
    connect_timeout: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentinelJson {
    sentinels: Vec<AddressJson>,
    service: String,
    username: Option<String>,
    password: Option<String>,
    tls: Option<TlsJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterJson {
    nodes: Vec<AddressJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressJson {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TlsJson {
    ca: Vec<String>,
    cert: Option<String>,
    key: Option<String>,
    servername: Option<String>,
    reject_unauthorized: Option<bool>,
}

/// In milliseconds; absent is the default.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DeadlinesJson {
    floor: Option<f64>,
    ceiling: Option<f64>,
}

impl ServerJson {
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
            tls: self.tls.map(TlsJson::read).transpose()?,
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

impl SentinelJson {
    fn read(self) -> Result<Sentinels, TlsError> {
        Ok(Sentinels {
            addresses: read_addresses(self.sentinels),
            service: self.service,
            username: self.username,
            password: self.password.map(Secret::from),
            tls: self.tls.map(TlsJson::read).transpose()?,
        })
    }
}

impl AddressJson {
    fn read(self) -> Address {
        Address {
            host: self.host,
            port: self.port,
        }
    }
}

fn read_addresses(addresses: Vec<AddressJson>) -> Vec<Address> {
    addresses.into_iter().map(AddressJson::read).collect()
}

impl TlsJson {
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

impl DeadlinesJson {
    fn read(self) -> DeadlineBounds {
        let default = DeadlineBounds::default();
        DeadlineBounds {
            floor: span(self.floor).unwrap_or(default.floor),
            ceiling: span(self.ceiling).unwrap_or(default.ceiling),
        }
    }
}

fn span(millis: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(millis? / 1000.0).ok()
}
