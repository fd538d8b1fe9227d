//! Extending a lock, by its holder or by the watchdog.

use std::cell::RefCell;
use std::rc::Rc;

use super::core::Core;
use super::deadline_bounds::Limits;
use super::failure::{Failure, Reason};
use super::grant::Extension;
use super::lock_id::LockId;
use super::question::{Question, Resources};
use super::quorum::{Verdict, is_out_of_reach};
use super::round::Round;
use super::safety_rule::SafetyRule;
use super::settings::Settings;
use super::token::Token;
use super::validity::{Drift, Instant, Ttl, Validity};
use super::watchdog::watched_lock::WatchedLock;

/// As [`Engine::extend`](super::Engine::extend).
pub(super) async fn extend(
    core: &Rc<Core>,
    resources: Resources,
    value: Token,
    until: Instant,
    ttl: Ttl,
    settings: Settings,
) -> Result<Extension, Failure> {
    let environment = &core.environment;
    if core.is_another_locks(&resources, &value, until, environment.now()) {
        // It was over when its value was taken again.
        return Err(Failure::before_any_attempt(Reason::Expired));
    }
    // The watchdog knows best until when the lock is held, also if that changes
    // meanwhile; the caller may not have heard of it.
    let lock = LockId::new(&value, &resources);
    let known: RefCell<Option<Rc<WatchedLock>>> = RefCell::default();
    let watched = || {
        let now = core.watched(&lock);
        let mut known = known.borrow_mut();
        *known = now.or_else(|| known.take());
        known.clone()
    };
    let request = ExtendRequest {
        resources,
        value,
        ttl,
        cap: None,
        until: &|| watched().map_or(until, |watched| watched.until()),
        asked: &|hoped| {
            if let Some(watched) = watched() {
                watched.asked(hoped);
            }
        },
        // Its holder is told with the last one.
        failed: &|_, _| {},
    };
    let outcome = try_until_over(core, request, settings).await;
    if let Some(watched) = watched() {
        let until = outcome.as_ref().map(|extension| extension.validity.until);
        watched.extended(until, environment.now());
    }
    outcome
}

/// An extension of a lock, by its holder or by the watchdog.
pub(super) struct ExtendRequest<'a> {
    pub(super) resources: Resources,
    pub(super) value: Token,
    pub(super) ttl: Ttl,
    /// It may not be believed in beyond this.
    pub(super) cap: Option<Instant>,
    /// Until when it is held so far.
    pub(super) until: &'a dyn Fn() -> Instant,
    /// Is told, before each attempt, until when it would be held by that.
    pub(super) asked: &'a dyn Fn(Instant),
    /// Is told of each attempt that has failed, and when, unless the lock is gone.
    pub(super) failed: &'a dyn Fn(&Failure, Instant),
}

impl ExtendRequest<'_> {
    /// For how long it can be asked for at `now`: what is left till the cap is
    /// less for each attempt.
    fn ttl_at(&self, now: Instant, drift: Drift) -> Option<Ttl> {
        self.cap.map_or(Some(self.ttl), |cap| {
            self.ttl.at_most(cap.since(now), drift)
        })
    }
}

/// Extends a lock, with retries as the settings say, within the validity that is
/// left.
pub(super) async fn try_until_over(
    core: &Rc<Core>,
    request: ExtendRequest<'_>,
    settings: Settings,
) -> Result<Extension, Failure> {
    let environment = &core.environment;
    // The earliest end that was asked for.
    let mut asked = Instant::LAST;
    let mut attempts = 0;
    let mut reason = Reason::Expired;
    let mut votes = Vec::new();
    loop {
        let now = environment.now();
        let until = (request.until)();
        // Rule 9: inside the old validity only.
        if now >= until {
            return Err(Failure {
                reason: Reason::Expired,
                attempts,
                votes,
                until: None,
            });
        }
        let Some(ttl) = request.ttl_at(now, settings.drift) else {
            return Err(Failure {
                reason,
                attempts,
                votes,
                until: Some(asked.min(until)).filter(|left| now < *left),
            });
        };
        let validity = Validity::starting(now, ttl, settings.drift);
        attempts += 1;
        (request.asked)(validity.until);
        asked = asked.min(validity.until);
        let round = ask(
            core,
            &request,
            validity.since,
            ttl,
            until.min(validity.until),
            &settings,
            attempts,
        );
        let verdict = round.verdict().await;
        let now = environment.now();
        let until = (request.until)();
        let in_time = now < until && validity.holds(now);
        if verdict == Verdict::Granted && (in_time || !SafetyRule::Validity.is_kept()) {
            core.counters.extended(until.nanos_since(now));
            let held_locks = &core.held_locks;
            held_locks.extend(&request.value, &request.resources, validity.until);
            if let Some(queues) = core.queues.known() {
                queues.extended(&request.resources, &request.value, validity.until);
            }
            return Ok(Extension { validity, attempts });
        }
        core.counters.not_extended();
        votes = round.votes();
        let tally = round.tally();
        if tally.majority_held() {
            return Err(Failure {
                reason: Reason::NotHeld,
                attempts,
                votes,
                until: None,
            });
        }
        reason = if verdict == Verdict::Granted {
            Reason::Expired
        } else if tally.refused_by_holders(core.instances.len()) {
            Reason::Held
        } else {
            Reason::Unavailable
        };
        let left = asked.min(until);
        let failure = Failure {
            reason,
            attempts,
            votes,
            until: (now < left).then_some(left),
        };
        (request.failed)(&failure, now);
        let wait = settings.retry.after(attempts, environment.chance());
        let wait = wait.filter(|_| !is_out_of_reach(&failure.votes));
        let again = wait.map(|wait| now.after(wait)).filter(|at| *at < until);
        let Some(again) = again else {
            return Err(failure);
        };
        votes = failure.votes;
        environment.sleep_until(again).await;
    }
}

/// One attempt, at `now`, whose answers are worth nothing after `last`.
fn ask(
    core: &Rc<Core>,
    request: &ExtendRequest<'_>,
    now: Instant,
    ttl: Ttl,
    last: Instant,
    settings: &Settings,
    attempt: u32,
) -> Rc<Round> {
    let (resources, value) = (&request.resources, &request.value);
    let limits = Limits::within(settings.deadlines, ttl, last);
    // A late answer may still have given it that long a life.
    let end = limits.last().after(ttl.span());
    core.claims.extend(core.owner, resources, value, end);
    let question = Question::extend(
        ttl,
        Resources::clone(resources),
        value.clone(),
        limits.last(),
    );
    Round::ask_all(
        core,
        settings.apply(question, attempt),
        limits,
        now,
        settings.vote_report(attempt),
    )
}
