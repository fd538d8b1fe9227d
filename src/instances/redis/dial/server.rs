//! Dialling one server whose address is known: connect, log in, and see who it is.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use redis::{Cmd, ServerError, Value, cmd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::cause::{CLOSED, explain, unasked, unreachable};
use super::stream::Stream;
use super::transport::{OmittedCommands, Transport};
use crate::engine::{Cause, Instant, within};
use crate::instances::redis::config::{Config, Endpoint};
use crate::instances::redis::protocol::frame::Replies;
use crate::instances::redis::protocol::value::unexpected;
use crate::instances::redis::redact::Redactor;
use crate::instances::redis::secret::Secret;
use crate::instances::redis::tls;

/// A connection that is ready for commands.
pub(crate) struct Dialled {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) greeting: Greeting,
    /// When it was greeted, and when it had answered.
    pub(crate) greeted: (Instant, Instant),
    /// Resolves when the server is no longer the one that is meant.
    pub(crate) master_change: Option<MasterChange>,
}

/// Resolves, with the reason, when the server is no longer the master that was meant.
pub(crate) type MasterChange = Pin<Box<dyn Future<Output = Cause>>>;

/// What a server says of itself when it is dialled, as far as it does.
#[derive(Default)]
pub(crate) struct Greeting {
    /// The id its process has given itself.
    pub(crate) run_id: Option<String>,
    /// Whether it is a master, to which alone one can write.
    pub(crate) master: Option<bool>,
}

/// Connects, logs in, selects the database and sees that the server answers.
pub(super) async fn dial(transport: &Transport, config: &Config) -> Result<Dialled, Cause> {
    let attempt = async {
        let asked = transport.omitted_for(config);
        match connect(transport, config, asked).await {
            Ok(dialled) => Ok(dialled),
            Err(DialError { cause, suspects }) if suspects == asked => Err(cause),
            Err(DialError { cause, suspects }) => {
                // A proxy that hangs up at a command it doesn't know is asked without
                // it, now and at the next dials.
                let dialled = connect(transport, config, suspects).await;
                let dialled = dialled.map_err(|_| cause)?;
                transport.omit_for(config, suspects);
                Ok(dialled)
            }
        }
    };
    let limit = config.connect_timeout;
    match within(transport.environment.as_ref(), limit, attempt).await {
        Some(dialled) => dialled,
        None => Err(unreachable(format!(
            "no answer within {} ms; is the server hung, or a firewall in between{}?",
            limit.as_millis(),
            if config.tls.is_some() {
                ", or does it not speak TLS on this port"
            } else {
                ""
            }
        ))),
    }
}

/// Why a connection was not made, and what is to be left out from now on if it is
/// because of that.
struct DialError {
    cause: Cause,
    suspects: OmittedCommands,
}

/// Connects and greets, without what is to be left out.
async fn connect(
    transport: &Transport,
    config: &Config,
    without: OmittedCommands,
) -> Result<Dialled, DialError> {
    let mut suspects = without;
    let dialled = async {
        let mut stream = transport.dialler.connect(config).await?;
        let asked = transport.environment.now();
        let greeting = greet(&mut stream, config, without, &mut suspects).await?;
        Ok(Dialled {
            stream,
            greeting,
            greeted: (asked, transport.environment.now()),
            master_change: None,
        })
    };
    dialled.await.map_err(|cause| DialError { cause, suspects })
}

/// The first commands on a connection, written together. If the server hangs up,
/// those are `suspects` that it has not answered and that one can do without.
async fn greet(
    stream: &mut Box<dyn Stream>,
    config: &Config,
    without: OmittedCommands,
    suspects: &mut OmittedCommands,
) -> Result<Greeting, Cause> {
    let greeting = greeting(config, without);
    let redactor = Redactor::new(config);
    let user = [config.username.as_deref().unwrap_or_default()];
    let mut bytes = Vec::new();
    for (command, _) in &greeting {
        command.write_packed_command(&mut bytes);
    }
    stream
        .write_all(&bytes)
        .await
        .map_err(|error| lost(&error, config))?;

    let mut heard = Replies::default();
    let mut said = Greeting::default();
    for (index, (_, needed)) in greeting.iter().enumerate() {
        let reply = match read_reply(stream, &mut heard, config).await {
            Err(cause @ Cause::Unreachable { .. }) => {
                for (_, needed) in &greeting[index..] {
                    suspects.name |= matches!(needed, Needed::Nothing);
                    suspects.info |= matches!(needed, Needed::Info);
                }
                return Err(cause);
            }
            reply => reply?,
        };
        match (reply, needed) {
            (Value::Okay, Needed::Success | Needed::Answer | Needed::Nothing)
            | (Value::ServerError(_), Needed::Nothing | Needed::Info) => {}
            (Value::SimpleString(pong), Needed::Answer) if pong == "PONG" => {}
            (Value::BulkString(info), Needed::Info) => said.read(&info),
            (Value::ServerError(error), Needed::Answer) if is_of_the_command(&error) => {}
            (Value::ServerError(error), _) => return Err(redactor.refused(&error, &user)),
            (other, _) => return Err(unexpected(&other)),
        }
    }
    if heard.waiting() > 0 {
        return Err(unasked());
    }
    Ok(said)
}

/// Whether it is the command that may not be used or isn't there.
fn is_of_the_command(error: &ServerError) -> bool {
    let details = error.details().unwrap_or_default();
    error.code() == "NOPERM" || (error.code() == "ERR" && details.starts_with("unknown command"))
}

impl Greeting {
    /// Takes what there is from a section of INFO.
    pub(crate) fn read(&mut self, info: &[u8]) {
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
    /// What comes after it needs no success, but its reply must be OK or an error.
    Nothing,
    /// A section of INFO, if the user may have it.
    Info,
}

fn greeting(config: &Config, without: OmittedCommands) -> Vec<(Cmd, Needed)> {
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
    if let Some(name) = &config.client_name
        && !without.name
    {
        let mut set_name = cmd("CLIENT");
        set_name.arg("SETNAME").arg(name);
        greeting.push((set_name, Needed::Nothing));
    }
    greeting.push((cmd("PING"), Needed::Answer));
    let sections: &[&str] = if without.info {
        &[]
    } else {
        &["server", "replication"]
    };
    for section in sections {
        let mut info = cmd("INFO");
        info.arg(*section);
        greeting.push((info, Needed::Info));
    }
    greeting
}

/// Sends one command on a connection that nobody else uses yet.
pub(crate) async fn request(
    stream: &mut Box<dyn Stream>,
    heard: &mut Replies,
    command: &Cmd,
    config: &Config,
) -> Result<Value, Cause> {
    if heard_early(stream, heard, config).await? {
        return Err(unasked());
    }
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

/// Whether something was said before anything was asked: the answers would be
/// taken for those to other questions.
async fn heard_early(
    stream: &mut Box<dyn Stream>,
    heard: &mut Replies,
    config: &Config,
) -> Result<bool, Cause> {
    let read = poll_fn(|context| {
        let read = pin!(stream.read_buf(heard.room())).poll(context);
        Poll::Ready(match read {
            Poll::Ready(read) => read.map(Some),
            Poll::Pending => Ok(None),
        })
    })
    .await;
    match read {
        Ok(Some(0)) => Err(unreachable(CLOSED.to_owned())),
        Ok(_) => Ok(heard.waiting() > 0),
        Err(error) => Err(lost(&error, config)),
    }
}

/// The longest reply while a connection is made, a section of INFO, in bytes.
const LONGEST_REPLY: usize = 1024 * 1024;

async fn read_reply(
    stream: &mut Box<dyn Stream>,
    heard: &mut Replies,
    config: &Config,
) -> Result<Value, Cause> {
    loop {
        if let Some(reply) = heard.next(LONGEST_REPLY)? {
            return Ok(reply);
        }
        match stream.read_buf(heard.room()).await {
            Ok(0) => return Err(unreachable(format!("{CLOSED}{}", wants_tls(config)))),
            Ok(_) => {}
            Err(error) => return Err(lost(&error, config)),
        }
    }
}

fn lost(error: &io::Error, config: &Config) -> Cause {
    // With TLS 1.3, a server's objection to the client's certificate comes now.
    let explained = tls::explain(error, |error| Redactor::new(config).named(error));
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
