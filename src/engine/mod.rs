//! The algorithm: acquire, extend and release over instances that vote.
//!
//! Steps and their sources: the Redlock algorithm,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>,
//! and this project's docs/safety.md, whose rules the comments name.

#![forbid(unsafe_code)]

mod acquire;
mod cause;
mod claims;
mod context;
mod core;
mod deadline_bounds;
mod deadlines;
mod environment;
mod event;
mod extend;
mod failure;
mod grant;
mod granted_by;
mod granted_rounds;
mod inspect;
mod instance;
mod lock_id;
mod look_alikes;
mod question;
mod quorum;
mod release;
mod retry;
mod round;
mod round_trip;
mod safety_rule;
mod settings;
mod token;
mod validity;
mod vote;
mod watchdog;

use std::rc::Rc;

pub use cause::Cause;
pub use claims::Claims;
pub use context::Context;
pub use deadline_bounds::DeadlineBounds;
pub use environment::{Environment, System, Task, guarded, supervised, until, within};
pub use event::Event;
pub use failure::{Failure, Occupant, Reason};
pub use grant::{Extension, Grant};
pub use instance::{ConnectionState, Instance, Observer};
pub use question::{Operation, Question, Resources, Script, Scripts};
pub use quorum::{Tally, Verdict, majority};
pub use retry::{DEFAULT_RETRY_COUNT, DEFAULT_RETRY_DELAY, DEFAULT_RETRY_JITTER, Retry};
pub use round_trip::{Meter, RoundTrip};
pub use safety_rule::SafetyRule;
pub use settings::Settings;
pub use token::{Token, TokenText};
pub use validity::{DEFAULT_DRIFT_FACTOR, Drift, Instant, Ttl, TtlError, Validity};
pub use vote::{Responder, Vote, VoteSink};
pub use watchdog::{Loss, Renewal, SharedValidity, WatchRequest};

use self::core::Core;

/// A quorum of instances and the algorithm over it. Cheap to clone; clones are
/// the same engine. It lives on one thread.
#[derive(Clone)]
pub struct Engine {
    core: Rc<Core>,
}

impl Engine {
    /// An engine over `instances` (at least one), whose events go to
    /// `listener`. `claims` are those of all engines of the process. Its
    /// housekeeping is spawned on the environment and ends with the engine's last
    /// clone and request.
    #[must_use]
    pub fn new(
        instances: Vec<Rc<dyn Instance>>,
        environment: Rc<dyn Environment>,
        claims: Rc<Claims>,
        listener: impl Fn(Event) + 'static,
    ) -> Self {
        Self {
            core: Core::new(instances, environment, claims, Box::new(listener)),
        }
    }

    /// Takes a lock on all of `resources`, or on none.
    ///
    /// Dropping the future gives the attempt under way up; its clean-up still
    /// runs.
    ///
    /// # Errors
    ///
    /// After the last attempt, with that attempt's reason and votes:
    /// [`Reason::Held`], [`Reason::Unavailable`] or [`Reason::TooSlow`];
    /// [`Reason::TimedOut`] if it was not granted within
    /// [`Settings::max_wait`]: an attempt under way is given up then.
    pub fn acquire(
        &self,
        resources: Resources,
        ttl: Ttl,
        settings: Settings,
    ) -> impl Future<Output = Result<Grant, Failure>> {
        acquire::acquire(&self.core, resources, ttl, settings)
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
        extend::extend(&self.core, resources, value, until, ttl, settings)
    }

    /// Deletes the keys of a lock on every instance, where they have `value`.
    /// `since` is when the lock was asked for, [`Instant::ORIGIN`] if unknown.
    ///
    /// # Errors
    ///
    /// [`Reason::NotHeld`] if so many instances no longer had all the keys that
    /// a majority is out of reach, [`Reason::Unavailable`] if too few answered.
    pub fn release(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: Settings,
    ) -> impl Future<Output = Result<(), Failure>> {
        release::release(&self.core, resources, value, since, settings)
    }

    /// As [`Engine::release`], for a lock that could not be handed over: nothing is
    /// awaited.
    pub fn rollback(&self, resources: Resources, value: Token, since: Instant, settings: Settings) {
        release::ask(&self.core, resources, value, since, settings);
    }

    /// Releases every lock that was handed over and is held, and those that
    /// the watchdog extends, wherever they are from. Resolves once all of that,
    /// and whatever else is under way, was answered or has passed its deadline;
    /// with those that could not be released.
    pub fn release_all(
        &self,
        settings: Settings,
    ) -> impl Future<Output = Vec<(Resources, Failure)>> {
        release::release_all(&self.core, settings)
    }

    /// What each instance says of `resource`'s key: [`Vote::Inspected`] or
    /// [`Vote::Failed`], by instance.
    pub async fn inspect(&self, resource: Box<str>, settings: Settings) -> Vec<Option<Vote>> {
        inspect::inspect(&self.core, resource, &settings).await
    }

    /// Watches a lock: extends it if its renewal says so, and tells of its loss by
    /// [`Event::Lost`]; `watch` shows until when it may be believed in. That ends with
    /// the lock's release, and with [`Engine::unwatch`]. A lock that is watched already
    /// is watched in this way from now on.
    pub fn watch(&self, request: WatchRequest, shared: SharedValidity) {
        watchdog::keep_or_lose::watch(&self.core, request, shared);
    }

    /// This lock is watched no longer under this number; it stays as it is.
    pub fn unwatch(&self, resources: &Resources, value: &Token, number: u64) {
        watchdog::keep_or_lose::unwatch(&self.core, resources, value, number);
    }

    /// No lock is extended any longer by itself. Each is believed in, and
    /// watched, until its validity ends.
    pub fn stop_renewals(&self) {
        watchdog::keep_or_lose::stop_renewals(&self.core);
    }

    /// Resolves when no round is open: everything asked has been answered or
    /// has passed its deadline.
    pub fn quiet(&self) -> impl Future<Output = ()> {
        self.core.deadlines.quiet()
    }

    /// Whether [`Engine::quiet`] would resolve at once.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.core.deadlines.is_quiet()
    }
}
