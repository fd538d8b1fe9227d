//! A command on its way, and who waits for its reply.

use std::rc::Rc;

use redis::Value;

use crate::engine::{Cause, Instant, Operation, Question, Responder};
use crate::instances::redis::protocol::command::Form;

/// A command without a reply yet.
pub(super) struct PendingCommand {
    /// When it was written, or could not be since the socket was full;
    /// [`Instant::ORIGIN`] before that.
    pub(super) at: Instant,
    /// About how many bytes it keeps.
    pub(super) weight: usize,
    pub(super) expected: ExpectedReply,
}

impl PendingCommand {
    pub(super) const fn unwritten(weight: usize, expected: ExpectedReply) -> Self {
        Self {
            at: Instant::ORIGIN,
            weight,
            expected,
        }
    }
}

/// What the reply to a command is for.
pub(super) enum ExpectedReply {
    Vote {
        question: Rc<Question>,
        form: Form,
        /// Nobody waits for the answer to an owed release.
        responder: Option<Responder>,
        /// It was asked before in one call with others, which has not found its key.
        is_doubted: bool,
    },
    /// Releases that go in one call: what became of each.
    Releases {
        releases: Vec<Release>,
        /// `None` while they are gathered.
        form: Option<Form>,
    },
    /// Something beside the votes: an array, or an error.
    Array(OnReply),
    /// That to ASKING, before a question about a key that is just being moved: OK, or
    /// an error.
    Asking,
}

/// Is called with what came of a command.
pub(super) type OnReply = Box<dyn FnOnce(Result<Value, Cause>)>;

/// A release, and who waits for it.
pub(super) struct Release {
    pub(super) question: Rc<Question>,
    /// Nobody waits for the answer to an owed release.
    pub(super) responder: Option<Responder>,
}

impl Release {
    /// Itself; nobody waits for what is left.
    pub(super) fn take(&mut self) -> Self {
        Self {
            question: Rc::clone(&self.question),
            responder: self.responder.take(),
        }
    }
}

impl ExpectedReply {
    /// How many questions it is for.
    pub(super) fn questions(&self) -> usize {
        match self {
            Self::Releases { releases, .. } => releases.len(),
            Self::Vote { .. } | Self::Array(_) | Self::Asking => 1,
        }
    }

    pub(super) fn is_acquire(&self) -> bool {
        matches!(self, Self::Vote { question, .. } if matches!(question.operation, Operation::Acquire { .. }))
    }
}
