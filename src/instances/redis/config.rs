//! Where a server is and how to get in. Equal configurations share a connection.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::secret::Secret;
use super::tls::Tls;

/// One member of the quorum and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How to encrypt the connection, if it is to be (not on a unix socket).
    pub tls: Option<Tls>,
    /// The ACL user, if not the default one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The database to select; a cluster has none but 0.
    pub db: u32,
    /// Put before the name of every resource.
    pub key_prefix: String,
    /// The connection's name, for the server's `CLIENT LIST`.
    pub client_name: Option<String>,
    /// How long one dial may take, from the name's resolution to the server's
    /// first answer.
    pub connect_timeout: Duration,
    /// Where servers are to be found from here that sentinels or a cluster name
    /// by an address of their own network.
    pub nat_map: BTreeMap<Address, Address>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// On a TCP port.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a unix socket.
    Unix {
        /// The socket's path.
        path: String,
    },
    /// Wherever sentinels say that the master of a service is.
    Sentinel(Sentinels),
    /// On the nodes of a cluster, each key on one of them.
    Cluster {
        /// Some of the nodes, from which the others are learnt.
        nodes: Vec<Address>,
    },
}

/// Who is asked where a master is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sentinels {
    /// Where they listen.
    pub addresses: Vec<Address>,
    /// What they call the master and its replicas.
    pub service: String,
    /// The sentinels' own ACL user, if not the default one.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// How to encrypt the connections to the sentinels, if they are to be.
    pub tls: Option<Tls>,
}

/// A TCP port of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Config {
    /// A server on `endpoint`, without a password, on database 0.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            tls: None,
            username: None,
            password: None,
            db: 0,
            key_prefix: String::new(),
            client_name: None,
            connect_timeout: Duration::from_secs(5),
            nat_map: BTreeMap::new(),
        }
    }

    /// The same, of one server at `address`.
    pub(super) fn at(&self, address: &Address) -> Self {
        let Address { host, port } = self.nat_map.get(address).unwrap_or(address).clone();
        Self {
            endpoint: Endpoint::Tcp { host, port },
            nat_map: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Which keys it leads to, if it leads to one server by nature as it is spelt:
    /// on a unix socket, or on a port of this machine's own. Any other name may
    /// have several addresses, or others in another process.
    pub(super) fn sole_server(&self) -> Option<Self> {
        let is_local = match &self.endpoint {
            Endpoint::Unix { .. } => true,
            Endpoint::Tcp { host, .. } => {
                let address = host.parse::<IpAddr>();
                host.eq_ignore_ascii_case("localhost")
                    || address.is_ok_and(|address| address.is_loopback())
            }
            Endpoint::Sentinel(_) | Endpoint::Cluster { .. } => false,
        };
        is_local.then(|| Self {
            tls: self.tls.clone(),
            db: self.db,
            key_prefix: self.key_prefix.clone(),
            connect_timeout: Duration::ZERO,
            ..Self::new(self.endpoint.clone())
        })
    }

    /// The server's address for people: no user, no password.
    #[must_use]
    pub fn address(&self) -> String {
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let mut address = match &self.endpoint {
            Endpoint::Tcp { host, port } => {
                let (host, port) = (host.clone(), *port);
                format!("{scheme}://{}", Address { host, port })
            }
            Endpoint::Unix { path } => format!("unix://{path}"),
            Endpoint::Sentinel(sentinels) => format!(
                "{scheme}+sentinel://{}/{}",
                list(&sentinels.addresses),
                sentinels.service
            ),
            Endpoint::Cluster { nodes } => format!("{scheme}://{}", list(nodes)),
        };
        if self.db != 0 {
            let separator = match self.endpoint {
                Endpoint::Unix { .. } => "?db=",
                _ => "/",
            };
            address.push_str(separator);
            address.push_str(&self.db.to_string());
        }
        address
    }
}

fn list(addresses: &[Address]) -> String {
    let each: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    each.join(",")
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str, db: u32) -> Config {
        let endpoint = Endpoint::Tcp {
            host: host.into(),
            port: 6379,
        };
        Config {
            db,
            username: Some("alice".into()),
            password: Some(Secret::from(String::from("hunter2"))),
            ..Config::new(endpoint)
        }
    }

    #[test]
    fn an_address_names_host_port_and_database_only() {
        assert_eq!(config("a.example", 0).address(), "redis://a.example:6379");
        assert_eq!(config("::1", 3).address(), "redis://[::1]:6379/3");
    }

    #[test]
    fn what_leads_to_this_machine_by_its_spelling_is_one_server() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(config(host, 0).sole_server().is_some(), "{host}");
        }
        for host in [
            "redis",
            "10.0.0.1",
            "127.0.0.1.example",
            "localhost.example",
            "::2",
        ] {
            assert!(config(host, 0).sole_server().is_none(), "{host}");
        }
    }

    #[test]
    fn sentinels_and_a_cluster_are_named_by_all_their_addresses() {
        let address = |host: &str| Address {
            host: host.into(),
            port: 7000,
        };
        let addresses = vec![address("a"), address("::1")];
        let cluster = Endpoint::Cluster {
            nodes: addresses.clone(),
        };
        assert_eq!(Config::new(cluster).address(), "redis://a:7000,[::1]:7000");
        let sentinels = Endpoint::Sentinel(Sentinels {
            addresses,
            service: "main".into(),
            username: None,
            password: Some(Secret::from(String::from("hunter2"))),
            tls: None,
        });
        let config = Config {
            db: 2,
            ..Config::new(sentinels)
        };
        assert_eq!(
            config.address(),
            "redis+sentinel://a:7000,[::1]:7000/main/2"
        );
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn debug_does_not_show_the_password() {
        assert!(!format!("{:?}", config("a", 0)).contains("hunter2"));
    }
}
