//! Keeping a lock: extended for as long as its holder wants it, and reported
//! lost at the moment it can no longer be believed in, not when somebody next
//! asks.
//!
//! Sources: the algorithm's section on making it reliable by extending the lock,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>, and
//! safety rules 9, 10 and 11.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::context::Context;
use super::environment::Environment;
use super::error::{Failure, Reason};
use super::event::Event;
use super::instance::Resources;
use super::lock_id::LockId;
use super::round::Core;
use super::rule::Rule;
use super::token::Token;
use super::validity::{Instant, Ttl, Validity};
use super::{Engine, Extension, Prolonging, Settings};

/// A lock that is to be kept.
#[derive(Clone, Debug)]
pub struct Hold {
    /// What is locked.
    pub resources: Resources,
    /// The value it is stored under.
    pub value: Token,
    /// Until when it may be believed in.
    pub until: Instant,
    /// How it is extended; `None` if it is only to be watched.
    pub renewal: Option<Renewal>,
    /// How its extensions are carried out. They are retried for as long as the
    /// lock is valid, whatever the settings say of the number.
    pub settings: Settings,
    /// What its loss is told under.
    pub number: u64,
}

impl Hold {
    pub(super) fn lock(&self) -> LockId {
        LockId::new(&self.value, &self.resources)
    }
}

/// How a kept lock is extended.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// For how long, each time.
    pub ttl: Ttl,
    /// How long before its validity ends an extension begins. One that leaves
    /// no time for it, or none until the next, is brought within bounds.
    pub lead: Duration,
    /// Beyond this its validity is not extended by itself (rule 10); its holder
    /// may still do so by hand.
    pub cap: Option<Instant>,
}

/// Until when a kept lock may be believed in, to be read from any thread.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<AtomicU64>);

impl Watch {
    /// Until when; the clock's origin once it is released, or lost before its
    /// time.
    #[must_use]
    pub fn until(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Acquire))
    }

    /// Says so, from now on.
    pub fn set(&self, until: Instant) {
        self.0.store(until.nanos(), Ordering::Release);
    }
}

/// A lock that is being kept.
pub(super) struct Kept {
    watch: Watch,
    number: u64,
    /// What is locked, if it is extended.
    extended_on: Option<Resources>,
    /// Of whoever keeps it.
    context: Option<Arc<dyn Context>>,
    /// The origin once it is lost before its time.
    until: Cell<Instant>,
    /// Why it is lost, if its holder found that out by extending it by hand.
    lost: RefCell<Option<Failure>>,
    released: Cell<bool>,
    /// It is not extended any more.
    retired: Cell<bool>,
    /// Changes with each of the above.
    changes: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Kept {
    pub(super) fn new(
        until: Instant,
        watch: Watch,
        number: u64,
        extended_on: Option<Resources>,
        context: Option<Arc<dyn Context>>,
    ) -> Rc<Self> {
        watch.set(until);
        Rc::new(Self {
            watch,
            number,
            extended_on,
            context,
            until: Cell::new(until),
            lost: RefCell::default(),
            released: Cell::new(false),
            retired: Cell::new(false),
            changes: Cell::new(0),
            waker: RefCell::default(),
        })
    }

    /// Until when it may be believed in, whoever has extended it.
    pub(super) fn until(&self) -> Instant {
        self.until.get()
    }

    /// Its holder has let go of it, or is about to.
    pub(super) fn release(&self) {
        self.watch.set(Instant::ORIGIN);
        self.released.set(true);
        self.changed();
    }

    /// Another keeps it from now on: what was believed of it stands until then.
    pub(super) fn displace(&self) {
        self.released.set(true);
        self.changed();
    }

    /// What its holder knows it by.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What is locked, if it is extended by itself.
    pub(super) fn extended_on(&self) -> Option<&Resources> {
        self.extended_on.as_ref()
    }

    /// Of whoever keeps it.
    pub(super) fn context(&self) -> Option<&Arc<dyn Context>> {
        self.context.as_ref()
    }

    /// It is extended no more, but watched until it ends.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.changed();
    }

    /// Its holder asks for it to live until then. Where that is earlier, it
    /// counts from now on, however the request ends (rule 9): it may be granted
    /// without anybody's hearing of it.
    pub(super) fn asked(&self, until: Instant) {
        if until < self.until.get() {
            self.move_to(until);
        }
    }

    /// Its holder has extended it, or tried to.
    pub(super) fn extended(&self, outcome: &Result<Extension, Failure>, now: Instant) {
        match outcome {
            Ok(extension) => self.move_to(extension.validity.until),
            Err(failure) => match failure.until {
                Some(until) => self.move_to(until),
                None if self.is_over() => {}
                None => {
                    self.end(now);
                    *self.lost.borrow_mut() = Some(failure.clone());
                    self.changed();
                }
            },
        }
    }

    fn is_over(&self) -> bool {
        self.released.get() || self.lost.borrow().is_some()
    }

    fn move_to(&self, until: Instant) {
        if self.is_over() || until == self.until.get() {
            return;
        }
        self.until.set(until);
        self.watch.set(until);
        self.changed();
    }

    /// It is lost, whatever is left of its time.
    fn end(&self, now: Instant) {
        if now < self.until.get() {
            self.until.set(Instant::ORIGIN);
            self.watch.set(Instant::ORIGIN);
        }
    }

    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What `future` comes to, or `None` with the next change.
    async fn unless_changed<T>(&self, future: impl Future<Output = T>) -> Option<T> {
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

/// Keeps the lock until it is released or lost; its loss is an event.
pub(super) async fn keep(
    core: Weak<Core>,
    environment: Rc<dyn Environment>,
    kept: Rc<Kept>,
    hold: Hold,
) {
    // What the last extension failed with: it explains the loss.
    let mut trouble: Option<Failure> = None;
    let failure = loop {
        if kept.released.get() {
            return;
        }
        if let Some(failure) = kept.lost.borrow().clone() {
            break failure;
        }
        let now = environment.now();
        let until = kept.until.get();
        if now >= until {
            break at_its_end(&hold, now, trouble);
        }
        let engine = core.upgrade().map(|core| Engine { core });
        let next = match (&hold.renewal, &engine) {
            (Some(renewal), Some(engine)) if trouble.is_none() && !kept.retired.get() => {
                next(renewal, &hold.settings, until, now).map(|at| (at, renewal, engine))
            }
            _ => None,
        };
        match next {
            Some((at, renewal, engine)) if at <= now => {
                // What it was to change may be another thing once its holder
                // has extended it by hand.
                let extension = extend(engine, &kept, &hold, renewal, until);
                match kept.unless_changed(extension).await {
                    None => {}
                    // It is not shortened: one that came late would win nothing.
                    Some(Ok(extension)) => kept.move_to(extension.validity.until.max(until)),
                    Some(Err(failure)) => {
                        let Some(left) = failure.until else {
                            break failure;
                        };
                        // There is no time for another. What is left it is held.
                        kept.move_to(left.min(until));
                        trouble = Some(failure);
                    }
                }
            }
            next => {
                let at = next.map_or(until, |(at, ..)| at.min(until));
                // While it sleeps, nothing keeps the engine alive.
                drop(engine);
                if kept
                    .unless_changed(environment.sleep_until(at))
                    .await
                    .is_none()
                {
                    trouble = None;
                }
            }
        }
    };
    kept.end(environment.now());
    if let Some(core) = core.upgrade() {
        core.forget(&hold.lock(), &kept);
        (core.listener)(Event::Lost {
            number: hold.number,
            failure,
        });
    }
}

/// When the next extension begins, if there is one.
fn next(renewal: &Renewal, settings: &Settings, until: Instant, now: Instant) -> Option<Instant> {
    let at = until.before(lead(renewal, settings)).max(now);
    let (ttl, least) = match renewal.cap {
        // At least this much must be won, or it would be extended without end.
        Some(cap) => (
            renewal.ttl.at_most(cap.since(at), settings.drift)?,
            Duration::from_millis(1),
        ),
        // At the end of all time nothing is.
        None => (renewal.ttl, Duration::ZERO),
    };
    let validity = Validity::starting(at, ttl, settings.drift);
    (validity.until.since(until) > least).then_some(at)
}

/// How long before its end it is extended: not so early that each extension
/// would be followed by the next at once, nor so late that none could succeed.
fn lead(renewal: &Renewal, settings: &Settings) -> Duration {
    const ENOUGH: Duration = Duration::from_millis(50);
    let quarter = renewal.ttl.believable(settings.drift) / 4;
    renewal.lead.max(quarter.min(ENOUGH)).min(quarter * 3)
}

/// One extension, tried again for as long as there is time.
async fn extend(
    engine: &Engine,
    kept: &Kept,
    hold: &Hold,
    renewal: &Renewal,
    until: Instant,
) -> Result<Extension, Failure> {
    let mut settings = hold.settings.clone();
    settings.retry.count = None;
    // Several tries must fit before its end.
    let lead = lead(renewal, &settings).as_secs_f64() * 1000.0;
    settings.retry.delay = settings.retry.delay.min(lead / 8.0);
    settings.retry.jitter = settings.retry.jitter.min(settings.retry.delay / 2.0);
    let prolonging = Prolonging {
        resources: Arc::clone(&hold.resources),
        value: hold.value.clone(),
        ttl: renewal.ttl,
        cap: renewal.cap,
        until: &|| until,
        asked: &|hoped| {
            if !Rule::Loss.is_kept() {
                kept.watch.set(hoped);
            }
        },
    };
    engine.prolong(prolonging, settings).await
}

/// The validity has ended.
fn at_its_end(hold: &Hold, now: Instant, trouble: Option<Failure>) -> Failure {
    // No extension is worth while that near to it, or the clock is read late.
    const NEAR: Duration = Duration::from_millis(5);
    let cap = hold.renewal.and_then(|renewal| renewal.cap);
    let capped = cap.is_some_and(|cap| cap.before(NEAR) <= now);
    let (attempts, votes) = trouble.map_or_else(Default::default, |trouble| {
        (trouble.attempts, trouble.votes)
    });
    Failure {
        reason: if capped && attempts == 0 {
            Reason::MaxHold
        } else {
            Reason::Expired
        },
        attempts,
        votes,
        until: None,
    }
}

#[cfg(test)]
mod tests;
