//! The way to an instance through the caller's own Redis client: questions that
//! wait to be put to it, and those whose answer is awaited.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::port::{Answer, Port, Ticket};
use crate::engine::{
    Cause, Environment, Instant, Meter, Operation, Question, Reply, RoundTrip, Rule, Vote, within,
};

/// Questions on their way through somebody else's connection.
///
/// The client's queue is its own: a question that its server does not answer
/// waits there and may be carried out long after its deadline. The engine
/// releases such late grants; here only their number is bounded.
pub struct Bridge {
    environment: Rc<dyn Environment>,
    port: Rc<dyn Port>,
    waiting: RefCell<BTreeMap<Ticket, Waiting>>,
    /// The acquires among them that somebody waited for when they were last looked
    /// at.
    acquires: RefCell<BTreeSet<Ticket>>,
    /// Acquires that are not put to the client yet.
    queue: RefCell<VecDeque<Waiting>>,
    /// From when JavaScript has put a question until the answer was there.
    meter: Cell<Meter>,
    /// How many bytes that is.
    weight: Cell<usize>,
    next_ticket: Cell<Ticket>,
    /// When the client last came back with anything, had nothing to come back with, or
    /// was asked although it hadn't.
    hopeful: Cell<Instant>,
    /// It has not come back with anything since.
    is_silent: Cell<bool>,
    /// Nobody is there to be asked any more.
    is_closed: Cell<bool>,
    /// Whether somebody looks whether JavaScript is busy.
    is_watched: Cell<bool>,
    /// And whether it is.
    is_held_up: Cell<bool>,
    /// How often JavaScript has come round when it was called.
    rounds: Cell<u64>,
    watch: RefCell<Option<Waker>>,
    /// Itself, for who looks.
    myself: Weak<Self>,
}

struct Waiting {
    question: Rc<Question>,
    reply: Reply,
    /// Since when its answer is waited for: while JavaScript is busy it isn't.
    since: Instant,
}

impl Waiting {
    /// Whether somebody still waits for its answer.
    fn is_awaited(&self, now: Instant) -> bool {
        now < self.question.deadline && self.reply.is_awaited()
    }
}

/// Beyond so many questions without an answer, a client that has said nothing
/// for [`HESITATION`] is asked one question in that time and no more; releases,
/// which make an end of what waits before them, have room of their own.
const BACKLOG: usize = 1000;
const BACKLOG_OF_RELEASES: usize = 10 * BACKLOG;
const HESITATION: Duration = Duration::from_millis(200);

/// The same before its first answer: it is being connected.
const FIRST: Duration = Duration::from_secs(5);

/// While an answer is waited for, JavaScript is called as often as that; what it is
/// late by doesn't count against its client.
const CALL: Duration = Duration::from_millis(25);
/// For so long it need not come round.
const LATE: Duration = Duration::from_millis(10);

/// Nor may what waits take more bytes than that.
const WEIGHT: usize = 16 * 1024 * 1024;

/// So many acquires are with the client at most that somebody still waits for: an
/// extension is not behind more of them in its queue (rule 22).
const MOST_ACQUIRES: usize = 200;

/// How long a client takes for so many. One whose server is further away may have
/// several times as many.
const WINDOW: Duration = Duration::from_millis(10);
const MOST_WINDOWS: usize = 10;

impl Bridge {
    /// A bridge whose questions go out through `port`.
    #[must_use]
    pub fn new(environment: Rc<dyn Environment>, port: Rc<dyn Port>) -> Rc<Self> {
        let now = environment.now();
        Rc::new_cyclic(|myself| Self {
            environment,
            port,
            waiting: RefCell::default(),
            acquires: RefCell::default(),
            queue: RefCell::default(),
            meter: Cell::default(),
            weight: Cell::new(0),
            next_ticket: Cell::new(Ticket(0)),
            hopeful: Cell::new(now),
            is_silent: Cell::new(false),
            is_closed: Cell::new(false),
            is_watched: Cell::new(false),
            is_held_up: Cell::new(false),
            rounds: Cell::new(0),
            watch: RefCell::default(),
            myself: Weak::clone(myself),
        })
    }

    /// Puts `question` to the client, or has it wait; a release withdraws the
    /// acquires that it would release and that are not put yet.
    pub fn ask(&self, question: &Rc<Question>, reply: Reply) {
        if self.is_closed.get() {
            return reply.fail(Cause::Closed);
        }
        for withdrawn in self.withdraw(question) {
            withdrawn.fail(Cause::Withdrawn);
        }
        if self.overloaded(question) {
            let waiting = self.waiting.borrow().len() + self.queue.borrow().len();
            return reply.fail(Cause::Overloaded { waiting });
        }
        self.weight.set(self.weight.get() + question.weight());
        let waiting = Waiting {
            question: Rc::clone(question),
            reply,
            since: self.environment.now(),
        };
        if is_acquire(question) && Rule::Order.is_kept() {
            self.queue.borrow_mut().push_back(waiting);
            self.put_acquires();
        } else {
            self.put(waiting);
        }
    }

    fn put(&self, waiting: Waiting) {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket.next());
        let question = Rc::clone(&waiting.question);
        if is_acquire(&question) {
            self.acquires.borrow_mut().insert(ticket);
        }
        if self.is_held_up.get() {
            waiting.reply.hold_up();
        }
        if self.waiting.borrow().is_empty() {
            // It had nothing to come back with.
            self.hopeful.set(self.environment.now());
        }
        self.waiting.borrow_mut().insert(ticket, waiting);
        self.port.carry(ticket, &question);
        if !self.is_watched.replace(true) {
            let watch = watch(Weak::clone(&self.myself), Rc::clone(&self.environment));
            self.environment.spawn(Box::pin(watch));
        }
    }

    /// Whether somebody waits for an answer of the client's.
    fn is_waited_for(&self) -> bool {
        let now = self.environment.now();
        let waiting = self.waiting.borrow();
        waiting.values().any(|waiting| waiting.is_awaited(now))
    }

    /// JavaScript has come round after a call.
    pub fn came_round(&self) {
        self.rounds.set(self.rounds.get() + 1);
        if let Some(watch) = self.watch.take() {
            watch.wake();
        }
    }

    /// Resolves once JavaScript has come round so often, or never will.
    async fn round(&self, number: u64) {
        poll_fn(|context| {
            if self.rounds.get() >= number || self.is_closed.get() {
                return Poll::Ready(());
            }
            *self.watch.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// JavaScript is busy: nobody hears the client.
    fn hold_up(&self) {
        self.is_held_up.set(true);
        for waiting in self.waiting.borrow().values() {
            waiting.reply.hold_up();
        }
    }

    /// It has come round: who has not answered by now is asked from now on.
    fn go_on(&self) {
        self.is_held_up.set(false);
        let now = self.environment.now();
        self.hopeful.set(now);
        for waiting in self.waiting.borrow_mut().values_mut() {
            waiting.since = now;
            waiting.reply.begin();
        }
    }

    /// How long the client takes for an answer; `None` before the first.
    #[must_use]
    pub fn round_trip(&self) -> Option<RoundTrip> {
        self.meter.get().known()
    }

    /// Puts as many of the acquires that wait as may be with the client.
    fn put_acquires(&self) {
        let now = self.environment.now();
        loop {
            if !self.has_room() {
                return;
            }
            let Some(next) = self.queue.borrow_mut().pop_front() else {
                return;
            };
            if next.is_awaited(now) {
                self.put(next);
            } else {
                self.forget(next);
            }
        }
    }

    /// Whether another acquire may be with the client. Those that nobody waits for
    /// any more keep nobody from being asked.
    fn has_room(&self) -> bool {
        let windows = self.meter.get().windows(WINDOW).min(MOST_WINDOWS);
        let most = MOST_ACQUIRES * windows;
        let mut acquires = self.acquires.borrow_mut();
        if acquires.len() >= most {
            let now = self.environment.now();
            let waiting = self.waiting.borrow();
            acquires.retain(|ticket| {
                let waiting = waiting.get(ticket);
                waiting.is_some_and(|waiting| waiting.is_awaited(now))
            });
        }
        acquires.len() < most
    }

    fn withdraw(&self, release: &Question) -> Vec<Reply> {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() || !matches!(release.operation, Operation::Release { .. }) {
            return Vec::new();
        }
        let mut withdrawn = Vec::new();
        for _ in 0..queue.len() {
            let Some(acquire) = queue.pop_front() else {
                break;
            };
            let question = &acquire.question;
            if question.value == release.value && question.shares_a_resource(release) {
                self.weight
                    .set(self.weight.get() - acquire.question.weight());
                withdrawn.push(acquire.reply);
            } else {
                queue.push_back(acquire);
            }
        }
        withdrawn
    }

    /// Nobody waits for its answer any more.
    fn forget(&self, waiting: Waiting) {
        self.weight
            .set(self.weight.get() - waiting.question.weight());
        waiting.reply.fail(Cause::Withdrawn);
    }

    /// Brings the client's answer. One that nobody waits for is ignored.
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        let now = self.environment.now();
        self.hopeful.set(now);
        self.is_silent.set(false);
        let waiting = self.waiting.borrow_mut().remove(&ticket);
        let Some(Waiting {
            question,
            reply,
            since,
        }) = waiting
        else {
            return;
        };
        let mut meter = self.meter.get();
        meter.measure(since, now);
        self.meter.set(meter);
        self.weight.set(self.weight.get() - question.weight());
        self.acquires.borrow_mut().remove(&ticket);
        reply.vote(match answer {
            Answer::Applied(keys) => question.applied(keys),
            Answer::Seen(value, ttl) => Vote::Seen { value, ttl },
            Answer::Failed(cause) => Vote::Failed(cause),
        });
        self.put_acquires();
    }

    /// Nobody will bring an answer any more.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.came_round();
        self.weight.set(0);
        self.acquires.take();
        let waiting = self.waiting.take().into_values();
        for waiting in waiting.chain(self.queue.take()) {
            waiting.reply.fail(Cause::Closed);
        }
    }

    /// Whether so much waits that this is refused. A client that has been silent
    /// for a moment is asked all the same, as it may be back; what has waited for
    /// it in vain is given up then.
    fn overloaded(&self, question: &Question) -> bool {
        let most = match question.operation {
            Operation::Release { .. } => BACKLOG_OF_RELEASES,
            // Releases must not keep an extension from being asked for.
            Operation::Extend { .. } => BACKLOG_OF_RELEASES + BACKLOG,
            Operation::Acquire { .. } | Operation::Inspect => BACKLOG,
        };
        let is_heavy = self.weight.get() + question.weight() > WEIGHT;
        let number = self.waiting.borrow().len() + self.queue.borrow().len();
        if !Rule::Bounded.is_kept() || (number < most && !is_heavy) {
            return false;
        }
        let now = self.environment.now();
        let usual = self.round_trip().map(RoundTrip::at_most);
        let hesitation = usual.map_or(FIRST, |usual| usual.max(HESITATION));
        if self.is_held_up.get() || now.since(self.hopeful.get()) <= hesitation {
            // It answers, if slowly: what it is asked now it will be asked in time.
            return self.is_silent.get() || is_heavy;
        }
        self.is_silent.set(true);
        self.hopeful.set(now);
        loop {
            let oldest = {
                let mut waiting = self.waiting.borrow_mut();
                let oldest = waiting.first_entry();
                oldest
                    .filter(|oldest| !oldest.get().is_awaited(now))
                    .map(std::collections::btree_map::OccupiedEntry::remove)
            };
            match oldest {
                Some(oldest) => self.forget(oldest),
                None => return false,
            }
        }
    }
}

/// Looks, for as long as somebody waits for an answer, whether JavaScript would hear
/// it: a client whose thread does something else is not silent.
async fn watch(bridge: Weak<Bridge>, environment: Rc<dyn Environment>) {
    loop {
        environment.sleep_until(environment.now().after(CALL)).await;
        let Some(bridge) = bridge.upgrade() else {
            return;
        };
        if bridge.is_closed.get() || !bridge.is_waited_for() {
            bridge.is_watched.set(false);
            return;
        }
        let next = bridge.rounds.get() + 1;
        bridge.port.call();
        if within(environment.as_ref(), LATE, bridge.round(next))
            .await
            .is_none()
        {
            bridge.hold_up();
            bridge.round(next).await;
            bridge.go_on();
        }
    }
}

fn is_acquire(question: &Question) -> bool {
    matches!(question.operation, Operation::Acquire { .. })
}
