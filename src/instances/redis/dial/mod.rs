//! One dial: from a configuration to a stream on which commands can be sent.

mod addresses;
mod cause;
#[cfg(target_os = "linux")]
mod readable;
mod sentinel;
mod server;
mod sockets;
mod stream;
mod transport;

use std::rc::Rc;

pub use addresses::{Resolve, Resolving};
pub(super) use cause::{CLOSED, unasked, unreachable};
#[cfg(target_os = "linux")]
pub use readable::Readable;
#[cfg(test)]
pub(super) use sentinel::master_of;
#[cfg(test)]
pub(super) use server::Greeting;
pub(super) use server::{Dialled, MasterChange, request};
pub use sockets::Sockets;
pub use stream::{Connecting, Dialler, Stream};
pub(super) use transport::Transport;

use super::config::{Config, Endpoint};
use crate::engine::Cause;

/// Connects, logs in, selects the database and sees that the server answers.
///
/// # Errors
///
/// [`Cause::Unreachable`] where there is no connection,
/// [`Cause::Refused`] with the server's own error where it lets nobody in.
pub(super) async fn dial(transport: &Rc<Transport>, config: &Config) -> Result<Dialled, Cause> {
    match &config.endpoint {
        Endpoint::Sentinel(sentinels) => sentinel::dial(transport, config, sentinels).await,
        _ => server::dial(transport, config).await,
    }
}
