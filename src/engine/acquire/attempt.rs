//! One attempt to acquire.

use std::rc::Rc;
use std::sync::Arc;

use super::super::core::Core;
use super::super::deadline_bounds::{LONGEST_CLEANUP, Limits};
use super::super::environment::within_limit;
use super::super::failure::{Occupant, Reason};
use super::super::question::{Question, Resources};
use super::super::queue::QueuesOfMembers;
use super::super::quorum::Verdict;
use super::super::round::Round;
use super::super::safety_rule::SafetyRule;
use super::super::settings::Settings;
use super::super::ticket::Ticket;
use super::super::token::Token;
use super::super::validity::{Instant, Ttl, Validity};
use super::super::vote::Vote;

/// An attempt to acquire, which is given up unless it is said to have
/// succeeded: also when the caller no longer waits for it.
pub(super) struct Attempt {
    pub(super) round: Rc<Round>,
    is_over: bool,
    /// Where it is known that this process has the resource or asks for it, and whether
    /// that is by this attempt.
    queues: Option<(Rc<QueuesOfMembers>, bool)>,
}

impl Attempt {
    /// The `number`-th one, with this value.
    pub(super) fn begin(
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
        let question = settings
            .apply(question, number)
            .with_ticket(ticket_of(core, settings));
        let report = settings.vote_report(number);
        Self {
            round: Round::ask_all(core, question, limits, now, report),
            is_over: false,
            queues,
        }
    }

    /// What came of it, once that is certain: the lock, or why there is none, with the
    /// votes.
    pub(super) async fn outcome(
        self,
        core: &Core,
        settings: &Settings,
        limit: Option<Instant>,
    ) -> Result<Granted, Refusal> {
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
    pub(super) fn granted(mut self, verdict: Verdict) -> Result<Granted, Self> {
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
            queues.hold(&question.resources, &question.value, now, validity.until);
        }
        Ok(Granted {
            value: question.value.clone(),
            validity,
            at: now,
        })
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

/// A lock that an attempt has got.
pub(super) struct Granted {
    pub(super) value: Token,
    pub(super) validity: Validity,
    /// When that was seen.
    pub(super) at: Instant,
}

/// Rule 24: each attempt of one request has the same.
fn ticket_of(core: &Core, settings: &Settings) -> Option<Arc<Ticket>> {
    let ticket = settings.ticket.as_ref()?;
    if SafetyRule::OneTicket.is_kept() {
        Some(Arc::clone(ticket))
    } else {
        Some(Arc::new(ticket.anew(core.environment.as_ref())))
    }
}

/// Why an attempt has failed.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) votes: Vec<Option<Vote>>,
    /// Whether releases have shown already what holds the resource.
    pub(super) is_looked_at: bool,
}

impl Refusal {
    pub(super) fn timed_out(votes: Vec<Option<Vote>>) -> Self {
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
