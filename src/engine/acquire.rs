//! Taking a lock: attempts until one succeeds, the retries are used up or the
//! asker's time is.

use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use super::deadline_bounds::{LONGEST_CLEANUP, Limits};
use super::environment::within_limit;
use super::failure::{Failure, Occupant, Reason};
use super::grant::Grant;
use super::inspect;
use super::question::{Question, Resources};
use super::quorum::{Verdict, is_out_of_reach};
use super::round::Round;
use super::safety_rule::SafetyRule;
use super::settings::Settings;
use super::token::Token;
use super::validity::{Instant, Ttl, Validity};
use super::vote::Vote;

/// So many attempts don't count at most, since their members were not known yet.
const MOST_UNCOUNTED: u32 = 3;

/// As [`Engine::acquire`](super::Engine::acquire).
pub(super) async fn acquire(
    core: &Rc<Core>,
    resources: Resources,
    ttl: Ttl,
    settings: Settings,
) -> Result<Grant, Failure> {
    let environment = &core.environment;
    let limit = settings.max_wait.map(|span| environment.now().after(span));
    if let Some(value) = &settings.value
        && let Err(reason) = claim(core, &resources, value, ttl, &settings, limit).await
    {
        return Err(Failure::before_any_attempt(reason));
    }
    let mut value = settings.value.clone();
    let mut attempts = 0;
    let mut before = Vec::new();
    // Attempts that don't count, since the members turned out to be one server.
    let mut uncounted = 0;
    loop {
        attempts += 1;
        // Rule 1: a value per attempt.
        if value.is_none() || SafetyRule::FreshValue.is_kept() && settings.value.is_none() {
            value = Some(Token::random(environment.as_ref()));
        }
        let were_one = core.are_one();
        let attempt = attempt(
            core,
            &resources,
            value.clone(),
            ttl,
            &settings,
            attempts,
            limit,
        );
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
        let again = settings.value.is_none() && !is_out_of_reach(&votes);
        let may_be_uncounted = again && !were_one && uncounted < MOST_UNCOUNTED;
        if may_be_uncounted && until_they_are_one(core, limit).await {
            uncounted += 1;
            before = votes;
            continue;
        }
        let wait = settings
            .retry
            .after(attempts - uncounted, environment.chance());
        let Some(wait) = wait.filter(|_| again) else {
            return Err(Failure {
                reason: with_occupant(core, reason, &resources, &settings, limit).await,
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

/// Why the last attempt failed: a resource that is held may be held by what is no
/// lock, and no retry will help then.
async fn with_occupant(
    core: &Rc<Core>,
    reason: Reason,
    resources: &Resources,
    settings: &Settings,
    limit: Option<Instant>,
) -> Reason {
    const LONGEST: Duration = Duration::from_millis(100);
    // A caller's own scripts may keep locks in whatever they like.
    let is_ours = settings.scripts.is_none() && resources.len() == 1;
    if reason != Reason::Held || !settings.inspects_if_held || !is_ours {
        return reason;
    }
    let longest = core.environment.now().after(LONGEST);
    let end = limit.map_or(longest, |limit| limit.min(longest));
    let settings = Settings {
        deadlines: settings.deadlines,
        // Where a caller's client leads to may depend on it.
        context: settings.context.clone(),
        ..Settings::default()
    };
    let round = inspect::ask(core, resources[0].clone(), &settings);
    // Whoever has answered by then has said enough.
    within_limit(core.environment.as_ref(), Some(end), round.verdict()).await;
    let votes = round.votes();
    let occupant = votes.iter().flatten().find_map(Occupant::seen_in);
    occupant.map_or(reason, Reason::Occupied)
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

async fn attempt(
    core: &Rc<Core>,
    resources: &Resources,
    value: Option<Token>,
    ttl: Ttl,
    settings: &Settings,
    number: u32,
    limit: Option<Instant>,
) -> Result<(Token, Validity), (Reason, Vec<Option<Vote>>)> {
    let environment = core.environment.as_ref();
    let value = value.unwrap_or_else(|| Token::random(environment));
    // Step 1: the time before the first request of this attempt is sent.
    let validity = Validity::starting(environment.now(), ttl, settings.drift);
    // Step 2: every instance is asked at once, each with a small deadline.
    let limits = Limits::within(settings.deadlines, ttl, validity.until);
    let limits = limits.first(number == 1 && !settings.is_repeated);
    let question = Question::acquire(
        ttl,
        Resources::clone(resources),
        value.clone(),
        limits.last(),
    );
    let round = Attempt::new(Round::ask_all(
        core,
        settings.apply(question),
        limits,
        settings.vote_report(number),
    ));
    let verdict = within_limit(environment, limit, round.verdict()).await;
    let Some(verdict) = verdict else {
        let (round, _) = round.give_up();
        return Err((Reason::TimedOut, round.votes()));
    };
    // Step 3: a majority, and time left after what it took (step 4).
    let believable = !SafetyRule::Validity.is_kept() || validity.holds(environment.now());
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
        let settled = within_limit(environment, Some(first), round.settled_with(cleanup)).await;
        if settled.is_none() && limit == Some(first) {
            return Err((Reason::TimedOut, votes));
        }
    }
    let tally = round.tally();
    let reason = if verdict == Verdict::Granted {
        Reason::TooSlow
    } else if tally.refused_by_holders(core.instances.len()) {
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
