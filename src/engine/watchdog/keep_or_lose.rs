//! The watchdog's task: one for each watched lock, which sleeps until the lock is to
//! be extended or ends.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::super::core::Core;
use super::super::environment::{Environment, supervised};
use super::super::event::Event;
use super::super::extend::{ExtendRequest, try_until_over};
use super::super::failure::{Failure, Reason};
use super::super::grant::Extension;
use super::super::lock_id::LockId;
use super::super::question::Resources;
use super::super::safety_rule::SafetyRule;
use super::super::settings::Settings;
use super::super::token::Token;
use super::super::validity::{Instant, Validity};
use super::early_loss::EarlyLoss;
use super::request::{Renewal, WatchRequest};
use super::shared_validity::{Loss, SharedValidity};
use super::watched_lock::WatchedLock;

/// As [`Engine::watch`](super::super::Engine::watch).
pub fn watch(core: &Rc<Core>, mut request: WatchRequest, watch: SharedValidity) {
    let (lock, now) = (request.lock(), core.environment.now());
    if core.is_another_locks(&request.resources, &request.value, request.until, now) {
        // It was over when its value was taken again.
        let known = core.watched(&lock);
        if let Some(known) = known.filter(|known| known.number() == request.number) {
            core.forget(&lock, &known);
            known.displace();
        }
        let failure = Failure::before_any_attempt(Reason::Expired);
        WatchedLock::new(&request, watch).lose(&failure, now);
        tell_loss(core, &request, failure);
        return;
    }
    let before = core.watched.borrow_mut().remove(&lock);
    if let Some(before) = before {
        // What the engine knows of its end is newer than what the caller does.
        if SafetyRule::KnownEnd.is_kept() {
            request.until = before.until();
        }
        before.displace();
    }
    if let (false, Some(renewal)) = (SafetyRule::Cap.is_kept(), &mut request.renewal) {
        renewal.cap = None;
    }
    if let Some(cap) = request.cap() {
        request.until = request.until.min(cap);
    }
    let watched = WatchedLock::new(&request, watch);
    core.watched.borrow_mut().insert(lock, Rc::clone(&watched));
    let environment = Rc::clone(&core.environment);
    let (core, world) = (Rc::downgrade(core), Rc::clone(&environment));
    let begin = move || {
        let (core, watched) = (Weak::clone(&core), Rc::clone(&watched));
        keep(core, Rc::clone(&world), watched, request.clone())
    };
    let life = supervised(Rc::clone(&environment), begin, |_| {});
    environment.spawn(Box::pin(life));
}

/// As [`Engine::unwatch`](super::super::Engine::unwatch).
pub fn unwatch(core: &Core, resources: &Resources, value: &Token, number: u64) {
    let lock = LockId::new(value, resources);
    let watched = core.watched(&lock);
    if let Some(watched) = watched.filter(|watched| watched.number() == number) {
        core.forget(&lock, &watched);
        watched.release();
    }
}

/// As [`Engine::stop_renewals`](super::super::Engine::stop_renewals).
pub fn stop_renewals(core: &Core) {
    for watched in core.watched.borrow().values() {
        watched.retire();
    }
}

/// Keeps the lock until it is released or lost; its loss is an event.
async fn keep(
    core: Weak<Core>,
    environment: Rc<dyn Environment>,
    watched: Rc<WatchedLock>,
    request: WatchRequest,
) {
    let mut early_loss = EarlyLoss::new(&core, environment.as_ref(), &request);
    let failure = loop {
        if watched.is_released() {
            return;
        }
        let now = environment.now();
        if let Some(failure) = watched.loss(now) {
            break failure;
        }
        let until = watched.until();
        let engine = core.upgrade();
        let next = match (&request.renewal, &engine) {
            (Some(renewal), Some(engine)) if watched.may_be_extended() => {
                next(renewal, &request.settings, until, now).map(|at| (at, renewal, engine))
            }
            _ => None,
        };
        match next {
            Some((at, renewal, engine)) if at <= now => {
                // What it was to change may be another thing once its holder
                // has extended it by hand.
                let extension = extend(engine, &watched, &request, renewal, until);
                match watched.unless_changed(extension).await {
                    None => {}
                    // It is not shortened: one that came late would win nothing.
                    Some(Ok(extension)) => watched.move_to(extension.validity.until.max(until)),
                    Some(Err(failure)) => match failure.until {
                        Some(left) => watched.give_up(failure, left),
                        None => break failure,
                    },
                }
            }
            next => {
                let at = next.map_or(until, |(at, ..)| at.min(until));
                // While it sleeps, nothing keeps the engine alive.
                drop(engine);
                if watched.is_retired() {
                    early_loss.end();
                }
                let sleep = early_loss.sleep_until(at, until);
                if let Some(Some(failure)) = watched.unless_changed(sleep).await {
                    break failure;
                }
            }
        }
    };
    let failure = watched.lose(&failure, environment.now());
    if let Some(core) = core.upgrade() {
        core.forget(&request.lock(), &watched);
        tell_loss(&core, &request, failure);
    }
}

fn tell_loss(core: &Core, request: &WatchRequest, failure: Failure) {
    core.counters.lost(Loss::after(failure.reason));
    let now = core.environment.now();
    core.held_locks
        .lose(&request.value, &request.resources, now);
    (core.listener)(Event::Lost {
        number: request.number,
        failure,
    });
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
        // At the clock's end an extension gains nothing.
        None => (renewal.ttl, Duration::ZERO),
    };
    let validity = Validity::starting(at, ttl, settings.drift);
    (validity.until.since(until) > least).then_some(at)
}

/// How long before its end it is extended: not so early that each extension
/// would be followed by the next at once, nor so late that none could succeed.
fn lead(renewal: &Renewal, settings: &Settings) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(50);
    let quarter = renewal.ttl.believable(settings.drift) / 4;
    renewal.lead.max(quarter.min(SHORTEST)).min(quarter * 3)
}

/// One extension, tried again for as long as there is time.
async fn extend(
    core: &Rc<Core>,
    watched: &WatchedLock,
    request: &WatchRequest,
    renewal: &Renewal,
    until: Instant,
) -> Result<Extension, Failure> {
    let mut settings = request.settings.clone();
    settings.retry.count = None;
    // Several tries must fit before its end.
    let lead = lead(renewal, &settings).as_secs_f64() * 1000.0;
    settings.retry.delay = settings.retry.delay.min(lead / 8.0);
    settings.retry.jitter = settings.retry.jitter.min(settings.retry.delay / 2.0);
    let request = ExtendRequest {
        resources: Arc::clone(&request.resources),
        value: request.value.clone(),
        ttl: renewal.ttl,
        cap: renewal.cap,
        until: &|| until,
        asked: &|hoped| {
            if !SafetyRule::Loss.is_kept() {
                watched.show_unproven(hoped);
            }
        },
        failed: &|failure, now| {
            let left = until.since(now);
            let is_near = !left.is_zero() && left < renewal.ttl.span() / 3;
            if is_near && watched.endanger() {
                core.counters.endangered();
                (core.listener)(Event::Endangered {
                    number: watched.number(),
                    left,
                    failure: failure.clone(),
                });
            }
        },
    };
    try_until_over(core, request, settings).await
}
