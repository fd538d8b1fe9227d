//! The state of one watched lock: until when it may be believed in, why it is
//! lost, and who is to be woken when that changes.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::question::Resources;
use super::super::validity::Instant;
use super::request::WatchRequest;
use super::shared_validity::{Loss, SharedValidity};

/// A lock that is being watched.
pub struct WatchedLock {
    watch: SharedValidity,
    number: u64,
    /// What is locked, if it is extended.
    extended_on: Option<Resources>,
    /// Its holder's.
    context: Option<Arc<dyn Context>>,
    cap: Option<Instant>,
    /// The origin once it is lost before its time.
    until: Cell<Instant>,
    /// Why it is lost, once it is and its end alone does not say so.
    lost: RefCell<Option<Failure>>,
    /// What the last extension failed with, after which there was no time for
    /// another: it explains the loss.
    gave_up: RefCell<Option<Failure>>,
    released: Cell<bool>,
    /// It is not extended any more.
    retired: Cell<bool>,
    /// That it is about to be lost was told, and it was not extended since.
    endangered: Cell<bool>,
    /// Changes with each of the above.
    changes: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl WatchedLock {
    /// The lock as `request` has it, which `watch` shows from now on.
    pub(super) fn new(request: &WatchRequest, watch: SharedValidity) -> Rc<Self> {
        let lock = Self {
            watch,
            number: request.number,
            extended_on: request.renewal.map(|_| Arc::clone(&request.resources)),
            context: request.settings.context.clone(),
            cap: request.cap(),
            until: Cell::new(request.until),
            lost: RefCell::default(),
            gave_up: RefCell::default(),
            released: Cell::new(false),
            retired: Cell::new(false),
            endangered: Cell::new(false),
            changes: Cell::new(0),
            waker: RefCell::default(),
        };
        lock.show();
        Rc::new(lock)
    }

    /// Until when it may be believed in, whoever has extended it.
    pub fn until(&self) -> Instant {
        self.until.get()
    }

    /// What its holder knows it by.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is locked, if it is extended by itself.
    pub fn extended_on(&self) -> Option<&Resources> {
        self.extended_on.as_ref()
    }

    /// Its holder's.
    pub fn context(&self) -> Option<&Arc<dyn Context>> {
        self.context.as_ref()
    }

    pub(super) fn is_released(&self) -> bool {
        self.released.get()
    }

    /// Whether it is extended no more, and ends soon.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Whether there is an extension left to be made.
    pub(super) fn may_be_extended(&self) -> bool {
        !self.retired.get() && self.gave_up.borrow().is_none()
    }

    /// Its holder has released it, or is about to.
    pub fn release(&self) {
        self.watch.set(Instant::ORIGIN, None);
        self.released.set(true);
        self.changed();
    }

    /// It is watched in another way from now on: what was believed of it stands
    /// until then.
    pub(super) fn displace(&self) {
        self.released.set(true);
        self.changed();
    }

    /// It is extended no more, but watched until it ends.
    pub fn retire(&self) {
        self.retired.set(true);
        self.gave_up.take();
        if !self.is_over() {
            self.show();
        }
        self.changed();
    }

    /// Its holder asks for it to live until then. Where that is earlier, it
    /// counts from now on, however the request ends (rule 9): it may be granted
    /// without anybody's hearing of it.
    pub fn asked(&self, until: Instant) {
        if until < self.until.get() {
            self.move_to(until);
        }
    }

    /// Its holder has extended it until then, or tried to.
    pub fn extended(&self, outcome: Result<Instant, &Failure>, now: Instant) {
        match outcome {
            Ok(until) => self.move_to(until),
            Err(failure) => match failure.until {
                Some(until) => self.move_to(until),
                // Where nothing was asked its time is over: the watchdog says why.
                None if self.is_over() || failure.attempts == 0 => {}
                None => {
                    self.lose(failure, now);
                    self.changed();
                }
            },
        }
    }

    /// The watchdog has extended it, or could have; it may be believed in until
    /// then.
    pub(super) fn move_to(&self, until: Instant) {
        if self.is_over() || until == self.until.get() {
            return;
        }
        if until > self.until.replace(until) {
            self.endangered.set(false);
        }
        self.gave_up.take();
        self.show();
        self.changed();
    }

    /// It is about to be lost; returns whether that is news.
    pub(super) fn endanger(&self) -> bool {
        !self.is_over() && !self.endangered.replace(true)
    }

    /// The watchdog could not extend it, and there is no time for another try. It
    /// may be believed in until `left`, if not before.
    pub(super) fn give_up(&self, failure: Failure, left: Instant) {
        if self.is_over() {
            return;
        }
        self.move_to(left.min(self.until.get()));
        *self.gave_up.borrow_mut() = Some(failure);
        self.show();
    }

    /// It is lost, whatever is left of its time. Returns what is told of it: the
    /// same failure, for the loss that this is.
    pub(super) fn lose(&self, failure: &Failure, now: Instant) -> Failure {
        let loss = Loss::after(failure.reason);
        if now < self.until.get() {
            self.until.set(Instant::ORIGIN);
        }
        self.watch.set(self.until.get(), Some(loss));
        let told = Failure {
            reason: loss.reason(),
            ..failure.clone()
        };
        *self.lost.borrow_mut() = Some(told.clone());
        told
    }

    /// Why it is lost, if it is at `now`.
    pub(super) fn loss(&self, now: Instant) -> Option<Failure> {
        let lost = self.lost.borrow().clone();
        lost.or_else(|| (now >= self.until.get()).then(|| self.at_its_end()))
    }

    /// What its loss is if it ends with its validity.
    fn at_its_end(&self) -> Failure {
        let gave_up = self.gave_up.borrow();
        let (attempts, votes) = gave_up.as_ref().map_or_else(Default::default, |failure| {
            (failure.attempts, failure.votes.clone())
        });
        Failure {
            reason: self.loss_at_its_end().reason(),
            attempts,
            votes,
            until: None,
        }
    }

    fn loss_at_its_end(&self) -> Loss {
        let gave_up = self.gave_up.borrow();
        if gave_up.as_ref().is_some_and(|failure| failure.attempts > 0) {
            Loss::Expired
        } else {
            Loss::at(self.until.get(), self.cap)
        }
    }

    fn show(&self) {
        self.watch
            .set(self.until.get(), Some(self.loss_at_its_end()));
    }

    /// What a test shows that has taken the watchdog's rule out.
    pub(super) fn show_unproven(&self, until: Instant) {
        self.watch.set(until, Some(Loss::Expired));
    }

    fn is_over(&self) -> bool {
        self.released.get() || self.lost.borrow().is_some()
    }

    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What `future` comes to, or `None` with the next change.
    pub(super) async fn unless_changed<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let before = self.changes.get();
        let mut future = pin!(future);
        poll_fn(|context| {
            if self.changes.get() != before {
                return Poll::Ready(None);
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            future.as_mut().poll(context).map(Some)
        })
        .await
    }
}
