//! The algorithm: acquire, extend and release over instances that vote.
//!
//! Steps and their sources: the Redlock algorithm,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>,
//! and this project's docs/safety.md, whose rules the comments name.

#![forbid(unsafe_code)]

mod claims;
mod context;
mod environment;
mod error;
mod event;
mod granted_by;
mod instance;
mod keeper;
mod lock_id;
mod lookalikes;
mod patience;
mod quorum;
mod retry;
mod round;
mod round_trip;
mod rule;
mod token;
mod validity;

use std::cell::RefCell;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

pub use claims::Claims;
pub use context::Context;
pub use environment::{Environment, System, Task, guarded, supervised, until, within};
pub use error::{Cause, Failure, Occupant, Reason};
pub use event::Event;
pub use instance::{
    Ballot, Connection, Instance, Observer, Operation, Question, Reply, Resources, Script, Scripts,
    Vote,
};
pub use keeper::{Hold, Renewal, Watch};
pub use patience::Patience;
pub use quorum::{Tally, Verdict, majority};
pub use retry::Retry;
pub use round_trip::{Meter, RoundTrip};
pub use rule::Rule;
pub use token::Token;
pub use validity::{Drift, Instant, Ttl, TtlError, Validity};

use granted_by::Held;
use keeper::Kept;
use lock_id::LockId;
use patience::{LONGEST_CLEANUP, Limits};
use round::{Core, Round, Sheet};

/// A quorum of instances and the algorithm over it. Cheap to clone; clones are
/// the same engine. It lives on one thread.
#[derive(Clone)]
pub struct Engine {
    core: Rc<Core>,
}

/// So many attempts don't count at most, since their members were not known yet.
const MOST_FREE: u32 = 3;

/// How one request is to be carried out.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How often to try again, and after how long.
    pub retry: Retry,
    /// The allowance for clock drift.
    pub drift: Drift,
    /// How long one instance may take.
    pub patience: Patience,
    /// Whether an instance's failures are to be reported as events.
    pub report: bool,
    /// The caller's own texts for the operations, if there are any.
    pub scripts: Option<Arc<Scripts>>,
    /// Whose request it is, where somebody has to know.
    pub context: Option<Arc<dyn Context>>,
    /// Under which number all votes of each attempt are to be told as events.
    pub ballots: Option<u64>,
    /// Acquire only: how long the asker waits for the lock altogether.
    pub max_wait: Option<Duration>,
    /// Acquire only: whether it is worth a look what a key has, once the last
    /// attempt has found it held.
    pub look: bool,
    /// Acquire only: the asker has made attempts for the same lock before.
    pub is_again: bool,
    /// Acquire only: a value of the caller's own. There is one attempt with it,
    /// since a second would need another (rule 1).
    pub value: Option<Token>,
}

impl Settings {
    fn sheet(&self, attempt: u32) -> Option<Sheet> {
        self.ballots.map(|number| Sheet { number, attempt })
    }
}

/// A lock that was acquired.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The value it is stored under: the winning attempt's.
    pub value: Token,
    /// From when until when it may be believed in.
    pub validity: Validity,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
}

/// A lock that was extended.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    /// From when until when it may be believed in now.
    pub validity: Validity,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
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
    pub async fn acquire(
        &self,
        resources: Resources,
        ttl: Ttl,
        settings: Settings,
    ) -> Result<Grant, Failure> {
        let environment = &self.core.environment;
        let limit = settings.max_wait.map(|span| environment.now().after(span));
        if let Some(value) = &settings.value
            && let Err(reason) = self.claim(&resources, value, ttl, &settings, limit).await
        {
            return Err(Failure {
                reason,
                attempts: 0,
                votes: Vec::new(),
                until: None,
            });
        }
        let mut value = settings.value.clone();
        let mut attempts = 0;
        let mut before = Vec::new();
        // Attempts that don't count, since the members turned out to be one server.
        let mut free = 0;
        loop {
            attempts += 1;
            // Rule 1: a value per attempt.
            if value.is_none() || Rule::FreshValue.is_kept() && settings.value.is_none() {
                value = Some(Token::random(environment.as_ref()));
            }
            let were_one = self.core.are_one();
            let attempt = self.attempt(&resources, value.clone(), ttl, &settings, attempts, limit);
            let (reason, votes) = match attempt.await {
                Ok((value, validity)) => {
                    return Ok(Grant {
                        value,
                        validity,
                        attempts,
                    });
                }
                Err(refusal) => refusal,
            };
            let again = settings.value.is_none() && !self.is_hopeless(&votes);
            let may_be_free = again && !were_one && free < MOST_FREE;
            if may_be_free && self.until_they_are_one(limit).await {
                free += 1;
                before = votes;
                continue;
            }
            let wait = settings.retry.after(attempts - free, environment.chance());
            let Some(wait) = wait.filter(|_| again) else {
                return Err(Failure {
                    reason: self.look(reason, &resources, &settings, limit).await,
                    attempts,
                    votes,
                    until: None,
                });
            };
            let next = environment.now().after(wait);
            if reason == Reason::TimedOut || limit.is_some_and(|limit| limit <= next) {
                // Nothing more can come of it; it is said when it was asked for.
                if let Some(limit) = limit {
                    environment.sleep_until(limit).await;
                }
                // An attempt that was cut short says less than the one before it.
                let silent = votes.iter().all(Option::is_none);
                return Err(Failure {
                    reason: Reason::TimedOut,
                    attempts,
                    votes: if silent { before } else { votes },
                    until: None,
                });
            }
            before = votes;
            environment.sleep_until(next).await;
        }
    }

    /// What the last attempt failed for: a resource that is held may be held by
    /// what is no lock, and no retry will help then.
    async fn look(
        &self,
        reason: Reason,
        resources: &Resources,
        settings: &Settings,
        limit: Option<Instant>,
    ) -> Reason {
        const LONGEST: Duration = Duration::from_millis(100);
        // A caller's own scripts may keep locks in whatever they like.
        let is_ours = settings.scripts.is_none() && resources.len() == 1;
        if reason != Reason::Held || !settings.look || !is_ours {
            return reason;
        }
        let longest = self.core.environment.now().after(LONGEST);
        let end = limit.map_or(longest, |limit| limit.min(longest));
        let settings = Settings {
            patience: settings.patience,
            // Where a caller's client leads to may depend on it.
            context: settings.context.clone(),
            ..Settings::default()
        };
        let round = self.ask_what(resources[0].clone(), &settings);
        // Whoever has answered by then has said enough.
        self.before(Some(end), round.verdict()).await;
        let votes = round.votes();
        let occupant = votes.iter().flatten().find_map(Occupant::seen_in);
        occupant.map_or(reason, Reason::Occupied)
    }

    /// Sees that a value of the caller's own is not in use (rule 16): the clean-up
    /// of a second attempt with it would delete the first one's keys.
    async fn claim(
        &self,
        resources: &Resources,
        value: &Token,
        ttl: Ttl,
        settings: &Settings,
        limit: Option<Instant>,
    ) -> Result<(), Reason> {
        if !Rule::Claims.is_kept() {
            return Ok(());
        }
        let now = || self.core.environment.now();
        let claim = self
            .core
            .claims
            .take(self.core.owner, resources, value, ttl, now);
        // A release that is under way is over by then.
        let end = now().after(settings.patience.ceiling);
        let first = limit.map_or(end, |limit| limit.min(end));
        match self.before(Some(first), claim).await {
            Some(true) => Ok(()),
            None if limit == Some(first) => Err(Reason::TimedOut),
            _ => Err(Reason::Held),
        }
    }

    /// Whether it is worth another attempt, which does not count, that the members
    /// are about to be one server: the proofs run beside the first.
    async fn until_they_are_one(&self, limit: Option<Instant>) -> bool {
        const STEP: Duration = Duration::from_millis(5);
        const STEPS: u32 = 20;
        let environment = &self.core.environment;
        if !self.core.will_be_one() {
            return self.core.are_one();
        }
        for _ in 0..STEPS {
            let next = environment.now().after(STEP);
            if limit.is_some_and(|limit| limit <= next) {
                return false;
            }
            environment.sleep_until(next).await;
            if !self.core.will_be_one() {
                return self.core.are_one();
            }
        }
        true
    }

    /// Whether so many votes failed for good that no attempt can get a majority.
    fn is_hopeless(&self, votes: &[Option<Vote>]) -> bool {
        let members = self.core.instances.len();
        let lost = votes
            .iter()
            .filter(|vote| matches!(vote, Some(Vote::Failed(cause)) if cause.is_permanent()));
        members - lost.count() < majority(members)
    }

    async fn attempt(
        &self,
        resources: &Resources,
        value: Option<Token>,
        ttl: Ttl,
        settings: &Settings,
        number: u32,
        limit: Option<Instant>,
    ) -> Result<(Token, Validity), (Reason, Vec<Option<Vote>>)> {
        let environment = &self.core.environment;
        let value = value.unwrap_or_else(|| Token::random(environment.as_ref()));
        // Step 1: the time before the first request of this attempt is sent.
        let validity = Validity::starting(environment.now(), ttl, settings.drift);
        // Step 2: every instance is asked at once, each with a small deadline.
        let limits = Limits::within(settings.patience, ttl, validity.until);
        let limits = limits.first(number == 1 && !settings.is_again);
        let round = Attempt::new(Round::ask_all(
            &self.core,
            Question {
                operation: Operation::Acquire { ttl },
                resources: Arc::clone(resources),
                value: value.clone(),
                deadline: limits.last(),
                report: settings.report,
                scripts: settings.scripts.clone(),
                context: settings.context.clone(),
            },
            limits,
            settings.sheet(number),
        ));
        let verdict = self.before(limit, round.verdict()).await;
        let Some(verdict) = verdict else {
            let (round, _) = round.give_up();
            return Err((Reason::TimedOut, round.votes()));
        };
        // Step 3: a majority, and time left after what it took (step 4).
        let believable = !Rule::Validity.is_kept() || validity.holds(environment.now());
        if verdict == Verdict::Granted && believable {
            round.succeed(validity.until);
            return Ok((value, validity));
        }
        // Step 5: whatever may have been set is released, everywhere.
        let votes = round.votes();
        let (round, cleanup) = round.give_up();
        if let Some(cleanup) = &cleanup {
            let longest = environment.now().after(LONGEST_CLEANUP);
            let first = limit.map_or(longest, |limit| limit.min(longest));
            let settled = self.before(Some(first), round.settled_with(cleanup)).await;
            if settled.is_none() && limit == Some(first) {
                return Err((Reason::TimedOut, votes));
            }
        }
        let tally = round.tally();
        let reason = if verdict == Verdict::Granted {
            Reason::TooSlow
        } else if tally.refused_by_holders(self.core.instances.len()) {
            // Our own release fails where there is no string: no look is needed then.
            let cleanup = cleanup.filter(|_| settings.scripts.is_none());
            let votes = cleanup.map(|round| round.votes()).unwrap_or_default();
            let occupant = votes.iter().flatten().find_map(Occupant::seen_in);
            occupant.map_or(Reason::Held, Reason::Occupied)
        } else {
            Reason::Unavailable
        };
        Err((reason, round.votes()))
    }

    /// What `future` comes to, unless `limit` comes first.
    async fn before<T>(
        &self,
        limit: Option<Instant>,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(limit) = limit else {
            return Some(future.await);
        };
        until(self.core.environment.as_ref(), limit, future).await
    }

    /// Keeps a lock: extends it if its renewal says so, and tells of its loss by
    /// [`Event::Lost`]. It ends with the lock's release, and with
    /// [`Engine::let_go`]. A lock that is kept already is kept in this way from
    /// now on.
    pub fn keep(&self, mut hold: Hold, watch: Watch) {
        let (claims, now) = (&self.core.claims, self.core.environment.now());
        let is_another = claims.is_taken_since(
            self.core.owner,
            &hold.resources,
            &hold.value,
            hold.until,
            now,
        );
        if is_another && Rule::Claims.is_kept() {
            // It was over when somebody took its value again.
            let known = self.core.keeps.borrow().get(&hold.lock()).cloned();
            if let Some(known) = known.filter(|known| known.number() == hold.number) {
                self.core.forget(&hold.lock(), &known);
                known.displace();
            }
            watch.set(hold.until);
            (self.core.listener)(Event::Lost {
                number: hold.number,
                failure: over(),
            });
            return;
        }
        let before = self.core.keeps.borrow_mut().remove(&hold.lock());
        if let Some(before) = before {
            // What the engine knows of its end is newer than what the caller does.
            if Rule::KnownEnd.is_kept() {
                hold.until = before.until();
            }
            before.displace();
        }
        if let (false, Some(renewal)) = (Rule::Cap.is_kept(), &mut hold.renewal) {
            renewal.cap = None;
        }
        if let Some(cap) = hold.renewal.and_then(|renewal| renewal.cap) {
            hold.until = hold.until.min(cap);
        }
        let extended_on = hold.renewal.map(|_| Arc::clone(&hold.resources));
        let context = hold.settings.context.clone();
        let kept = Kept::new(hold.until, watch, hold.number, extended_on, context);
        let lock = hold.lock();
        self.core.keeps.borrow_mut().insert(lock, Rc::clone(&kept));
        let environment = Rc::clone(&self.core.environment);
        let core = Rc::downgrade(&self.core);
        let world = Rc::clone(&environment);
        let begin = move || {
            let (core, kept) = (Weak::clone(&core), Rc::clone(&kept));
            keeper::keep(core, Rc::clone(&world), kept, hold.clone())
        };
        let life = supervised(Rc::clone(&environment), begin, |_| {});
        environment.spawn(Box::pin(life));
    }

    /// This lock is kept no longer under this number; it stays as it is.
    pub fn let_go(&self, resources: &Resources, value: &Token, number: u64) {
        let lock = LockId::new(value, resources);
        let kept = self.core.keeps.borrow().get(&lock).cloned();
        if let Some(kept) = kept.filter(|kept| kept.number() == number) {
            self.core.keeps.borrow_mut().remove(&lock);
            kept.release();
        }
    }

    /// No lock is extended any longer by itself. Each is believed in, and
    /// watched, until its validity ends.
    pub fn let_all_end(&self) {
        for kept in self.core.keeps.borrow().values() {
            kept.retire();
        }
    }

    /// What each instance says of `resource`'s key: [`Vote::Seen`] or
    /// [`Vote::Failed`], by instance.
    pub async fn inspect(&self, resource: Box<str>, settings: Settings) -> Vec<Option<Vote>> {
        let round = self.ask_what(resource, &settings);
        round.verdict().await;
        round.votes()
    }

    fn ask_what(&self, resource: Box<str>, settings: &Settings) -> Rc<Round> {
        let limits = Limits::of_release(settings.patience, self.core.environment.now());
        let question = Question {
            operation: Operation::Inspect,
            resources: Arc::new([resource]),
            value: Token::from(""),
            deadline: limits.last(),
            report: settings.report,
            scripts: None,
            context: settings.context.clone(),
        };
        Round::ask_all(&self.core, question, limits, None)
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
    /// Of a lock that is kept, `until` is known here and the given one is not
    /// looked at. Once its loss was told nothing is known of it any more.
    pub async fn extend(
        &self,
        resources: Resources,
        value: Token,
        until: Instant,
        ttl: Ttl,
        settings: Settings,
    ) -> Result<Extension, Failure> {
        let environment = &self.core.environment;
        let (claims, now) = (&self.core.claims, environment.now());
        if claims.is_taken_since(self.core.owner, &resources, &value, until, now)
            && Rule::Claims.is_kept()
        {
            // It was over when somebody took its value again.
            return Err(over());
        }
        // Who keeps the lock knows best until when it is held, also if that
        // changes meanwhile; the caller may not have heard of it.
        let lock = LockId::new(&value, &resources);
        let known: RefCell<Option<Rc<Kept>>> = RefCell::default();
        let kept = || {
            let now_kept = self.core.keeps.borrow().get(&lock).cloned();
            let mut known = known.borrow_mut();
            *known = now_kept.or_else(|| known.take());
            known.clone()
        };
        let prolonging = Prolonging {
            resources,
            value,
            ttl,
            cap: None,
            until: &|| kept().map_or(until, |kept| kept.until()),
            asked: &|hoped| {
                if let Some(kept) = kept() {
                    kept.asked(hoped);
                }
            },
        };
        let outcome = self.prolong(prolonging, settings).await;
        if let Some(kept) = kept() {
            kept.extended(&outcome, environment.now());
        }
        outcome
    }

    async fn prolong(
        &self,
        prolonging: Prolonging<'_>,
        settings: Settings,
    ) -> Result<Extension, Failure> {
        let environment = &self.core.environment;
        // The earliest end that was asked for.
        let mut asked = Instant::LAST;
        let mut attempts = 0;
        let mut reason = Reason::Expired;
        let mut votes = Vec::new();
        loop {
            let now = environment.now();
            let until = (prolonging.until)();
            // Rule 9: inside the old validity only.
            if now >= until {
                return Err(Failure {
                    reason: Reason::Expired,
                    attempts,
                    votes,
                    until: None,
                });
            }
            let Some(ttl) = prolonging.ttl_at(now, settings.drift) else {
                return Err(Failure {
                    reason,
                    attempts,
                    votes,
                    until: Some(asked.min(until)).filter(|left| now < *left),
                });
            };
            let validity = Validity::starting(now, ttl, settings.drift);
            attempts += 1;
            (prolonging.asked)(validity.until);
            let (core, value) = (&self.core, &prolonging.value);
            let limits = Limits::within(settings.patience, ttl, until.min(validity.until));
            core.claims.extend(
                core.owner,
                &prolonging.resources,
                value,
                limits.last().after(ttl.span()),
            );
            asked = asked.min(validity.until);
            let round = Round::ask_all(
                &self.core,
                Question {
                    operation: Operation::Extend { ttl },
                    resources: Arc::clone(&prolonging.resources),
                    value: prolonging.value.clone(),
                    deadline: limits.last(),
                    report: settings.report,
                    scripts: settings.scripts.clone(),
                    context: settings.context.clone(),
                },
                limits,
                settings.sheet(attempts),
            );
            let verdict = round.verdict().await;
            let now = environment.now();
            let until = (prolonging.until)();
            let in_time = now < until && validity.holds(now);
            if verdict == Verdict::Granted && (in_time || !Rule::Validity.is_kept()) {
                let lock = LockId::new(&prolonging.value, &prolonging.resources);
                self.core.prolonged(&lock, validity.until);
                return Ok(Extension { validity, attempts });
            }
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
            } else if tally.refused_by_holders(self.core.instances.len()) {
                Reason::Held
            } else {
                Reason::Unavailable
            };
            let wait = settings.retry.after(attempts, environment.chance());
            let wait = wait.filter(|_| !self.is_hopeless(&votes));
            let again = wait.map(|wait| now.after(wait)).filter(|at| *at < until);
            let Some(again) = again else {
                let left = asked.min(until);
                return Err(Failure {
                    reason,
                    attempts,
                    votes,
                    until: (now < left).then_some(left),
                });
            };
            environment.sleep_until(again).await;
        }
    }

    /// Releases every lock that was handed over and is held, and those that are
    /// kept by being extended, wherever they are from. Resolves once all of that,
    /// and whatever else is under way, was answered or has passed its deadline;
    /// with those that could not be released.
    pub async fn release_all(&self, settings: Settings) -> Vec<(Resources, Failure)> {
        let now = self.core.environment.now();
        let limit = now.after(settings.patience.ceiling);
        let mut held = self.core.granted_by.borrow().held(now);
        for (lock, kept) in self.core.keeps.borrow().iter() {
            let is_known = held.binary_search_by(|held| held.lock.cmp(lock)).is_ok();
            if let (false, Some(resources)) = (is_known, kept.extended_on()) {
                // It may have been held before this process was there.
                held.push(Held {
                    lock: lock.clone(),
                    resources: Arc::clone(resources),
                    since: Instant::ORIGIN,
                    context: kept.context().cloned(),
                });
                held.sort_unstable_by(|one, other| one.lock.cmp(&other.lock));
            }
        }
        let rounds = held.into_iter().filter_map(|held| {
            let (resources, value) = (Arc::clone(&held.resources), held.lock.value().clone());
            let mut settings = settings.clone();
            settings.context = held.context.or(settings.context);
            let round = self.ask_release(resources, value, held.since, settings)?;
            Some((held.resources, round))
        });
        let rounds: Vec<_> = rounds.collect();
        let mut unreleased = Vec::new();
        for (resources, round) in rounds {
            if let Err(failure) = self.released(&round).await {
                unreleased.push((resources, failure));
            }
        }
        // Attempts that were given up are cleaned up by then, as far as that goes.
        self.before(Some(limit), self.quiet()).await;
        unreleased
    }

    /// As [`Engine::release`], for a lock that nobody will be told of: nothing
    /// is awaited.
    pub fn take_back(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: Settings,
    ) {
        self.ask_release(resources, value, since, settings);
    }

    /// Resolves when no round is open: everything asked has been answered or
    /// has passed its deadline.
    pub async fn quiet(&self) {
        self.core.quiet().await;
    }

    /// Whether [`Engine::quiet`] would resolve at once.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.core.is_quiet()
    }

    /// Deletes the keys of a lock on every instance, where they have `value`.
    /// `since` is when the lock was asked for, [`Instant::ORIGIN`] if unknown.
    ///
    /// # Errors
    ///
    /// [`Reason::NotHeld`] if so many instances no longer had all the keys that
    /// a majority is out of reach, [`Reason::Unavailable`] if too few answered.
    pub async fn release(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: Settings,
    ) -> Result<(), Failure> {
        let Some(round) = self.ask_release(resources, value, since, settings) else {
            return Err(Failure {
                reason: Reason::NotHeld,
                attempts: 0,
                votes: Vec::new(),
                until: None,
            });
        };
        self.released(&round).await
    }

    /// What came of a round of releases.
    async fn released(&self, round: &Round) -> Result<(), Failure> {
        if round.verdict().await == Verdict::Granted {
            return Ok(());
        }
        let gone = round.tally().refused_by_holders(self.core.instances.len());
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

    /// Nothing is asked if the value, one of the caller's own, is another lock's by
    /// now: this one's life is over then.
    fn ask_release(
        &self,
        resources: Resources,
        value: Token,
        since: Instant,
        settings: Settings,
    ) -> Option<Rc<Round>> {
        let now = self.core.environment.now();
        let claims = &self.core.claims;
        let lock = LockId::new(&value, &resources);
        if claims.is_taken_since(self.core.owner, &resources, &value, since, now)
            && Rule::Claims.is_kept()
        {
            let kept = self.core.keeps.borrow().get(&lock).cloned();
            if let Some(kept) = kept.filter(|kept| kept.until() <= now) {
                // It was over; it is not to be told as lost any more.
                self.core.forget(&lock, &kept);
                kept.release();
            }
            return None;
        }
        self.core.let_go(&lock);
        let sheet = settings.sheet(1);
        let expires = self.core.claims.end_of(self.core.owner, &resources, &value);
        let limits = Limits::of_release(settings.patience, now);
        let question = Question {
            operation: Operation::Release { since, expires },
            resources,
            value,
            deadline: limits.last(),
            report: settings.report,
            scripts: settings.scripts,
            context: settings.context,
        };
        Some(Round::ask_all(&self.core, question, limits, sheet))
    }
}

/// Nothing was asked: the lock's validity is over.
const fn over() -> Failure {
    Failure {
        reason: Reason::Expired,
        attempts: 0,
        votes: Vec::new(),
        until: None,
    }
}

/// An extension of a lock, by hand or by who keeps it.
struct Prolonging<'a> {
    resources: Resources,
    value: Token,
    ttl: Ttl,
    /// It may not be believed in beyond this.
    cap: Option<Instant>,
    /// Until when it is held so far.
    until: &'a dyn Fn() -> Instant,
    /// Is told, before each attempt, until when it would be held by that.
    asked: &'a dyn Fn(Instant),
}

impl Prolonging<'_> {
    /// For how long it can be asked for at `now`: what is left till the cap is
    /// less for each attempt.
    fn ttl_at(&self, now: Instant, drift: Drift) -> Option<Ttl> {
        self.cap.map_or(Some(self.ttl), |cap| {
            self.ttl.at_most(cap.since(now), drift)
        })
    }
}

/// An attempt to acquire, which is given up unless it is said to have
/// succeeded: also when the caller no longer waits for it.
struct Attempt(Option<Rc<Round>>);

impl Attempt {
    fn new(round: Rc<Round>) -> Self {
        Self(Some(round))
    }

    async fn verdict(&self) -> Verdict {
        match &self.0 {
            Some(round) => round.verdict().await,
            None => Verdict::Refused,
        }
    }

    fn votes(&self) -> Vec<Option<Vote>> {
        self.0
            .as_ref()
            .map(|round| round.votes())
            .unwrap_or_default()
    }

    fn succeed(mut self, until: Instant) {
        if let Some(round) = self.0.take() {
            round.succeed(until);
        }
    }

    /// Releases everywhere, by the second round, if there is anything to release.
    fn give_up(mut self) -> (Rc<Round>, Option<Rc<Round>>) {
        let round = self.0.take().expect("an attempt ends once");
        let cleanup = round.abandon();
        (round, cleanup)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(round) = self.0.take() {
            round.abandon();
        }
    }
}
