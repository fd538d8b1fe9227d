//! That votes are told as they come, and counted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{
    AcquireOutcome, Cause, Context, Drift, Engine, Environment, Event, Instance, Instant, Question,
    Resources, Responder, Retry, Settings, Task, Token, Trace, Ttl, Vote,
};

/// A clock that is set by hand. Nothing runs by itself.
struct Clock(Cell<Instant>);

impl Environment for Clock {
    fn now(&self) -> Instant {
        self.0.get()
    }

    fn wall_clock(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep_until(&self, _: Instant) -> Task {
        Box::pin(std::future::pending())
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn spawn(&self, _: Task) {}
}

/// An instance that answers when it is told to.
#[derive(Default)]
struct Slow(RefCell<Vec<Responder>>);

impl Instance for Slow {
    fn ask(&self, _: &Rc<Question>, responder: Responder) {
        self.0.borrow_mut().push(responder);
    }
}

#[derive(Debug)]
struct Number(u32);

impl Context for Number {
    fn number(&self) -> u32 {
        self.0
    }
}

fn trace_of(number: u32) -> Arc<Trace> {
    Arc::new(Trace(Box::new(Number(number))))
}

/// Trace, operation, attempt, instance, in how many ms, and whether it was granted.
type Told = (u32, &'static str, u32, usize, u128, bool);

struct Bench {
    clock: Rc<Clock>,
    instances: Vec<Rc<Slow>>,
    engine: Engine,
    told: Rc<RefCell<Vec<Told>>>,
}

const START: Instant = Instant::from_nanos(1_000_000_000);

fn names() -> Resources {
    [Box::from("r")].into()
}

fn open() -> Bench {
    let clock = Rc::new(Clock(Cell::new(START)));
    let instances: Vec<Rc<Slow>> = (0..3).map(|_| Rc::default()).collect();
    let members = instances
        .iter()
        .map(|one| Rc::clone(one) as Rc<dyn Instance>);
    let told = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&told);
    let environment: Rc<dyn Environment> = Rc::<Clock>::clone(&clock);
    let listener = move |event| {
        if let Event::Vote {
            trace,
            operation,
            attempt,
            instance,
            vote,
            took,
            ..
        } = event
        {
            let is_grant = matches!(vote, Vote::Granted);
            let row = (
                trace.map_or(0, |trace| trace.0.number()),
                operation.name(),
                attempt,
                instance,
                took.as_millis(),
                is_grant,
            );
            heard.borrow_mut().push(row);
        }
    };
    let engine = Engine::new(
        members.collect(),
        environment,
        Rc::default(),
        Rc::default(),
        listener,
    );
    Bench {
        clock,
        instances,
        engine,
        told,
    }
}

impl Bench {
    fn lock(&self, trace: Option<u32>) {
        let ttl = Ttl::new(10_000.0, Drift::default()).expect("a ttl");
        let settings = Settings {
            retry: Retry::never(),
            trace: trace.map(trace_of),
            ..Settings::default()
        };
        let _ = self.engine.acquire_then(names(), ttl, settings, |_| {});
    }

    /// The first question of an instance is answered, so many ms after the start.
    fn answer(&self, instance: usize, millis: u64, vote: Vote) {
        self.clock.0.set(START.after(Duration::from_millis(millis)));
        let responder = self.instances[instance].0.borrow_mut().remove(0);
        responder.vote(vote);
    }
}

#[test]
fn each_vote_of_a_traced_request_is_told_with_its_time_stragglers_too() {
    let bench = open();
    bench.lock(Some(7));
    bench.answer(0, 3, Vote::Granted);
    bench.answer(2, 5, Vote::Granted);
    // It is decided, and the lock handed over.
    bench.answer(1, 9, Vote::Held { applied: 0 });
    let expected = [
        (7, "lock", 1, 0, 3, true),
        (7, "lock", 1, 2, 5, true),
        (7, "lock", 1, 1, 9, false),
    ];
    assert_eq!(*bench.told.borrow(), expected);
}

#[test]
fn others_are_told_only_while_all_are() {
    let bench = open();
    for (are_told, expected) in [(false, 0), (true, 3), (false, 3)] {
        bench.engine.tell_votes(are_told);
        bench.lock(None);
        (0..3).for_each(|instance| bench.answer(instance, 1, Vote::Granted));
        assert_eq!(bench.told.borrow().len(), expected);
    }
    assert!(bench.told.borrow().iter().all(|(trace, ..)| *trace == 0));
}

#[test]
fn a_trace_is_let_go_of_with_its_last_straggler_and_not_with_the_lock() {
    let bench = open();
    let trace = trace_of(1);
    let ttl = Ttl::new(10_000.0, Drift::default()).expect("a ttl");
    let settings = Settings {
        trace: Some(Arc::clone(&trace)),
        ..Settings::default()
    };
    let _ = bench.engine.acquire_then(names(), ttl, settings, |_| {});
    bench.answer(0, 1, Vote::Granted);
    bench.answer(1, 1, Vote::Granted);
    assert!(Arc::strong_count(&trace) > 1, "one is to come");
    bench.answer(2, 2, Vote::Granted);
    assert_eq!(bench.engine.stats().holds.held, 1);
    assert_eq!(Arc::strong_count(&trace), 1);
}

#[test]
fn votes_and_outcomes_are_counted() {
    let bench = open();
    bench.lock(None);
    assert_eq!(bench.engine.stats().waiting, 1);
    bench.answer(0, 3, Vote::Granted);
    bench.answer(1, 5, Vote::Granted);
    bench.answer(2, 8, Vote::Failed(Cause::Dropped));
    let stats = bench.engine.stats();
    assert_eq!(stats.waiting, 0);
    let granted = &stats.acquires[AcquireOutcome::Granted as usize];
    assert_eq!((granted.duration.sum, granted.attempts.sum), (5_000_000, 1));
    let votes = stats
        .members
        .iter()
        .map(|one| (one.granted, one.failed, one.duration.sum));
    let expected = [(1, 0, 3_000_000), (1, 0, 5_000_000), (0, 1, 0)];
    assert_eq!(votes.collect::<Vec<_>>(), expected);
    assert_eq!(stats.members[2].failures, [("DROPPED", 1)]);
    assert_eq!(stats.holds.held, 1);

    let now = bench.clock.0.get();
    bench.clock.0.set(now.after(Duration::from_millis(92)));
    let value = Token::random(&*bench.clock);
    let settings = Settings::default();
    bench
        .engine
        .release_then(names(), value, START, &settings, |_| {});
    let holds = bench.engine.stats().holds;
    assert_eq!((holds.held, holds.released.sum), (0, 100_000_000));
}

#[test]
fn an_instance_that_was_never_asked_has_not_failed() {
    let bench = open();
    bench.lock(None);
    bench.answer(0, 3, Vote::Granted);
    bench.answer(1, 5, Vote::Granted);
    bench.answer(2, 8, Vote::Failed(Cause::Withdrawn));
    let stats = bench.engine.stats();
    assert_eq!(
        (stats.members[2].failed, stats.members[2].failures.len()),
        (0, 0)
    );
}

#[test]
fn a_request_that_is_given_up_counts_as_that() {
    let bench = open();
    let ttl = Ttl::new(10_000.0, Drift::default()).expect("a ttl");
    for max_wait in [None, Some(Duration::from_secs(1))] {
        let settings = Settings {
            max_wait,
            ..Settings::default()
        };
        let request = bench.engine.acquire_then(names(), ttl, settings, |_| {});
        assert_eq!(bench.engine.stats().waiting, 1);
        request.give_up();
        assert_eq!(bench.engine.stats().waiting, 0);
    }
    let aborted = &bench.engine.stats().acquires[AcquireOutcome::Aborted as usize];
    assert_eq!(aborted.duration.counts.iter().sum::<u64>(), 2);
}
