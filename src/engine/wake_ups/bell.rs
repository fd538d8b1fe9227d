//! Wakes whoever waits when more is known.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub struct Bell {
    has_rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    pub fn ring(&self) {
        self.has_rung.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ready once it has rung since the last time that it was.
    pub fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_rung.take() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}
