//! The algorithm: acquire, extend and release over instances that vote.
//!
//! Steps and their sources: the Redlock algorithm,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>,
//! and this project's docs/safety.md, whose rules the comments name.

#![forbid(unsafe_code)]

mod abortable_task;
mod acquire;
mod cause;
mod claims;
mod context;
mod core;
mod deadline_bounds;
mod deadlines;
mod environment;
mod error_reports;
mod event;
mod extend;
mod failure;
mod fair_wait;
mod grant;
mod held_locks;
mod histogram;
mod inspect;
mod instance;
mod lock_id;
mod look_alikes;
mod low_priority;
mod promised;
mod question;
mod queue;
mod quorum;
mod release;
mod retry;
mod round;
mod round_trip;
mod safety_rule;
mod settings;
mod spent;
mod stats;
mod ticket;
mod token;
mod validity;
mod vote;
mod wake_ups;
mod watchdog;
mod watched_key;

use std::rc::Rc;
use std::sync::Arc;

pub use abortable_task::{Underway, abortable};
pub use cause::{Cause, quoted};
pub use claims::Claims;
pub use context::{Context, Trace};
pub use deadline_bounds::DeadlineBounds;
pub use environment::{Environment, System, Task, guarded, supervised, until, within};
pub use event::Event;
pub use failure::{Failure, Occupant, Reason};
pub use grant::{Extension, Grant};
pub use histogram::Distribution;
pub use instance::{ConnectionState, Instance, Observer};
pub use question::{Operation, Question, Resources, Script, Scripts};
pub use queue::Queues;
pub use quorum::{Tally, Verdict, majority};
pub use retry::{DEFAULT_RETRY_COUNT, DEFAULT_RETRY_DELAY, DEFAULT_RETRY_JITTER, Retry};
pub use round_trip::{Meter, RoundTrip};
pub use safety_rule::SafetyRule;
pub use settings::Settings;
pub use stats::{
    AcquireOutcome, AcquireStats, HoldStats, MemberStats, Stats, attempt_bounds, time_bounds,
};
pub use ticket::Ticket;
pub use token::{Token, TokenText};
pub use validity::{DEFAULT_DRIFT_FACTOR, Drift, Instant, Ttl, TtlError, Validity};
pub use vote::{Responder, Vote, VoteSink};
pub use watchdog::{Loss, Renewal, SharedValidity, WatchRequest};
pub use watched_key::{Seen, Watch, Watcher};

use self::acquire::AcquireRequest;
use self::core::Core;
use self::promised::promised;
use self::spent::Spent;

/// A quorum of instances and the algorithm over it. Cheap to clone; clones are
/// the same engine. It lives on one thread.
#[derive(Clone)]
pub struct Engine(Rc<Parts>);

struct Parts {
    core: Rc<Core>,
    /// They have the core, which could not have them.
    _spent_rounds: Rc<Spent>,
}

impl Engine {
    /// An engine over `instances` (at least one), whose events go to
    /// `listener`. `claims` and `queues` are those of all engines of the process. Its
    /// housekeeping is spawned on the environment and ends with the engine's last
    /// clone and request.
    #[must_use]
    pub fn new(
        instances: Vec<Rc<dyn Instance>>,
        environment: Rc<dyn Environment>,
        claims: Rc<Claims>,
        queues: Rc<Queues>,
        listener: impl Fn(Event) + 'static,
    ) -> Self {
        let spent_rounds = Rc::<Spent>::default();
        let spent = Rc::downgrade(&spent_rounds);
        Self(Rc::new(Parts {
            core: Core::new(
                instances,
                environment,
                claims,
                queues,
                Box::new(listener),
                spent,
            ),
            _spent_rounds: spent_rounds,
        }))
    }

    /// Takes a lock on all of `resources`, or on none, and tells `done` what came of it:
    /// once, perhaps before this returns, and never if it is given up. Then the attempt
    /// under way is given up too; its clean-up still runs.
    ///
    /// # Errors
    ///
    /// After the last attempt, with that attempt's reason and votes:
    /// [`Reason::Held`], [`Reason::Unavailable`] or [`Reason::TooSlow`];
    /// [`Reason::TimedOut`] if it was not granted within
    /// [`Settings::max_wait`]: an attempt under way is given up then.
    pub fn acquire_then(
        &self,
        resources: Resources,
        ttl: Ttl,
        settings: impl Into<Arc<Settings>>,
        done: impl FnOnce(Result<Grant, Failure>) + 'static,
    ) -> Rc<dyn Underway> {
        let request = AcquireRequest {
            resources,
            ttl,
            settings: settings.into(),
        };
        acquire::begin(&self.0.core, request, done)
    }

    /// As [`Engine::acquire_then`]; dropping the future gives the request up, or releases
    /// what was granted meanwhile.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn acquire(
        &self,
        resources: Resources,
        ttl: Ttl,
        settings: Settings,
    ) -> Result<Grant, Failure> {
        let (done, outcome) = promised();
        let (names, settings) = (Resources::clone(&resources), Arc::new(settings));
        let how = Arc::clone(&settings);
        let request = self.acquire_then(resources, ttl, settings, done);
        let take_back = |outcome| {
            if let Ok(Grant {
                value, validity, ..
            }) = outcome
            {
                self.rollback(names, value, validity.since, &how);
            }
        };
        let take_back_too_late = take_back.clone();
        let outcome = outcome.or_give_up(request, take_back).await;
        match outcome {
            // It has come to whoever waits for it a moment later.
            Ok(grant) if !grant.validity.is_believable(self.0.core.environment.now()) => {
                let attempts = grant.attempts;
                take_back_too_late(Ok(grant));
                Err(Failure {
                    reason: Reason::TooSlow,
                    attempts,
                    votes: Vec::new(),
                    until: None,
                })
            }
            outcome => outcome,
        }
    }

    /// Lets a lock that was acquired with `value` and is valid until `until`
    /// live for `ttl` from now. It is tried again, as the settings say, within
    /// the validity that is left. A key that is gone is not made anew.
    ///
    /// # Errors
    ///
    /// [`Reason::Expired`] if the validity was or is over;
    /// [`Reason::NotHeld`], without a retry, if a majority says so;
    /// [`Reason::Held`] or [`Reason::Unavailable`] if the attempts are used up.
    /// [`Failure::until`] says how long the lock may still be believed in.
    ///
    /// Of a lock that is watched the engine knows the end itself, and ignores `until`,
    /// up to its loss.
    pub fn extend(
        &self,
        resources: Resources,
        value: Token,
        until: Instant,
        ttl: Ttl,
        settings: Settings,
    ) -> impl Future<Output = Result<Extension, Failure>> {
        extend::extend(&self.0.core, resources, value, until, ttl, settings)
    }

    /// Deletes the keys of a lock on every instance, where they have `value`, and tells
    /// `done` what came of it: once, perhaps before this returns.
    /// `since` is when the lock was asked for, [`Instant::ORIGIN`] if unknown.
    ///
    /// # Errors
    ///
    /// [`Reason::NotHeld`] if so many instances no longer had all the keys that
    /// a majority is out of reach, [`Reason::Unavailable`] if too few answered.
    pub fn release_then(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: &Settings,
        done: impl FnOnce(Result<(), Failure>) + 'static,
    ) {
        release::begin(&self.0.core, resources, value, since, settings, done);
    }

    /// As [`Engine::release_then`]. Once it is begun it is carried out, whoever waits.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn release(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: Settings,
    ) -> Result<(), Failure> {
        let (done, outcome) = promised();
        self.release_then(resources, value, since, &settings, done);
        outcome.await
    }

    /// As [`Engine::release_then`], for a lock that could not be handed over: nothing is
    /// awaited.
    pub fn rollback(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: &Settings,
    ) {
        let settings = Settings {
            // What is told under this number are the attempts' votes.
            reports_votes_as: None,
            ..settings.clone()
        };
        release::ask(&self.0.core, resources, value, since, &settings);
    }

    /// Releases every lock that was handed over and is held, and those that
    /// the watchdog extends, wherever they are from. Resolves once all of that,
    /// and whatever else is under way, was answered or has passed its deadline;
    /// with those that could not be released.
    pub fn release_all(
        &self,
        settings: Settings,
    ) -> impl Future<Output = Vec<(Resources, Failure)>> {
        release::release_all(&self.0.core, settings)
    }

    /// What each instance says of `resource`'s key: [`Vote::Inspected`] or
    /// [`Vote::Failed`], by instance.
    pub async fn inspect(&self, resource: Box<str>, settings: &Settings) -> Vec<Option<Vote>> {
        inspect::inspect(&self.0.core, resource, settings).await
    }

    /// Watches a lock: extends it if its renewal says so, and tells of its loss by
    /// [`Event::Lost`]; `watch` shows until when it may be believed in. That ends with
    /// the lock's release, and with [`Engine::unwatch`]. A lock that is watched already
    /// is watched in this way from now on.
    pub fn watch(&self, request: WatchRequest, shared: SharedValidity) {
        watchdog::keep_or_lose::watch(&self.0.core, request, shared);
    }

    /// This lock is watched no longer under this number; it stays as it is.
    pub fn unwatch(&self, resources: &Resources, value: &Token, number: u64) {
        watchdog::keep_or_lose::unwatch(&self.0.core, resources, value, number);
    }

    /// No lock is extended any longer by itself. Each is believed in, and
    /// watched, until its validity ends.
    pub fn stop_renewals(&self) {
        watchdog::keep_or_lose::stop_renewals(&self.0.core);
    }

    /// Each vote is told as it comes ([`Event::Vote`]) from now on, whoever has asked for it; or
    /// only where [`Settings::trace`] has it told.
    pub fn tell_votes(&self, are_told: bool) {
        self.0.core.tells_votes.set(are_told);
    }

    /// What has come of everything so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = &self.0.core;
        core.counters
            .look(core.held_locks.look(core.environment.now()))
    }

    /// Resolves when no round is open: everything asked has been answered or
    /// has passed its deadline.
    pub fn quiet(&self) -> impl Future<Output = ()> {
        self.0.core.deadlines.quiet()
    }

    /// Whether [`Engine::quiet`] would resolve at once.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.0.core.deadlines.is_quiet()
    }
}
