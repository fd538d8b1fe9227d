//! From a configuration to a connection on which a server tells of changes.

use std::rc::Rc;

use redis::{Cmd, Value, cmd};

use super::session::Session;
use crate::engine::{Cause, within};
use crate::instances::redis::config::Config;
use crate::instances::redis::dial::{Dialled, Transport, dial, request, unreachable};
use crate::instances::redis::protocol::frame::Replies;
use crate::instances::redis::protocol::value::{text, unexpected};
use crate::instances::redis::redact::Redactor;

/// Why there is no such connection.
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// The server is there and does not do it, which it won't soon either.
    pub(super) is_refusal: bool,
}

/// Connects and logs in as a link does, and has the server tell of what is read.
pub(super) async fn connect(
    transport: &Rc<Transport>,
    config: &Config,
) -> Result<Session, Failure> {
    let dialled = dial(transport, config).await.map_err(|cause| Failure {
        cause,
        is_refusal: false,
    })?;
    let environment = transport.environment.as_ref();
    let limit = config.connect_timeout;
    let begun = within(environment, limit, begin_tracking(dialled, config)).await;
    let begun = begun.unwrap_or_else(|| {
        Err(unreachable(format!(
            "no answer to HELLO and CLIENT TRACKING within {} ms",
            limit.as_millis()
        )))
    });
    begun.map_err(|cause| Failure {
        is_refusal: !matches!(cause, Cause::Unreachable { .. }),
        cause,
    })
}

async fn begin_tracking(mut dialled: Dialled, config: &Config) -> Result<Session, Cause> {
    let redactor = Redactor::new(config);
    let user = [config.username.as_deref().unwrap_or_default()];
    let mut heard = Replies::of_version_3();
    let mut ask = async |command: &Cmd| {
        let reply = request(&mut dialled.stream, &mut heard, command, config).await?;
        match reply {
            Value::ServerError(error) => Err(redactor.refused(&error, &user)),
            reply => Ok(reply),
        }
    };
    let said = ask(cmd("HELLO").arg(3)).await?;
    if !speaks_version_3(&said) {
        return Err(unexpected(&said));
    }
    let said = ask(cmd("CLIENT").arg("TRACKING").arg("ON")).await?;
    if said != Value::Okay {
        return Err(unexpected(&said));
    }
    Ok(Session::new(dialled, heard))
}

/// Whether a server that was asked to has switched to version 3 of the protocol.
fn speaks_version_3(said: &Value) -> bool {
    let Value::Map(parts) = said else {
        return false;
    };
    let version = parts.iter().find(|(name, _)| text(name) == Some("proto"));
    version.is_some_and(|(_, version)| *version == Value::Int(3))
}
