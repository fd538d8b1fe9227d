//! A release that our own connection has left open goes by the caller's client: it
//! names one attempt's value, so that a second one does no harm.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use super::bridge::Bridge;
use crate::engine::{Cause, Question, Responder, Vote, VoteSink};

/// Takes our own connection's vote on a release.
pub(super) struct ReleaseByOwnConnection {
    bridge: Weak<Bridge>,
    question: Rc<Question>,
    responder: Cell<Option<Responder>>,
}

impl ReleaseByOwnConnection {
    /// What our own connection is to answer `release` with, so that the client is
    /// asked where it doesn't.
    pub(super) fn before(
        bridge: &Rc<Bridge>,
        release: &Rc<Question>,
        responder: Responder,
    ) -> Responder {
        let sink = Self {
            bridge: Rc::downgrade(bridge),
            question: Rc::clone(release),
            responder: Cell::new(Some(responder)),
        };
        Responder::new(Rc::new(sink), 0)
    }
}

impl VoteSink for ReleaseByOwnConnection {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let Some(responder) = self.responder.take() else {
            return;
        };
        let lost = matches!(
            vote,
            Vote::Failed(Cause::Lost { .. } | Cause::Unreachable { .. } | Cause::Silent { .. })
        );
        match self.bridge.upgrade() {
            Some(bridge) if lost => {
                let again = ReleaseByClient {
                    first: Cell::new(Some(vote)),
                    responder: Cell::new(Some(responder)),
                };
                bridge.ask(&self.question, Responder::new(Rc::new(again), 0));
            }
            _ => responder.vote(vote),
        }
    }
}

/// Takes the client's vote on it.
struct ReleaseByClient {
    /// Our own connection's.
    first: Cell<Option<Vote>>,
    responder: Cell<Option<Responder>>,
}

impl VoteSink for ReleaseByClient {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        // Nothing may be there because it was carried out the first time.
        let vote = match (vote, self.first.take()) {
            (
                Vote::Held { .. },
                Some(first @ Vote::Failed(Cause::Lost { .. } | Cause::Silent { .. })),
            ) => first,
            (vote, _) => vote,
        };
        if let Some(responder) = self.responder.take() {
            responder.vote(vote);
        }
    }
}
