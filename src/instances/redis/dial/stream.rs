//! What a connection speaks over, and who opens it: the ports that the simulation
//! and tests bring their own of.

use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::engine::Cause;
use crate::instances::redis::config::Config;

/// What a connection speaks over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Lets the stream's end throw away what was not yet sent: a stale SET must
    /// not arrive after its connection was given up.
    fn discard_unsent(&self);
}

/// A stream on which nothing was said yet, or why there is none.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, Cause>> + 'a>>;

/// How a server's stream is opened.
pub trait Dialler {
    /// Connects to the one server that `config` names, which is none of
    /// sentinels or of a cluster.
    ///
    /// Fails with [`Cause::Unreachable`] where there is no connection. It need
    /// not end by itself: whoever dials has a limit.
    fn connect<'a>(&'a self, config: &'a Config) -> Connecting<'a>;
}
