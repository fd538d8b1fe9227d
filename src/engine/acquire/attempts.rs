//! The attempts that one request makes, and what comes of the last one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::super::core::Core;
use super::super::environment::within_limit;
use super::super::failure::{Failure, Occupant, Reason};
use super::super::grant::Grant;
use super::super::inspect;
use super::super::question::Resources;
use super::super::queue::QueuesOfMembers;
use super::super::quorum::is_out_of_reach;
use super::super::safety_rule::SafetyRule;
use super::super::settings::Settings;
use super::super::token::Token;
use super::super::validity::Instant;
use super::super::vote::Vote;
use super::super::wake_ups::spread;
use super::attempt::{Attempt, Refusal};
use super::request::AcquireRequest;
use super::turns::Turns;

/// So many attempts don't count at most, since their members were not known yet.
const MOST_UNCOUNTED: u32 = 3;

/// The attempts that one request has made.
pub(super) struct Attempts<'request> {
    core: &'request Rc<Core>,
    request: &'request AcquireRequest,
    queues: Option<Rc<QueuesOfMembers>>,
    /// When the asker's time is over.
    limit: Option<Instant>,
    /// How many it has made, for whoever counts them.
    made: &'request Cell<u32>,
    /// How many, by the request's own schedule.
    pub(super) begun: u32,
    /// How many of them don't count, since the members turned out to be one server.
    uncounted: u32,
    value: Option<Token>,
    /// What came of the last one, and the votes of the one before it.
    last: Option<(Refusal, Vec<Option<Vote>>)>,
}

impl<'request> Attempts<'request> {
    pub(super) fn new(
        core: &'request Rc<Core>,
        request: &'request AcquireRequest,
        queues: Option<Rc<QueuesOfMembers>>,
        limit: Option<Instant>,
        made: &'request Cell<u32>,
    ) -> Self {
        Self {
            core,
            made,
            request,
            queues,
            limit,
            begun: 1,
            uncounted: 0,
            value: request.settings.value.clone(),
            last: None,
        }
    }

    /// Makes one, by who waits if anybody does.
    pub(super) async fn make(
        &mut self,
        first: Option<Attempt>,
        mut turns: Option<&mut Turns<'_>>,
    ) -> Option<Grant> {
        if let Some(turns) = &mut turns {
            turns.asks();
        }
        let grant = self.try_to(first).await;
        if let (None, Some(turns)) = (&grant, turns)
            && let Some((Refusal { reason, votes, .. }, _)) = &self.last
        {
            turns.refused(*reason == Reason::Held, votes);
        }
        grant
    }

    /// Whether one was made.
    pub(super) fn has_asked(&self) -> bool {
        self.last.is_some()
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
            self.made.set(self.begun);
            self.value = Some(attempt.round.question().value.clone());
            let were_one = attempt.round.is_of_one();
            match attempt.outcome(self.core, settings, self.limit).await {
                Ok(granted) => {
                    return Some(Grant {
                        value: granted.value,
                        validity: granted.validity,
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
    pub(super) fn is_futile(&self) -> bool {
        let last = self.last.as_ref();
        self.request.settings.value.is_some()
            || last.is_some_and(|(refusal, _)| is_out_of_reach(&refusal.votes))
    }

    /// Whether none is left after the one that is due.
    pub(super) fn is_last(&self) -> bool {
        let count = self.request.settings.retry.count;
        count.is_some_and(|count| self.begun - self.uncounted > count)
    }

    /// How long to wait for the next one; `None` if there is none.
    pub(super) fn wait(&self) -> Option<Duration> {
        let retry = &self.request.settings.retry;
        let chance = self.core.environment.chance();
        let wait = retry.after(self.begun - self.uncounted, chance);
        wait.filter(|_| !self.is_futile())
    }

    /// How long to wait for what is due at `next`. Who has never asked does so in time to be
    /// answered, also where threads and timers are late.
    pub(super) fn until(&self, next: Instant) -> Instant {
        const LATE: Duration = Duration::from_millis(20);
        match self.limit {
            Some(limit) if limit <= next && self.last.is_none() => {
                limit.before(LATE + self.round_trip() * 4)
            }
            Some(limit) => limit.min(next),
            None => next,
        }
    }

    /// Two round trips, in which others find the resource free. If they `contend`, also the
    /// wait of who has found that: no process is faster than another.
    pub(super) fn gap(&self, contend: bool) -> Duration {
        let waits = if contend {
            spread(self.core, 1)
        } else {
            Duration::ZERO
        };
        self.round_trip() * 2 + waits
    }

    fn round_trip(&self) -> Duration {
        const UNMEASURED: Duration = Duration::from_millis(10);
        self.core.round_trip().unwrap_or(UNMEASURED)
    }

    /// They are used up, or futile: the place is another's.
    pub(super) async fn end(self, turns: Option<Turns<'_>>) -> Failure {
        drop(turns);
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
    pub(super) async fn time_out(self, turns: Option<Turns<'_>>) -> Failure {
        drop(turns);
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
