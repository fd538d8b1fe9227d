//! Edge cases of watching a lock, on virtual time. The simulation has the rest.

mod early_loss;
mod endangered;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::engine::deadline_bounds::Limits;
use crate::engine::{
    Cause, DeadlineBounds, Drift, Engine, Environment, Event, Extension, Failure, Instance,
    Instant, Loss, Operation, Question, Reason, Renewal, Resources, Responder, Retry, Settings,
    SharedValidity, Task, Token, Ttl, Vote, WatchRequest,
};

const START: Instant = Instant::from_nanos(1_000_000_000);

/// A clock that goes on only when nothing is left to do, and what runs by it.
#[derive(Default)]
struct World {
    now: Cell<Instant>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    timer: Cell<u64>,
    tasks: RefCell<VecDeque<Task>>,
    woken: Arc<Flag>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Virtual(Rc<World>);

impl Environment for Virtual {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wall_clock(&self) -> Duration {
        self.now().since(Instant::ORIGIN)
    }

    fn sleep_until(&self, at: Instant) -> Task {
        let world = Rc::clone(&self.0);
        let mut armed = false;
        Box::pin(poll_fn(move |context| {
            if world.now.get() >= at {
                return Poll::Ready(());
            }
            if std::mem::replace(&mut armed, true) {
                return Poll::Pending;
            }
            let timer = world.timer.replace(world.timer.get() + 1);
            let waker = context.waker().clone();
            world.timers.borrow_mut().insert((at, timer), waker);
            Poll::Pending
        }))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    fn spawn(&self, task: Task) {
        self.0.tasks.borrow_mut().push_back(task);
        self.0.woken.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    fn settle(&self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut context = Context::from_waker(&waker);
        let mut turns = 0;
        while self.woken.0.swap(false, Ordering::Relaxed) {
            turns += 1;
            assert!(turns < 100, "it works without a pause");
            let tasks = self.tasks.borrow().len();
            for _ in 0..tasks {
                let task = self.tasks.borrow_mut().pop_front();
                let Some(mut task) = task else { break };
                if task.as_mut().poll(&mut context).is_pending() {
                    self.tasks.borrow_mut().push_back(task);
                }
            }
        }
    }

    /// Lets all happen that there is till `at`, each thing at its time.
    fn run_until(&self, at: Instant) {
        loop {
            self.settle();
            let due = self.timers.borrow_mut().pop_first();
            match due {
                Some(((due, _), waker)) if due <= at => {
                    self.now.set(due.max(self.now.get()));
                    waker.wake();
                }
                Some((key, waker)) => {
                    self.timers.borrow_mut().insert(key, waker);
                    break;
                }
                None => break,
            }
        }
        self.now.set(at);
    }

    /// Nothing runs, and the time goes on.
    fn stand_still_until(&self, at: Instant) {
        self.now.set(at);
        self.run_until(at);
    }
}

/// An instance that answers at once, or not at all.
struct Fake {
    world: Rc<World>,
    answers: RefCell<Option<Vote>>,
    asked: RefCell<Vec<(Instant, Operation)>>,
    unanswered: RefCell<Vec<Responder>>,
}

impl Instance for Fake {
    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        let now = self.world.now.get();
        self.asked.borrow_mut().push((now, question.operation));
        match &*self.answers.borrow() {
            Some(vote) => responder.vote(vote.clone()),
            None => self.unanswered.borrow_mut().push(responder),
        }
    }
}

struct Bench {
    world: Rc<World>,
    fake: Rc<Fake>,
    engine: Engine,
    watch: SharedValidity,
    lost: Rc<RefCell<Vec<(Instant, Reason)>>>,
    /// When it was said to be in danger, and what was left then.
    endangered: Rc<RefCell<Vec<(Instant, Duration)>>>,
    until: Instant,
}

const VALUE: &str = "a value";

fn resources() -> Resources {
    Arc::new(["r".into()])
}

fn ttl(millis: u64) -> Ttl {
    #[expect(clippy::cast_precision_loss, reason = "2^53 at most")]
    let millis = millis as f64;
    Ttl::new(millis, Drift::default()).expect("long enough")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Instant {
    START.after(ms(millis))
}

fn renewal(millis: u64, lead: Duration) -> Renewal {
    Renewal {
        ttl: ttl(millis),
        lead,
        cap: None,
    }
}

fn capped(millis: u64, lead: Duration, cap: Instant) -> Renewal {
    Renewal {
        cap: Some(cap),
        ..renewal(millis, lead)
    }
}

impl Bench {
    /// A lock that is valid for a second, kept in this way.
    fn keep(renewal: Option<Renewal>) -> Self {
        let world = Rc::new(World::default());
        world.now.set(START);
        let fake = Rc::new(Fake {
            world: Rc::clone(&world),
            answers: RefCell::new(Some(Vote::Granted)),
            asked: RefCell::default(),
            unanswered: RefCell::default(),
        });
        let lost = Rc::new(RefCell::new(Vec::new()));
        let endangered = Rc::new(RefCell::new(Vec::new()));
        let (heard, warned, clock) = (Rc::clone(&lost), Rc::clone(&endangered), Rc::clone(&world));
        let engine = Engine::new(
            vec![Rc::clone(&fake) as Rc<dyn Instance>],
            Rc::new(Virtual(Rc::clone(&world))),
            Rc::default(),
            Rc::default(),
            move |event| match event {
                Event::Lost { failure, .. } => {
                    heard.borrow_mut().push((clock.now.get(), failure.reason));
                }
                Event::Endangered { left, .. } => {
                    warned.borrow_mut().push((clock.now.get(), left));
                }
                _ => {}
            },
        );
        let bench = Self {
            world,
            fake,
            engine,
            watch: SharedValidity::default(),
            lost,
            endangered,
            until: at(1000),
        };
        bench.keep_on(renewal);
        bench
    }

    fn keep_on(&self, renewal: Option<Renewal>) {
        let request = WatchRequest {
            resources: resources(),
            value: Token::from(VALUE),
            until: self.until,
            renewal,
            settings: Settings::default(),
            number: 7,
        };
        self.engine.watch(request, self.watch.clone());
    }

    fn answer(&self, vote: Option<Vote>) {
        *self.fake.answers.borrow_mut() = vote;
    }

    /// Extends it by hand, once, as a holder does who knows its first end only.
    fn extend(&self, millis: u64) -> Rc<RefCell<Option<Result<Extension, Failure>>>> {
        let outcome = Rc::new(RefCell::new(None));
        let (engine, told) = (self.engine.clone(), Rc::clone(&outcome));
        let (ttl, until) = (ttl(millis), self.until);
        let settings = Settings {
            retry: Retry::never(),
            ..Settings::default()
        };
        Virtual(Rc::clone(&self.world)).spawn(Box::pin(async move {
            let value = Token::from(VALUE);
            let outcome = engine
                .extend(resources(), value, until, ttl, settings)
                .await;
            *told.borrow_mut() = Some(outcome);
        }));
        self.world.settle();
        outcome
    }

    fn release(&self) {
        let engine = self.engine.clone();
        Virtual(Rc::clone(&self.world)).spawn(Box::pin(async move {
            let value = Token::from(VALUE);
            let settings = Settings::default();
            let _ = engine.release(resources(), value, START, settings).await;
        }));
        self.world.settle();
    }

    fn extensions(&self) -> usize {
        let asked = self.fake.asked.borrow();
        let extends = |(_, operation): &&(_, Operation)| operation.name() == "extend";
        asked.iter().filter(extends).count()
    }

    fn is_held(&self) -> bool {
        self.lost.borrow().is_empty() && self.world.now.get() < self.watch.until()
    }
}

const NOT_MINE: Vote = Vote::Held { applied: 0 };

#[test]
fn a_lead_longer_than_the_ttl_does_not_extend_without_a_pause() {
    for lead in [ms(1000), ms(5000), Duration::MAX] {
        let bench = Bench::keep(Some(renewal(1000, lead)));
        bench.world.run_until(at(10_000));
        assert!(bench.is_held());
        let extensions = bench.extensions();
        assert!((10..=50).contains(&extensions), "{lead:?}: {extensions}");
    }
}

#[test]
fn a_lead_of_nothing_still_leaves_the_time_to_extend() {
    let bench = Bench::keep(Some(renewal(1000, Duration::ZERO)));
    bench.world.run_until(at(10_000));
    assert!(bench.is_held());
    assert!((9..=11).contains(&bench.extensions()));
}

#[test]
fn a_ttl_of_which_a_millisecond_can_be_believed_is_kept_with_pauses() {
    for lead in [Duration::ZERO, ms(1), ms(100)] {
        let bench = Bench::keep(Some(renewal(3, lead)));
        bench.world.run_until(at(2000));
        assert!(bench.is_held());
        assert!(bench.extensions() <= 4100, "{}", bench.extensions());
    }
}

#[test]
fn the_longest_ttl_there_is_ends_with_the_clock() {
    for lead in [Duration::ZERO, ms(500), Duration::MAX] {
        let bench = Bench::keep(Some(renewal(1 << 53, lead)));
        bench.world.run_until(at(2000));
        assert_eq!(bench.watch.until(), Instant::LAST);
        assert_eq!(bench.extensions(), 1);
    }
}

#[test]
fn the_longest_ttl_there_is_keeps_to_a_cap() {
    let cap = at(5000);
    let bench = Bench::keep(Some(capped(1 << 53, Duration::MAX, cap)));
    bench.world.run_until(at(4998));
    assert!(bench.is_held());
    assert_eq!(bench.watch.until(), cap);
    bench.world.run_until(at(6000));
    assert_eq!(*bench.lost.borrow(), [(cap, Reason::MaxHold)]);
}

#[test]
fn a_capped_lock_is_kept_to_within_a_millisecond_of_its_cap() {
    for cap in [1001, 1500, 4321, 9999] {
        let cap = at(cap).after(Duration::from_micros(700));
        let bench = Bench::keep(Some(capped(1000, ms(300), cap)));
        bench.world.run_until(at(20_000));
        let until = bench.watch.until();
        assert!(until <= cap);
        assert!(cap.since(until) <= ms(2));
        assert_eq!(*bench.lost.borrow(), [(until, Reason::MaxHold)]);
    }
}

#[test]
fn an_extension_that_is_tried_again_keeps_to_the_cap() {
    let cap = at(1800);
    let bench = Bench::keep(Some(capped(60_000, ms(600), cap)));
    bench.answer(Some(Vote::Failed(Cause::Dropped)));
    bench.world.run_until(at(50));
    bench.world.run_until(at(900));
    assert!(bench.extensions() > 2);
    bench.answer(Some(Vote::Granted));
    bench.world.run_until(at(1000));
    assert!(bench.is_held());
    assert!(bench.watch.until() <= cap);
    assert!(bench.watch.until() > at(1700));
}

#[test]
fn a_cap_within_the_validity_there_is_ends_it() {
    for cap in [at(0), at(500), at(1000)] {
        let bench = Bench::keep(Some(capped(1000, ms(900), cap)));
        bench.world.run_until(at(5000));
        assert_eq!(*bench.lost.borrow(), [(cap, Reason::MaxHold)]);
        assert_eq!(bench.extensions(), 0);
    }
}

#[test]
fn the_loss_is_told_once_and_at_the_end_though_nobody_answers() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    bench.answer(None);
    bench.world.run_until(at(5000));
    let lost = bench.lost.borrow();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].0, at(1000));
    assert_eq!(bench.watch.until(), at(1000));
}

#[test]
fn a_lock_that_is_only_watched_is_lost_at_its_end() {
    let bench = Bench::keep(None);
    bench.world.run_until(at(5000));
    assert_eq!(*bench.lost.borrow(), [(at(1000), Reason::Expired)]);
    assert_eq!(bench.extensions(), 0);
}

#[test]
fn a_majority_that_does_not_know_the_lock_ends_it_at_once() {
    let bench = Bench::keep(Some(renewal(1000, ms(400))));
    bench.answer(Some(NOT_MINE));
    bench.world.run_until(at(700));
    assert_eq!(*bench.lost.borrow(), [(at(600), Reason::NotHeld)]);
    assert_eq!(bench.watch.until(), Instant::ORIGIN);
    bench.world.run_until(at(5000));
    assert_eq!(bench.lost.borrow().len(), 1);
}

#[test]
fn so_does_one_that_says_so_to_its_holder() {
    let bench = Bench::keep(None);
    bench.answer(Some(NOT_MINE));
    bench.world.run_until(at(100));
    bench.extend(1000);
    assert_eq!(*bench.lost.borrow(), [(at(100), Reason::NotHeld)]);
    assert_eq!(bench.watch.until(), Instant::ORIGIN);
}

#[test]
fn a_longer_extension_by_hand_outlives_a_silent_one_under_way() {
    let bench = Bench::keep(Some(renewal(1000, ms(90))));
    bench.answer(None);
    bench.world.run_until(at(950));
    assert_eq!(bench.extensions(), 1);
    bench.answer(Some(Vote::Granted));
    bench.extend(10_000);
    bench.world.run_until(at(5000));
    assert!(bench.is_held());
}

#[test]
fn a_shorter_one_counts_as_soon_as_it_is_asked_for() {
    let bench = Bench::keep(None);
    bench.answer(None);
    bench.extend(103);
    assert_eq!(bench.watch.until(), at(100));
    bench.world.run_until(at(3000));
    let lost = bench.lost.borrow();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].0, at(100));
}

#[test]
fn a_holder_need_not_know_how_far_its_lock_was_extended() {
    let bench = Bench::keep(Some(renewal(1000, ms(400))));
    bench.world.run_until(at(3000));
    let outcome = bench.extend(2000);
    assert!(matches!(*outcome.borrow(), Some(Ok(_))));
    assert!(bench.is_held());
}

#[test]
fn an_extension_by_hand_that_began_before_the_lock_was_kept_counts() {
    let bench = Bench::keep(None);
    bench.engine.unwatch(&resources(), &Token::from(VALUE), 7);
    bench.world.settle();
    bench.answer(None);
    bench.extend(5000);
    bench.keep_on(None);
    bench.world.run_until(at(50));
    for responder in bench.fake.unanswered.take() {
        responder.vote(Vote::Granted);
    }
    bench.world.run_until(at(3000));
    assert!(bench.is_held());
}

#[test]
fn after_its_release_nothing_is_told_or_asked_though_an_extension_is_under_way() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    bench.answer(None);
    bench.world.run_until(at(850));
    assert_eq!(bench.extensions(), 1);
    bench.release();
    assert_eq!(bench.watch.until(), Instant::ORIGIN);
    for responder in bench.fake.unanswered.take() {
        responder.vote(Vote::Granted);
    }
    bench.world.run_until(at(5000));
    assert_eq!(bench.watch.until(), Instant::ORIGIN);
    assert!(bench.lost.borrow().is_empty());
    assert_eq!(bench.extensions(), 1);
}

#[test]
fn locks_that_are_to_end_are_watched_and_extended_no_more() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    bench.world.run_until(at(500));
    bench.engine.stop_renewals();
    bench.world.run_until(at(5000));
    assert_eq!(bench.extensions(), 0);
    assert_eq!(*bench.lost.borrow(), [(at(1000), Reason::Expired)]);
}

#[test]
fn whoever_stood_still_for_ten_times_the_ttl_finds_it_lost() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    bench.answer(None);
    bench.world.run_until(at(850));
    // A late grant is looked at first.
    bench.world.now.set(at(11_000));
    for responder in bench.fake.unanswered.take() {
        responder.vote(Vote::Granted);
    }
    bench.world.stand_still_until(at(11_000));
    assert!(bench.watch.until() <= at(1000));
    assert_eq!(bench.lost.borrow().len(), 1);
    assert_eq!(bench.lost.borrow()[0].0, at(11_000));
}

#[test]
fn a_lock_kept_anew_is_kept_in_the_new_way_only() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    bench.world.run_until(at(500));
    bench.keep_on(None);
    bench.world.run_until(at(5000));
    assert_eq!(bench.extensions(), 0);
    assert_eq!(*bench.lost.borrow(), [(at(1000), Reason::Expired)]);
}

#[test]
fn a_silent_instance_costs_a_part_of_the_lead_only() {
    let bench = Bench::keep(Some(renewal(2000, ms(900))));
    let limits = Limits::within(DeadlineBounds::default(), ttl(2000), Instant::LAST);
    assert!(limits.wait(START, None).due.since(START) < ms(300));
    bench.answer(None);
    bench.world.run_until(at(600));
    bench.answer(Some(Vote::Granted));
    bench.world.run_until(at(2000));
    assert!(bench.is_held());
}

#[test]
fn why_a_lock_will_be_lost_can_be_read_before_that_is_told() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    assert_eq!(bench.watch.state(), (at(1000), Some(Loss::Expired)));
    let bench = Bench::keep(Some(capped(1000, ms(200), at(1500))));
    assert_eq!(bench.watch.state(), (at(1000), Some(Loss::Expired)));
    bench.world.run_until(at(1200));
    assert_eq!(bench.watch.state().1, Some(Loss::MaxHold));
    assert!(bench.is_held());
}

#[test]
fn what_is_read_of_a_loss_is_what_is_told() {
    let told = |bench: &Bench| bench.lost.borrow().last().map(|(_, reason)| *reason);
    let read = |bench: &Bench| bench.watch.state().1.map(Loss::reason);
    for answer in [None, Some(NOT_MINE), Some(Vote::Failed(Cause::Dropped))] {
        for cap in [None, Some(at(1000)), Some(at(1800)), Some(at(9000))] {
            let renewal = renewal(1000, ms(200));
            let bench = Bench::keep(Some(Renewal { cap, ..renewal }));
            bench.answer(answer.clone());
            bench.world.run_until(at(5000));
            assert!(told(&bench).is_some());
            assert_eq!(told(&bench), read(&bench), "{answer:?}, {cap:?}");
        }
    }
    let bench = Bench::keep(None);
    bench.release();
    assert_eq!(bench.watch.state(), (Instant::ORIGIN, None));
}

#[test]
fn a_lock_that_stood_still_beyond_its_cap_was_not_held_until_then() {
    let bench = Bench::keep(Some(capped(1000, ms(200), at(5000))));
    bench.world.stand_still_until(at(6000));
    assert_eq!(*bench.lost.borrow(), [(at(6000), Reason::Expired)]);
}

#[test]
fn an_extension_that_failed_at_the_very_end_is_told_as_that_end() {
    let bench = Bench::keep(Some(renewal(1000, ms(200))));
    bench.answer(None);
    bench.world.run_until(at(850));
    bench.world.now.set(at(1001));
    for responder in bench.fake.unanswered.take() {
        responder.vote(Vote::Failed(Cause::Dropped));
    }
    bench.world.stand_still_until(at(1001));
    assert_eq!(*bench.lost.borrow(), [(at(1001), Reason::Expired)]);
}

#[test]
fn an_extension_that_is_asked_for_at_the_very_end_does_not_change_why_it_is_lost() {
    let bench = Bench::keep(Some(capped(1000, ms(200), at(1800))));
    bench.world.run_until(at(1700));
    let end = bench.watch.until();
    assert_eq!(bench.watch.state(), (end, Some(Loss::MaxHold)));
    bench.world.now.set(end);
    let (value, settings) = (Token::from(VALUE), Settings::default());
    let extension = bench
        .engine
        .extend(resources(), value, end, ttl(1000), settings);
    let polled = pin!(extension).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(_))));
    assert_eq!(bench.watch.state(), (end, Some(Loss::MaxHold)));
    bench.world.run_until(end);
    assert_eq!(*bench.lost.borrow(), [(end, Reason::MaxHold)]);
}

#[test]
fn the_loss_of_a_lock_is_told_though_one_that_had_its_value_before_is_released_just_then() {
    let bench = Bench::keep(None);
    let value = Token::from(VALUE);
    let take = |ttl: Ttl| {
        let settings = Settings {
            value: Some(value.clone()),
            ..Settings::default()
        };
        let taken = Rc::new(RefCell::new(None));
        let told = Rc::clone(&taken);
        bench
            .engine
            .acquire_then(resources(), ttl, settings, move |outcome| {
                *told.borrow_mut() = outcome.ok();
            });
        bench.world.settle();
        taken.take().expect("a lock").validity
    };
    bench.world.run_until(at(2000));
    let earlier = take(ttl(100));
    // Its value may be given again.
    bench.world.run_until(at(3000));
    let later = take(ttl(1000));
    let request = WatchRequest {
        resources: resources(),
        value: value.clone(),
        until: later.until,
        renewal: None,
        settings: Settings::default(),
        number: 8,
    };
    bench.engine.watch(request, bench.watch.clone());
    bench.world.settle();
    bench.lost.take();
    bench.world.now.set(at(4500));
    let settings = Settings::default();
    bench.engine.release_then(
        resources(),
        value.clone(),
        earlier.since,
        &settings,
        |outcome| {
            assert!(outcome.is_err(), "it was over");
        },
    );
    bench.world.stand_still_until(at(4500));
    assert_eq!(*bench.lost.borrow(), [(at(4500), Reason::Expired)]);
}
