//! A release that our own connection has left open goes by the caller's client: it
//! names one attempt's value, so that a second one does no harm.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use super::bridge::Bridge;
use crate::engine::{Ballot, Cause, Question, Reply, Vote};

/// Takes our own connection's vote on a release.
pub(super) struct ReleaseByOwnConnection {
    bridge: Weak<Bridge>,
    question: Rc<Question>,
    reply: Cell<Option<Reply>>,
}

impl ReleaseByOwnConnection {
    /// What our own connection is to answer `release` with, so that the client is
    /// asked where it doesn't.
    pub(super) fn before(bridge: &Rc<Bridge>, release: &Rc<Question>, reply: Reply) -> Reply {
        let ballot = Self {
            bridge: Rc::downgrade(bridge),
            question: Rc::clone(release),
            reply: Cell::new(Some(reply)),
        };
        Reply::new(Rc::new(ballot), 0)
    }
}

impl Ballot for ReleaseByOwnConnection {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let Some(reply) = self.reply.take() else {
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
                    reply: Cell::new(Some(reply)),
                };
                bridge.ask(&self.question, Reply::new(Rc::new(again), 0));
            }
            _ => reply.vote(vote),
        }
    }
}

/// Takes the client's vote on it.
struct ReleaseByClient {
    /// Our own connection's.
    first: Cell<Option<Vote>>,
    reply: Cell<Option<Reply>>,
}

impl Ballot for ReleaseByClient {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        // Nothing may be there because it was carried out the first time.
        let vote = match (vote, self.first.take()) {
            (
                Vote::Held { .. },
                Some(first @ Vote::Failed(Cause::Lost { .. } | Cause::Silent { .. })),
            ) => first,
            (vote, _) => vote,
        };
        if let Some(reply) = self.reply.take() {
            reply.vote(vote);
        }
    }
}
