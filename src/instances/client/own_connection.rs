//! Our own connection to where the caller's client leads, and how far it is proven
//! that it does.

use std::rc::Rc;
use std::time::Duration;

use super::route::{BridgeReason, Mode, Route};
use crate::engine::{ConnectionState, Instant, SafetyRule};
use crate::instances::redis::Server;

/// Our own connection, as the client's details give it.
pub(super) struct OwnConnection {
    pub(super) server: Rc<Server>,
    pub(super) connection: ConnectionState,
    proof: Proof,
    /// The wait before the next proof, once one has failed.
    pause: Duration,
}

#[derive(Clone, Debug)]
enum Proof {
    Missing(BridgeReason),
    UnderWay(ProofNumber),
    Given,
    Failed {
        reason: BridgeReason,
        /// Not again before then.
        again: Instant,
    },
}

/// Tells a proof from those of the same client before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProofNumber(u64);

impl ProofNumber {
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The wait before the next proof, after a failed one: doubled each time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl OwnConnection {
    /// One that is being made.
    pub(super) const fn new(server: Rc<Server>) -> Self {
        Self {
            server,
            connection: ConnectionState::Connecting,
            proof: Proof::Missing(BridgeReason::Connecting),
            pause: SHORTEST_PAUSE,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.connection, ConnectionState::Ready { .. })
    }

    /// The way that is taken because of it.
    pub(super) fn route(&self, mode: Mode) -> Route {
        match (&self.proof, mode) {
            (_, Mode::OwnConnection) | (Proof::Given, Mode::Auto) => Route::OwnConnection,
            _ if self.is_ready() && !SafetyRule::Proof.is_kept() => Route::OwnConnection,
            (Proof::UnderWay(_), Mode::Auto) => Route::Bridge(BridgeReason::NotYetProven),
            (Proof::Missing(reason) | Proof::Failed { reason, .. }, Mode::Auto) => {
                Route::Bridge(reason.clone())
            }
        }
    }

    pub(super) fn is_the_way(&self, mode: Mode) -> bool {
        matches!(self.route(mode), Route::OwnConnection)
    }

    /// Whether it is the way, or may become it without another try.
    pub(super) const fn may_be_proven(&self) -> bool {
        match &self.proof {
            Proof::Missing(reason) => {
                matches!(
                    reason,
                    BridgeReason::Connecting | BridgeReason::NotYetProven
                )
            }
            Proof::UnderWay(_) | Proof::Given => true,
            Proof::Failed { .. } => false,
        }
    }

    /// It is in another state. Whatever was proven before is not any more: it may
    /// have been made anew, and lead elsewhere.
    pub(super) fn change(&mut self, connection: &ConnectionState) {
        self.connection = connection.clone();
        self.proof = Proof::Missing(match connection {
            ConnectionState::Connecting => BridgeReason::Connecting,
            ConnectionState::Down(cause) => BridgeReason::Unreachable(cause.clone()),
            ConnectionState::Ready { .. } => match self.server.is_master() {
                Some(true) => BridgeReason::NotYetProven,
                Some(false) => BridgeReason::Replica,
                None => BridgeReason::RoleUnknown,
            },
        });
    }

    /// Whether a proof may begin.
    pub(super) fn is_proof_due(&self, now: Instant) -> bool {
        self.is_ready()
            && match self.proof {
                Proof::Missing(_) => self.server.is_master() == Some(true),
                Proof::Failed { again, .. } => now >= again,
                Proof::UnderWay(_) | Proof::Given => false,
            }
    }

    pub(super) fn begin_proof(&mut self, number: ProofNumber) {
        self.pause = match self.proof {
            Proof::Failed { .. } => (self.pause * 2).min(LONGEST_PAUSE),
            _ => SHORTEST_PAUSE,
        };
        self.proof = Proof::UnderWay(number);
    }

    /// What came of a proof; `false` if that doesn't count any more, as something
    /// else has come meanwhile.
    pub(super) fn end_proof(
        &mut self,
        number: ProofNumber,
        outcome: Result<(), BridgeReason>,
        now: Instant,
    ) -> bool {
        if !matches!(self.proof, Proof::UnderWay(current) if current == number) {
            return false;
        }
        self.proof = match outcome {
            Ok(()) => Proof::Given,
            Err(reason) => Proof::Failed {
                reason,
                again: now.after(self.pause),
            },
        };
        true
    }

    /// A lock was taken with a script of the caller's, which proves nothing; `true`
    /// if that is now the reason why it isn't proven.
    pub(super) fn note_own_script(&mut self) -> bool {
        let is_reason = matches!(self.proof, Proof::Missing(BridgeReason::NotYetProven));
        if is_reason {
            self.proof = Proof::Missing(BridgeReason::OwnScript);
        }
        is_reason
    }
}
