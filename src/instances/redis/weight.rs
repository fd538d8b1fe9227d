//! How much memory a question takes where many may wait.

use crate::engine::Question;

/// About how many bytes a question keeps that waits for its answer or is owed: of
/// names and of its value. The rest of it is there once for all servers that it is
/// put to, so that it counts against none of them: by [`Question::weight`] a link
/// would have no room for a hundred thousand waiters, nor for all releases of a burst.
pub(super) fn weight_of(question: &Question) -> usize {
    const EACH: usize = 16;
    let names = question.resources.iter();
    let names: usize = names.map(|resource| resource.len() + EACH).sum();
    names + question.value.len() + EACH
}
