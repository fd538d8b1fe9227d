//! What tells one lock from another: its value and what it is on. A value of the
//! caller's own may stand on several resources at once.

use std::sync::Arc;

use super::question::Resources;
use super::token::Token;

/// A lock of one quorum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LockId {
    value: Token,
    /// In order, however they were given.
    resources: Resources,
}

impl LockId {
    pub(super) fn new(value: &Token, resources: &Resources) -> Self {
        let resources = if resources.is_sorted() {
            Arc::clone(resources)
        } else {
            let mut sorted = resources.to_vec();
            sorted.sort_unstable();
            sorted.into()
        };
        Self {
            value: value.clone(),
            resources,
        }
    }

    pub(super) fn value(&self) -> &Token {
        &self.value
    }
}

/// Whether both are the same names, in whatever order.
pub(super) fn are_same<'names>(one: &'names Resources, other: &'names Resources) -> bool {
    let sorted = |names: &'names Resources| {
        let mut names: Vec<_> = names.iter().collect();
        names.sort_unstable();
        names
    };
    one == other || one.len() > 1 && one.len() == other.len() && sorted(one) == sorted(other)
}
