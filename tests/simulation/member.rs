//! A process's engine over its instances, with all that it does told to the
//! checker.

use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{
    Engine, Environment as _, Event, Failure, Instance, Instant, Reason, Renewal, Resources,
    Settings, Token, Ttl, Validity, WatchRequest,
};

use crate::checker::{Checker, What};
use crate::connection::Remote;
use crate::counts::bump;
use crate::process::Process;
use crate::scenario::Scenario;
use crate::watched_lock::WatchedLock;

/// Clones are the same one.
#[derive(Clone)]
pub struct Member {
    process: Process,
    remotes: Rc<[Remote]>,
    engine: Engine,
    checker: Rc<Checker>,
    scenario: Rc<Scenario>,
}

/// A lock as its holder knows it.
pub struct Lock {
    pub resources: Resources,
    pub value: Token,
    pub since: Instant,
    /// Until when, on the holder's clock, it may be believed in.
    pub until: Instant,
}

/// What is asked of the engine, and how long it may take.
#[derive(Clone)]
pub struct RequestSpec {
    pub ttl: Ttl,
    pub settings: Settings,
    /// After which time the client gives up.
    pub gives_up_after: Option<Duration>,
    pub bound: Duration,
}

/// What became of it.
pub enum RequestOutcome<T> {
    Granted(T),
    Refused(Failure),
    GivenUp,
}

impl Member {
    pub fn new(
        process: &Process,
        remotes: Rc<[Remote]>,
        checker: &Rc<Checker>,
        scenario: &Rc<Scenario>,
    ) -> Self {
        let instance = |remote: &Remote| Rc::new(remote.clone()) as Rc<dyn Instance>;
        let engine = Engine::new(
            remotes.iter().map(instance).collect(),
            Rc::new(process.clone()),
            Rc::default(),
            Rc::default(),
            listener(process, checker, remotes.len()),
        );
        Self {
            process: process.clone(),
            engine,
            remotes,
            checker: Rc::clone(checker),
            scenario: Rc::clone(scenario),
        }
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    pub fn checker(&self) -> &Rc<Checker> {
        &self.checker
    }

    pub async fn acquire(&self, resources: &Resources, spec: &RequestSpec) -> RequestOutcome<Lock> {
        let counts = &self.checker.counts;
        let what = What::Acquire(spec.ttl);
        let request = self
            .checker
            .begin(&self.process, resources, what, spec.bound());
        let resources = Resources::clone(resources);
        let Settings {
            queues,
            retry,
            value,
            max_wait,
            reports_votes_as,
            ticket,
            ..
        } = &spec.settings;
        if let Some(ticket) = ticket {
            let layout = &self.scenario.layouts[self.process.index()];
            let is_straight = layout.iter().copied().eq(0..self.scenario.servers);
            self.checker.waits_by(&request, ticket, is_straight);
        }
        let has_end = retry.count.is_some() || max_wait.is_some();
        let is_own = value.is_some() || reports_votes_as.is_some() || ticket.is_some();
        let lines_up = *queues && !has_end && !is_own && resources.len() == 1;
        if lines_up && self.scenario.is_undisturbed() {
            // Its first attempt, and the clean-up of that.
            let margin = 6 * self.scenario.network.longest_delay();
            request.lines_up(margin);
        }
        if let Some(number) = spec.settings.reports_votes_as {
            self.checker.vote_reports.begin(&self.process, number);
        }
        let due = |attempts| {
            if let Some(number) = spec.settings.reports_votes_as {
                self.checker.vote_reports.end(number, attempts);
            }
        };
        let limit = spec
            .settings
            .max_wait
            .map(|span| self.process.now().after(span));
        let acquire = self.engine.acquire(
            Resources::clone(&resources),
            spec.ttl,
            spec.settings.clone(),
        );
        match self.process.within(spec.gives_up_after, acquire).await {
            None => {
                bump(&counts.cancelled);
                self.checker.settled(&request, "changes its mind", None);
                RequestOutcome::GivenUp
            }
            Some(Err(failure)) => {
                due(failure.attempts);
                self.checker.refused(&self.process, &failure, limit);
                bump(match failure.reason {
                    Reason::Held => &counts.held,
                    Reason::TooSlow => &counts.too_slow,
                    Reason::TimedOut => &counts.timed_out,
                    _ => &counts.unavailable,
                });
                self.checker.settled(&request, failure.reason.code(), None);
                RequestOutcome::Refused(failure)
            }
            Some(Ok(grant)) => {
                due(grant.attempts);
                if grant.attempts > 1 {
                    bump(&counts.contended);
                }
                self.checker
                    .settled(&request, "has the lock", Some(&grant.value));
                let Validity { since, until } = grant.validity;
                let value = grant.value;
                let lock = Lock {
                    resources,
                    value,
                    since,
                    until,
                };
                self.checker.granted(&self.process, &lock);
                RequestOutcome::Granted(lock)
            }
        }
    }

    /// Changes the lock to what may be believed afterwards.
    pub async fn extend(&self, lock: &mut Lock, spec: &RequestSpec) -> RequestOutcome<()> {
        let counts = &self.checker.counts;
        let what = What::Extend(spec.ttl, lock.until);
        let request = self
            .checker
            .begin(&self.process, &lock.resources, what, spec.bound());
        let asked = Validity::starting(self.process.now(), spec.ttl, spec.settings.drift);
        let extend = self.engine.extend(
            Resources::clone(&lock.resources),
            lock.value.clone(),
            lock.until,
            spec.ttl,
            spec.settings.clone(),
        );
        match self.process.within(spec.gives_up_after, extend).await {
            None => {
                bump(&counts.cancelled);
                self.checker.settled(&request, "stops extending", None);
                RequestOutcome::GivenUp
            }
            Some(Err(failure)) => {
                bump(if failure.until.is_some() {
                    &counts.not_extended
                } else {
                    &counts.lost
                });
                self.checker.settled(&request, failure.reason.code(), None);
                self.checker
                    .not_extended(&self.process, lock, asked, &failure);
                lock.until = failure.until.unwrap_or(Instant::ORIGIN);
                RequestOutcome::Refused(failure)
            }
            Some(Ok(extension)) => {
                bump(&counts.extended);
                self.checker
                    .settled(&request, "has extended the lock", None);
                let before = std::mem::replace(&mut lock.until, extension.validity.until);
                self.checker.extended(&self.process, lock, before, spec);
                RequestOutcome::Granted(())
            }
        }
    }

    pub async fn release(&self, lock: &Lock, spec: &RequestSpec) -> RequestOutcome<()> {
        self.checker.disbelieve(&lock.resources, &lock.value);
        let acquire = self.checker.acquire_of(&lock.resources, &lock.value);
        let request =
            self.checker
                .begin(&self.process, &lock.resources, What::Release, spec.bound());
        let release = self.engine.release(
            Resources::clone(&lock.resources),
            lock.value.clone(),
            lock.since,
            spec.settings.clone(),
        );
        match self.process.within(spec.gives_up_after, release).await {
            None => {
                bump(&self.checker.counts.cancelled);
                self.checker
                    .settled(&request, "doesn't wait for the release", None);
                RequestOutcome::GivenUp
            }
            Some(Err(failure)) => {
                self.checker.settled(&request, failure.reason.code(), None);
                if failure.attempts > 0 {
                    self.checker.released(&lock.resources, &lock.value, acquire);
                }
                RequestOutcome::Refused(failure)
            }
            Some(Ok(())) => {
                bump(&self.checker.counts.released);
                self.checker.settled(&request, "has released", None);
                self.checker.released(&lock.resources, &lock.value, acquire);
                RequestOutcome::Granted(())
            }
        }
    }

    /// Has a lock kept. One that is kept already is kept in this way from now on.
    pub fn keep(
        &self,
        lock: &Lock,
        renewal: Option<Renewal>,
        settings: &Settings,
    ) -> Rc<WatchedLock> {
        let watched = self.checker.keep(
            &self.process,
            self.remotes.iter().map(Remote::server).cloned().collect(),
            lock,
            renewal,
            settings,
        );
        let hold = WatchRequest {
            resources: Resources::clone(&watched.resources),
            value: lock.value.clone(),
            until: lock.until,
            renewal,
            settings: settings.clone(),
            number: watched.number,
        };
        self.engine.watch(hold, watched.watch.clone());
        watched
    }

    /// Has a lock kept that is kept already, by a holder who knows no better than
    /// when it was granted.
    pub fn keep_again(&self, watched: &WatchedLock, lock: &Lock) {
        let before = watched.watch.until();
        self.engine
            .watch(watched.hold(lock.until), watched.watch.clone());
        let (index, number) = (self.process.index(), watched.number);
        self.checker.expect(
            watched.watch.until() <= before.max(self.process.now()),
            format_args!("p{index}: #{number} is believed in for longer on its holder's word"),
        );
    }

    /// It is kept no longer, and believed in till the end it has.
    pub fn unwatch(&self, watched: &WatchedLock, lock: &mut Lock) {
        lock.until = watched.watch.until();
        self.checker.kept_no_longer(watched);
        self.engine
            .unwatch(&lock.resources, &lock.value, watched.number);
        self.checker.go_on_believing(&self.process, lock);
    }

    /// No lock of this process is extended by itself any longer.
    pub fn stop_renewals(&self) {
        let index = self.process.index();
        self.process
            .world()
            .note(format_args!("p{index} lets all its locks end"));
        self.checker.retired(&self.process);
        self.engine.stop_renewals();
    }

    /// Extends a kept lock by hand.
    pub async fn extend_kept(
        &self,
        watched: &WatchedLock,
        lock: &Lock,
        spec: &RequestSpec,
    ) -> RequestOutcome<()> {
        let counts = &self.checker.counts;
        watched.distrust();
        let what = What::ExtendKept(spec.ttl, watched.watch.clone());
        let request = self
            .checker
            .begin(&self.process, &lock.resources, what, spec.bound());
        // Its holder need not know how far it has been extended, but that it was
        // lost.
        let until = if watched.is_told() {
            lock.until.min(watched.watch.until())
        } else {
            lock.until
        };
        let extend = self.engine.extend(
            Resources::clone(&lock.resources),
            lock.value.clone(),
            until,
            spec.ttl,
            spec.settings.clone(),
        );
        match self.process.within(spec.gives_up_after, extend).await {
            None => {
                bump(&counts.cancelled);
                self.checker.settled(&request, "stops extending", None);
                RequestOutcome::GivenUp
            }
            Some(Err(failure)) => {
                bump(if failure.until.is_some() {
                    &counts.not_extended
                } else {
                    &counts.lost
                });
                self.checker.settled(&request, failure.reason.code(), None);
                self.checker.not_extended_by_hand(watched, &failure);
                RequestOutcome::Refused(failure)
            }
            Some(Ok(extension)) => {
                bump(&counts.extended_by_hand);
                self.checker
                    .settled(&request, "has extended the kept lock", None);
                self.checker
                    .extended_by_hand(watched, extension.validity.until);
                RequestOutcome::Granted(())
            }
        }
    }

    /// To be called when nothing is left to happen: nothing may be open.
    pub fn expect_quiet(&self) {
        if self.process.is_alive() && !self.engine.is_quiet() {
            let index = self.process.index();
            self.process
                .world()
                .blame(format_args!("p{index}: a round never ends"));
        }
    }

    /// Ends the process: tasks, connections and all.
    pub fn end(&self) {
        self.process.kill();
        self.checker.died(&self.process);
        for remote in &*self.remotes {
            remote.die();
        }
    }
}

fn listener(
    process: &Process,
    checker: &Rc<Checker>,
    instances: usize,
) -> impl Fn(Event) + 'static {
    let process = process.clone();
    let checker = Rc::clone(checker);
    move |event| match event {
        Event::ClientError {
            instance,
            operation,
            cause,
            ..
        } => process.world().note(format_args!(
            "p{}: s{instance} fails to {}: {}",
            process.index(),
            operation.name(),
            cause.code(),
        )),
        // The end of a dead process drops what it had asked.
        _ if !process.is_alive() => {}
        Event::Lost { number, failure } => checker.lost(&process, number, &failure),
        Event::Votes {
            number,
            attempt,
            votes,
        } => checker
            .vote_reports
            .told(&checker, number, attempt, &votes, instances),
        _ => {}
    }
}

/// What who was measured while it was hung may take to answer.
const SLOWEST: Duration = Duration::from_secs(10);

/// What timers and the event loop may add to one wait.
const SLACK: Duration = Duration::from_millis(10);

impl RequestSpec {
    pub fn acquire(ttl: Ttl, settings: Settings) -> Self {
        let bound = acquire_bound(&settings, ttl);
        Self {
            ttl,
            settings,
            gives_up_after: None,
            bound,
        }
    }

    /// An extension is over with the validity that it extends.
    pub fn extend(ttl: Ttl, settings: Settings, left: Duration) -> Self {
        Self {
            ttl,
            settings,
            gives_up_after: None,
            bound: leeway(left),
        }
    }

    pub fn release(ttl: Ttl, settings: Settings) -> Self {
        let bound = leeway(settings.deadlines.ceiling.max(SLOWEST));
        Self {
            ttl,
            settings,
            gives_up_after: None,
            bound,
        }
    }

    pub fn or_give_up_after(self, gives_up_after: Option<Duration>) -> Self {
        Self {
            gives_up_after,
            ..self
        }
    }

    /// But in true time, within that.
    pub fn within(self, bound: Duration) -> Self {
        Self {
            bound: leeway(bound),
            ..self
        }
    }

    fn bound(&self) -> Duration {
        let longest = self.gives_up_after.map_or(Duration::MAX, leeway);
        self.bound.min(longest)
    }
}

/// Attempts, each within its deadline and that of its release, and the waits
/// between them.
fn acquire_bound(settings: &Settings, ttl: Ttl) -> Duration {
    let longest = settings.max_wait.map_or(Duration::MAX, leeway);
    if settings.value.is_some() {
        // One attempt, once the release of that value is over.
        return leeway(settings.deadlines.ceiling + attempt_bound(settings, ttl)).min(longest);
    }
    let Some(retries) = settings.retry.count else {
        return longest;
    };
    let wait = (settings.retry.delay + settings.retry.jitter).max(1.0);
    let wait = Duration::from_secs_f64(wait / 1000.0) + SLACK;
    leeway(attempt_bound(settings, ttl) * (retries + 1) + wait * retries).min(longest)
}

/// Its validity, if everybody is slow, and the longest wait for its clean-up.
pub fn attempt_bound(settings: &Settings, ttl: Ttl) -> Duration {
    const CLEANUP: Duration = Duration::from_secs(1);
    ttl.span().min(settings.deadlines.ceiling * 5 + SLOWEST) + CLEANUP + 2 * SLACK
}

/// What an instance may take to answer that was not measured to need more.
pub fn deadline_of(settings: &Settings, ttl: Ttl) -> Duration {
    settings.deadlines.usual(ttl).min(ttl.span())
}

/// The same in true time, where the client's clock is slow.
fn leeway(span: Duration) -> Duration {
    span.saturating_add(span / 30).saturating_add(SLACK)
}
