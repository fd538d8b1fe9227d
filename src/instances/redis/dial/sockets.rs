//! Streams over the system's sockets: TCP, TLS over it, and unix sockets.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::addresses::{self, Resolve, SystemNames};
use super::cause::{explain, unreachable};
#[cfg(target_os = "linux")]
use super::readable::Readable;
use super::stream::{Connecting, Dialler, Stream};
use crate::engine::Cause;
use crate::instances::redis::config::{Config, Endpoint};
use crate::instances::redis::redact::Redactor;
use crate::instances::redis::tls::{self, Tls};

/// A peer that vanished without a word is noticed after about this long.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The system's sockets, with tokio's reactor: they must be used inside a tokio
/// runtime.
pub struct Sockets {
    names: Box<dyn Resolve>,
    #[cfg(target_os = "linux")]
    readable: Option<Arc<Readable>>,
}

impl Sockets {
    /// Sockets to the addresses that `names` gives.
    #[must_use]
    pub fn to(names: impl Resolve + 'static) -> Self {
        Self {
            names: Box::new(names),
            #[cfg(target_os = "linux")]
            readable: None,
        }
    }

    /// The same, whose connections `readable` tells of.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn told_by(mut self, readable: Arc<Readable>) -> Self {
        self.readable = Some(readable);
        self
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Self::to(SystemNames)
    }
}

impl Dialler for Sockets {
    fn connect<'a>(&'a self, config: &'a Config) -> Connecting<'a> {
        Box::pin(self.open(config))
    }
}

impl Sockets {
    async fn open(&self, config: &Config) -> Result<Box<dyn Stream>, Cause> {
        let connected = match &config.endpoint {
            Endpoint::Tcp { host, port } => {
                let redactor = Redactor::new(config);
                let stream = tcp(&*self.names, host, *port, &redactor).await;
                match (stream.inspect(|stream| self.tell(stream)), &config.tls) {
                    (Ok(stream), Some(tls)) => return encrypt(stream, tls, host, &redactor).await,
                    (Ok(stream), None) => Ok(Box::new(stream) as Box<dyn Stream>),
                    (Err(error), _) => Err(error),
                }
            }
            #[cfg(unix)]
            Endpoint::Unix { path } => {
                let stream = tokio::net::UnixStream::connect(path).await;
                let stream = stream.inspect(|stream| self.tell(stream));
                stream.map(|stream| Box::new(stream) as Box<dyn Stream>)
            }
            #[cfg(not(unix))]
            Endpoint::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
            // Those name several servers.
            Endpoint::Sentinel(_) | Endpoint::Cluster { .. } => {
                Err(io::ErrorKind::Unsupported.into())
            }
        };
        connected.map_err(|error| unreachable(explain(&error)))
    }

    #[cfg(target_os = "linux")]
    fn tell(&self, connection: &impl AsFd) {
        if let Some(readable) = &self.readable {
            readable.add(connection);
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "the same call everywhere")]
    fn tell<T>(&self, _: &T) {}
}

async fn encrypt(
    stream: TcpStream,
    tls: &Tls,
    host: &str,
    redactor: &Redactor,
) -> Result<Box<dyn Stream>, Cause> {
    let name = tls.name(host).ok_or_else(|| {
        unreachable(format!(
            "TLS: {} can't be a certificate's name; give one in tls.servername",
            redactor.named(&host)
        ))
    })?;
    let connector = TlsConnector::from(Arc::clone(&tls.client));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(unreachable(tls::explain(&error, |error| {
            redactor.named(error)
        }))),
    }
}

async fn tcp(
    names: &dyn Resolve,
    host: &str,
    port: u16,
    redactor: &Redactor,
) -> io::Result<TcpStream> {
    let stream = addresses::connect(names, host, port, redactor).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(KEEPALIVE))?;
    Ok(stream)
}

impl Stream for TcpStream {
    fn discard_unsent(&self) {
        // Best effort: where it fails the socket is closed in the ordinary way.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Stream for TlsStream<TcpStream> {
    fn discard_unsent(&self) {
        self.get_ref().0.discard_unsent();
    }
}

#[cfg(unix)]
impl Stream for tokio::net::UnixStream {
    // What was written to a unix socket has arrived already.
    fn discard_unsent(&self) {}
}
