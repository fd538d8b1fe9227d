//! The way to an instance through the caller's own Redis client: questions that
//! wait to be put to it, and those whose answer is awaited.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::event_loop::EventLoop;
use super::port::{Answer, Port, Ticket};
use crate::engine::{
    Cause, Environment, Instant, Meter, Operation, Question, Responder, RoundTrip, SafetyRule,
    Vote, within,
};
use crate::instances::acquire_queue::{Acquire, AcquireQueue};

/// Questions on their way through somebody else's connection.
///
/// The client's queue is its own: a question that its server does not answer
/// waits there and may be carried out long after its deadline. The engine
/// releases such late grants; here only their number is bounded.
pub struct Bridge {
    environment: Rc<dyn Environment>,
    port: Rc<dyn Port>,
    /// What was put to the client and is not answered, oldest first.
    unanswered: RefCell<BTreeMap<Ticket, Pending>>,
    /// The acquires in `unanswered` that somebody waited for when they were last
    /// counted.
    acquires: RefCell<BTreeSet<Ticket>>,
    /// When that was.
    counted: Cell<Instant>,
    /// Acquires that are not put to the client yet.
    queue: RefCell<AcquireQueue<Pending>>,
    /// How many bytes `unanswered` keeps.
    weight: Cell<usize>,
    next_ticket: Cell<Ticket>,
    /// From when JavaScript has put a question until the answer was there.
    meter: Cell<Meter>,
    /// From when on silence counts: when the client last came back with anything, had
    /// nothing to come back with, or was asked although it was silent.
    silent_from: Cell<Instant>,
    /// Whether it was silent for [`SILENT_AFTER`] and has not come back with
    /// anything since.
    is_silent: Cell<bool>,
    /// Nobody is there to be asked any more.
    is_closed: Cell<bool>,
    event_loop: EventLoop,
    /// Whether a task of ours calls the event loop.
    is_watched: Cell<bool>,
    /// Whether the event loop has not come round in time.
    is_busy: Cell<bool>,
    /// Itself, for the task that calls the event loop.
    myself: Weak<Self>,
}

/// A question whose answer somebody may wait for.
struct Pending {
    question: Rc<Question>,
    responder: Responder,
    /// Since when its answer is waited for: while JavaScript is busy it isn't.
    since: Instant,
}

impl Acquire for Pending {
    fn question(&self) -> &Question {
        &self.question
    }

    fn is_awaited(&self, now: Instant) -> bool {
        now < self.question.deadline && self.responder.is_awaited()
    }

    fn weight(&self) -> usize {
        self.question.weight()
    }

    fn into_responder(self) -> Responder {
        self.responder
    }
}

/// Beyond so many questions without an answer, a client that has said nothing
/// for [`SILENT_AFTER`] is asked one question in that time and no more; releases,
/// which make an end of what waits before them, have room of their own.
const MOST_QUESTIONS: usize = 1000;
const MOST_RELEASES: usize = 10 * MOST_QUESTIONS;
const SILENT_AFTER: Duration = Duration::from_millis(200);

/// The same before the client's first answer: it is being connected.
const SILENT_AT_FIRST_AFTER: Duration = Duration::from_secs(5);

/// Nor may what waits take more bytes than that.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// While an answer is waited for, the event loop is called as often as that; what it
/// is late by doesn't count against its client.
const CALL_EVERY: Duration = Duration::from_millis(25);
/// When an event loop that has not come round is busy.
const BUSY_AFTER: Duration = Duration::from_millis(10);

/// So many acquires are with the client at most that somebody still waits for: an
/// extension is not behind more of them in its queue (rule 22).
const MOST_ACQUIRES: usize = 200;
/// Where there are so many, how often it is looked whom nobody waits for any more:
/// with each question and answer it would cost more than all else.
const COUNT_EVERY: Duration = Duration::from_millis(1);

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
            unanswered: RefCell::default(),
            acquires: RefCell::default(),
            counted: Cell::new(now),
            queue: RefCell::default(),
            meter: Cell::default(),
            weight: Cell::new(0),
            next_ticket: Cell::new(Ticket(0)),
            silent_from: Cell::new(now),
            is_silent: Cell::new(false),
            is_closed: Cell::new(false),
            is_watched: Cell::new(false),
            is_busy: Cell::new(false),
            event_loop: EventLoop::default(),
            myself: Weak::clone(myself),
        })
    }

    /// Puts `question` to the client, or has it wait; a release withdraws the
    /// acquires that it would release and that are not put yet.
    pub fn ask(&self, question: &Rc<Question>, responder: Responder) {
        if self.is_closed.get() {
            return responder.fail(Cause::Closed);
        }
        if let Operation::Release { .. } = question.operation {
            let withdrawn = self.queue.borrow_mut().withdraw(question);
            for withdrawn in withdrawn {
                withdrawn.fail(Cause::Withdrawn);
            }
        }
        if self.overloaded(question) {
            let waiting = self.unanswered.borrow().len() + self.queue.borrow().len();
            return responder.fail(Cause::Overloaded { waiting });
        }
        let waiting = Pending {
            question: Rc::clone(question),
            responder,
            since: self.environment.now(),
        };
        if is_acquire(question) && SafetyRule::Order.is_kept() {
            self.queue.borrow_mut().push(waiting);
            self.put_acquires();
        } else {
            self.put(waiting);
        }
    }

    fn put(&self, waiting: Pending) {
        self.weight.set(self.weight.get() + waiting.weight());
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket.next());
        let question = Rc::clone(&waiting.question);
        if is_acquire(&question) {
            self.acquires.borrow_mut().insert(ticket);
        }
        if self.is_busy.get() {
            waiting.responder.postpone();
        }
        if self.unanswered.borrow().is_empty() {
            // It had nothing to come back with.
            self.silent_from.set(self.environment.now());
        }
        self.unanswered.borrow_mut().insert(ticket, waiting);
        self.port.carry(ticket, &question);
        if !self.is_watched.replace(true) {
            let watch = watch(Weak::clone(&self.myself), Rc::clone(&self.environment));
            self.environment.spawn(Box::pin(watch));
        }
    }

    /// Whether somebody waits for an answer of the client's.
    fn is_waited_for(&self) -> bool {
        let now = self.environment.now();
        let waiting = self.unanswered.borrow();
        waiting.values().any(|waiting| waiting.is_awaited(now))
    }

    /// JavaScript has come round after a call.
    pub fn came_round(&self) {
        self.event_loop.came_round();
    }

    /// The event loop is busy: nobody hears the client, so that its deadlines stand
    /// still.
    fn postpone(&self) {
        self.is_busy.set(true);
        for waiting in self.unanswered.borrow().values() {
            waiting.responder.postpone();
        }
    }

    /// The event loop has come round: what is not answered by now is measured from
    /// now on.
    fn go_on(&self) {
        self.is_busy.set(false);
        let now = self.environment.now();
        self.silent_from.set(now);
        for waiting in self.unanswered.borrow_mut().values_mut() {
            waiting.since = now;
            waiting.responder.begin();
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
            if self.queue.borrow().is_empty() || !self.has_room(now) {
                return;
            }
            let Some(next) = self.queue.borrow_mut().pop() else {
                return;
            };
            if next.is_awaited(now) {
                self.put(next);
            } else {
                next.responder.fail(Cause::Withdrawn);
            }
        }
    }

    /// Whether another acquire may be with the client. Those that nobody waits for
    /// any more keep nobody from being asked.
    fn has_room(&self, now: Instant) -> bool {
        let windows = self.meter.get().windows(WINDOW).min(MOST_WINDOWS);
        let most = MOST_ACQUIRES * windows;
        let mut acquires = self.acquires.borrow_mut();
        if acquires.len() >= most && now >= self.counted.get().after(COUNT_EVERY) {
            self.counted.set(now);
            let waiting = self.unanswered.borrow();
            acquires.retain(|ticket| {
                let waiting = waiting.get(ticket);
                waiting.is_some_and(|waiting| waiting.is_awaited(now))
            });
        }
        acquires.len() < most
    }

    /// Brings the client's answer. One that nobody waits for is ignored.
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        let now = self.environment.now();
        self.silent_from.set(now);
        self.is_silent.set(false);
        let waiting = self.unanswered.borrow_mut().remove(&ticket);
        let Some(Pending {
            question,
            responder,
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
        responder.vote(match answer {
            Answer::Applied(keys) => question.applied(keys),
            Answer::Seen(value, ttl) => Vote::Inspected { value, ttl },
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
        let mut queue = self.queue.take();
        let waiting = self.unanswered.take().into_values();
        for waiting in waiting.chain(std::iter::from_fn(|| queue.pop())) {
            waiting.responder.fail(Cause::Closed);
        }
    }

    /// Whether so much waits that this is refused. A client that has been silent
    /// for a moment is asked all the same, as it may be back; what has waited for
    /// it in vain is given up then.
    fn overloaded(&self, question: &Question) -> bool {
        let most = match question.operation {
            Operation::Release { .. } => MOST_RELEASES,
            // Releases must not keep an extension from being asked for.
            Operation::Extend { .. } => MOST_RELEASES + MOST_QUESTIONS,
            Operation::Acquire { .. } | Operation::Inspect => MOST_QUESTIONS,
        };
        let queue = self.queue.borrow();
        let is_heavy = self.weight.get() + queue.weight() + question.weight() > MOST_BYTES;
        let number = self.unanswered.borrow().len() + queue.len();
        drop(queue);
        if !SafetyRule::Bounded.is_kept() || (number < most && !is_heavy) {
            return false;
        }
        let now = self.environment.now();
        let usual = self.round_trip().map(RoundTrip::at_most);
        let hesitation = usual.map_or(SILENT_AT_FIRST_AFTER, |usual| usual.max(SILENT_AFTER));
        if self.is_busy.get() || now.since(self.silent_from.get()) <= hesitation {
            // It answers, if slowly: what it is asked now it will be asked in time.
            return self.is_silent.get() || is_heavy;
        }
        self.is_silent.set(true);
        self.silent_from.set(now);
        loop {
            let oldest = {
                let mut waiting = self.unanswered.borrow_mut();
                let oldest = waiting.first_entry();
                oldest
                    .filter(|oldest| !oldest.get().is_awaited(now))
                    .map(std::collections::btree_map::OccupiedEntry::remove)
            };
            match oldest {
                Some(oldest) => {
                    self.weight.set(self.weight.get() - oldest.weight());
                    oldest.responder.fail(Cause::Withdrawn);
                }
                None => return false,
            }
        }
    }
}

/// Calls the event loop for as long as somebody waits for an answer, to know
/// whether the answer would be heard.
async fn watch(bridge: Weak<Bridge>, environment: Rc<dyn Environment>) {
    loop {
        let next = environment.now().after(CALL_EVERY);
        environment.sleep_until(next).await;
        let Some(bridge) = bridge.upgrade() else {
            return;
        };
        // Nobody's question or answer may have come since there is room for them.
        bridge.put_acquires();
        // What still waits then, since it was counted just before, is put at the next look.
        let is_waited_for = bridge.is_waited_for() || !bridge.queue.borrow().is_empty();
        if bridge.is_closed.get() || !is_waited_for {
            bridge.is_watched.set(false);
            return;
        }
        let turn = bridge.event_loop.next_turn();
        bridge.port.call();
        let comes_round = bridge.event_loop.turn(turn);
        let in_time = within(environment.as_ref(), BUSY_AFTER, comes_round).await;
        if in_time.is_none() {
            bridge.postpone();
            bridge.event_loop.turn(turn).await;
            bridge.go_on();
        }
    }
}

fn is_acquire(question: &Question) -> bool {
    matches!(question.operation, Operation::Acquire { .. })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::engine::{Drift, System, Task, Token, Ttl};
    use crate::instances::redis::test_questions::Nobody;

    /// JavaScript, which comes round, and a client that never answers.
    #[derive(Default)]
    struct Silent {
        bridge: RefCell<Weak<Bridge>>,
        carried: RefCell<Vec<Rc<Question>>>,
    }

    impl Port for Silent {
        fn carry(&self, _: Ticket, question: &Rc<Question>) {
            self.carried.borrow_mut().push(Rc::clone(question));
        }

        fn call(&self) {
            if let Some(bridge) = self.bridge.borrow().upgrade() {
                bridge.came_round();
            }
        }
    }

    /// A clock that is set by hand, and what goes by it.
    struct ByHand {
        now: Rc<Cell<Instant>>,
        tasks: RefCell<Vec<Task>>,
    }

    impl ByHand {
        fn new() -> Rc<Self> {
            Rc::new(Self {
                now: Rc::new(Cell::new(System.now())),
                tasks: RefCell::default(),
            })
        }

        /// So much time passes, at whose end everybody has a turn.
        fn pass(&self, span: Duration) {
            self.now.set(self.now().after(span));
            let mut tasks = self.tasks.take();
            let mut context = Context::from_waker(Waker::noop());
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            self.tasks.borrow_mut().append(&mut tasks);
        }
    }

    impl Environment for ByHand {
        fn now(&self) -> Instant {
            self.now.get()
        }

        fn wall_clock(&self) -> Duration {
            self.now().since(Instant::ORIGIN)
        }

        fn sleep_until(&self, at: Instant) -> Task {
            let now = Rc::clone(&self.now);
            Box::pin(poll_fn(move |_| {
                if at <= now.get() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }))
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            System.fill_random(bytes);
        }

        fn spawn(&self, task: Task) {
            self.tasks.borrow_mut().push(task);
        }
    }

    /// A bridge to such a client, with as many acquires as may be with it.
    fn full(environment: Rc<dyn Environment>, deadline: Instant) -> (Rc<Bridge>, Rc<Silent>) {
        let port = Rc::new(Silent::default());
        let bridge = Bridge::new(environment, Rc::<Silent>::clone(&port));
        port.bridge.replace(Rc::downgrade(&bridge));
        for number in 0..MOST_ACQUIRES {
            ask(&bridge, &format!("early {number}"), deadline);
        }
        (bridge, port)
    }

    fn ask(bridge: &Bridge, value: &str, deadline: Instant) {
        let ttl = Ttl::new(60_000.0, Drift::default()).expect("long enough");
        let names = [Box::from("r")].into();
        let acquire = Question::acquire(ttl, names, Token::from(value), deadline);
        bridge.ask(&Rc::new(acquire), Responder::new(Rc::new(Nobody), 0));
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime")
            .block_on(test);
    }

    #[test]
    fn what_nobody_waits_for_any_more_makes_room_though_no_answer_comes() {
        run(async {
            let soon = System.now().after(Duration::from_millis(50));
            let (bridge, port) = full(Rc::new(System), soon);
            ask(&bridge, "late", Instant::LAST);
            assert_eq!(port.carried.borrow().len(), MOST_ACQUIRES);
            let is_put = || port.carried.borrow().len() > MOST_ACQUIRES;
            let patience = System.now().after(Duration::from_secs(20));
            while !is_put() && System.now() < patience {
                System.sleep_until(System.now().after(CALL_EVERY)).await;
            }
            assert!(is_put(), "it still waits");
            assert!(soon <= System.now(), "those before are waited for");
        });
    }

    #[test]
    fn who_has_come_just_before_nobody_waits_for_the_others_is_not_forgotten() {
        let time = ByHand::new();
        let half = COUNT_EVERY / 2;
        let (bridge, port) = full(Rc::<ByHand>::clone(&time), time.now().after(CALL_EVERY));
        // Its task begins to sleep.
        time.pass(Duration::ZERO);
        time.pass(CALL_EVERY.saturating_sub(half));
        ask(&bridge, "late", Instant::LAST);
        time.pass(half);
        assert_eq!(port.carried.borrow().len(), MOST_ACQUIRES);
        time.pass(CALL_EVERY);
        assert_eq!(port.carried.borrow().len(), MOST_ACQUIRES + 1);
    }
}
