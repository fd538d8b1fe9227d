//! One member of the quorum, as the engine sees it: somebody who can be asked a
//! question and who casts one vote on it.

use std::rc::Rc;
use std::sync::Arc;

use super::error::Cause;
use super::token::Token;
use super::validity::{Instant, Ttl};

/// A member of the quorum: a server, a cluster, a sentinel group, a table in
/// memory.
///
/// Everything happens on the engine's thread; nothing here may block.
pub trait Instance {
    /// Where it is, for errors and events. It must not contain a secret.
    fn address(&self) -> &str;

    /// Asks for a vote on `question`, which is cast with `reply` now or later.
    ///
    /// The instance need not keep the deadline, the engine does; but it must
    /// not begin an acquire or extend whose deadline has passed, and it must
    /// write each of them at most once (safety rule 13). A release it still
    /// owes when its connection breaks is to be delivered on the next one.
    fn ask(&self, question: &Rc<Question>, reply: Reply);
}

/// What a round asks every instance.
#[derive(Debug)]
pub struct Question {
    /// What is to be done.
    pub operation: Operation,
    /// With which keys: at least one, all or none of them.
    pub resources: Resources,
    /// In whose name.
    pub value: Token,
    /// When the asker stops waiting for the vote.
    pub deadline: Instant,
    /// Whether failures are to be reported as events.
    pub report: bool,
}

/// The names of what is locked together: at least one, none of them twice.
pub type Resources = Arc<[Box<str>]>;

/// The three things an instance can be asked to do. Each is atomic there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set every key to the value for `ttl`, if none of them exists.
    Acquire {
        /// How long the keys are to live.
        ttl: Ttl,
    },
    /// Let every key live for at least `ttl` from now, if all of them have the
    /// value. A missing key is not made anew, and no key's life is shortened:
    /// an extension that arrives late must not undo a longer one.
    Extend {
        /// How long the keys are to live.
        ttl: Ttl,
    },
    /// Delete every key that has the value.
    Release {
        /// No key can have the value from before this point. An instance that
        /// has been out of reach for longer owes nothing.
        since: Instant,
    },
}

impl Operation {
    /// The word for it in events and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquire { .. } => "lock",
            Self::Extend { .. } => "extend",
            Self::Release { .. } => "unlock",
        }
    }
}

/// What one instance says.
#[derive(Clone, Debug)]
pub enum Vote {
    /// Done, for every key.
    Granted,
    /// Not done: a key is somebody else's, or (extend, release) gone.
    Held {
        /// For how many keys it was done (release) or could have been.
        applied: u32,
    },
    /// No answer, or an error for an answer.
    Failed(Cause),
}

/// Where votes are cast.
pub trait Ballot {
    /// Takes the vote of the instance numbered `index`.
    fn cast(self: Rc<Self>, index: usize, vote: Vote);
}

/// The right to cast one vote. Dropped unused, it votes
/// [`Cause::Dropped`], so that no round waits for nothing.
pub struct Reply {
    ballot: Option<Rc<dyn Ballot>>,
    index: usize,
}

impl Reply {
    /// The right to vote once on `ballot` as the instance numbered `index`.
    #[must_use]
    pub fn new(ballot: Rc<dyn Ballot>, index: usize) -> Self {
        Self {
            ballot: Some(ballot),
            index,
        }
    }

    /// Casts the vote.
    pub fn vote(mut self, vote: Vote) {
        if let Some(ballot) = self.ballot.take() {
            ballot.cast(self.index, vote);
        }
    }

    /// Casts a failed vote.
    pub fn fail(self, cause: Cause) {
        self.vote(Vote::Failed(cause));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(ballot) = self.ballot.take() {
            ballot.cast(self.index, Vote::Failed(Cause::Dropped));
        }
    }
}
