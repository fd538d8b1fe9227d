//! The two ways to an instance behind the caller's client, and why one is taken.

use thiserror::Error;

use crate::engine::Cause;

/// Which ways may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The client, then our own connection once it is proven.
    Auto,
    /// Our own connection, on the caller's word.
    OwnConnection,
}

/// The way by which an instance is asked.
#[derive(Clone, Debug)]
pub enum Route {
    /// Our own connection.
    OwnConnection,
    /// The caller's client, and why.
    Bridge(BridgeReason),
}

/// Who is told by which way the instance is asked.
pub trait RouteObserver {
    /// From now on it is asked this way.
    fn rerouted(&self, route: &Route);
}

/// Why the caller's client is asked, for people.
#[derive(Clone, Debug, Error)]
pub enum BridgeReason {
    /// There are no details to connect with.
    #[error("there is no connection of our own")]
    NoConnection,
    /// Nothing has been locked yet on the connection there is.
    #[error("our own connection is not proven yet; the next lock that is granted proves it")]
    NotYetProven,
    /// A lock was taken in a way that proves nothing.
    #[error("locks are taken with a lockScript of one's own, which nothing but the client may run")]
    OwnScript,
    /// Our own connection does not find the key that the client has set.
    #[error(
        "our own connection does not see the key that the client has just set; \
         is the client's database, prefix or server another than its options say?"
    )]
    KeyNotFound,
    /// The key could not be set, or not be looked for.
    #[error("the key that was to prove our own connection could not be set or found: {0}")]
    ProofImpossible(Cause),
    /// One can't write there.
    #[error("our own connection leads to a replica")]
    Replica,
    /// Whether one can write there is not known.
    #[error(
        "our own connection's server does not say that it is a master (may its user read INFO?)"
    )]
    RoleUnknown,
    /// The connection is being made.
    #[error("our own connection is being made")]
    Connecting,
    /// The connection could not be made, or was lost.
    #[error("our own connection failed: {0}")]
    Unreachable(Cause),
}

impl BridgeReason {
    /// Whether something went wrong, and it isn't just too early.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        !matches!(
            self,
            Self::NoConnection | Self::NotYetProven | Self::OwnScript | Self::Connecting
        )
    }
}
