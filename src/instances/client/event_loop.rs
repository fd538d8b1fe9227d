//! How often JavaScript's event loop has come round when it was called: a client
//! whose thread does something else is not silent.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// What is known of the event loop.
#[derive(Default)]
pub(super) struct EventLoop {
    turns: Cell<u64>,
    waiter: RefCell<Option<Waker>>,
}

impl EventLoop {
    /// It has come round after a call, or never will again.
    pub(super) fn came_round(&self) {
        self.turns.set(self.turns.get() + 1);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// The number of the turn that a call which is made now leads to.
    pub(super) const fn next_turn(&self) -> u64 {
        self.turns.get() + 1
    }

    /// Resolves at the turn of this number. One task at a time may wait.
    pub(super) async fn turn(&self, number: u64) {
        poll_fn(|context| {
            if self.turns.get() >= number {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
