//! Where a server is and how to get in. Equal configurations share a connection.

use std::fmt;
use std::time::Duration;

use super::tls::Tls;

/// One server and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How to encrypt the connection, if it is to be (TCP only).
    pub tls: Option<Tls>,
    /// The ACL user, if not the default one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The database to select.
    pub db: u32,
    /// Put before the name of every resource.
    pub key_prefix: String,
    /// The connection's name, for the server's `CLIENT LIST`.
    pub client_name: Option<String>,
    /// How long one dial may take, from the name's resolution to the server's
    /// first answer.
    pub connect_timeout: Duration,
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
}

/// A string that no error, event or `Debug` shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

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
        }
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
            Endpoint::Tcp { host, port } if host.contains(':') => {
                format!("{scheme}://[{host}]:{port}")
            }
            Endpoint::Tcp { host, port } => format!("{scheme}://{host}:{port}"),
            Endpoint::Unix { path } => format!("unix://{path}"),
        };
        if self.db != 0 {
            let separator = match self.endpoint {
                Endpoint::Tcp { .. } => "/",
                Endpoint::Unix { .. } => "?db=",
            };
            address.push_str(separator);
            address.push_str(&self.db.to_string());
        }
        address
    }
}

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
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
    fn debug_does_not_show_the_password() {
        assert!(!format!("{:?}", config("a", 0)).contains("hunter2"));
    }
}
