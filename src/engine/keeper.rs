//! Keeping a lock: extended for as long as its holder wants it, and reported
//! lost at the moment it can no longer be believed in, not when somebody next
//! asks.
//!
//! Sources: the algorithm's section on making it reliable by extending the lock,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>, and
//! safety rules 9, 10 and 11.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::environment::Environment;
use super::error::{Failure, Reason};
use super::event::Event;
use super::instance::Resources;
use super::round::Core;
use super::token::Token;
use super::validity::{Instant, Ttl, Validity};
use super::{Engine, Extension, Settings};

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

/// How a kept lock is extended.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// For how long, each time.
    pub ttl: Ttl,
    /// How long before its validity ends an extension begins.
    pub lead: Duration,
    /// Beyond this its validity is not extended (rule 10).
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

    /// Says so.
    pub fn set(&self, until: Instant) {
        self.0.store(until.nanos(), Ordering::Release);
    }
}

/// A lock that is being kept.
pub(super) struct Kept {
    watch: Watch,
    until: Cell<Instant>,
    /// Why it is lost, before its time.
    lost: RefCell<Option<Failure>>,
    released: Cell<bool>,
    /// Changes with each of the above.
    changes: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Kept {
    pub(super) fn new(until: Instant, watch: Watch) -> Rc<Self> {
        watch.set(until);
        Rc::new(Self {
            watch,
            until: Cell::new(until),
            lost: RefCell::default(),
            released: Cell::new(false),
            changes: Cell::new(0),
            waker: RefCell::default(),
        })
    }

    /// Its holder has let go of it, or is about to.
    pub(super) fn release(&self) {
        self.watch.set(Instant::ORIGIN);
        self.released.set(true);
        self.changed();
    }

    /// Its holder has extended it, or tried to.
    pub(super) fn extended(&self, outcome: &Result<Extension, Failure>) {
        match outcome {
            Ok(extension) => self.move_to(extension.validity.until),
            Err(failure) => {
                if let Some(until) = failure.until {
                    self.move_to(until);
                } else {
                    self.watch.set(Instant::ORIGIN);
                    *self.lost.borrow_mut() = Some(failure.clone());
                    self.changed();
                }
            }
        }
    }

    fn move_to(&self, until: Instant) {
        if self.released.get() || self.lost.borrow().is_some() {
            return;
        }
        self.until.set(until);
        self.watch.set(until);
        self.changed();
    }

    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Resolves at `at`, or earlier with the next change.
    async fn wait(&self, environment: &dyn Environment, at: Instant) {
        let before = self.changes.get();
        let mut sleep = environment.sleep_until(at);
        poll_fn(|context| {
            if self.changes.get() != before {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            sleep.as_mut().poll(context)
        })
        .await;
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
    let mut gave_up = false;
    let failure = loop {
        if kept.released.get() {
            return;
        }
        if let Some(failure) = kept.lost.take() {
            break failure;
        }
        let now = environment.now();
        let until = kept.until.get();
        if now >= until {
            break at_its_end(&hold, now, trouble);
        }
        let engine = core.upgrade().map(|core| Engine { core });
        let next = match (&hold.renewal, &engine, gave_up) {
            (Some(renewal), Some(_), false) => next(renewal, &hold.settings, until, now),
            _ => None,
        };
        match (next, engine) {
            (Some((at, ttl)), Some(engine)) if at <= now => {
                let lead = hold.renewal.map_or(Duration::ZERO, |renewal| renewal.lead);
                match extend(&engine, &kept, &hold, until, ttl, lead).await {
                    None => {}
                    Some(Ok(extension)) => {
                        trouble = None;
                        // A longer one that its holder has asked for still counts.
                        let until = extension.validity.until.max(kept.until.get());
                        kept.move_to(until);
                    }
                    Some(Err(failure)) if failure.until.is_none() => break failure,
                    Some(Err(failure)) => {
                        // All retries are used up. Until its time is over it is held.
                        kept.move_to(failure.until.unwrap_or(until).min(until));
                        trouble = Some(failure);
                        gave_up = true;
                    }
                }
            }
            (next, engine) => {
                // While it sleeps, nothing keeps the engine alive.
                drop(engine);
                let at = next.map_or(until, |(at, _)| at.min(until));
                let changes = kept.changes.get();
                kept.wait(environment.as_ref(), at).await;
                gave_up = gave_up && changes == kept.changes.get();
            }
        }
    };
    if failure.reason == Reason::NotHeld {
        kept.watch.set(Instant::ORIGIN);
    }
    if let Some(core) = core.upgrade() {
        core.forget(&hold.value, &kept);
        (core.listener)(Event::Lost {
            number: hold.number,
            failure,
        });
    }
}

/// When the next extension begins and for how long it is, if there is one.
fn next(
    renewal: &Renewal,
    settings: &Settings,
    until: Instant,
    now: Instant,
) -> Option<(Instant, Ttl)> {
    let at = until.before(renewal.lead).max(now);
    let Some(cap) = renewal.cap else {
        return Some((at, renewal.ttl));
    };
    let ttl = renewal.ttl.at_most(cap.since(at), settings.drift)?;
    // At least this much must be won, or it would be extended without end.
    let validity = Validity::starting(at, ttl, settings.drift);
    let won = validity.until.since(until);
    (won > Duration::from_millis(1)).then_some((at, ttl))
}

/// One extension, given up when the lock is released meanwhile.
async fn extend(
    engine: &Engine,
    kept: &Kept,
    hold: &Hold,
    until: Instant,
    ttl: Ttl,
    lead: Duration,
) -> Option<Result<Extension, Failure>> {
    let mut settings = hold.settings.clone();
    settings.retry.count = None;
    // Several tries must fit before its end.
    settings.retry.delay = settings.retry.delay.min(lead.as_secs_f64() * 1000.0 / 8.0);
    settings.retry.jitter = settings.retry.jitter.min(settings.retry.delay / 2.0);
    let resources = Arc::clone(&hold.resources);
    let mut extension =
        pin!(engine.extend_kept(resources, hold.value.clone(), until, ttl, settings));
    poll_fn(|context| {
        if kept.released.get() || kept.lost.borrow().is_some() {
            return Poll::Ready(None);
        }
        *kept.waker.borrow_mut() = Some(context.waker().clone());
        extension.as_mut().poll(context).map(Some)
    })
    .await
}

/// The validity has ended.
fn at_its_end(hold: &Hold, now: Instant, trouble: Option<Failure>) -> Failure {
    let capped = hold
        .renewal
        .and_then(|renewal| renewal.cap)
        .is_some_and(|cap| cap.before(Duration::from_millis(5)) <= now);
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
