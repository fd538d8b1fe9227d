//! What must hold, judged in true time by somebody who sees everything.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redlock_native::engine::{
    Environment as _, Failure, Instant, Operation, Question, Reason, Resources, SharedValidity,
    Ticket, Token, Ttl, Validity, Vote, majority,
};

use crate::counts::{Counts, bump};
use crate::member::{Lock, RequestSpec};
use crate::process::Process;
use crate::server::Server;
use crate::vote_reports::VoteReports;
use crate::watched_lock::WatchedLock;
use crate::world::{Moment, World};

pub struct Checker {
    world: Rc<World>,
    servers: Vec<Rc<Server>>,
    beliefs: RefCell<Vec<Belief>>,
    /// Locks that are or were kept.
    watched_locks: RefCell<Vec<Rc<WatchedLock>>>,
    pub vote_reports: VoteReports,
    requests: RefCell<Vec<Rc<Request>>>,
    attempts: RefCell<BTreeMap<Id, Attempt>>,
    /// Values and servers between which nothing is under way any more.
    drained: RefCell<Vec<(Id, usize)>>,
    /// Whether the engine keeps every rule.
    strict: bool,
    pub counts: Counts,
}

/// A value, and what it is on: one's own value may be on several things.
type Id = (Token, Resources);

/// Somebody holds a lock and may act on it.
struct Belief {
    process: Process,
    resources: Resources,
    value: Token,
    until: Moment,
}

/// A request of a client's to the engine, from the call to its settling.
pub struct Request {
    number: u64,
    process: Process,
    resources: Resources,
    what: What,
    since: Moment,
    paused_before: Duration,
    /// How long it may take, but for the pauses of its process.
    bound: Duration,
    /// The values of its attempts so far.
    values: RefCell<Vec<Token>>,
    /// It waits behind who came so much earlier.
    in_order_after: Cell<Option<Duration>>,
    /// By which it waits, if by any, and who has come before it.
    ticket: RefCell<Option<Arc<Ticket>>>,
    earlier: RefCell<Vec<Rc<Request>>>,
}

impl Request {
    /// Whether it waits by an earlier ticket than that.
    fn is_before(&self, ticket: &Ticket) -> bool {
        let mine = self.ticket.borrow();
        mine.as_ref()
            .is_some_and(|mine| mine.text() < ticket.text())
    }
}

impl Request {
    /// It lines up: who came so much earlier has asked by the time it comes.
    pub fn lines_up(&self, margin: Duration) {
        self.in_order_after.set(Some(margin));
    }
}

/// What is requested.
#[derive(Clone, Debug)]
pub enum What {
    Acquire(Ttl),
    Extend(Ttl, Instant),
    /// A lock that is kept: until then, and that may change meanwhile.
    ExtendKept(Ttl, SharedValidity),
    Release,
}

/// One value, that is one attempt to acquire (unless that rule is taken out).
struct Attempt {
    process: Process,
    /// Whose it is: of the last one that had this value.
    request: u64,
    since: Moment,
    failed: bool,
    /// Its value was or may be taken again for one of its resources, so that
    /// nothing more of it is deleted: it ends by itself.
    superseded: bool,
    /// Messages, requests unanswered and releases owed, by server.
    under_way: Vec<u32>,
}

/// Something to do with a value that is on its way to or from a server.
pub struct InFlight {
    checker: Rc<Checker>,
    id: Id,
    server: usize,
}

impl Checker {
    pub fn new(world: &Rc<World>, servers: &[Rc<Server>], strict: bool) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            servers: servers.to_vec(),
            beliefs: RefCell::default(),
            watched_locks: RefCell::default(),
            vote_reports: VoteReports::default(),
            requests: RefCell::default(),
            attempts: RefCell::default(),
            drained: RefCell::default(),
            strict,
            counts: Counts::default(),
        })
    }

    pub fn begin(
        &self,
        process: &Process,
        resources: &Resources,
        what: What,
        bound: Duration,
    ) -> Rc<Request> {
        self.world
            .note(format_args!("p{}: {what:?} {resources:?}", process.index()));
        let request = Rc::new(Request {
            number: self.world.number(),
            process: process.clone(),
            resources: Resources::clone(resources),
            what,
            since: self.world.now(),
            paused_before: process.paused(),
            bound,
            values: RefCell::default(),
            in_order_after: Cell::default(),
            ticket: RefCell::default(),
            earlier: RefCell::default(),
        });
        self.requests.borrow_mut().push(Rc::clone(&request));
        request
    }

    /// A request is no longer waited for: it has settled or was cancelled.
    /// Acquires that brought no lock must leave nothing behind.
    pub fn settled(&self, request: &Rc<Request>, how: &str, granted: Option<&Token>) {
        self.world
            .note(format_args!("p{}: {how}", request.process.index()));
        self.requests
            .borrow_mut()
            .retain(|open| !Rc::ptr_eq(open, request));
        self.check_bound(request);
        if granted.is_some() {
            self.check_order(request);
            self.check_turn(request);
        }
        self.fail_attempts(request, granted);
    }

    /// This one waits by that ticket. Whoever has an earlier one, and waits on a majority
    /// already, is to be granted before it.
    pub fn waits_by(&self, request: &Rc<Request>, ticket: &Arc<Ticket>, is_straight: bool) {
        if !is_straight {
            return;
        }
        let requests = self.requests.borrow();
        let earlier = requests.iter().filter(|other| {
            other.resources == request.resources
                && other.is_before(ticket)
                && self.waits_on_majority_since(other, self.world.now())
        });
        request.earlier.replace(earlier.cloned().collect());
        request.ticket.replace(Some(Arc::clone(ticket)));
    }

    /// Whether it has been waiting on a majority of the servers, the same ones since then.
    fn waits_on_majority_since(&self, request: &Request, since: Moment) -> bool {
        let ticket = request.ticket.borrow();
        let waits = |server: &&Rc<Server>| {
            let waiter = ticket.as_ref().map(|ticket| ticket.waiter());
            let from = waiter.and_then(|waiter| server.waits_since(waiter));
            from.is_some_and(|from| from <= since)
        };
        self.servers.iter().filter(waits).count() >= majority(self.servers.len())
    }

    /// Nobody waits any more who came before this one, unless some server has lost sight of it.
    fn check_turn(&self, granted: &Request) {
        let requests = self.requests.borrow();
        let earlier = granted.earlier.take();
        let is_open = |one: &&Rc<Request>| requests.iter().any(|open| Rc::ptr_eq(open, one));
        let passed = earlier
            .iter()
            .filter(is_open)
            .find(|one| self.waits_on_majority_since(one, granted.since));
        if !earlier.is_empty() {
            bump(&self.counts.in_turn);
        }
        if let Some(passed) = passed {
            self.world.blame(format_args!(
                "p{}: {:?} is granted before one that waited already, for {:?}",
                granted.process.index(),
                granted.resources,
                self.world.now().since(passed.since),
            ));
        }
    }

    fn check_bound(&self, request: &Request) {
        let paused = request
            .process
            .paused()
            .saturating_sub(request.paused_before);
        let took = self.world.now().since(request.since).saturating_sub(paused);
        if took > request.bound {
            self.world.blame(format_args!(
                "p{}: {:?} takes {took:?} (without pauses), not {:?} at most",
                request.process.index(),
                request.what,
                request.bound,
            ));
        }
    }

    /// Who lines up for a resource without an end is granted it before all of its process that
    /// came later.
    fn check_order(&self, granted: &Request) {
        let Some(margin) = granted.in_order_after.get() else {
            return;
        };
        let requests = self.requests.borrow();
        let before = requests.iter().find(|other| {
            other.in_order_after.get().is_some()
                && other.process.index() == granted.process.index()
                && other.resources == granted.resources
                && granted.since.since(other.since) > margin
        });
        bump(&self.counts.in_order);
        if let Some(before) = before {
            self.world.blame(format_args!(
                "p{}: {:?} is granted to who came {:?} after one that waits",
                granted.process.index(),
                granted.resources,
                granted.since.since(before.since),
            ));
        }
    }

    fn fail_attempts(&self, request: &Request, but: Option<&Token>) {
        let mut drained = self.drained.borrow_mut();
        let mut attempts = self.attempts.borrow_mut();
        for value in request.values.take() {
            if Some(&value) != but {
                let id = (value, Resources::clone(&request.resources));
                let attempt = attempts.get_mut(&id).expect("noted when it was asked");
                if attempt.request != request.number {
                    continue;
                }
                attempt.failed = true;
                drained.extend((0..self.servers.len()).map(|server| (id.clone(), server)));
            }
        }
    }

    /// The request that has asked for this value last.
    pub fn acquire_of(&self, resources: &Resources, value: &Token) -> Option<u64> {
        let id = (value.clone(), Resources::clone(resources));
        let attempts = self.attempts.borrow();
        attempts.get(&id).map(|attempt| attempt.request)
    }

    /// The lock that this request brought was released: nobody wants its keys any
    /// more.
    pub fn released(&self, resources: &Resources, value: &Token, acquire: Option<u64>) {
        let id = (value.clone(), Resources::clone(resources));
        let mut attempts = self.attempts.borrow_mut();
        let attempt = attempts.get_mut(&id);
        if let Some(attempt) = attempt.filter(|attempt| Some(attempt.request) == acquire) {
            attempt.failed = true;
            let mut drained = self.drained.borrow_mut();
            drained.extend((0..self.servers.len()).map(|server| (id.clone(), server)));
        }
    }

    /// A release is not sent any more, since its value may be given again: the key
    /// ends with its ttl.
    pub fn ends_by_itself(&self, release: &Question) {
        let id = (release.value.clone(), Resources::clone(&release.resources));
        if let Some(attempt) = self.attempts.borrow_mut().get_mut(&id) {
            attempt.superseded = true;
        }
    }

    /// The engine puts a question to an instance.
    pub fn asked(
        self: &Rc<Self>,
        process: &Process,
        server: usize,
        question: &Question,
    ) -> InFlight {
        let requests = self.requests.borrow();
        let request = requests
            .iter()
            .find(|open| Arc::ptr_eq(&open.resources, &question.resources));
        self.check_question(process, question, request.map(|request| &request.what));
        let is_new = |request: &&Rc<Request>| !request.values.borrow().contains(&question.value);
        if let (Operation::Acquire { .. }, Some(request)) =
            (question.operation, request.filter(is_new))
        {
            let mut attempts = self.attempts.borrow_mut();
            let comes_again = question.value.text().contains('\'');
            for ((value, resources), other) in attempts.iter_mut().filter(|_| comes_again) {
                let shares = || {
                    question
                        .resources
                        .iter()
                        .any(|name| resources.contains(name))
                };
                other.superseded |= *value == question.value && shares();
            }
            let attempt = attempts
                .entry((
                    question.value.clone(),
                    Resources::clone(&question.resources),
                ))
                .or_insert_with(|| Attempt::new(process, self.servers.len()));
            // One's own value may come again.
            attempt.request = request.number;
            attempt.since = request.since;
            attempt.failed = false;
            attempt.superseded = false;
            drop(attempts);
            // A new attempt means that the one before has failed.
            self.fail_attempts(request, None);
            request.values.borrow_mut().push(question.value.clone());
        }
        let id = (
            question.value.clone(),
            Resources::clone(&question.resources),
        );
        InFlight::new(self, &id, server)
    }

    /// Keys get a life only as long as a client asked for, and only while it
    /// asks; an extension, only inside the validity (safety rule 9).
    fn check_question(&self, process: &Process, question: &Question, request: Option<&What>) {
        let legitimate = match (question.operation, request) {
            (Operation::Acquire { ttl }, Some(What::Acquire(asked))) => ttl == *asked,
            (Operation::Extend { ttl }, Some(What::Extend(asked, until))) => {
                ttl == *asked && process.now() < *until
            }
            (Operation::Extend { ttl }, Some(What::ExtendKept(asked, watch))) => {
                // A shorter life may be granted from now on.
                let longest = process.now().after(ttl.span());
                ttl == *asked && process.now() < watch.until() && watch.until() <= longest
            }
            (Operation::Extend { ttl }, None) => self.watched_locks().iter().any(|watched| {
                Arc::ptr_eq(&watched.resources, &question.resources) && watched.may_extend(ttl)
            }),
            (Operation::Release { .. } | Operation::Inspect, _) => true,
            _ => false,
        };
        if !legitimate {
            self.world.blame(format_args!(
                "p{} sends what nobody asked for: {question:?}",
                process.index()
            ));
        }
    }

    /// A client was handed a lock. It believes in it from this moment, were it
    /// for this moment only.
    pub fn granted(&self, process: &Process, lock: &Lock) {
        bump(&self.counts.granted);
        self.expect(
            process.now() < lock.until,
            format_args!("p{} is handed a lock that is over", process.index()),
        );
        self.expect_no_other_of(process, lock);
        self.believe(process, &lock.resources, &lock.value, lock.until);
    }

    /// A client was told that it won't have a lock, which it would wait for till
    /// `limit`: it waited no less if that is why. That it waited no longer is a
    /// matter of the request's bound.
    pub fn refused(&self, process: &Process, failure: &Failure, limit: Option<Instant>) {
        let early = limit.is_none_or(|limit| process.now() < limit);
        self.expect(
            !early || failure.reason != Reason::TimedOut,
            format_args!("p{} is told too early: {failure}", process.index()),
        );
    }

    /// A client was told that its lock, good until `before` so far, is good
    /// until a new point (safety rule 9: inside its validity, and the new one).
    pub fn extended(&self, process: &Process, lock: &Lock, before: Instant, spec: &RequestSpec) {
        let now = process.now();
        self.expect(
            now < before && now < lock.until,
            format_args!(
                "p{} is told too late that its lock is extended",
                process.index()
            ),
        );
        let longest = Validity::starting(now, spec.ttl, spec.settings.drift);
        self.expect(
            lock.until <= longest.until,
            format_args!(
                "p{} gets a longer extension than it asked for",
                process.index()
            ),
        );
        self.disbelieve(&lock.resources, &lock.value);
        self.believe(process, &lock.resources, &lock.value, lock.until);
    }

    /// A client was told that its lock, asked to live as long as `asked`, was
    /// not extended. It is good until the earlier of the ends that it had and
    /// was to have; not at all if a majority says so (safety rule 9).
    pub fn not_extended(&self, process: &Process, lock: &Lock, asked: Validity, failure: &Failure) {
        let held = |vote: &&Option<Vote>| matches!(vote, Some(Vote::Held { .. }));
        let gone = failure.votes.iter().filter(held).count() >= majority(failure.votes.len());
        let earlier = lock.until.min(asked.until);
        let end = (!gone && process.now() < earlier).then_some(earlier);
        self.expect(
            failure.until == end,
            format_args!(
                "p{}: {failure}, until {:?}, not {end:?}",
                process.index(),
                failure.until
            ),
        );
        self.disbelieve(&lock.resources, &lock.value);
        if let Some(until) = failure.until {
            self.believe(process, &lock.resources, &lock.value, until);
        }
    }

    /// Blames an engine that keeps every rule. One that lacks a rule is to be
    /// convicted of the harm it does.
    pub fn expect(&self, kept: bool, broken: fmt::Arguments<'_>) {
        if self.strict && !kept {
            self.world.blame(broken);
        }
    }

    fn believe(&self, process: &Process, resources: &Resources, value: &Token, until: Instant) {
        let now = self.world.now();
        let moment = now.after(Duration::from_nanos(1));
        self.expect_alone(process, resources, value);
        self.beliefs.borrow_mut().push(Belief {
            process: process.clone(),
            resources: Resources::clone(resources),
            value: value.clone(),
            until: process.reaches(until).max(moment),
        });
    }

    /// The same value is not held twice: only values of callers' own come again.
    fn expect_no_other_of(&self, process: &Process, lock: &Lock) {
        let now = self.world.now();
        let shares =
            |resources: &Resources| lock.resources.iter().any(|name| resources.contains(name));
        let beliefs = self.beliefs.borrow();
        let plain = beliefs
            .iter()
            .any(|held| now < held.until && held.value == lock.value && shares(&held.resources));
        let watched_locks = self.watched_locks.borrow();
        let kept = watched_locks
            .iter()
            .any(|held| held.is_believed() && held.value == lock.value && shares(&held.resources));
        if plain || kept {
            self.world.blame(format_args!(
                "two holders with one value: p{} with {:.6}",
                process.index(),
                &*lock.value.text()
            ));
        }
    }

    /// Nobody else believes in a lock on any of this.
    pub fn expect_alone(&self, process: &Process, resources: &Resources, value: &Token) {
        let now = self.world.now();
        let mut beliefs = self.beliefs.borrow_mut();
        beliefs.retain(|other| now < other.until);
        let plain = beliefs.iter().map(|other| {
            let span = other.until.since(now);
            (&other.process, &other.resources, &other.value, span)
        });
        let watched_locks = self.watched_locks.borrow();
        let kept = watched_locks
            .iter()
            .filter(|other| other.is_believed())
            .map(|other| {
                let span = other.process.reaches(other.watch.until()).since(now);
                (&other.process, &other.resources, &other.value, span)
            });
        for (holder, held, theirs, span) in plain.chain(kept) {
            let shared = resources.iter().find(|name| held.contains(name));
            if let (Some(shared), true) = (shared, theirs != value) {
                self.world.blame(format_args!(
                    "two holders of {shared}: p{} with {:.6} and, for {span:?} more, p{} with {:.6}",
                    process.index(),
                    &*value.text(),
                    holder.index(),
                    &*theirs.text(),
                ));
            }
        }
    }

    /// A lock that was kept is believed in as others are.
    pub fn go_on_believing(&self, process: &Process, lock: &Lock) {
        if process.now() < lock.until {
            self.believe(process, &lock.resources, &lock.value, lock.until);
        }
    }

    pub fn world(&self) -> &Rc<World> {
        &self.world
    }

    pub fn watched_locks(&self) -> RefMut<'_, Vec<Rc<WatchedLock>>> {
        self.watched_locks.borrow_mut()
    }

    /// A client gave its lock back, or gave it up.
    pub fn disbelieve(&self, resources: &Resources, value: &Token) {
        self.beliefs
            .borrow_mut()
            .retain(|belief| belief.value != *value || belief.resources != *resources);
    }

    /// A process has died, and all that was in it.
    pub fn died(&self, process: &Process) {
        let dead = |other: &Process| other.index() == process.index();
        self.beliefs
            .borrow_mut()
            .retain(|belief| !dead(&belief.process));
        self.requests
            .borrow_mut()
            .retain(|request| !dead(&request.process));
    }

    /// To be called between two happenings: a failed attempt that nothing is
    /// under way for any more must have left nothing behind.
    pub fn look(&self) {
        self.watch_over_all();
        if self.drained.borrow().is_empty() {
            return;
        }
        let attempts = self.attempts.borrow();
        for (id, index) in self.drained.take() {
            let Some(attempt) = attempts.get(&id) else {
                continue;
            };
            let over = attempt.failed && !attempt.superseded;
            if !over || attempt.under_way[index] > 0 || !attempt.process.is_alive() {
                continue;
            }
            // One leftover is nobody's fault: the acquire that a broken
            // connection delivered behind the release, without its reply.
            let server = &self.servers[index];
            if server.keeps(&id.0, &id.1, attempt.since, false) {
                self.world.blame(format_args!(
                    "a failed attempt or a released lock of p{} left its key on s{index}: {:.6}",
                    attempt.process.index(),
                    &*id.0.text(),
                ));
            } else if server.keeps(&id.0, &id.1, attempt.since, true) {
                bump(&self.counts.overtaken);
            }
        }
    }

    /// Whether nothing is under way between clients and servers.
    pub fn is_at_rest(&self) -> bool {
        let attempts = self.attempts.borrow();
        attempts
            .values()
            .all(|attempt| attempt.under_way.iter().all(|count| *count == 0))
    }

    /// To be called when nothing is left to happen.
    pub fn expect_settled(&self) {
        self.expect_told();
        self.vote_reports.expect_all(self);
        for request in self.requests.borrow().iter() {
            self.world.blame(format_args!(
                "p{}: {:?} never settled",
                request.process.index(),
                request.what
            ));
        }
    }

    /// To be called when the longest ttl has passed since anything happened.
    pub fn expect_empty(&self) {
        for server in &self.servers {
            if !server.is_empty() {
                self.world
                    .blame(format_args!("s{}: a key outlives every ttl", server.index));
            }
        }
    }
}

impl Attempt {
    fn new(process: &Process, servers: usize) -> Self {
        Self {
            process: process.clone(),
            request: 0,
            since: Moment::default(),
            failed: false,
            superseded: false,
            under_way: vec![0; servers],
        }
    }
}

impl InFlight {
    fn new(checker: &Rc<Checker>, id: &Id, server: usize) -> Self {
        if let Some(attempt) = checker.attempts.borrow_mut().get_mut(id) {
            attempt.under_way[server] += 1;
        }
        Self {
            checker: Rc::clone(checker),
            id: id.clone(),
            server,
        }
    }
}

impl Clone for InFlight {
    fn clone(&self) -> Self {
        Self::new(&self.checker, &self.id, self.server)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(attempt) = self.checker.attempts.borrow_mut().get_mut(&self.id) {
            let under_way = &mut attempt.under_way[self.server];
            *under_way -= 1;
            if *under_way == 0 && attempt.failed {
                self.checker
                    .drained
                    .borrow_mut()
                    .push((self.id.clone(), self.server));
            }
        }
    }
}
