//! A question on its way to a server, and who waits for the answer.

use std::rc::Rc;

use crate::engine::{Instant, Operation, Question, Responder};
use crate::instances::acquire_queue::Acquire;
use crate::instances::redis::weight::weight_of;

pub(super) struct Request {
    pub(super) question: Rc<Question>,
    pub(super) responder: Responder,
    pub(super) slot: SlotState,
}

impl Acquire for Request {
    fn question(&self) -> &Question {
        &self.question
    }

    fn is_awaited(&self, now: Instant) -> bool {
        self.question.is_wanted(now, Some(&self.responder))
    }

    fn weight(&self) -> usize {
        weight_of(&self.question)
    }

    fn into_responder(self) -> Responder {
        self.responder
    }
}

/// Of a cluster's node: whether the slot that a question's keys are in belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Owned,
    /// It is just being moved there, and served only after ASKING.
    Importing,
}

/// Which goes first where a server can't take everything at once: acquires wait for
/// releases, and those for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Acquire,
    Release,
    Other,
}

impl Kind {
    pub(super) fn of(question: &Question) -> Self {
        match question.operation {
            Operation::Acquire { .. } => Self::Acquire,
            Operation::Release { .. } => Self::Release,
            Operation::Extend { .. } | Operation::Inspect => Self::Other,
        }
    }
}
