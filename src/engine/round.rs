//! One fan-out: a question to every instance, the verdict as soon as it is
//! certain, a deadline for those that stay silent, and what becomes of answers
//! that come later.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::environment::{Environment, Task};
use super::error::Cause;
use super::event::Event;
use super::instance::{Ballot, Connection, Instance, Observer, Operation, Question, Reply, Vote};
use super::keeper::Kept;
use super::quorum::{Tally, Verdict, majority};
use super::rule::Rule;
use super::token::Token;
use super::twins::Twins;
use super::validity::Instant;

/// What all rounds of one engine share.
pub(super) struct Core {
    pub(super) instances: Box<[Rc<dyn Instance>]>,
    pub(super) environment: Rc<dyn Environment>,
    pub(super) listener: Box<dyn Fn(Event)>,
    pub(super) twins: Twins,
    /// Acquires that succeeded and still have votes to come, by value.
    stragglers: RefCell<HashMap<Token, Weak<Round>>>,
    /// Locks that are being kept, by value: in an order that is the same in
    /// every run of a simulation.
    pub(super) keeps: RefCell<BTreeMap<Token, Rc<Kept>>>,
    deadlines: Deadlines,
}

impl Core {
    pub(super) fn new(
        instances: Vec<Rc<dyn Instance>>,
        environment: Rc<dyn Environment>,
        listener: Box<dyn Fn(Event)>,
    ) -> Rc<Self> {
        let twins = Twins::new(&instances);
        let core = Rc::new(Self {
            instances: instances.into(),
            environment,
            listener,
            twins,
            stragglers: RefCell::default(),
            keeps: RefCell::default(),
            deadlines: Deadlines::default(),
        });
        for (index, instance) in core.instances.iter().enumerate() {
            let observer: Weak<dyn Observer> = Rc::<Self>::downgrade(&core);
            instance.observe(index, observer);
        }
        for (instance, twin) in core.twins.known() {
            (core.listener)(Event::Twins { instance, twin });
        }
        core.environment.spawn(keep_deadlines(Rc::downgrade(&core)));
        core
    }

    pub(super) async fn quiet(&self) {
        poll_fn(|context| self.deadlines.poll_quiet(context)).await;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.deadlines.rounds.borrow().is_empty()
    }

    /// The lock with this value is being released: what is granted for it from
    /// now on is to be released too.
    pub(super) fn let_go(&self, value: &Token) {
        let straggler = self.stragglers.borrow_mut().remove(value);
        if let Some(round) = straggler.and_then(|round| round.upgrade()) {
            round.state.borrow_mut().abandoned = true;
        }
        let kept = self.keeps.borrow_mut().remove(value);
        if let Some(kept) = kept {
            kept.release();
        }
    }

    /// This lock is kept no longer.
    pub(super) fn forget(&self, value: &Token, kept: &Rc<Kept>) {
        let mut keeps = self.keeps.borrow_mut();
        if keeps
            .get(value)
            .is_some_and(|known| Rc::ptr_eq(known, kept))
        {
            keeps.remove(value);
        }
    }

    fn quorum(&self, members: usize) -> usize {
        if Rule::Majority.is_kept() {
            majority(members)
        } else {
            1
        }
    }
}

impl Observer for Core {
    fn connection_changed(&self, instance: usize, state: &Connection) {
        if let Connection::Ready { keyspace } = state {
            self.twins.named(instance, keyspace.clone());
        }
        let state = state.clone();
        (self.listener)(Event::Connection { instance, state });
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
    Open,
    /// Votes as this other instance does, which is the same one.
    With(usize),
    /// Said that nothing was there, perhaps because one of the same name has
    /// just deleted it: counted when those have voted.
    Waiting(Vote),
    /// The deadline passed; what comes now is late.
    Missed(Cause),
    Cast(Vote),
}

impl Round {
    /// Puts `question` to every instance at once.
    pub(super) fn ask_all(core: &Rc<Core>, question: Question, sheet: Option<Sheet>) -> Rc<Self> {
        let everyone = 0..core.instances.len();
        Self::ask(core, question, everyone, sheet)
    }

    fn ask(
        core: &Rc<Core>,
        question: Question,
        whom: Range<usize>,
        sheet: Option<Sheet>,
    ) -> Rc<Self> {
        let members = whom.len();
        let mut votes = vec![Ballotpaper::NotAsked; core.instances.len()];
        for index in whom.clone() {
            let leader = core.twins.leader(index);
            votes[index] = if members > 1 && leader != index {
                Ballotpaper::With(leader)
            } else {
                Ballotpaper::Open
            };
        }
        let round = Rc::new(Self {
            question: Rc::new(question),
            asked: core.environment.now(),
            sheet: Cell::new(sheet),
            number: core.deadlines.next_number(),
            state: RefCell::new(State {
                tally: Tally::with_quorum(members, core.quorum(members)),
                votes: votes.into(),
                abandoned: false,
                every_vote: false,
                waker: None,
            }),
            core: Rc::clone(core),
        });
        core.deadlines.add(&round);
        for index in whom {
            let asked = !matches!(round.state.borrow().votes[index], Ballotpaper::With(_));
            if !asked {
                continue;
            }
            let ballot: Rc<dyn Ballot> = round.clone();
            core.instances[index].ask(&round.question, Reply::new(ballot, index));
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
    pub(super) fn abandon(&self) -> Option<Rc<Self>> {
        self.state.borrow_mut().abandoned = true;
        if !Rule::Cleanup.is_kept() {
            return None;
        }
        let now = self.core.environment.now();
        // A request and its release share one deadline. What is left of it may
        // be nothing, through no fault of the instances that answered in time:
        // they get a fresh span, and nobody waits for the others.
        let fresh = now.after(self.span().min(Duration::from_millis(100)));
        let question = self.release_by(self.question.deadline.max(fresh));
        Some(Self::ask_all(&self.core, question, None))
    }

    /// What takes back whatever this round may have set.
    fn release_by(&self, deadline: Instant) -> Question {
        Question {
            operation: Operation::Release { since: self.asked },
            resources: Arc::clone(&self.question.resources),
            value: self.question.value.clone(),
            deadline,
            report: self.question.report,
            scripts: self.question.scripts.clone(),
            twins: false,
        }
    }

    /// The attempt has succeeded; a release may come before its last votes.
    pub(super) fn succeed(self: &Rc<Self>) {
        if self.tally().pending() > 0 {
            let value = self.question.value.clone();
            let mut stragglers = self.core.stragglers.borrow_mut();
            stragglers.insert(value, Rc::downgrade(self));
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
                    (Ballotpaper::Open, _) => true,
                    (_, released) => matches!(released, Ballotpaper::Open),
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

    fn span(&self) -> Duration {
        self.question.deadline.since(self.asked)
    }

    fn key(&self) -> (Instant, u64) {
        (self.question.deadline, self.number)
    }

    /// Counts every instance that is still silent as failed.
    fn close(&self) {
        let waited = self.span();
        let mut silent = Vec::new();
        let mut state = self.state.borrow_mut();
        for index in 0..state.votes.len() {
            if matches!(state.votes[index], Ballotpaper::Open | Ballotpaper::With(_)) {
                let because = self.core.instances[index].trouble();
                let cause = Cause::Silent { waited, because };
                state.votes[index] = Ballotpaper::Missed(cause.clone());
                state.tally.count(&Vote::Failed(cause.clone()));
                silent.push((index, cause));
            }
        }
        self.count_waiting(&mut state);
        let waker = state.waker.take();
        drop(state);
        for (index, cause) in silent {
            self.report(index, &cause);
        }
        self.tell_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether a key that isn't there may have been deleted by this round.
    fn may_have_twins(&self) -> bool {
        matches!(self.question.operation, Operation::Release { .. })
            && self.core.twins.are_suspected()
    }

    /// Counts votes that waited for those of the same name: as theirs if one
    /// of them found something, as they are if none of them did.
    fn count_waiting(&self, state: &mut State) {
        for index in 0..state.votes.len() {
            let Ballotpaper::Waiting(vote) = &state.votes[index] else {
                continue;
            };
            let (vote, votes) = (vote.clone(), &state.votes);
            let mut others = (0..votes.len())
                .filter(|other| *other != index && self.core.twins.may_share(index, *other))
                .map(|other| &votes[other]);
            if others
                .clone()
                .any(|other| matches!(other, Ballotpaper::Cast(Vote::Granted)))
            {
                state.count(index, Vote::Granted);
            } else if !others.any(|other| matches!(other, Ballotpaper::Open)) {
                state.count(index, vote);
            }
        }
    }

    /// Once all have voted: who saw the value that only one of the same name
    /// can have set is that one's twin. Of another name it may be one too, or a
    /// client has sent its command twice: that is no proof.
    fn tell_twins(&self) {
        let twins = &self.core.twins;
        let (mut setters, mut owns) = (Vec::new(), Vec::new());
        for (index, vote) in self.state.borrow().votes.iter().enumerate() {
            match vote {
                Ballotpaper::Cast(Vote::Own) => owns.push(index),
                Ballotpaper::Cast(Vote::Held { .. }) => {}
                _ => setters.push(index),
            }
        }
        for own in owns {
            let possible = setters
                .iter()
                .filter(|setter| twins.may_be_same(own, **setter));
            let mut leaders: Vec<usize> = possible.map(|setter| twins.leader(*setter)).collect();
            leaders.sort_unstable();
            leaders.dedup();
            if let [setter] = leaders[..]
                && let Some((instance, twin)) = twins.proven(own, setter)
            {
                (self.core.listener)(Event::Twins { instance, twin });
            } else if leaders.is_empty() {
                let possible = setters
                    .iter()
                    .find(|setter| twins.could_be_same(own, **setter));
                if let Some(instance) = possible
                    && twins.echoed(own)
                {
                    (self.core.listener)(Event::Twins {
                        instance: *instance,
                        twin: own,
                    });
                }
            }
        }
    }

    /// All have voted, and none has seen the value before.
    fn tell_setters(&self) {
        for (index, vote) in self.state.borrow().votes.iter().enumerate() {
            if matches!(vote, Ballotpaper::Cast(Vote::Granted)) {
                self.core.twins.set_by_itself(index);
            }
        }
    }

    /// All votes are in.
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
        if !Rule::Cleanup.is_kept() {
            return;
        }
        let question = self.release_by(self.core.environment.now().after(self.span()));
        Self::ask(&self.core, question, index..index + 1, None);
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        if matches!(self.question.operation, Operation::Acquire { .. }) {
            let mut stragglers = self.core.stragglers.borrow_mut();
            stragglers.remove(&self.question.value);
        }
    }
}

impl Ballot for Round {
    fn cast(self: Rc<Self>, index: usize, vote: Vote) {
        let granted = matches!(vote, Vote::Granted | Vote::Own);
        let mut state = self.state.borrow_mut();
        let unwanted = state.abandoned && granted;
        let mut waker = None;
        let mut failed = None;
        let mut failures = Vec::new();
        if matches!(state.votes[index], Ballotpaper::Open) {
            if let Vote::Failed(cause) = &vote {
                failed = Some(cause.clone());
                failures.push(index);
            }
            for twin in 0..state.votes.len() {
                if matches!(state.votes[twin], Ballotpaper::With(leader) if leader == index) {
                    state.count(twin, vote.clone());
                    failures.push(twin);
                }
            }
            if matches!(vote, Vote::Held { .. }) && self.may_have_twins() {
                state.votes[index] = Ballotpaper::Waiting(vote);
            } else {
                state.count(index, vote);
            }
            self.count_waiting(&mut state);
            if state.every_vote || self.decided(&state.tally).is_some() {
                waker = state.waker.take();
            }
            if state.tally.pending() == 0 {
                self.core.deadlines.remove(&self);
            }
        }
        let complete = state.tally.pending() == 0;
        let own = |vote: &Ballotpaper| matches!(vote, Ballotpaper::Cast(Vote::Own));
        let asked_twice = complete && state.votes.iter().any(own);
        let acquires = matches!(self.question.operation, Operation::Acquire { .. });
        let set = complete && acquires && self.core.twins.are_suspected();
        drop(state);
        if complete {
            self.tell_all();
        }
        if asked_twice {
            self.tell_twins();
        } else if set {
            self.tell_setters();
        }
        if let Some(cause) = failed {
            for instance in failures {
                self.report(instance, &cause);
            }
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        if unwanted {
            self.take_back(index);
        }
    }
}

impl State {
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
            Self::NotAsked | Self::Open | Self::With(_) | Self::Waiting(_) => None,
            Self::Missed(cause) => Some(Vote::Failed(cause.clone())),
            Self::Cast(vote) => Some(vote.clone()),
        }
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

    fn remove(&self, round: &Round) {
        self.rounds.borrow_mut().remove(&round.key());
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
    Box::pin(poll_fn(move |context| {
        let Some(core) = core.upgrade() else {
            return Poll::Ready(());
        };
        let deadlines = &core.deadlines;
        loop {
            while let Some(round) = deadlines.pop_due(core.environment.now()) {
                // A defect that one round's votes bring out must not cost the
                // others their deadlines; the panic's own report says where.
                let _ = catch_unwind(AssertUnwindSafe(|| round.close()));
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
