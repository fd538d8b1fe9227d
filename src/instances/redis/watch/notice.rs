//! What somebody who watches a key is to be told.

use std::rc::Weak;

use crate::engine::{Cause, Seen, Watcher};

/// What somebody who watches a key is to be told.
pub(super) struct Notice {
    pub(super) watcher: Weak<dyn Watcher>,
    /// As which instance.
    pub(super) index: usize,
    pub(super) news: News,
}

pub(super) enum News {
    Seen(Seen),
    Changed,
    Unwatched(Cause),
}

impl Notice {
    pub(super) fn tell(self) {
        let Some(watcher) = self.watcher.upgrade() else {
            return;
        };
        match self.news {
            News::Seen(seen) => watcher.seen(self.index, seen),
            News::Changed => watcher.changed(self.index),
            News::Unwatched(cause) => watcher.unwatched(self.index, &cause),
        }
    }
}
