//! One dial: from a configuration to a stream on which commands can be sent.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::command::{refused, unexpected};
use super::config::{Config, Endpoint, Secret};
use super::frame;
use super::sentinel::{self, Watch};
use super::tls::{self, Tls};
use crate::engine::Cause;

/// What a connection speaks over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Lets the stream's end throw away what was not yet sent: a stale SET must
    /// not arrive after its connection was given up.
    fn discard_unsent(&self);
}

/// A peer that vanished without a word is noticed after about this long.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A connection that is ready for commands.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn Stream>,
    pub(super) greeting: Greeting,
    /// Resolves when the server is no longer the one that is meant.
    pub(super) watch: Option<Watch>,
}

/// What a server says of itself when it is dialled, as far as it does.
#[derive(Default)]
pub(super) struct Greeting {
    /// The id its process has given itself.
    pub(super) run_id: Option<String>,
    /// Whether it is a master, to which alone one can write.
    pub(super) master: Option<bool>,
}

/// Connects, logs in, selects the database and sees that the server answers.
///
/// # Errors
///
/// [`Cause::Unreachable`] where there is no connection,
/// [`Cause::Refused`] with the server's own error where it lets nobody in.
pub(super) async fn dial(config: &Config) -> Result<Dialled, Cause> {
    match &config.endpoint {
        Endpoint::Sentinel(sentinels) => sentinel::dial(config, sentinels).await,
        _ => dial_server(config).await,
    }
}

/// The same for a server whose place is known.
pub(super) async fn dial_server(config: &Config) -> Result<Dialled, Cause> {
    let attempt = async {
        let mut stream = connect(config).await?;
        let greeting = greet(&mut stream, config).await?;
        Ok(Dialled {
            stream,
            greeting,
            watch: None,
        })
    };
    match tokio::time::timeout(config.connect_timeout, attempt).await {
        Ok(dialled) => dialled,
        Err(_) => Err(unreachable(format!(
            "no answer within {} ms; is the server hung, or a firewall in between{}?",
            config.connect_timeout.as_millis(),
            if config.tls.is_some() {
                ", or does it not speak TLS on this port"
            } else {
                ""
            }
        ))),
    }
}

async fn connect(config: &Config) -> Result<Box<dyn Stream>, Cause> {
    let connected = match &config.endpoint {
        Endpoint::Tcp { host, port } => match (tcp(host, *port).await, &config.tls) {
            (Ok(stream), Some(tls)) => return encrypt(stream, tls, host).await,
            (Ok(stream), None) => Ok(Box::new(stream) as Box<dyn Stream>),
            (Err(error), _) => Err(error),
        },
        #[cfg(unix)]
        Endpoint::Unix { path } => match tokio::net::UnixStream::connect(path).await {
            Ok(stream) => Ok(Box::new(stream) as Box<dyn Stream>),
            Err(error) => Err(error),
        },
        #[cfg(not(unix))]
        Endpoint::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
        // Those are places of several servers.
        Endpoint::Sentinel(_) | Endpoint::Cluster { .. } => Err(io::ErrorKind::Unsupported.into()),
    };
    connected.map_err(|error| unreachable(explain(&error)))
}

async fn encrypt(stream: TcpStream, tls: &Tls, host: &str) -> Result<Box<dyn Stream>, Cause> {
    let name = tls.name(host).ok_or_else(|| {
        unreachable(format!(
            "TLS: {host} can't be a certificate's name; give one in tls.servername"
        ))
    })?;
    let connector = TlsConnector::from(Arc::clone(&tls.client));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(unreachable(tls::explain(&error))),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
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

/// The first commands on a connection, written together.
async fn greet(stream: &mut Box<dyn Stream>, config: &Config) -> Result<Greeting, Cause> {
    let greeting = greeting(config);
    let password = config.password.as_ref().map(Secret::reveal);
    let secrets = [
        password.unwrap_or_default(),
        config.username.as_deref().unwrap_or_default(),
    ];
    let mut bytes = Vec::new();
    for (command, _) in &greeting {
        command.write_packed_command(&mut bytes);
    }
    stream
        .write_all(&bytes)
        .await
        .map_err(|error| lost(&error, config))?;

    let mut heard = Vec::new();
    let mut said = Greeting::default();
    for (_, needed) in &greeting {
        let reply = read_reply(stream, &mut heard, config).await?;
        match (reply, needed) {
            (Value::BulkString(info), Needed::Nothing) => said.read(&info),
            (_, Needed::Nothing) | (Value::Okay | Value::SimpleString(_), _) => {}
            (Value::ServerError(error), Needed::Answer) if error.code() == "NOPERM" => {}
            (Value::ServerError(error), _) => return Err(refused(&error, &secrets)),
            (other, _) => return Err(unexpected(&other)),
        }
    }
    Ok(said)
}

impl Greeting {
    /// Takes what there is from a section of INFO.
    pub(super) fn read(&mut self, info: &[u8]) {
        for line in String::from_utf8_lossy(info).lines() {
            match line.split_once(':') {
                Some(("run_id", id)) => {
                    let plausible =
                        id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                    self.run_id = plausible.then(|| id.to_owned());
                }
                Some(("role", role)) => self.master = Some(role == "master"),
                _ => {}
            }
        }
    }
}

/// What must come of a command of the greeting.
enum Needed {
    Success,
    /// A user that may not PING may still lock: that it was refused is an answer.
    Answer,
    Nothing,
}

fn greeting(config: &Config) -> Vec<(Cmd, Needed)> {
    let mut greeting = Vec::new();
    let password = config.password.as_ref().map(Secret::reveal);
    if config.username.is_some() || password.is_some() {
        let mut auth = cmd("AUTH");
        if let Some(username) = &config.username {
            auth.arg(username);
        }
        // A user without a password is logged in with any.
        auth.arg(password.unwrap_or_default());
        greeting.push((auth, Needed::Success));
    }
    if config.db != 0 {
        let mut select = cmd("SELECT");
        select.arg(config.db);
        greeting.push((select, Needed::Success));
    }
    if let Some(name) = &config.client_name {
        let mut set_name = cmd("CLIENT");
        set_name.arg("SETNAME").arg(name);
        greeting.push((set_name, Needed::Nothing));
    }
    greeting.push((cmd("PING"), Needed::Answer));
    for section in ["server", "replication"] {
        let mut info = cmd("INFO");
        info.arg(section);
        greeting.push((info, Needed::Nothing));
    }
    greeting
}

/// Sends one command on a connection that nobody else uses yet.
pub(super) async fn request(
    stream: &mut Box<dyn Stream>,
    heard: &mut Vec<u8>,
    command: &Cmd,
    config: &Config,
) -> Result<Value, Cause> {
    stream
        .write_all(&command.get_packed_command())
        .await
        .map_err(|error| unreachable(explain(&error)))?;
    stream
        .flush()
        .await
        .map_err(|error| unreachable(explain(&error)))?;
    read_reply(stream, heard, config).await
}

async fn read_reply(
    stream: &mut Box<dyn Stream>,
    heard: &mut Vec<u8>,
    config: &Config,
) -> Result<Value, Cause> {
    loop {
        match frame::first(heard) {
            Ok(Some((reply, length))) => {
                heard.drain(..length);
                return Ok(reply);
            }
            Ok(None) => {}
            Err(frame::NotARedisReply) => return Err(not_redis()),
        }
        match stream.read_buf(heard).await {
            Ok(0) => return Err(unreachable(format!("{CLOSED}{}", wants_tls(config)))),
            Ok(_) => {}
            Err(error) => return Err(lost(&error, config)),
        }
    }
}

/// What a server looks like that hangs up.
pub(super) const CLOSED: &str = "the server closed the connection";

/// A server that speaks something else.
pub(super) fn not_redis() -> Cause {
    Cause::Unexpected {
        what: Rc::from("bytes that are not the Redis protocol"),
    }
}

fn lost(error: &io::Error, config: &Config) -> Cause {
    // With TLS 1.3, a server's objection to the client's certificate comes now.
    let explained = tls::explain(error);
    unreachable(format!(
        "the connection broke while logging in: {explained}{}",
        wants_tls(config)
    ))
}

/// What it may mean that a server hangs up on the first words.
fn wants_tls(config: &Config) -> &'static str {
    match (&config.endpoint, &config.tls) {
        (Endpoint::Tcp { .. }, None) => "; does it want TLS on this port (rediss://)?",
        _ => "",
    }
}

fn unreachable(what: String) -> Cause {
    Cause::Unreachable { what: what.into() }
}

fn explain(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is the server running, and on this port?",
        io::ErrorKind::NotFound => "; is the socket's path right?",
        io::ErrorKind::PermissionDenied => "; may this user open it?",
        _ => "",
    };
    format!("{error}{hint}")
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
