//! The deadlines of all open rounds, behind one timer: a timer of its own would be
//! most of a round's cost.

mod wheel;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::environment::{Environment, Task, supervised};
use super::validity::Instant;
use wheel::Wheel;
pub use wheel::{Deadline, Place};

/// A round that has deadlines.
pub(super) trait Timed {
    /// Counts every instance as failed that is silent beyond its deadline.
    fn deadline_passed(self: Rc<Self>, now: Instant);
}

/// The open rounds of one engine, by their next deadlines.
pub(super) struct Deadlines {
    environment: Rc<dyn Environment>,
    rounds: RefCell<Wheel<Rc<dyn Timed>>>,
    number: Cell<u64>,
    /// What the task sleeps towards, if it sleeps.
    armed: Cell<Option<Instant>>,
    /// The task's.
    waker: RefCell<Option<Waker>>,
    /// Whoever waits for there to be no open round.
    quiet: RefCell<Vec<Waker>>,
}

impl Deadlines {
    /// Of no round yet. The task that keeps them is spawned on `environment` and
    /// ends with the last reference.
    pub(super) fn new(environment: &Rc<dyn Environment>) -> Rc<Self> {
        let deadlines = Rc::new(Self {
            environment: Rc::clone(environment),
            rounds: RefCell::default(),
            number: Cell::default(),
            armed: Cell::default(),
            waker: RefCell::default(),
            quiet: RefCell::default(),
        });
        let weak = Rc::downgrade(&deadlines);
        let begin = move || keep(Weak::clone(&weak));
        let life = supervised(Rc::clone(environment), begin, |_| {});
        environment.spawn(Box::pin(life));
        deadlines
    }

    /// Another for each round: it orders those of the same deadline.
    pub(super) fn next_number(&self) -> u64 {
        let number = self.number.get();
        self.number.set(number + 1);
        number
    }

    /// Keeps a deadline of `round` until it has passed, or the place is given up.
    pub(super) fn add(&self, deadline: Deadline, round: Rc<dyn Timed>) -> Place {
        let place = self.rounds.borrow_mut().add(deadline, round);
        if self.armed.get().is_none_or(|armed| deadline.at < armed) {
            self.wake();
        }
        place
    }

    /// The round in this place has another deadline, and is about to be added again.
    pub(super) fn take(&self, place: Place) {
        let round = self.rounds.borrow_mut().remove(place);
        // Without the borrow: it may be the last reference to the round.
        drop(round);
    }

    /// The round in this place has ended.
    pub(super) fn remove(&self, place: Place) {
        self.take(place);
        self.tell_if_quiet();
    }

    /// Resolves when no round is open: everything asked has been answered or has
    /// passed its deadline.
    pub(super) async fn quiet(&self) {
        poll_fn(|context| self.poll_quiet(context)).await;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.rounds.borrow().is_empty()
    }

    fn poll_quiet(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_quiet() {
            return Poll::Ready(());
        }
        self.quiet.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }

    fn tell_if_quiet(&self) {
        if self.is_quiet() {
            for waker in self.quiet.take() {
                waker.wake();
            }
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Lets what is due at `now` know, in order.
    fn tell_due(&self, now: Instant) {
        loop {
            let due = self.rounds.borrow_mut().due(now);
            if due.is_empty() {
                return;
            }
            for place in due {
                // Those before it may have ended it.
                let Some(round) = self.rounds.borrow_mut().remove(place) else {
                    continue;
                };
                // A defect that one round's votes bring out must not cost the
                // others their deadlines; the panic's own report says where.
                let _ = catch_unwind(AssertUnwindSafe(|| round.deadline_passed(now)));
                self.tell_if_quiet();
            }
        }
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        // The task ends when it finds them gone.
        self.wake();
    }
}

/// Closes rounds whose deadline has passed, for as long as there are deadlines to
/// be kept.
fn keep(deadlines: Weak<Deadlines>) -> Task {
    let mut sleep: Option<(Instant, Task)> = None;
    if let Some(deadlines) = deadlines.upgrade() {
        deadlines.armed.set(None);
    }
    Box::pin(poll_fn(move |context| {
        let Some(deadlines) = deadlines.upgrade() else {
            return Poll::Ready(());
        };
        let environment = &deadlines.environment;
        loop {
            deadlines.tell_due(environment.now());
            *deadlines.waker.borrow_mut() = Some(context.waker().clone());
            let first = deadlines.rounds.borrow().first();
            // An earlier timer is as good as the right one, and cheaper than
            // setting it anew for every round.
            let target = match (&sleep, first) {
                (Some((armed, _)), Some(first)) => first.min(*armed),
                (Some((armed, _)), None) => *armed,
                (None, Some(first)) => first,
                (None, None) => return Poll::Pending,
            };
            let (armed, mut timer) = sleep
                .take_if(|(armed, _)| *armed <= target)
                .unwrap_or_else(|| (target, environment.sleep_until(target)));
            deadlines.armed.set(Some(armed));
            match timer.as_mut().poll(context) {
                Poll::Pending => {
                    sleep = Some((armed, timer));
                    return Poll::Pending;
                }
                Poll::Ready(()) => deadlines.armed.set(None),
            }
        }
    }))
}
