//! One fan-out: a question to every instance, the verdict as soon as it is
//! certain, a deadline for those that stay silent, and what becomes of answers
//! that come later.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::claims::{Claims, Owner};
use super::environment::{Environment, Task, supervised};
use super::error::Cause;
use super::event::Event;
use super::granted_by::{GrantedBy, Held, Members};
use super::instance::{Ballot, Connection, Instance, Observer, Operation, Question, Reply, Vote};
use super::keeper::Kept;
use super::lock_id::LockId;
use super::lookalikes::{LookAlikes, Pair, are_one, will_be_one};
use super::patience::{Limits, Wait};
use super::quorum::{Tally, Verdict, majority};
use super::rule::Rule;
use super::validity::Instant;

/// What all rounds of one engine share.
pub(super) struct Core {
    pub(super) instances: Box<[Rc<dyn Instance>]>,
    pub(super) environment: Rc<dyn Environment>,
    pub(super) listener: Box<dyn Fn(Event)>,
    pub(super) claims: Rc<Claims>,
    /// What its claims are known by.
    pub(super) owner: Owner,
    look_alikes: LookAlikes,
    /// Acquires that succeeded and still have votes to come.
    stragglers: RefCell<HashMap<LockId, Weak<Round>>>,
    pub(super) granted_by: RefCell<GrantedBy>,
    /// Locks that are being kept, in an order that is the same in every run of a
    /// simulation.
    pub(super) keeps: RefCell<BTreeMap<LockId, Rc<Kept>>>,
    deadlines: Deadlines,
}

impl Core {
    pub(super) fn new(
        instances: Vec<Rc<dyn Instance>>,
        environment: Rc<dyn Environment>,
        claims: Rc<Claims>,
        listener: Box<dyn Fn(Event)>,
    ) -> Rc<Self> {
        let core = Rc::new(Self {
            look_alikes: LookAlikes::of(instances.len()),
            instances: instances.into(),
            environment,
            listener,
            owner: claims.owner(),
            claims,
            stragglers: RefCell::default(),
            granted_by: RefCell::default(),
            keeps: RefCell::default(),
            deadlines: Deadlines::default(),
        });
        for (index, instance) in core.instances.iter().enumerate() {
            let observer: Weak<dyn Observer> = Rc::<Self>::downgrade(&core);
            instance.observe(index, observer);
        }
        core.tell_look_alikes();
        let whose = Rc::downgrade(&core);
        let begin = move || keep_deadlines(Weak::clone(&whose));
        let life = supervised(Rc::clone(&core.environment), begin, |_| {});
        core.environment.spawn(Box::pin(life));
        core
    }

    pub(super) async fn quiet(&self) {
        poll_fn(|context| self.deadlines.poll_quiet(context)).await;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.deadlines.rounds.borrow().is_empty()
    }

    /// This lock is being released: what is granted for it from
    /// now on is to be released too.
    pub(super) fn let_go(&self, lock: &LockId) {
        let straggler = self.stragglers.borrow_mut().remove(lock);
        if let Some(round) = straggler.and_then(|round| round.upgrade()) {
            round.state.borrow_mut().abandoned = Rule::Stragglers.is_kept();
        }
        self.granted_by.borrow_mut().forget(lock);
        let kept = self.keeps.borrow_mut().remove(lock);
        if let Some(kept) = kept {
            kept.release();
        }
    }

    /// This lock was extended and may be believed in until then.
    pub(super) fn prolonged(&self, lock: &LockId, until: Instant) {
        self.granted_by.borrow_mut().prolong(lock, until);
    }

    fn tell_look_alikes(&self) {
        // Of members that are about to be one something else is to be said.
        if self.will_be_one() {
            return;
        }
        for Pair {
            first,
            second,
            sole,
        } in self.look_alikes.news(&self.instances)
        {
            (self.listener)(Event::LookAlikes {
                instance: first,
                other: second,
                sole,
            });
        }
    }

    /// This lock is kept no longer.
    pub(super) fn forget(&self, lock: &LockId, kept: &Rc<Kept>) {
        let mut keeps = self.keeps.borrow_mut();
        if keeps.get(lock).is_some_and(|known| Rc::ptr_eq(known, kept)) {
            keeps.remove(lock);
        }
    }

    /// Whether they will be one server, as soon as that is proven.
    pub(super) fn will_be_one(&self) -> bool {
        !self.are_one() && will_be_one(&self.instances)
    }

    /// Whether all members are one server, which is asked once.
    pub(super) fn are_one(&self) -> bool {
        if Rule::NoLikeness.is_kept() {
            are_one(&self.instances)
        } else {
            self.look_alikes.are_alike()
        }
    }
}

/// How many of so many must grant.
fn quorum(members: usize) -> usize {
    if Rule::Majority.is_kept() {
        majority(members)
    } else {
        1
    }
}

impl Observer for Core {
    fn connection_changed(&self, instance: usize, state: &Connection) {
        (self.listener)(Event::Connection {
            instance,
            state: state.clone(),
        });
        if let Connection::Ready { keyspace } = state {
            self.look_alikes.named(instance, keyspace.clone());
            self.tell_look_alikes();
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // The keeper of deadlines ends when it finds its core gone.
        self.deadlines.wake();
    }
}

/// One question put to some or all of the instances.
pub(super) struct Round {
    core: Rc<Core>,
    question: Rc<Question>,
    asked: Instant,
    limits: Limits,
    /// When its deadlines are looked at next, in [`Deadlines`].
    armed: Cell<Instant>,
    /// Which taking it belongs to, if the value is one of the caller's own.
    claim: Option<u64>,
    /// Acquire only: from when on the value may be given again.
    expires: Instant,
    /// Who wants to see all votes.
    sheet: Cell<Option<Sheet>>,
    /// Orders rounds of the same deadline; also the key for their removal.
    number: u64,
    state: RefCell<State>,
}

/// What an attempt's votes are told under.
#[derive(Clone, Copy)]
pub(super) struct Sheet {
    pub(super) number: u64,
    pub(super) attempt: u32,
}

struct State {
    tally: Tally,
    votes: Box<[Ballotpaper]>,
    /// The attempt has failed: grants that come now are to be released.
    abandoned: bool,
    /// Whether the waiter wants to hear of every vote or of the verdict only.
    every_vote: bool,
    waker: Option<Waker>,
}

#[derive(Clone)]
enum Ballotpaper {
    NotAsked,
    Open(Wait),
    /// Votes as the first does: all of them are one server (rule 16).
    WithFirst,
    /// The deadline passed; what comes now is late.
    Missed(Cause),
    Cast(Vote),
}

impl Round {
    /// Puts `question` to every instance at once. The deadlines are those of `limits`.
    pub(super) fn ask_all(
        core: &Rc<Core>,
        question: Question,
        limits: Limits,
        sheet: Option<Sheet>,
    ) -> Rc<Self> {
        let now = core.environment.now();
        let instances = &core.instances;
        let whom = |index: usize| Some(limits.wait(now, instances[index].round_trip()));
        Self::ask(core, question, limits, now, whom, sheet)
    }

    /// Puts it, at `now`, to those of whom `whom` says for how long to wait.
    fn ask(
        core: &Rc<Core>,
        question: Question,
        limits: Limits,
        now: Instant,
        whom: impl Fn(usize) -> Option<Wait>,
        sheet: Option<Sheet>,
    ) -> Rc<Self> {
        let all = core.instances.len();
        let mut votes: Box<[_]> = (0..all)
            .map(|index| whom(index).map_or(Ballotpaper::NotAsked, Ballotpaper::Open))
            .collect();
        let is_open = |vote: &Ballotpaper| matches!(vote, Ballotpaper::Open(_));
        let members = votes.iter().filter(|vote| is_open(vote)).count();
        if members == all && core.are_one() {
            votes[1..].fill(Ballotpaper::WithFirst);
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
            question: Rc::new(question),
            asked: now,
            limits,
            armed: Cell::new(now),
            sheet: Cell::new(sheet),
            number: core.deadlines.next_number(),
            state: RefCell::new(State {
                tally: Tally::with_quorum(members, quorum(members)),
                votes,
                abandoned: false,
                every_vote: false,
                waker: None,
            }),
            core: Rc::clone(core),
        });
        round.arm();
        for index in 0..all {
            // It may be answered already: all of them with the first.
            if is_open(&round.state.borrow().votes[index]) {
                let ballot: Rc<dyn Ballot> = round.clone();
                core.instances[index].ask(&round.question, Reply::new(ballot, index));
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

    fn decided(&self, tally: &Tally) -> Option<Verdict> {
        match self.question.operation {
            // Every answer is wanted; there is nothing to grant.
            Operation::Inspect => (tally.pending() == 0).then_some(Verdict::Refused),
            Operation::Acquire { .. } => tally.verdict(),
            Operation::Extend { .. } | Operation::Release { .. } => tally.verdict_on_held(),
        }
    }

    /// Gives the attempt up: everything it may have set is released, at once
    /// and on every instance, and so is what it is granted from now on.
    pub(super) fn abandon(self: &Rc<Self>) -> Option<Rc<Self>> {
        self.state.borrow_mut().abandoned = true;
        let now = self.core.environment.now();
        let cleanup = self.clean_up(now);
        // Nobody is waited for any longer than their deadlines.
        self.close(now);
        cleanup
    }

    fn clean_up(&self, now: Instant) -> Option<Rc<Self>> {
        if !self.may_clean_up(now) {
            return None;
        }
        let limits = self.limits.of_cleanup(now);
        let whom: Vec<Option<Wait>> = {
            let state = self.state.borrow();
            let whom = state.votes.iter().zip(&self.core.instances);
            let whom = whom.map(|(vote, instance)| {
                // A value of the caller's may stand where it was refused as another's:
                // of another process, or another quorum.
                let may_be_set = self.claim.is_none() || !vote.is_refusal();
                may_be_set.then(|| limits.cleanup(now, self.asked, instance.round_trip()))
            });
            whom.collect()
        };
        let latest = whom.iter().flatten().map(|wait| wait.due).max()?;
        let whom = |index: usize| whom[index];
        let question = self.release_by(latest);
        Some(Self::ask(&self.core, question, limits, now, whom, None))
    }

    /// Whether what stands with this value can't be another lock's of this process.
    fn may_clean_up(&self, now: Instant) -> bool {
        let Question {
            resources, value, ..
        } = &*self.question;
        let (owner, claims) = (self.core.owner, &self.core.claims);
        let is_another = claims.is_taken_since(owner, resources, value, self.asked, now);
        Rule::Cleanup.is_kept() && !(is_another && Rule::Claims.is_kept())
    }

    /// What takes back whatever this round may have set.
    fn release_by(&self, deadline: Instant) -> Question {
        Question {
            operation: Operation::Release {
                since: self.asked,
                expires: self.expires,
            },
            resources: Arc::clone(&self.question.resources),
            value: self.question.value.clone(),
            deadline,
            report: self.question.report,
            scripts: self.question.scripts.clone(),
            context: self.question.context.clone(),
        }
    }

    /// The attempt has succeeded and may be believed in until then; a release
    /// may come before its last votes.
    pub(super) fn succeed(self: &Rc<Self>, until: Instant) {
        let mut granted = Members::default();
        let state = self.state.borrow();
        for (place, vote) in state.votes.iter().enumerate() {
            if matches!(vote, Ballotpaper::Cast(Vote::Granted)) {
                granted.add(place);
            }
        }
        // One that has missed its deadline may still grant it.
        let has_stragglers = state.votes.iter().any(|vote| !vote.is_cast());
        drop(state);
        let held = Held {
            lock: self.lock(),
            resources: Arc::clone(&self.question.resources),
            since: self.asked,
            context: self.question.context.clone(),
        };
        let now = self.core.environment.now();
        let mut granted_by = self.core.granted_by.borrow_mut();
        granted_by.note(held, until, granted, now);
        drop(granted_by);
        if has_stragglers {
            let mut stragglers = self.core.stragglers.borrow_mut();
            stragglers.insert(self.lock(), Rc::downgrade(self));
        }
    }

    /// Resolves when every instance that has not missed this round's deadline
    /// has answered both this round and its `release`.
    pub(super) async fn settled_with(&self, release: &Self) {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            let mut cleanup = release.state.borrow_mut();
            let open = state
                .votes
                .iter()
                .zip(&cleanup.votes)
                .any(|pair| match pair {
                    (Ballotpaper::Missed(_), _) => false,
                    (Ballotpaper::Open(_), _) => true,
                    (_, released) => matches!(released, Ballotpaper::Open(_)),
                });
            if !open {
                return Poll::Ready(());
            }
            let _: Poll<()> = cleanup.wait(context, true);
            state.wait(context, true)
        })
        .await;
    }

    /// The votes so far, by instance.
    pub(super) fn votes(&self) -> Vec<Option<Vote>> {
        let state = self.state.borrow();
        state.votes.iter().map(Ballotpaper::vote).collect()
    }

    /// The count so far.
    pub(super) fn tally(&self) -> Tally {
        self.state.borrow().tally.clone()
    }

    /// The lock that it is about.
    fn lock(&self) -> LockId {
        LockId::new(&self.question.value, &self.question.resources)
    }

    fn key(&self) -> (Instant, u64) {
        (self.armed.get(), self.number)
    }

    /// Has its deadlines kept, from the next one on.
    fn arm(self: &Rc<Self>) {
        let next = self.state.borrow().next_end();
        if let Some(next) = next {
            self.armed.set(next);
            self.core.deadlines.add(self);
        }
    }

    /// A deadline has changed.
    fn arm_anew(self: &Rc<Self>) {
        self.core.deadlines.take(self);
        self.arm();
    }

    /// Counts every instance as failed that is silent beyond its deadline.
    fn close(self: &Rc<Self>, now: Instant) {
        let mut silent = Vec::new();
        let mut state = self.state.borrow_mut();
        let may_be_long = state.may_be_long();
        for index in 0..state.votes.len() {
            let cause = match &state.votes[index] {
                Ballotpaper::Open(wait) if wait.end(may_be_long) <= now => {
                    let instance = &self.core.instances[index];
                    instance.unreached().unwrap_or_else(|| Cause::Silent {
                        waited: wait.end(may_be_long).since(wait.since),
                        option: Some(wait.option),
                        because: instance.trouble(),
                    })
                }
                // The first is silent, if anybody is.
                Ballotpaper::WithFirst => match silent.first() {
                    Some((0, cause)) => Clone::clone(cause),
                    _ => continue,
                },
                _ => continue,
            };
            state.votes[index] = Ballotpaper::Missed(cause.clone());
            state.tally.count(&Vote::Failed(cause.clone()));
            silent.push((index, cause));
        }
        let is_over = state.tally.pending() == 0;
        let waker = if silent.is_empty() {
            None
        } else {
            state.waker.take()
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
            self.core.deadlines.remove(self);
            self.complete();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// All votes are in, or have missed the deadline.
    fn complete(&self) {
        if let Some(number) = self.claim {
            let (owner, claims) = (self.core.owner, &self.core.claims);
            let Question {
                resources, value, ..
            } = &*self.question;
            match self.question.operation {
                Operation::Acquire { .. } if self.all_cast(Ballotpaper::is_final) => {
                    claims.acquired(owner, resources, value, number);
                }
                Operation::Release { .. } => {
                    let everywhere = self.all_cast(Ballotpaper::is_answered);
                    claims.released(owner, resources, value, number, everywhere);
                }
                _ => {}
            }
        }
        self.tell_all();
    }

    /// Whether a member's vote on an extension counts.
    fn counts(&self, index: usize) -> bool {
        let granted_by = self.core.granted_by.borrow();
        granted_by.counts(&self.lock(), index) || !Rule::Refusers.is_kept()
    }

    fn all_cast(&self, are: impl Fn(&Ballotpaper) -> bool) -> bool {
        self.state.borrow().votes.iter().all(are)
    }

    fn tell_all(&self) {
        if let Some(Sheet { number, attempt }) = self.sheet.take() {
            let votes = self.votes();
            (self.core.listener)(Event::Ballots {
                number,
                attempt,
                votes,
            });
        }
    }

    fn report(&self, instance: usize, cause: &Cause) {
        // Who has released it knows.
        if self.question.report && !matches!(cause, Cause::Withdrawn) {
            (self.core.listener)(Event::ClientError {
                instance,
                operation: self.question.operation,
                cause: cause.clone(),
            });
        }
    }

    /// A grant for an attempt that has failed already: its release may have
    /// overtaken it on another connection, so it is released once more.
    fn take_back(&self, index: usize) {
        let now = self.core.environment.now();
        if !self.may_clean_up(now) {
            return;
        }
        let limits = self.limits.of_cleanup(now);
        let measured = self.core.instances[index].round_trip();
        let wait = limits.wait(now, measured);
        let question = self.release_by(wait.due);
        let whom = |other: usize| (other == index).then_some(wait);
        Self::ask(&self.core, question, limits, now, whom, None);
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        if matches!(self.question.operation, Operation::Acquire { .. }) {
            let lock = self.lock();
            let mut stragglers = self.core.stragglers.borrow_mut();
            // A newer one may have the same value, if that is the caller's own.
            let known = stragglers.get(&lock).map(Weak::as_ptr);
            if known.is_some_and(|known| std::ptr::eq(known, self)) {
                stragglers.remove(&lock);
            }
        }
    }
}

impl Ballot for Round {
    fn cast(self: Rc<Self>, index: usize, vote: Vote) {
        // One's own value was set by somebody for this attempt.
        let may_be_set = matches!(vote, Vote::Granted | Vote::Failed(Cause::AskedTwice));
        let vote = match (self.question.operation, vote) {
            (Operation::Extend { .. }, Vote::Granted) if !self.counts(index) => {
                Vote::Failed(Cause::HadNotGranted)
            }
            (_, vote) => vote,
        };
        let mut state = self.state.borrow_mut();
        let unwanted = state.abandoned && may_be_set;
        let mut waker = None;
        let mut failures = Vec::new();
        let mut completed = false;
        let mut others_have_answered = false;
        if let (Operation::Acquire { .. }, Vote::Granted) = (self.question.operation, &vote) {
            let mut granted_by = self.core.granted_by.borrow_mut();
            granted_by.add(&self.lock(), index);
        }
        if matches!(state.votes[index], Ballotpaper::Open(_)) {
            let before = state.may_be_long();
            for voter in 0..state.votes.len() {
                if voter == index || matches!(state.votes[voter], Ballotpaper::WithFirst) {
                    state.count(voter, vote.clone());
                    failures.push(voter);
                }
            }
            if state.every_vote || self.decided(&state.tally).is_some() {
                waker = state.waker.take();
            }
            completed = state.tally.pending() == 0;
            if completed {
                self.core.deadlines.remove(&self);
            }
            others_have_answered = before && !completed && !state.may_be_long();
            others_have_answered &= state.votes.iter().any(Ballotpaper::is_longer);
        }
        drop(state);
        if completed {
            self.complete();
        }
        if others_have_answered {
            // Who could be waited for beyond its deadline can't any more.
            self.close(self.core.environment.now());
        }
        if let Vote::Failed(cause) = &vote {
            for instance in failures {
                self.report(instance, cause);
            }
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        if unwanted {
            self.take_back(index);
        }
    }

    fn is_awaited(&self, index: usize) -> bool {
        let state = self.state.borrow();
        let is_given_up = state.abandoned && Rule::Order.is_kept();
        !is_given_up && matches!(state.votes[index], Ballotpaper::Open(_))
    }

    fn hold_up(&self, index: usize) {
        if let Ballotpaper::Open(wait) = &mut self.state.borrow_mut().votes[index] {
            *wait = self.limits.unbegun(*wait);
        }
    }

    fn begin(self: Rc<Self>, index: usize) {
        let measured = self.core.instances[index].round_trip();
        let now = self.core.environment.now();
        let begun = self.limits.wait(now, measured);
        if let Ballotpaper::Open(wait) = &mut self.state.borrow_mut().votes[index] {
            *wait = begun;
        } else {
            return;
        }
        // An earlier look is as good, and costs nothing now.
        if begun.due < self.armed.get() {
            self.arm_anew();
        }
    }
}

impl State {
    /// Whether those of whom nothing is known yet may take longer than the others.
    fn may_be_long(&self) -> bool {
        !self.abandoned && !self.tally.has_majority_answered()
    }

    /// When the next deadline is over.
    fn next_end(&self) -> Option<Instant> {
        let may_be_long = self.may_be_long();
        let ends = self.votes.iter().filter_map(|vote| match vote {
            Ballotpaper::Open(wait) => Some(wait.end(may_be_long)),
            _ => None,
        });
        ends.min()
    }

    fn count(&mut self, index: usize, vote: Vote) {
        self.tally.count(&vote);
        self.votes[index] = Ballotpaper::Cast(vote);
    }

    fn wait<T>(&mut self, context: &Context<'_>, every_vote: bool) -> Poll<T> {
        self.every_vote = every_vote;
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Ballotpaper {
    fn vote(&self) -> Option<Vote> {
        match self {
            Self::NotAsked | Self::Open(_) | Self::WithFirst => None,
            Self::Missed(cause) => Some(Vote::Failed(cause.clone())),
            Self::Cast(vote) => Some(vote.clone()),
        }
    }

    const fn is_cast(&self) -> bool {
        matches!(self, Self::Cast(_))
    }

    /// Whether it is waited for beyond its deadline, until a majority has answered.
    fn is_longer(&self) -> bool {
        matches!(self, Self::Open(wait) if wait.due < wait.at_most)
    }

    /// Whether the key was there, with whatever value.
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Cast(Vote::Held { .. } | Vote::Failed(Cause::AskedTwice))
        )
    }

    /// Whether it was carried out or not, and that is known.
    fn is_answered(&self) -> bool {
        matches!(
            self,
            Self::NotAsked | Self::Cast(Vote::Granted | Vote::Held { .. })
        )
    }

    /// The same; or an error of the server's, which has not carried it out.
    fn is_final(&self) -> bool {
        let refused = matches!(
            self,
            Self::Cast(Vote::Failed(Cause::Refused { .. } | Cause::AskedTwice))
        );
        refused || self.is_answered()
    }
}

/// The deadlines of all open rounds, kept by one task with one timer: a timer
/// of its own would be most of a round's cost.
#[derive(Default)]
struct Deadlines {
    rounds: RefCell<BTreeMap<(Instant, u64), Rc<Round>>>,
    number: Cell<u64>,
    /// What the keeper sleeps towards, if it sleeps.
    armed: Cell<Option<Instant>>,
    keeper: RefCell<Option<Waker>>,
    /// Who waits for there to be no open round.
    quiet: RefCell<Vec<Waker>>,
}

impl Deadlines {
    fn next_number(&self) -> u64 {
        let number = self.number.get();
        self.number.set(number + 1);
        number
    }

    fn add(&self, round: &Rc<Round>) {
        let key = round.key();
        self.rounds.borrow_mut().insert(key, Rc::clone(round));
        if self.armed.get().is_none_or(|armed| key.0 < armed) {
            self.wake();
        }
    }

    fn take(&self, round: &Round) {
        self.rounds.borrow_mut().remove(&round.key());
    }

    /// It has ended.
    fn remove(&self, round: &Round) {
        self.take(round);
        self.tell_if_quiet();
    }

    fn poll_quiet(&self, context: &Context<'_>) -> Poll<()> {
        if self.rounds.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.quiet.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }

    fn tell_if_quiet(&self) {
        if self.rounds.borrow().is_empty() {
            for waker in self.quiet.take() {
                waker.wake();
            }
        }
    }

    fn wake(&self) {
        if let Some(keeper) = self.keeper.borrow_mut().take() {
            keeper.wake();
        }
    }

    fn pop_due(&self, now: Instant) -> Option<Rc<Round>> {
        let mut rounds = self.rounds.borrow_mut();
        let first = rounds.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn first(&self) -> Option<Instant> {
        self.rounds.borrow().first_key_value().map(|(key, _)| key.0)
    }
}

/// Closes rounds whose deadline has passed, for as long as the core lives.
fn keep_deadlines(core: Weak<Core>) -> Task {
    let mut sleep: Option<(Instant, Task)> = None;
    if let Some(core) = core.upgrade() {
        core.deadlines.armed.set(None);
    }
    Box::pin(poll_fn(move |context| {
        let Some(core) = core.upgrade() else {
            return Poll::Ready(());
        };
        let deadlines = &core.deadlines;
        loop {
            let now = core.environment.now();
            while let Some(round) = deadlines.pop_due(now) {
                // A defect that one round's votes bring out must not cost the
                // others their deadlines; the panic's own report says where.
                let _ = catch_unwind(AssertUnwindSafe(|| round.close(now)));
                deadlines.tell_if_quiet();
            }
            *deadlines.keeper.borrow_mut() = Some(context.waker().clone());
            // An earlier timer is as good as the right one, and cheaper than
            // setting it anew for every round.
            let target = match (&sleep, deadlines.first()) {
                (Some((armed, _)), Some(first)) => first.min(*armed),
                (Some((armed, _)), None) => *armed,
                (None, Some(first)) => first,
                (None, None) => return Poll::Pending,
            };
            let (armed, timer) = sleep
                .take_if(|(armed, _)| *armed <= target)
                .unwrap_or_else(|| (target, core.environment.sleep_until(target)));
            deadlines.armed.set(Some(armed));
            let mut timer = timer;
            match timer.as_mut().poll(context) {
                Poll::Pending => {
                    sleep = Some((armed, timer));
                    return Poll::Pending;
                }
                Poll::Ready(()) => deadlines.armed.set(None),
            }
        }
    }))
}
