//! The releases a server that is out of reach is owed.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::engine::Question;

/// Releases to be delivered on the next connection. The number is bounded: what
/// is dropped beyond it ends by its ttl.
#[derive(Default)]
pub(super) struct Owed {
    releases: VecDeque<Rc<Question>>,
}

impl Owed {
    /// About 2 MB, with names of the usual length.
    const MOST: usize = 10_000;

    /// Adds one; beyond the bound the oldest makes room, whose key is the
    /// nearest to its end.
    pub(super) fn add(&mut self, release: Rc<Question>) {
        if self.releases.len() == Self::MOST {
            self.releases.pop_front();
        }
        self.releases.push_back(release);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.releases.is_empty()
    }

    /// Takes all, oldest first.
    pub(super) fn take(&mut self) -> VecDeque<Rc<Question>> {
        std::mem::take(&mut self.releases)
    }
}
