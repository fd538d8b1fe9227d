//! Taking a lock: attempts until one succeeds, the retries are used up or the
//! asker's time is.
//!
//! - `attempt`: one of them.
//! - `attempts`: those that one request makes.
//! - `count`: what is counted of a request that a task carries out.
//! - `request`: what is asked for.
//! - `turns`: when a request asks between two of them.

mod attempt;
mod attempts;
mod count;
mod request;
mod turns;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use self::attempt::{Attempt, Granted};
use self::attempts::Attempts;
use self::count::Count;
pub(super) use self::request::AcquireRequest;
use self::turns::Turns;
use super::abortable_task::{Underway, abortable};
use super::core::Core;
use super::environment::within_limit;
use super::failure::{Failure, Reason};
use super::grant::Grant;
use super::question::Resources;
use super::queue::{QueuesOfMembers, Turn};
use super::quorum::Verdict;
use super::round::Asker;
use super::safety_rule::SafetyRule;
use super::settings::Settings;
use super::stats::AcquireOutcome;
use super::token::Token;
use super::validity::{Instant, Ttl};

/// As [`Engine::acquire_then`](super::Engine::acquire_then).
///
/// Most locks are granted by their first attempt, which needs no task.
pub(super) fn begin<D>(core: &Rc<Core>, request: AcquireRequest, done: D) -> Rc<Acquiring<D>>
where
    D: FnOnce(Result<Grant, Failure>) + 'static,
{
    core.counters.asked();
    let spent = core.spent_acquires.take();
    let acquiring = spent.unwrap_or_else(|| Rc::new(Acquiring(RefCell::default())));
    // These wait for something else than votes too.
    let waits = &request.settings;
    if waits.value.is_some() || waits.max_wait.is_some() || waits.ticket.is_some() {
        acquiring.go_on(core, request, None, core.environment.now(), done);
        return acquiring;
    }
    let AcquireRequest {
        resources,
        ttl,
        settings,
    } = request;
    let value = Token::random(core.environment.as_ref());
    let queues = queues_for(core, &settings);
    let now = core.environment.now();
    let mut holds = false;
    if let Some(queues) = &queues
        && resources.len() == 1
        && settings.retry.count != Some(0)
    {
        holds = queues.enter(&resources, &value, now, now.after(ttl.span()));
        if !holds {
            let request = AcquireRequest {
                resources,
                ttl,
                settings,
            };
            acquiring.go_on(core, request, None, now, done);
            return acquiring;
        }
    }
    let queues = queues.map(|queues| (queues, holds));
    let attempt = Attempt::begin(core, resources, ttl, &settings, value, 1, queues);
    let round = Rc::clone(&attempt.round);
    acquiring.0.replace(State::First {
        attempt,
        ttl,
        settings,
        done,
    });
    round.tell(Rc::<Acquiring<D>>::clone(&acquiring));
    acquiring
}

/// A request for a lock that is under way. As small as it can be: each lock makes one.
pub(super) struct Acquiring<D>(RefCell<State<D>>);

#[derive(Default)]
enum State<D> {
    First {
        attempt: Attempt,
        ttl: Ttl,
        settings: Arc<Settings>,
        done: D,
    },
    /// The first attempt has failed, or may have to wait: a task does the rest.
    Task(Rc<dyn Underway>),
    #[default]
    Over,
}

impl<D> Acquiring<D>
where
    D: FnOnce(Result<Grant, Failure>) + 'static,
{
    /// Has a task make what attempts are left; `first` has been made already. It was asked for
    /// at `since`.
    fn go_on(
        self: &Rc<Self>,
        core: &Rc<Core>,
        request: AcquireRequest,
        first: Option<Attempt>,
        since: Instant,
        done: D,
    ) {
        let (acquiring, of) = (Rc::clone(self), Rc::clone(core));
        let count = Count::begin(core, since);
        let (task, abort) = abortable(async move {
            let outcome = acquire(&of, &request, first, count.made()).await;
            count.end(&outcome);
            acquiring.0.replace(State::Over);
            done(outcome);
        });
        self.0.replace(State::Task(abort));
        core.retries.spawn(task);
    }
}

impl<D> Asker for Acquiring<D>
where
    D: FnOnce(Result<Grant, Failure>) + 'static,
{
    fn decided(self: Rc<Self>, verdict: Verdict) {
        let State::First {
            attempt,
            ttl,
            settings,
            done,
        } = self.0.take()
        else {
            return;
        };
        let core = Rc::clone(attempt.round.core());
        let since = attempt.round.validity().since;
        match attempt.granted(verdict) {
            Ok(Granted {
                value,
                validity,
                at,
            }) => {
                let counters = &core.counters;
                counters.acquired(AcquireOutcome::Granted, at.nanos_since(since), 1);
                done(Ok(Grant {
                    value,
                    validity,
                    attempts: 1,
                }));
                core.spent_acquires.keep(self, |_| true);
            }
            Err(attempt) => {
                let request = AcquireRequest {
                    resources: Resources::clone(&attempt.round.question().resources),
                    ttl,
                    settings,
                };
                self.go_on(&core, request, Some(attempt), since, done);
            }
        }
    }
}

impl<D> Underway for Acquiring<D> {
    fn give_up(&self) {
        match self.0.take() {
            State::Task(task) => task.give_up(),
            State::First { attempt, .. } => Count::given_up(&attempt.round),
            State::Over => {}
        }
    }

    fn is_over(&self) -> bool {
        matches!(*self.0.borrow(), State::Over)
    }
}

/// Makes attempts until one succeeds; `first` was begun before. `made` says how many it has
/// made.
async fn acquire(
    core: &Rc<Core>,
    request: &AcquireRequest,
    first: Option<Attempt>,
    made: &Cell<u32>,
) -> Result<Grant, Failure> {
    let AcquireRequest {
        resources,
        ttl,
        settings,
    } = request;
    let environment = core.environment.as_ref();
    let limit = settings.max_wait.map(|span| environment.now().after(span));
    if let Some(value) = &settings.value
        && let Err(reason) = claim(core, resources, value, *ttl, settings, limit).await
    {
        return Err(Failure::before_any_attempt(reason));
    }
    let queues = queues_for(core, settings);
    // Who has asked already came before all who wait and have not.
    let is_behind = queues.as_ref().is_some_and(|queues| {
        let may_be = first.is_none() && resources.len() == 1;
        may_be && queues.must_wait(resources, environment.now())
    });
    // Who asks but once keeps nobody waiting.
    let lines_up = queues.as_ref().filter(|_| settings.retry.count != Some(0));
    let mut turns = match &settings.ticket {
        Some(ticket) => Some(Turns::by_ticket(core, resources, settings, ticket)),
        None => {
            lines_up.map(|queues| Turns::line_up(core, queues, resources, settings, !is_behind))
        }
    };
    let mut attempts = Attempts::new(core, request, queues.clone(), limit, made);
    let yields = || {
        let queues = queues.as_ref().filter(|_| resources.len() == 1);
        queues.is_some_and(|queues| queues.must_yield(resources, environment.now()))
    };
    if turns.is_some() && first.is_none() && !is_behind && yields() {
        let free = environment.now().after(attempts.gap(true));
        environment.sleep_until(attempts.until(free)).await;
    }
    // Who comes behind others has made its first attempt by that.
    if !(is_behind && turns.is_some())
        && let Some(grant) = attempts.make(first, turns.as_mut()).await
    {
        return Ok(grant);
    }
    loop {
        let Some(wait) = attempts.wait() else {
            return Err(attempts.end(turns).await);
        };
        let next = environment.now().after(wait);
        let mut has_asked = false;
        if let Some(mine) = &mut turns {
            // Between two attempts that count it asks whenever its turn comes.
            while let Some(turn) = mine.next(attempts.until(next)).await {
                if let Turn::AfterOthers { contend } = turn {
                    let free = environment.now().after(attempts.gap(contend));
                    environment
                        .sleep_until(attempts.until(next.min(free)))
                        .await;
                }
                if limit.is_some_and(|limit| limit <= environment.now()) {
                    break;
                }
                if let Some(grant) = attempts.make(None, Some(mine)).await {
                    return Ok(grant);
                }
                if attempts.is_futile() {
                    return Err(attempts.end(turns).await);
                }
                // One that took until then is the one that was due.
                has_asked = next <= environment.now();
                if has_asked {
                    break;
                }
            }
        } else {
            environment.sleep_until(attempts.until(next)).await;
        }
        let is_late = limit.is_some_and(|limit| limit <= next);
        if is_late && (turns.is_none() || attempts.has_asked()) {
            // Nothing more can come of it; it is said when it was asked for.
            return Err(attempts.time_out(turns).await);
        }
        if !is_late {
            attempts.begun += 1;
        }
        let Some(mine) = &mut turns else {
            if let Some(grant) = attempts.make(None, None).await {
                return Ok(grant);
            }
            continue;
        };
        // Whoever gives up asks once more, wherever it stands.
        let asks = is_late || mine.asks_by_schedule() || attempts.is_last();
        if asks
            && !has_asked
            && let Some(grant) = attempts.make(None, Some(mine)).await
        {
            return Ok(grant);
        }
        if is_late {
            return Err(attempts.time_out(turns).await);
        }
    }
}

/// The queues in which who asks with these settings may wait. With a value or a script of
/// the caller's nobody does: it may ask for something else than a lock of ours. Nor where
/// the votes of each attempt are told.
fn queues_for(core: &Core, settings: &Settings) -> Option<Rc<QueuesOfMembers>> {
    let may_wait = settings.queues
        && settings.value.is_none()
        && settings.scripts.is_none()
        && settings.reports_votes_as.is_none()
        && settings.ticket.is_none();
    may_wait
        .then(|| core.queues.over(&core.instances))
        .flatten()
}

/// Sees that a value of the caller's own is not in use (rule 16): the clean-up
/// of a second attempt with it would delete the first one's keys.
async fn claim(
    core: &Core,
    resources: &Resources,
    value: &Token,
    ttl: Ttl,
    settings: &Settings,
    limit: Option<Instant>,
) -> Result<(), Reason> {
    if !SafetyRule::Claims.is_kept() {
        return Ok(());
    }
    let environment = core.environment.as_ref();
    let now = || environment.now();
    let claim = core.claims.take(core.owner, resources, value, ttl, now);
    // A release that is under way is over by then.
    let end = now().after(settings.deadlines.ceiling);
    let first = limit.map_or(end, |limit| limit.min(end));
    match within_limit(environment, Some(first), claim).await {
        Some(true) => Ok(()),
        None if limit == Some(first) => Err(Reason::TimedOut),
        _ => Err(Reason::Held),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::Cause;
    use super::super::instance::Instance;
    use super::super::question::Question;
    use super::super::retry::Retry;
    use super::super::vote::{Responder, Vote};
    use super::super::{Engine, System};
    use super::*;
    use std::cell::Cell;

    /// One of several that are one server, which is proven as soon as all were asked.
    struct Unproven {
        index: usize,
        is_proven: Rc<Cell<bool>>,
    }

    impl Instance for Unproven {
        fn ask(&self, _: &Rc<Question>, responder: Responder) {
            if self.index == 0 {
                responder.vote(Vote::Granted);
            } else {
                responder.fail(Cause::AskedTwice);
            }
            self.is_proven.set(self.is_proven.get() || self.index == 2);
        }

        fn identity(&self) -> Option<usize> {
            self.is_proven.get().then_some(1)
        }

        fn coming_identity(&self) -> Option<usize> {
            Some(1)
        }
    }

    /// What comes of one attempt to lock.
    fn attempt<I: Instance + 'static>(
        instances: impl IntoIterator<Item = I>,
    ) -> Result<Grant, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime");
        runtime.block_on(async {
            let instances = instances.into_iter();
            let instances = instances.map(|one| Rc::new(one) as Rc<dyn Instance>);
            let instances = instances.collect();
            let engine = Engine::new(
                instances,
                Rc::new(System),
                Rc::default(),
                Rc::default(),
                |_| {},
            );
            let settings = Settings {
                retry: Retry {
                    count: Some(0),
                    ..Retry::default()
                },
                ..Settings::default()
            };
            let ttl = Ttl::new(1000.0, settings.drift).expect("long enough");
            let resources = [Box::from("r")].into();
            engine.acquire(resources, ttl, settings).await
        })
    }

    #[test]
    fn an_attempt_does_not_count_whose_members_are_proven_to_be_one_meanwhile() {
        let is_proven = Rc::<Cell<bool>>::default();
        let outcome = attempt((0..3).map(|index| Unproven {
            index,
            is_proven: Rc::clone(&is_proven),
        }));
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}
