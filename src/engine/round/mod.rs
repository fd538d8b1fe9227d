//! One fan-out: a question to every instance, the verdict as soon as it is
//! certain, a deadline for those that stay silent, and what becomes of answers
//! that come later.

mod anew;
mod cleanup;
mod late_grants;
#[cfg(test)]
mod tests;
mod votes;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::cause::Cause;
use super::claims::{ClaimNumber, Claimed};
use super::core::Core;
use super::deadline_bounds::{Limits, Wait};
use super::deadlines::{Deadline, Place, Timed};
use super::event::Event;
use super::held_locks::{GrantedRound, Held, InstanceSet};
use super::question::{Operation, Question};
use super::quorum::{Tally, Verdict};
use super::safety_rule::SafetyRule;
use super::settings::VoteReport;
use super::validity::{Instant, Validity};
use super::vote::{Responder, Vote, VoteSink};
pub use votes::Asker;
use votes::{Counted, MemberVote, State, Told};

/// One question put to some or all of the instances. What each vote looks at comes first,
/// and stays together: a hundred rounds are more than the nearest cache has room for.
#[repr(C)]
pub(super) struct Round {
    /// How many of those that were asked have not voted yet, in time or late.
    votes_to_come: Cell<usize>,
    state: RefCell<State>,
    /// Acquire only: the lock was handed over before the last votes.
    is_noted: Cell<bool>,
    core: Rc<Core>,
    question: Rc<Question>,
    asked: Asked,
    /// When its deadlines are looked at next, and where [`Core::deadlines`] keeps that.
    armed: Cell<Option<(Instant, Place)>>,
    /// Under what all votes are told, if they are and until then.
    vote_report: Cell<Option<VoteReport>>,
}

/// When a round was asked, and how.
#[derive(Default)]
struct Asked {
    /// The question's, where each vote looks at it.
    operation: Operation,
    at: Instant,
    limits: Limits,
    /// All instances were one server then.
    of_one: bool,
    /// Which claim it belongs to, if the value is one of the caller's own.
    claim: Option<ClaimNumber>,
    /// Acquire only: from when on the value may be given again.
    expires: Instant,
    /// Orders rounds of the same deadline.
    number: u64,
    /// Whether it is counted how long its answers take.
    is_watched: bool,
    /// Whether each vote is told as it comes. Then it is watched as well.
    is_told: bool,
}

impl Round {
    fn unasked(core: &Rc<Core>, question: Question) -> Self {
        Self {
            question: Rc::new(question),
            asked: Asked::default(),
            armed: Cell::default(),
            votes_to_come: Cell::default(),
            is_noted: Cell::default(),
            vote_report: Cell::default(),
            state: RefCell::default(),
            core: Rc::clone(core),
        }
    }

    /// Puts `question` to every instance at once, at `now`, which must not be later than it
    /// is. The deadlines are those of `limits`.
    pub(super) fn ask_all(
        core: &Rc<Core>,
        question: Question,
        limits: Limits,
        now: Instant,
        vote_report: Option<VoteReport>,
    ) -> Rc<Self> {
        let instances = &core.instances;
        let whom = |index: usize| Some(limits.wait(now, instances[index].round_trip()));
        Self::ask(core, question, limits, now, whom, vote_report)
    }

    /// Puts it, at `now`, to the instances for which `whom` says how long to wait.
    fn ask(
        core: &Rc<Core>,
        question: Question,
        limits: Limits,
        now: Instant,
        whom: impl Fn(usize) -> Option<Wait>,
        vote_report: Option<VoteReport>,
    ) -> Rc<Self> {
        let all = core.instances.len();
        let (owner, claims) = (core.owner, &core.claims);
        let claimed = claims.of(owner, &question.resources, &question.value);
        if let (Operation::Release { .. }, Some(Claimed { number, .. })) =
            (question.operation, claimed)
        {
            claims.releasing(owner, &question.resources, &question.value, number);
        }
        let round = Self::anew(core, question, |round| {
            let state = round.state.get_mut();
            let asked = state.begin((0..all).map(whom));
            let of_one = asked == all && core.are_one();
            if of_one {
                state.vote_with_first();
            }
            let is_told =
                round.question.is_traced() || core.tells_votes.get() && round.question.attempt > 0;
            round.asked = Asked {
                operation: round.question.operation,
                at: now,
                limits,
                of_one,
                claim: claimed.map(|claimed| claimed.number),
                expires: claimed.map_or(Instant::LAST, |claimed| claimed.until),
                number: core.deadlines.next_number(),
                is_watched: is_told || core.counters.measures(now),
                is_told,
            };
            round.vote_report.set(vote_report);
        });
        round.arm();
        for index in 0..all {
            // It may be answered already: all of them with the first.
            let is_open = round.state.borrow().is_open(index);
            if is_open {
                round.votes_to_come.set(round.votes_to_come.get() + 1);
                let sink: Rc<dyn VoteSink> = Rc::<Self>::clone(&round);
                core.instances[index].ask(&round.question, Responder::new(sink, index));
            }
        }
        round
    }

    /// Resolves as soon as no vote to come can change the outcome.
    pub(super) async fn verdict(&self) -> Verdict {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            match self.decided(&state.tally) {
                Some(verdict) => Poll::Ready(verdict),
                None => state.wait(context, false),
            }
        })
        .await
    }

    /// What the votes so far come to, as soon as `known` can say it.
    pub(super) async fn known<T>(&self, known: impl Fn(Vec<Option<Vote>>) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            match known(state.votes()) {
                Some(known) => Poll::Ready(known),
                None => state.wait(context, true),
            }
        })
        .await
    }

    /// Has `asker` told the verdict, as [`Round::verdict`] would: at once, if it is
    /// certain already.
    pub(super) fn tell(&self, asker: Rc<dyn Asker>) {
        let verdict = {
            let mut state = self.state.borrow_mut();
            let verdict = self.decided(&state.tally);
            if verdict.is_none() {
                state.wait_by(Rc::clone(&asker));
            }
            verdict
        };
        if let Some(verdict) = verdict {
            asker.decided(verdict);
        }
    }

    fn decided(&self, tally: &Tally) -> Option<Verdict> {
        match self.asked.operation {
            // Every answer is wanted; there is nothing to grant.
            Operation::Inspect => (tally.pending() == 0).then_some(Verdict::Refused),
            Operation::Acquire { .. } => tally.verdict(),
            Operation::Extend { .. } | Operation::Release { .. } => tally.verdict_on_held(),
        }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(super) fn question(&self) -> &Question {
        &self.question
    }

    /// Acquire only: how long what it is granted may be believed in.
    pub(super) fn validity(&self) -> Validity {
        Validity {
            since: self.asked.at,
            until: self.asked.limits.last(),
        }
    }

    /// The attempt has succeeded, at `now`; a release may come before its last votes.
    pub(super) fn succeed(self: &Rc<Self>, now: Instant) {
        let mut granted_by = InstanceSet::default();
        for (index, member) in self.state.borrow().members.iter().enumerate() {
            if member.vote.is_grant() {
                granted_by.add(index);
            }
        }
        // One that has missed its deadline may still grant it.
        self.is_noted.set(self.votes_to_come.get() > 0);
        let round = self.is_noted.get().then(|| {
            let round: Weak<dyn GrantedRound> = Rc::<Self>::downgrade(self);
            round
        });
        let held = Held {
            resources: Arc::clone(&self.question.resources),
            since: self.asked.at,
            until: self.asked.limits.last(),
            granted_by,
            context: self.question.context.clone(),
            round,
        };
        let held_locks = &self.core.held_locks;
        held_locks.note(&self.question.value, held, now);
    }

    /// The votes so far, by instance.
    pub(super) fn votes(&self) -> Vec<Option<Vote>> {
        self.state.borrow().votes()
    }

    /// Whether all instances were one server when they were asked.
    pub(super) const fn is_of_one(&self) -> bool {
        self.asked.of_one
    }

    /// The count so far.
    pub(super) fn tally(&self) -> Tally {
        self.state.borrow().tally.clone()
    }

    /// Has its deadlines kept, from the next one on.
    fn arm(self: &Rc<Self>) {
        let next = self.state.borrow().next_end();
        if let Some(at) = next {
            let number = self.asked.number;
            let deadline = Deadline { at, number };
            let place = self.core.deadlines.add(deadline, self.clone());
            self.armed.set(Some((at, place)));
        }
    }

    /// A deadline has changed.
    fn arm_anew(self: &Rc<Self>) {
        if let Some((_, place)) = self.armed.take() {
            self.core.deadlines.take(place);
        }
        self.arm();
    }

    /// All votes are in, or have missed their deadlines.
    fn disarm(&self) {
        if let Some((_, place)) = self.armed.take() {
            self.core.deadlines.remove(place);
        }
    }

    /// Counts every instance as failed that is silent beyond its deadline.
    fn close(self: &Rc<Self>, now: Instant) {
        let mut silent = Vec::new();
        let mut state = self.state.borrow_mut();
        let may_be_long = state.may_be_long();
        for index in 0..state.members.len() {
            let cause = match state.members[index].vote {
                MemberVote::Open => match state.wait_of(index) {
                    Some(wait) if wait.end(may_be_long) <= now => {
                        self.silence(index, wait, may_be_long)
                    }
                    _ => continue,
                },
                // The first is silent, if anybody is.
                MemberVote::WithFirst => match silent.first() {
                    Some((0, cause)) => Clone::clone(cause),
                    _ => continue,
                },
                _ => continue,
            };
            if state.is_open(index) {
                self.core.counters.failed(index, &cause);
                if self.asked.is_told {
                    let waited = now.since(state.members[index].wait.since);
                    let silence = Vote::Failed(cause.clone());
                    self.tell_vote(index, silence, waited, false);
                }
            }
            state.miss(index, cause.clone());
            silent.push((index, cause));
        }
        let is_over = state.tally.pending() == 0;
        let told = if silent.is_empty() {
            Told::Nobody
        } else {
            state.told(|tally| self.decided(tally))
        };
        drop(state);
        if !is_over {
            self.arm_anew();
        }
        let has_ended = is_over && !silent.is_empty();
        for (index, cause) in silent {
            self.report(index, &cause);
        }
        if has_ended {
            self.disarm();
            self.complete();
        }
        told.tell();
    }

    /// Why an instance has said nothing for as long as it was waited for.
    fn silence(&self, index: usize, wait: Wait, may_be_long: bool) -> Cause {
        let instance = &self.core.instances[index];
        instance.unreached().unwrap_or_else(|| Cause::Silent {
            waited: wait.end(may_be_long).since(wait.since),
            option: Some(wait.option.name()),
            because: instance.trouble(),
        })
    }

    /// All votes are in, or have missed the deadline.
    fn complete(&self) {
        if let Some(number) = self.asked.claim {
            let (owner, claims) = (self.core.owner, &self.core.claims);
            let Question {
                resources, value, ..
            } = &*self.question;
            match self.question.operation {
                Operation::Acquire { .. } if self.all_cast(MemberVote::is_final) => {
                    claims.acquired(owner, resources, value, number);
                }
                Operation::Release { .. } => {
                    let everywhere = self.all_cast(MemberVote::is_answered);
                    claims.released(owner, resources, value, number, everywhere);
                }
                _ => {}
            }
        }
        self.tell_all();
    }

    /// Whether that instance's vote counts for nothing: it had refused the lock that it
    /// extends now (rule 17).
    fn had_refused(&self, index: usize) -> bool {
        let Question {
            resources, value, ..
        } = &*self.question;
        matches!(self.asked.operation, Operation::Extend { .. })
            && SafetyRule::Refusers.is_kept()
            && !self.core.held_locks.counts(value, resources, index)
    }

    /// Counts a vote, also for those that vote as that instance does, and says so to whom
    /// it concerns, but for who waits for the verdict.
    fn count(self: &Rc<Self>, index: usize, vote: &Vote) -> Told {
        let mut state = self.state.borrow_mut();
        let could_be_long = state.may_be_long();
        let counted = state.cast(index, vote);
        if counted == Counted::TooLate {
            return Told::Nobody;
        }
        self.core.counters.voted(index, vote);
        let told = state.told(|tally| self.decided(tally));
        let is_over = state.tally.pending() == 0;
        // Whoever could be waited for beyond its deadline can't any more.
        let others_have_answered = could_be_long && !is_over && !state.may_be_long();
        drop(state);
        if is_over {
            self.disarm();
            self.complete();
        }
        if others_have_answered {
            self.close(self.core.environment.now());
        }
        match (vote, counted) {
            (Vote::Failed(cause), Counted::ForAll) => {
                (0..self.core.instances.len()).for_each(|one| self.report(one, cause));
            }
            (Vote::Failed(cause), _) => self.report(index, cause),
            _ => {}
        }
        told
    }

    fn all_cast(&self, are: impl Fn(&MemberVote) -> bool) -> bool {
        self.state.borrow().members.iter().all(|one| are(&one.vote))
    }

    fn tell_all(&self) {
        if let Some(VoteReport { number, attempt }) = self.vote_report.take() {
            let votes = self.votes();
            (self.core.listener)(Event::Votes {
                number,
                attempt,
                votes,
            });
        }
    }

    /// A vote has come, in time or late.
    #[cold]
    fn measure(&self, index: usize, vote: &Vote) {
        let (since, is_late) = {
            let state = self.state.borrow();
            (state.members[index].wait.since, !state.is_open(index))
        };
        let now = self.core.environment.now();
        if vote.is_answer() {
            self.core.counters.took(index, now.nanos_since(since));
        }
        // One that was never asked has not voted.
        if self.asked.is_told && !matches!(vote, Vote::Failed(Cause::Withdrawn)) {
            self.tell_vote(index, vote.clone(), now.since(since), is_late);
        }
    }

    /// Tells a vote that has come, or that it has not come in time.
    fn tell_vote(&self, instance: usize, vote: Vote, took: Duration, is_late: bool) {
        (self.core.listener)(Event::Vote {
            trace: self.question.trace.clone(),
            operation: self.asked.operation,
            resources: Arc::clone(&self.question.resources),
            attempt: self.question.attempt,
            instance,
            vote,
            took,
            is_late,
        });
    }

    fn report(&self, instance: usize, cause: &Cause) {
        // Whoever released the lock knows that.
        if !self.question.report || matches!(cause, Cause::Withdrawn) {
            return;
        }
        let now = self.core.environment.now();
        if let Some(omitted) = self.core.error_reports[instance].tell(cause, now) {
            (self.core.listener)(Event::ClientError {
                instance,
                operation: self.question.operation,
                cause: cause.clone(),
                omitted,
            });
        }
    }
}

impl Timed for Round {
    fn deadline_passed(self: Rc<Self>, now: Instant) {
        self.close(now);
    }
}

impl VoteSink for Round {
    fn cast(self: Rc<Self>, index: usize, mut vote: Vote) {
        self.votes_to_come.set(self.votes_to_come.get() - 1);
        let is_last = self.votes_to_come.get() == 0;
        // A key that has this attempt's value was set for this attempt.
        let may_be_set = matches!(vote, Vote::Granted | Vote::Failed(Cause::AskedTwice));
        if matches!(vote, Vote::Granted) && self.had_refused(index) {
            vote = Vote::Failed(Cause::HadNotGranted);
        }
        if self.asked.is_watched {
            self.measure(index, &vote);
        }
        let voter = matches!(vote, Vote::Granted).then_some(index);
        if self.is_noted.get() && (is_last || voter.is_some()) {
            let round = Rc::as_ptr(&self);
            let held_locks = &self.core.held_locks;
            held_locks.voted(&self.question.value, round, voter, is_last);
        }
        let is_unwanted = may_be_set && self.state.borrow().grants_are_unwanted;
        self.count(index, &vote).tell();
        if is_unwanted {
            self.release_late_grant(index);
        }
        if may_be_set || matches!(vote, Vote::Waiting { .. }) {
            self.leave_queue(index);
        }
        if is_last {
            self.spend();
        }
    }

    fn is_awaited(&self, index: usize) -> bool {
        let state = self.state.borrow();
        let is_given_up = state.grants_are_unwanted && SafetyRule::Order.is_kept();
        !is_given_up && state.is_open(index)
    }

    fn postpone(&self, index: usize) {
        let mut state = self.state.borrow_mut();
        if let Some(wait) = state.wait_of(index) {
            state.set_wait(index, self.asked.limits.unbegun(wait));
        }
    }

    fn begin(self: Rc<Self>, index: usize) {
        if !self.state.borrow().is_open(index) {
            return;
        }
        let measured = self.core.instances[index].round_trip();
        let begun = self
            .asked
            .limits
            .wait(self.core.environment.now(), measured);
        self.state.borrow_mut().set_wait(index, begun);
        // An earlier look is as good, and costs nothing now.
        if self.armed.get().is_none_or(|(armed, _)| begun.due < armed) {
            self.arm_anew();
        }
    }
}
