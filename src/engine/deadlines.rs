//! The deadlines of all open rounds, behind one timer: a timer of its own would be
//! most of a round's cost.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::environment::{Environment, Task, supervised};
use super::validity::Instant;

/// A round that has deadlines.
pub(super) trait Timed {
    /// Counts every instance as failed that is silent beyond its deadline.
    fn deadline_passed(self: Rc<Self>, now: Instant);
}

/// When a round's next deadline is, and the round's number, which is another for
/// each and orders those of the same deadline.
pub(super) type Key = (Instant, u64);

/// The open rounds of one engine, by their next deadlines.
pub(super) struct Deadlines {
    environment: Rc<dyn Environment>,
    rounds: RefCell<BTreeMap<Key, Rc<dyn Timed>>>,
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

    pub(super) fn next_number(&self) -> u64 {
        let number = self.number.get();
        self.number.set(number + 1);
        number
    }

    pub(super) fn add(&self, key: Key, round: Rc<dyn Timed>) {
        self.rounds.borrow_mut().insert(key, round);
        if self.armed.get().is_none_or(|armed| key.0 < armed) {
            self.wake();
        }
    }

    /// The round under `key` has another deadline, and is about to be added again.
    pub(super) fn take(&self, key: Key) {
        self.rounds.borrow_mut().remove(&key);
    }

    /// The round under `key` has ended.
    pub(super) fn remove(&self, key: Key) {
        self.take(key);
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

    fn pop_due(&self, now: Instant) -> Option<Rc<dyn Timed>> {
        let mut rounds = self.rounds.borrow_mut();
        let first = rounds.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn first(&self) -> Option<Instant> {
        self.rounds.borrow().first_key_value().map(|(key, _)| key.0)
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
            let now = environment.now();
            while let Some(round) = deadlines.pop_due(now) {
                // A defect that one round's votes bring out must not cost the
                // others their deadlines; the panic's own report says where.
                let _ = catch_unwind(AssertUnwindSafe(|| round.deadline_passed(now)));
                deadlines.tell_if_quiet();
            }
            *deadlines.waker.borrow_mut() = Some(context.waker().clone());
            // An earlier timer is as good as the right one, and cheaper than
            // setting it anew for every round.
            let target = match (&sleep, deadlines.first()) {
                (Some((armed, _)), Some(first)) => first.min(*armed),
                (Some((armed, _)), None) => *armed,
                (None, Some(first)) => first,
                (None, None) => return Poll::Pending,
            };
            let (armed, timer) = sleep
                .take_if(|(armed, _)| *armed <= target)
                .unwrap_or_else(|| (target, environment.sleep_until(target)));
            deadlines.armed.set(Some(armed));
            let mut timer = timer;
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
