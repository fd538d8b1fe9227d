//! What one waiter is told.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// What a waiter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Called {
    /// The resource may be free, and it is its turn.
    Turn(Turn),
    /// It may be the first by now, or another may.
    Moved,
}

/// When whose turn it is may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Turn {
    Now,
    /// Once other processes could have found the resource free. Whether they `contend` for it
    /// is known from earlier refusals.
    AfterOthers {
        contend: bool,
    },
}

/// What one waiter was told last and has not heard yet.
#[derive(Default)]
pub(super) struct Call {
    called: Cell<Option<Called>>,
    waker: RefCell<Option<Waker>>,
}

impl Call {
    pub(super) fn call(&self, called: Called) {
        // A turn is not taken back by what matters less.
        if !self.is_turn() {
            self.called.set(Some(called));
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
    /// Ready with what it was told, once.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Called> {
        if let Some(called) = self.called.take() {
            return Poll::Ready(called);
        }
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Whether it was told that it is its turn, and has not heard it.
    pub(super) fn is_turn(&self) -> bool {
        matches!(self.called.get(), Some(Called::Turn(_)))
    }

    #[cfg(test)]
    pub(super) fn take(&self) -> Option<Called> {
        self.called.take()
    }
}
