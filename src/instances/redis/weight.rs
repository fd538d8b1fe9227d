//! How much memory a question takes where many may wait.

use crate::engine::{Question, Token};

/// About how many bytes a question keeps that waits for its answer or is owed: of
/// names and of its value. The rest of it is there once for all servers that it is
/// put to, so that it counts against none of them: by [`Question::weight`] a link
/// would have no room for a hundred thousand waiters, nor for all releases of a burst.
pub(super) fn weight_of(question: &Question) -> usize {
    question.length_with(EACH) + EACH
}

/// The same of this name and this value.
pub(super) fn weight_of_one(name: &str, value: &Token) -> usize {
    name.len() + EACH + value.len() + EACH
}

/// What a name takes beside its text, and a value.
const EACH: usize = 16;
