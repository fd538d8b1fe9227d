//! Taking a lock: attempts until one succeeds, the retries are used up or the
//! asker's time is.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::abortable_task::{Underway, abortable};
use super::core::Core;
use super::deadline_bounds::{LONGEST_CLEANUP, Limits};
use super::environment::within_limit;
use super::failure::{Failure, Occupant, Reason};
use super::grant::Grant;
use super::inspect;
use super::question::{Question, Resources};
use super::queue::{Called, Place, QueuesOfMembers};
use super::quorum::{Verdict, is_out_of_reach};
use super::round::{Asker, Round};
use super::round_trip::RoundTrip;
use super::safety_rule::SafetyRule;
use super::settings::Settings;
use super::token::Token;
use super::validity::{Instant, Ttl, Validity};
use super::vote::Vote;

/// So many attempts don't count at most, since their members were not known yet.
const MOST_UNCOUNTED: u32 = 3;

/// What is asked for.
pub(super) struct AcquireRequest {
    pub(super) resources: Resources,
    pub(super) ttl: Ttl,
    pub(super) settings: Arc<Settings>,
}

/// As [`Engine::acquire_then`](super::Engine::acquire_then).
///
/// Most locks are granted by their first attempt, which needs no task.
pub(super) fn begin<D>(core: &Rc<Core>, request: AcquireRequest, done: D) -> Rc<Acquiring<D>>
where
    D: FnOnce(Result<Grant, Failure>) + 'static,
{
    let spent = core.spent_acquires.take();
    let acquiring = spent.unwrap_or_else(|| Rc::new(Acquiring(RefCell::default())));
    // These wait for something else than votes too.
    if request.settings.value.is_some() || request.settings.max_wait.is_some() {
        acquiring.go_on(core, request, None, done);
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
            acquiring.go_on(core, request, None, done);
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
    /// Has a task make what attempts are left; `first` has been made already.
    fn go_on(
        self: &Rc<Self>,
        core: &Rc<Core>,
        request: AcquireRequest,
        first: Option<Attempt>,
        done: D,
    ) {
        let (acquiring, of) = (Rc::clone(self), Rc::clone(core));
        let (task, abort) = abortable(async move {
            let outcome = acquire(&of, &request, first).await;
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
        match attempt.granted(verdict) {
            Ok((value, validity)) => {
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
                self.go_on(&core, request, Some(attempt), done);
            }
        }
    }
}

impl<D> Underway for Acquiring<D> {
    fn give_up(&self) {
        if let State::Task(task) = self.0.take() {
            task.give_up();
        }
    }

    fn is_over(&self) -> bool {
        matches!(*self.0.borrow(), State::Over)
    }
}

/// Makes attempts until one succeeds; `first` was begun before.
async fn acquire(
    core: &Rc<Core>,
    request: &AcquireRequest,
    first: Option<Attempt>,
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
    let place =
        lines_up.map(|queues| Place::line_up(queues, resources, settings.retry, !is_behind));
    let mut attempts = Attempts {
        core,
        request,
        queues: queues.clone(),
        limit,
        begun: 1,
        uncounted: 0,
        value: settings.value.clone(),
        last: None,
    };
    // Who comes behind others has made its first attempt by that.
    if !(is_behind && place.is_some())
        && let Some(grant) = attempts.make(first, place.as_ref()).await
    {
        return Ok(grant);
    }
    loop {
        let Some(wait) = attempts.wait() else {
            return Err(attempts.end(place).await);
        };
        let next = environment.now().after(wait);
        let mut has_asked = false;
        if let Some(mine) = &place {
            // Between two attempts that count it asks whenever it is called.
            while let Some(called) = mine.wait(environment, attempts.until(next)).await {
                let Called::Turn { pauses } = called else {
                    continue;
                };
                if pauses {
                    let free = environment.now().after(attempts.gap());
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
                    return Err(attempts.end(place).await);
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
        if is_late && (place.is_none() || attempts.last.is_some()) {
            // Nothing more can come of it; it is said when it was asked for.
            return Err(attempts.time_out(place).await);
        }
        if !is_late {
            attempts.begun += 1;
        }
        let Some(mine) = &place else {
            if let Some(grant) = attempts.make(None, None).await {
                return Ok(grant);
            }
            continue;
        };
        // Whoever gives up asks once more, wherever it stands.
        let asks = is_late || mine.may_ask() || attempts.is_last();
        if asks
            && !has_asked
            && let Some(grant) = attempts.make(None, Some(mine)).await
        {
            return Ok(grant);
        }
        if is_late {
            return Err(attempts.time_out(place).await);
        }
    }
}

/// The attempts that one request has made.
struct Attempts<'request> {
    core: &'request Rc<Core>,
    request: &'request AcquireRequest,
    queues: Option<Rc<QueuesOfMembers>>,
    /// When the asker's time is over.
    limit: Option<Instant>,
    /// How many, by the request's own schedule.
    begun: u32,
    /// How many of them don't count, since the members turned out to be one server.
    uncounted: u32,
    value: Option<Token>,
    /// What came of the last one, and the votes of the one before it.
    last: Option<(Refusal, Vec<Option<Vote>>)>,
}

impl Attempts<'_> {
    /// Makes one, by who has that place if any.
    async fn make(&mut self, first: Option<Attempt>, place: Option<&Place>) -> Option<Grant> {
        if let Some(place) = place {
            place.asks(self.core.environment.now());
        }
        let grant = self.try_to(first).await;
        if let (None, Some(place)) = (&grant, place) {
            place.refused();
        }
        grant
    }

    /// Makes one, of which `first` was begun before. One that is refused may be made again
    /// where the members turn out to be one server.
    async fn try_to(&mut self, mut first: Option<Attempt>) -> Option<Grant> {
        let AcquireRequest {
            resources,
            ttl,
            settings,
        } = self.request;
        loop {
            let attempt = first.take().unwrap_or_else(|| {
                // Rule 1: a value per attempt.
                let is_fresh = SafetyRule::FreshValue.is_kept() && settings.value.is_none();
                let given = self.value.take().filter(|_| !is_fresh);
                let given = given.unwrap_or_else(|| Token::random(self.core.environment.as_ref()));
                let resources = Resources::clone(resources);
                let queues = self.queues.clone().map(|queues| (queues, false));
                Attempt::begin(
                    self.core, resources, *ttl, settings, given, self.begun, queues,
                )
            });
            self.value = Some(attempt.round.question().value.clone());
            let were_one = attempt.round.is_of_one();
            match attempt.outcome(self.core, settings, self.limit).await {
                Ok((value, validity)) => {
                    return Some(Grant {
                        value,
                        validity,
                        attempts: self.begun,
                    });
                }
                Err(refusal) => {
                    let before = self.last.take().map(|(before, _)| before.votes);
                    self.last = Some((refusal, before.unwrap_or_default()));
                }
            }
            let is_uncounted = !were_one
                && !self.is_futile()
                && self.uncounted < MOST_UNCOUNTED
                && until_they_are_one(self.core, self.limit).await;
            if !is_uncounted {
                return None;
            }
            self.uncounted += 1;
            self.begun += 1;
        }
    }

    /// Whether another can't come to anything else.
    fn is_futile(&self) -> bool {
        let last = self.last.as_ref();
        self.request.settings.value.is_some()
            || last.is_some_and(|(refusal, _)| is_out_of_reach(&refusal.votes))
    }

    /// Whether none is left after the one that is due.
    fn is_last(&self) -> bool {
        let count = self.request.settings.retry.count;
        count.is_some_and(|count| self.begun - self.uncounted > count)
    }

    /// How long to wait for the next one; `None` if there is none.
    fn wait(&self) -> Option<Duration> {
        let retry = &self.request.settings.retry;
        let chance = self.core.environment.chance();
        let wait = retry.after(self.begun - self.uncounted, chance);
        wait.filter(|_| !self.is_futile())
    }

    /// How long to wait for what is due at `next`. Who has never asked does so in time.
    fn until(&self, next: Instant) -> Instant {
        match self.limit {
            Some(limit) if limit <= next && self.last.is_none() => limit.before(2 * self.gap()),
            Some(limit) => limit.min(next),
            None => next,
        }
    }

    /// Two round trips: what other processes get to find the resource free.
    fn gap(&self) -> Duration {
        const UNMEASURED: Duration = Duration::from_millis(10);
        let trips = self.core.instances.iter();
        let trips = trips.filter_map(|instance| instance.round_trip());
        let longest = trips.map(RoundTrip::smoothed).max();
        longest.unwrap_or(UNMEASURED) * 2
    }

    /// They are used up, or futile: the place is another's.
    async fn end(self, place: Option<Place>) -> Failure {
        drop(place);
        let Self {
            core,
            request,
            limit,
            begun,
            last,
            ..
        } = self;
        let (resources, settings) = (&request.resources, &request.settings);
        let (refusal, _) = last.unwrap_or_else(|| (Refusal::timed_out(Vec::new()), Vec::new()));
        let Refusal {
            reason,
            votes,
            is_looked_at,
        } = refusal;
        let looks = settings.inspects_if_held || !is_looked_at;
        let reason = if looks {
            let report = settings.report && !is_looked_at;
            with_occupant(core, reason, resources, settings, limit, report).await
        } else {
            reason
        };
        Failure {
            reason,
            attempts: begun,
            votes,
            until: None,
        }
    }

    /// The asker's time is over, or will be before anything more can come of it.
    async fn time_out(self, place: Option<Place>) -> Failure {
        drop(place);
        if let Some(limit) = self.limit {
            self.core.environment.sleep_until(limit).await;
        }
        let (last, before) = self
            .last
            .map_or_else(Default::default, |(last, before)| (last.votes, before));
        // An attempt that was cut short says less than the one before it.
        let silent = last.iter().all(Option::is_none);
        Failure {
            reason: Reason::TimedOut,
            attempts: self.begun,
            votes: if silent { before } else { last },
            until: None,
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
        && settings.reports_votes_as.is_none();
    may_wait
        .then(|| core.queues.over(&core.instances))
        .flatten()
}

/// Why the last attempt failed: a resource that is held may be held by what is no
/// lock, and no retry will help then.
async fn with_occupant(
    core: &Rc<Core>,
    reason: Reason,
    resources: &Resources,
    settings: &Settings,
    limit: Option<Instant>,
    report: bool,
) -> Reason {
    const LONGEST: Duration = Duration::from_millis(100);
    // A caller's own scripts may keep locks in whatever they like.
    let is_ours = settings.scripts.is_none() && resources.len() == 1;
    if reason != Reason::Held || !is_ours {
        return reason;
    }
    let longest = core.environment.now().after(LONGEST);
    let end = limit.map_or(longest, |limit| limit.min(longest));
    let inspects_if_held = settings.inspects_if_held;
    let settings = Settings {
        deadlines: settings.deadlines,
        // As the failure of a release would be.
        report,
        // Where a caller's client leads to may depend on it.
        context: settings.context.clone(),
        ..Settings::default()
    };
    let round = inspect::ask(core, resources[0].clone(), &settings);
    // Whoever has answered by then has said enough.
    within_limit(core.environment.as_ref(), Some(end), round.verdict()).await;
    let votes = round.votes();
    let occupant = votes.iter().flatten().find_map(Occupant::seen_in);
    // Where nobody has asked for it, this tells what a release would have told.
    let is_told = |seen: &Occupant| inspects_if_held || *seen == Occupant::OtherType;
    occupant.filter(is_told).map_or(reason, Reason::Occupied)
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

/// Whether it is worth another attempt, which does not count, that the members
/// are about to be one server: the proofs run beside the first.
async fn until_they_are_one(core: &Core, limit: Option<Instant>) -> bool {
    const STEP: Duration = Duration::from_millis(5);
    const STEPS: u32 = 20;
    let environment = &core.environment;
    if !core.will_be_one() {
        return core.are_one();
    }
    for _ in 0..STEPS {
        let next = environment.now().after(STEP);
        if limit.is_some_and(|limit| limit <= next) {
            return false;
        }
        environment.sleep_until(next).await;
        if !core.will_be_one() {
            return core.are_one();
        }
    }
    true
}

/// An attempt to acquire, which is given up unless it is said to have
/// succeeded: also when the caller no longer waits for it.
struct Attempt {
    round: Rc<Round>,
    is_over: bool,
    /// Where it is known that this process has the resource or asks for it, and whether
    /// that is by this attempt.
    queues: Option<(Rc<QueuesOfMembers>, bool)>,
}

impl Attempt {
    /// The `number`-th one, with this value.
    fn begin(
        core: &Rc<Core>,
        resources: Resources,
        ttl: Ttl,
        settings: &Settings,
        value: Token,
        number: u32,
        mut queues: Option<(Rc<QueuesOfMembers>, bool)>,
    ) -> Self {
        // Step 1: the time before the first request of this attempt is sent.
        let now = core.environment.now();
        let validity = Validity::starting(now, ttl, settings.drift);
        if let Some((queues, holds)) = &mut queues
            && resources.len() == 1
            && !*holds
        {
            *holds = queues.hold_if_free(&resources, &value, now, validity.until);
        }
        // Step 2: every instance is asked at once, each with a small deadline.
        let limits = Limits::within(settings.deadlines, ttl, validity.until);
        let limits = limits.first(number == 1 && !settings.is_repeated);
        let question = Question::acquire(ttl, resources, value, limits.last());
        let report = settings.vote_report(number);
        Self {
            round: Round::ask_all(core, settings.apply(question), limits, now, report),
            is_over: false,
            queues,
        }
    }

    /// What came of it, once that is certain: the lock, or why there is none, with the
    /// votes.
    async fn outcome(
        self,
        core: &Core,
        settings: &Settings,
        limit: Option<Instant>,
    ) -> Result<(Token, Validity), Refusal> {
        let environment = core.environment.as_ref();
        let verdict = within_limit(environment, limit, self.round.verdict()).await;
        let Some(verdict) = verdict else {
            let (round, _) = self.give_up();
            return Err(Refusal::timed_out(round.votes()));
        };
        let refused = match self.granted(verdict) {
            Ok(granted) => return Ok(granted),
            Err(refused) => refused,
        };
        // Step 5: whatever may have been set is released, everywhere.
        let votes = refused.round.votes();
        let (round, cleanup) = refused.give_up();
        if let Some(cleanup) = &cleanup {
            let longest = environment.now().after(LONGEST_CLEANUP);
            let first = limit.map_or(longest, |limit| limit.min(longest));
            let settled = within_limit(environment, Some(first), round.settled_with(cleanup)).await;
            if settled.is_none() && limit == Some(first) {
                return Err(Refusal::timed_out(votes));
            }
        }
        let tally = round.tally();
        let reason = if verdict == Verdict::Granted {
            Reason::TooSlow
        } else if tally.refused_by_holders(core.instances.len()) {
            // Our own release fails where there is no string.
            let cleanup = cleanup.as_ref().filter(|_| settings.scripts.is_none());
            let votes = cleanup.map(|round| round.votes()).unwrap_or_default();
            let occupant = votes.iter().flatten().find_map(Occupant::seen_in);
            occupant.map_or(Reason::Held, Reason::Occupied)
        } else {
            Reason::Unavailable
        };
        let votes = round.votes();
        round.spend();
        Err(Refusal {
            reason,
            votes,
            is_looked_at: cleanup.is_some(),
        })
    }

    /// The lock, if the verdict is for it.
    fn granted(mut self, verdict: Verdict) -> Result<(Token, Validity), Self> {
        // Steps 3 and 4: a majority, and time left after what it took.
        let now = self.round.core().environment.now();
        let validity = self.round.validity();
        if verdict != Verdict::Granted || !validity.is_believable(now) {
            return Err(self);
        }
        self.is_over = true;
        self.round.succeed(now);
        let question = self.round.question();
        if let Some((queues, false)) = &self.queues {
            queues.hold(&question.resources, &question.value, validity.until);
        }
        Ok((self.round.question().value.clone(), validity))
    }

    /// It has failed, so that nobody of this process need wait for it.
    fn holds_no_longer(&self) {
        if let Some((queues, true)) = &self.queues {
            let question = self.round.question();
            queues.failed(&question.resources, &question.value);
        }
    }

    /// Releases everywhere, by the second round, if there is anything to release.
    fn give_up(mut self) -> (Rc<Round>, Option<Rc<Round>>) {
        self.is_over = true;
        self.holds_no_longer();
        (Rc::clone(&self.round), self.round.abandon())
    }
}

/// Why an attempt has failed.
struct Refusal {
    reason: Reason,
    votes: Vec<Option<Vote>>,
    /// Whether releases have shown already what holds the resource.
    is_looked_at: bool,
}

impl Refusal {
    fn timed_out(votes: Vec<Option<Vote>>) -> Self {
        Self {
            reason: Reason::TimedOut,
            votes,
            is_looked_at: true,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_over {
            self.holds_no_longer();
            self.round.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::Cause;
    use super::super::instance::Instance;
    use super::super::retry::Retry;
    use super::super::vote::Responder;
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
