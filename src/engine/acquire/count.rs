//! What is counted of a request for a lock that a task carries out, however it ends.

use std::cell::Cell;
use std::rc::Rc;

use super::super::core::Core;
use super::super::failure::Failure;
use super::super::grant::Grant;
use super::super::round::Round;
use super::super::stats::AcquireOutcome;
use super::super::validity::Instant;

/// A request that has not ended. Dropped, it was given up.
pub(super) struct Count {
    core: Rc<Core>,
    since: Instant,
    /// How many attempts it has made.
    made: Cell<u32>,
    outcome: AcquireOutcome,
}

impl Count {
    /// One that was made at `since`.
    pub(super) fn begin(core: &Rc<Core>, since: Instant) -> Self {
        Self {
            core: Rc::clone(core),
            since,
            made: Cell::default(),
            outcome: AcquireOutcome::Aborted,
        }
    }

    /// Where it is to be said how many attempts it has made.
    pub(super) const fn made(&self) -> &Cell<u32> {
        &self.made
    }

    /// It has ended like that.
    pub(super) fn end(mut self, outcome: &Result<Grant, Failure>) {
        self.outcome = match outcome {
            Ok(_) => AcquireOutcome::Granted,
            Err(failure) => AcquireOutcome::of(failure.reason),
        };
    }

    /// One was given up in its first attempt, which is this round.
    pub(super) fn given_up(first: &Round) {
        let core = first.core();
        let now = core.environment.now();
        let nanos = now.nanos_since(first.validity().since);
        core.counters.acquired(AcquireOutcome::Aborted, nanos, 1);
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let nanos = self.core.environment.now().nanos_since(self.since);
        let counters = &self.core.counters;
        counters.acquired(self.outcome, nanos, self.made.get());
    }
}
