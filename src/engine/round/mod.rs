//! One fan-out: a question to every instance, the verdict as soon as it is
//! certain, a deadline for those that stay silent, and what becomes of answers
//! that come later.

mod cleanup;
mod late_grants;
mod votes;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;

use super::cause::Cause;
use super::claims::ClaimNumber;
use super::core::Core;
use super::deadline_bounds::{Limits, Wait};
use super::deadlines::{Deadline, Place, Timed};
use super::event::Event;
use super::held_locks::{GrantedRound, Held, InstanceSet};
use super::lock_id::LockId;
use super::question::{Operation, Question};
use super::quorum::{Tally, Verdict};
use super::safety_rule::SafetyRule;
use super::settings::VoteReport;
use super::validity::Instant;
use super::vote::{Responder, Vote, VoteSink};
pub use votes::Asker;
use votes::{MemberVote, State, Told, Votes};

/// One question put to some or all of the instances.
pub(super) struct Round {
    core: Rc<Core>,
    question: Rc<Question>,
    /// What it is about.
    lock: LockId,
    asked: Instant,
    limits: Limits,
    /// When its deadlines are looked at next, and where [`Core::deadlines`] keeps that.
    armed: Cell<Option<(Instant, Place)>>,
    /// Acquire only: the lock was handed over before the last votes.
    has_votes_to_come: Cell<bool>,
    /// All instances were one server when it was asked.
    is_of_one: bool,
    /// Which claim it belongs to, if the value is one of the caller's own.
    claim: Option<ClaimNumber>,
    /// Acquire only: from when on the value may be given again.
    expires: Instant,
    /// Under what all votes are told, if they are and until then.
    vote_report: Cell<Option<VoteReport>>,
    /// Orders rounds of the same deadline.
    number: u64,
    state: RefCell<State>,
}

impl Round {
    /// Puts `question` to every instance at once. The deadlines are those of `limits`.
    pub(super) fn ask_all(
        core: &Rc<Core>,
        question: Question,
        limits: Limits,
        vote_report: Option<VoteReport>,
    ) -> Rc<Self> {
        let now = core.environment.now();
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
        let mut votes: Votes = (0..all)
            .map(|index| whom(index).map_or(MemberVote::NotAsked, MemberVote::Open))
            .collect();
        let is_open = |vote: &MemberVote| matches!(vote, MemberVote::Open(_));
        let members = votes.iter().filter(|vote| is_open(vote)).count();
        let is_of_one = members == all && core.are_one();
        if is_of_one {
            votes[1..].fill(MemberVote::WithFirst);
        }
        let claim = core
            .claims
            .number_of(core.owner, &question.resources, &question.value);
        if let (Operation::Release { .. }, Some(number)) = (question.operation, claim) {
            core.claims
                .releasing(core.owner, &question.resources, &question.value, number);
        }
        let expires = match question.operation {
            Operation::Acquire { .. } => {
                core.claims
                    .end_of(core.owner, &question.resources, &question.value)
            }
            _ => Instant::LAST,
        };
        let round = Rc::new(Self {
            claim,
            expires,
            lock: LockId::new(&question.value, &question.resources),
            question: Rc::new(question),
            asked: now,
            limits,
            armed: Cell::default(),
            has_votes_to_come: Cell::default(),
            is_of_one,
            vote_report: Cell::new(vote_report),
            number: core.deadlines.next_number(),
            state: RefCell::new(State::new(votes, members)),
            core: Rc::clone(core),
        });
        round.arm();
        for index in 0..all {
            // It may be answered already: all of them with the first.
            if is_open(&round.state.borrow().votes[index]) {
                let sink: Rc<dyn VoteSink> = round.clone();
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
        match self.question.operation {
            // Every answer is wanted; there is nothing to grant.
            Operation::Inspect => (tally.pending() == 0).then_some(Verdict::Refused),
            Operation::Acquire { .. } => tally.verdict(),
            Operation::Extend { .. } | Operation::Release { .. } => tally.verdict_on_held(),
        }
    }

    /// The attempt has succeeded and may be believed in until then; a release
    /// may come before its last votes.
    pub(super) fn succeed(self: &Rc<Self>, until: Instant) {
        let mut granted = InstanceSet::default();
        let state = self.state.borrow();
        for (index, vote) in state.votes.iter().enumerate() {
            if matches!(vote, MemberVote::Cast(Vote::Granted)) {
                granted.add(index);
            }
        }
        // One that has missed its deadline may still grant it.
        let has_votes_to_come = state.votes.iter().any(|vote| !vote.is_cast());
        drop(state);
        self.has_votes_to_come.set(has_votes_to_come);
        let round = has_votes_to_come.then(|| {
            let round: Weak<dyn GrantedRound> = Rc::<Self>::downgrade(self);
            round
        });
        let held = Held {
            lock: self.lock.clone(),
            resources: Arc::clone(&self.question.resources),
            since: self.asked,
            context: self.question.context.clone(),
        };
        let now = self.core.environment.now();
        let held_locks = &self.core.held_locks;
        held_locks.note(held, until, granted, round, now);
    }

    /// The votes so far, by instance.
    pub(super) fn votes(&self) -> Vec<Option<Vote>> {
        let state = self.state.borrow();
        state.votes.iter().map(MemberVote::vote).collect()
    }

    /// Whether all instances were one server when they were asked.
    pub(super) const fn is_of_one(&self) -> bool {
        self.is_of_one
    }

    /// The count so far.
    pub(super) fn tally(&self) -> Tally {
        self.state.borrow().tally.clone()
    }

    /// Has its deadlines kept, from the next one on.
    fn arm(self: &Rc<Self>) {
        let next = self.state.borrow().next_end();
        if let Some(at) = next {
            let number = self.number;
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
        for index in 0..state.votes.len() {
            let cause = match &state.votes[index] {
                MemberVote::Open(wait) if wait.end(may_be_long) <= now => {
                    let instance = &self.core.instances[index];
                    instance.unreached().unwrap_or_else(|| Cause::Silent {
                        waited: wait.end(may_be_long).since(wait.since),
                        option: Some(wait.option),
                        because: instance.trouble(),
                    })
                }
                // The first is silent, if anybody is.
                MemberVote::WithFirst => match silent.first() {
                    Some((0, cause)) => Clone::clone(cause),
                    _ => continue,
                },
                _ => continue,
            };
            state.votes[index] = MemberVote::Missed(cause.clone());
            state.tally.count(&Vote::Failed(cause.clone()));
            silent.push((index, cause));
        }
        let is_over = state.tally.pending() == 0;
        let told = if silent.is_empty() {
            Told::Nobody
        } else {
            let verdict = self.decided(&state.tally);
            state.told(verdict)
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

    /// All votes are in, or have missed the deadline.
    fn complete(&self) {
        if let Some(number) = self.claim {
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

    /// Whether an instance's vote on an extension counts.
    fn counts(&self, index: usize) -> bool {
        self.core.held_locks.counts(&self.lock, index) || !SafetyRule::Refusers.is_kept()
    }

    fn all_cast(&self, are: impl Fn(&MemberVote) -> bool) -> bool {
        self.state.borrow().votes.iter().all(are)
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

impl Drop for Round {
    fn drop(&mut self) {
        if self.has_votes_to_come.get() {
            self.core.held_locks.round_is_over(&self.lock, self);
        }
    }
}

impl Timed for Round {
    fn deadline_passed(self: Rc<Self>, now: Instant) {
        self.close(now);
    }
}

impl VoteSink for Round {
    fn cast(self: Rc<Self>, index: usize, vote: Vote) {
        // A key that has this attempt's value was set for this attempt.
        let may_be_set = matches!(vote, Vote::Granted | Vote::Failed(Cause::AskedTwice));
        let vote = match (self.question.operation, vote) {
            (Operation::Extend { .. }, Vote::Granted) if !self.counts(index) => {
                Vote::Failed(Cause::HadNotGranted)
            }
            (_, vote) => vote,
        };
        if self.has_votes_to_come.get() && matches!(vote, Vote::Granted) {
            self.core.held_locks.add(&self.lock, index);
        }
        let failure = match &vote {
            Vote::Failed(cause) => Some(cause.clone()),
            _ => None,
        };
        let mut state = self.state.borrow_mut();
        let unwanted = state.grants_are_unwanted && may_be_set;
        let could_be_long = state.may_be_long();
        let voters = state.cast(index, vote);
        let is_counted = !voters.is_empty();
        let told = if is_counted {
            let verdict = self.decided(&state.tally);
            state.told(verdict)
        } else {
            Told::Nobody
        };
        let completed = is_counted && state.tally.pending() == 0;
        // Whoever could be waited for beyond its deadline can't any more.
        let others_have_answered = could_be_long
            && is_counted
            && !completed
            && !state.may_be_long()
            && state.votes.iter().any(MemberVote::is_longer);
        drop(state);
        if completed {
            self.disarm();
            self.complete();
        }
        if others_have_answered {
            self.close(self.core.environment.now());
        }
        if let Some(cause) = failure {
            for instance in voters {
                self.report(instance, &cause);
            }
        }
        told.tell();
        if unwanted {
            self.release_late_grant(index);
        }
    }

    fn is_awaited(&self, index: usize) -> bool {
        let state = self.state.borrow();
        let is_given_up = state.grants_are_unwanted && SafetyRule::Order.is_kept();
        !is_given_up && matches!(state.votes[index], MemberVote::Open(_))
    }

    fn postpone(&self, index: usize) {
        if let MemberVote::Open(wait) = &mut self.state.borrow_mut().votes[index] {
            *wait = self.limits.unbegun(*wait);
        }
    }

    fn begin(self: Rc<Self>, index: usize) {
        let measured = self.core.instances[index].round_trip();
        let now = self.core.environment.now();
        let begun = self.limits.wait(now, measured);
        if let MemberVote::Open(wait) = &mut self.state.borrow_mut().votes[index] {
            *wait = begun;
        } else {
            return;
        }
        // An earlier look is as good, and costs nothing now.
        if self.armed.get().is_none_or(|(armed, _)| begun.due < armed) {
            self.arm_anew();
        }
    }
}
