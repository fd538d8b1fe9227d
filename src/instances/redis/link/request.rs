//! A question on its way to a server, and who waits for the answer.

use std::rc::Rc;

use crate::engine::{Question, Reply};

pub(super) struct Request {
    pub(super) question: Rc<Question>,
    pub(super) reply: Reply,
    pub(super) slot: SlotState,
}

/// Of a cluster's node: whether the slot that a question's keys are in belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Owned,
    /// It is just being moved there, and served only after ASKING.
    Importing,
}
