//! One waiter's place in the queue for its resource.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::super::environment::Environment;
use super::super::question::Resources;
use super::super::retry::Retry;
use super::super::validity::Instant;
use super::call::{Call, Called};
use super::of_members::QueuesOfMembers;

/// A place in the queue, which is left when it is dropped. Who waits for several resources
/// has none in any: it hears when they may be free, and asks when it likes.
pub(in crate::engine) struct Place {
    queues: Rc<QueuesOfMembers>,
    resources: Resources,
    number: i64,
    call: Rc<Call>,
    /// Its turn has come, and nothing has come of it yet.
    has_turn: Cell<bool>,
}

impl Place {
    /// Lines up; before all others if `is_first`, which is for who has asked already.
    pub(in crate::engine) fn line_up(
        queues: &Rc<QueuesOfMembers>,
        resources: &Resources,
        retry: Retry,
        is_first: bool,
    ) -> Self {
        let call = Rc::default();
        Self {
            number: queues.line_up(resources, retry, is_first, &call),
            queues: Rc::clone(queues),
            resources: Resources::clone(resources),
            call,
            has_turn: Cell::new(false),
        }
    }

    /// Whether it may ask when it likes: nobody is before it.
    pub(in crate::engine) fn may_ask(&self) -> bool {
        self.resources.len() > 1 || self.queues.is_first(&self.resources, self.number)
    }

    /// It asks now.
    pub(in crate::engine) fn asks(&self, now: Instant) {
        if self.resources.len() == 1 && self.may_ask() {
            self.queues.asks(&self.resources, now);
            self.has_turn.set(true);
        }
    }

    /// It was refused. Returns whether others than this process were the reason, as far as is
    /// known.
    pub(in crate::engine) fn refused(&self, now: Instant) -> bool {
        self.has_turn.set(false);
        self.resources.len() > 1 || self.queues.refused(&self.resources, now)
    }

    /// Whether it asks at `now` by its own schedule: nobody is before it, and none of the queue
    /// has asked a moment ago.
    pub(in crate::engine) fn may_ask_again(&self, now: Instant) -> bool {
        let pace = || self.queues.pace(&self.resources);
        let is_soon = |(asked, shortest): (Option<Instant>, Option<Retry>)| {
            let asked = asked.zip(shortest);
            asked.is_some_and(|(asked, shortest)| now < asked.after(shortest.wait(0.0)))
        };
        self.resources.len() > 1 || self.may_ask() && !is_soon(pace())
    }

    /// When the queue is to be asked for next, if this is the first in it: as often as the one
    /// of all those waiting is due that is due most often, and when the lock ends that another
    /// of this process has.
    pub(in crate::engine) fn next_poll(&self, environment: &dyn Environment) -> Option<Instant> {
        if self.resources.len() > 1 || !self.may_ask() {
            return None;
        }
        let (asked, shortest) = self.queues.pace(&self.resources);
        let wait = shortest?.wait(environment.chance());
        let next = asked.unwrap_or_else(|| environment.now()).after(wait);
        // The one of this process that has it need not unlock it.
        let end = self.queues.end(&self.resources);
        let end = end.filter(|end| asked.is_none_or(|asked| asked < *end));
        Some(end.map_or(next, |end| end.min(next)))
    }

    /// What it was called for and has not heard.
    #[cfg(test)]
    pub(super) fn take_call(&self) -> Option<Called> {
        self.call.take()
    }

    /// Ready when it is called.
    pub(in crate::engine) fn poll_called(&self, context: &Context<'_>) -> Poll<Called> {
        self.call.poll(context)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let has_turn = self.has_turn.get() || self.call.is_turn();
        self.queues.leave(&self.resources, self.number, has_turn);
    }
}
