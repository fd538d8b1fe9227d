//! Releasing: one lock, or all that are held.

use std::cell::Cell;
use std::rc::Rc;

use super::core::Core;
use super::deadline_bounds::Limits;
use super::environment::within_limit;
use super::failure::{Failure, Reason};
use super::held_locks::Releasable;
use super::lock_id::LockId;
use super::question::{Question, Resources};
use super::quorum::Verdict;
use super::round::{Asker, Round};
use super::settings::Settings;
use super::token::Token;
use super::validity::Instant;

/// As [`Engine::release_then`](super::Engine::release_then).
pub(super) fn begin(
    core: &Rc<Core>,
    resources: Resources,
    value: Token,
    since: Instant,
    settings: &Settings,
    done: impl FnOnce(Result<(), Failure>) + 'static,
) {
    let Some(round) = ask(core, resources, value, since, settings) else {
        done(Err(Failure::before_any_attempt(Reason::NotHeld)));
        return;
    };
    let spent = core.spent_releases.take();
    let releasing = spent.unwrap_or_else(|| Rc::new(Releasing(Cell::default())));
    releasing.0.set(Some((Rc::clone(&round), done)));
    round.tell(releasing);
}

/// A release that somebody waits for.
struct Releasing<D>(Cell<Option<(Rc<Round>, D)>>);

impl<D> Asker for Releasing<D>
where
    D: FnOnce(Result<(), Failure>) + 'static,
{
    fn decided(self: Rc<Self>, verdict: Verdict) {
        if let Some((round, done)) = self.0.take() {
            done(outcome(&round, verdict));
            round.core().spent_releases.keep(self, |_| true);
        }
    }
}

/// As [`Engine::release_all`](super::Engine::release_all).
pub(super) async fn release_all(core: &Rc<Core>, settings: Settings) -> Vec<(Resources, Failure)> {
    let now = core.environment.now();
    let limit = now.after(settings.deadlines.ceiling);
    let rounds = held(core, now).into_iter().filter_map(|held| {
        let (resources, value) = (Resources::clone(&held.resources), held.lock.value().clone());
        let mut settings = settings.clone();
        settings.context = held.context.or(settings.context);
        let round = ask(core, resources, value, held.since, &settings)?;
        Some((held.resources, round))
    });
    let rounds: Vec<_> = rounds.collect();
    let mut unreleased = Vec::new();
    for (resources, round) in rounds {
        let verdict = round.verdict().await;
        if let Err(failure) = outcome(&round, verdict) {
            unreleased.push((resources, failure));
        }
    }
    // Attempts that were given up are cleaned up by then, as far as that goes.
    let quiet = core.deadlines.quiet();
    within_limit(core.environment.as_ref(), Some(limit), quiet).await;
    unreleased
}

/// The locks that were handed over, and those that the watchdog extends.
fn held(core: &Core, now: Instant) -> Vec<Releasable> {
    let mut held = core.held_locks.held(now);
    for (lock, watched) in core.watched.borrow().iter() {
        let is_known = held.binary_search_by(|held| held.lock.cmp(lock)).is_ok();
        if let (false, Some(resources)) = (is_known, watched.extended_on()) {
            // It may have been held before this process was there.
            held.push(Releasable {
                lock: lock.clone(),
                resources: Resources::clone(resources),
                since: Instant::ORIGIN,
                context: watched.context().cloned(),
            });
            held.sort_unstable_by(|one, other| one.lock.cmp(&other.lock));
        }
    }
    held
}

/// Has a lock released. Nothing is asked if the value, one of the caller's own, is
/// another lock's by now: this one's life is over then.
pub(super) fn ask(
    core: &Rc<Core>,
    resources: Resources,
    value: Token,
    since: Instant,
    settings: &Settings,
) -> Option<Rc<Round>> {
    let now = core.environment.now();
    if core.is_another_locks(&resources, &value, since, now) {
        let lock = LockId::new(&value, &resources);
        // The one that has the value now may be over too, and its holder isn't told yet.
        let was_before = |until: Instant| {
            until == Instant::ORIGIN || core.is_another_locks(&resources, &value, until, now)
        };
        let watched = core.watched(&lock);
        if let Some(watched) = watched.filter(|watched| was_before(watched.until())) {
            // It was over; it is not to be told as lost any more.
            core.forget(&lock, &watched);
            watched.release();
        }
        return None;
    }
    core.release(&value, &resources, now);
    let claimed = core.claims.of(core.owner, &resources, &value);
    let expires = claimed.map_or(Instant::LAST, |claimed| claimed.until);
    let limits = Limits::of_release(settings.deadlines, now);
    let report = settings.vote_report(1);
    let question = Question::release(since, expires, resources, value, limits.last());
    Some(Round::ask_all(
        core,
        settings.apply(question, 1),
        limits,
        now,
        report,
    ))
}

/// What came of a round of releases.
fn outcome(round: &Round, verdict: Verdict) -> Result<(), Failure> {
    if verdict == Verdict::Granted {
        return Ok(());
    }
    let gone = round
        .tally()
        .refused_by_holders(round.core().instances.len());
    Err(Failure {
        reason: if gone {
            Reason::NotHeld
        } else {
            Reason::Unavailable
        },
        attempts: 1,
        votes: round.votes(),
        until: None,
    })
}
