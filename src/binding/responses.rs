//! What a session's requests are answered with, on its way to the outbox.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Weak;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::outbox::{Outbox, Outcome, Response};

/// The responses of this turn of the engine's thread. They go to JavaScript
/// together once the tasks that were ready have run, so that one wake-up brings
/// them all.
pub struct Responses {
    outbox: Arc<Outbox>,
    collected: RefCell<Vec<Response>>,
    /// Wakes [`flush`].
    flusher: RefCell<Option<Waker>>,
    is_closed: Cell<bool>,
}

impl Responses {
    pub fn new(outbox: Arc<Outbox>) -> Self {
        Self {
            outbox,
            collected: RefCell::default(),
            flusher: RefCell::default(),
            is_closed: Cell::new(false),
        }
    }

    /// Where they go.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Whether nobody takes responses any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Has JavaScript told; gives the response back if nobody can be told any more.
    #[must_use]
    pub fn send(&self, response: Response) -> Option<Response> {
        if self.is_closed.get() {
            return Some(response);
        }
        self.collected.borrow_mut().push(response);
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
        None
    }

    /// Has JavaScript told what it has not asked for. Nothing is lost with it if
    /// nobody can be told any more.
    pub fn tell(&self, outcome: Outcome) {
        drop(self.send(Response::unasked(outcome)));
    }

    /// Nobody takes responses any more; returns those that nobody has taken.
    pub fn close(&self) -> Vec<Response> {
        self.is_closed.set(true);
        let mut undelivered = Vec::from(self.outbox.close());
        undelivered.extend(self.collected.take());
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
        undelivered
    }
}

/// Hands over what each turn has collected, until they are closed. What nobody can
/// be told of any more is `undelivered`.
pub async fn flush(responses: Weak<Responses>, undelivered: impl Fn(Response)) {
    poll_fn(|context| {
        let Some(responses) = responses.upgrade() else {
            return Poll::Ready(());
        };
        let left = {
            let mut collected = responses.collected.borrow_mut();
            responses.outbox.push(collected.drain(..))
        };
        for response in left.into_iter().flatten() {
            undelivered(response);
        }
        if responses.is_closed.get() {
            return Poll::Ready(());
        }
        *responses.flusher.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
}
