//! How much memory a question takes where many may wait.

use crate::engine::{Question, Token};

/// About how many bytes a question keeps that waits for its answer or is owed: of
/// names and of its value. The rest of it is there once for all servers that it is
/// put to, so that it counts against none of them: by [`Question::weight`] a link
/// would have no room for a hundred thousand waiters, nor for all releases of a burst.
pub(super) fn weight_of(question: &Question) -> usize {
    weight_of_names(&question.resources, &question.value)
}

/// The same of these names and this value.
pub(super) fn weight_of_names(names: &[Box<str>], value: &Token) -> usize {
    const EACH: usize = 16;
    let names: usize = names.iter().map(|name| name.len() + EACH).sum();
    names + value.len() + EACH
}
