//! A session's requests, which the engine answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::decode::{Until, Verb};
use super::describe;
use super::ids::{Handle, Slot};
use super::outbox::{Locked, Outcome, Response};
use super::reasons::Refusal;
use super::responses::Responses;
use crate::engine::{
    Engine, Environment, Failure, Resources, Settings, Ttl, Underway, abortable, supervised,
};

/// One request to an engine.
pub struct Asked {
    pub slot: Slot,
    pub handle: Handle,
    pub verb: Verb,
    pub resources: Resources,
    pub settings: Arc<Settings>,
}

/// The requests of one session that are under way.
pub struct Requests {
    environment: Rc<dyn Environment>,
    responses: Rc<Responses>,
    /// Acquires whose turn has not come.
    acquires: RefCell<WaitingAcquires>,
    /// How many more may begin before something else has had its turn.
    turns_left: Cell<usize>,
    /// Wakes [`take_turns`].
    turn_taker: RefCell<Option<Waker>>,
    /// What gives each of them up, by slot; those that nobody can give up aren't there.
    underway: RefCell<Vec<Option<Rc<dyn Underway>>>>,
    /// Those that are being given up because JavaScript wants it.
    cancelled: RefCell<HashSet<Slot>>,
    /// How many are under way.
    number: Cell<usize>,
    /// That the last of them is answered.
    idle: Notify,
}

/// Acquires that wait, in order. Each can be found by its slot: a hundred thousand of them
/// may be given up together.
#[derive(Default)]
struct WaitingAcquires {
    by_number: BTreeMap<u64, (Engine, Asked)>,
    numbers: HashMap<Slot, u64>,
    /// That of the next one.
    next: u64,
}

impl WaitingAcquires {
    fn push(&mut self, engine: Engine, request: Asked) {
        self.numbers.insert(request.slot, self.next);
        self.by_number.insert(self.next, (engine, request));
        self.next += 1;
    }

    /// Takes the oldest.
    fn pop(&mut self) -> Option<(Engine, Asked)> {
        let (_, waiting) = self.by_number.pop_first()?;
        self.numbers.remove(&waiting.1.slot);
        Some(waiting)
    }

    fn remove(&mut self, slot: Slot) -> Option<(Engine, Asked)> {
        let number = self.numbers.remove(&slot)?;
        self.by_number.remove(&number)
    }

    fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}

/// So many acquires begin at most before whatever else is ready on the thread has its
/// turn: about a millisecond's work, and as many as JavaScript hands over at once.
/// Extensions and releases wait for none (rule 22).
const ACQUIRES_PER_TURN: usize = 1024;

impl Requests {
    pub fn new(environment: Rc<dyn Environment>, responses: Rc<Responses>) -> Rc<Self> {
        let tasks = Rc::new(Self {
            environment,
            responses,
            acquires: RefCell::default(),
            turns_left: Cell::new(ACQUIRES_PER_TURN),
            turn_taker: RefCell::default(),
            underway: RefCell::default(),
            cancelled: RefCell::default(),
            number: Cell::new(0),
            idle: Notify::new(),
        });
        let weak = Rc::downgrade(&tasks);
        let begin = move || take_turns(Weak::clone(&weak));
        let turns = supervised(Rc::clone(&tasks.environment), begin, |_| {});
        tasks.environment.spawn(Box::pin(turns));
        tasks
    }

    /// Has `engine` carry a request out, and its outcome told.
    pub fn start(self: &Rc<Self>, engine: Engine, request: Asked) {
        if !matches!(request.verb, Verb::Lock(_)) {
            self.begin(engine, request);
            return;
        }
        let left = self.turns_left.get();
        if left > 0 && self.acquires.borrow().is_empty() {
            self.turns_left.set(left - 1);
            self.begin(engine, request);
        } else {
            self.acquires.borrow_mut().push(engine, request);
        }
        if left <= 1
            && let Some(taker) = self.turn_taker.take()
        {
            taker.wake();
        }
    }

    fn begin(self: &Rc<Self>, engine: Engine, request: Asked) {
        let slot = request.slot;
        // A defect that one request brings out must not cost the others of its tick
        // their answers: dropping what it was to be answered with tells who waits for
        // it. The panic's own report says where it is.
        let beginning = AssertUnwindSafe(|| self.carry_out(engine, request));
        let underway = catch_unwind(beginning).unwrap_or_default();
        let mut all = self.underway.borrow_mut();
        if all.len() <= slot.index() {
            all.resize_with(slot.index() + 1, || None);
        }
        all[slot.index()] = underway.filter(|request| !request.is_over());
    }

    /// Returns what gives the request up. A release that nobody waits for any more is
    /// carried out all the same.
    fn carry_out(self: &Rc<Self>, engine: Engine, request: Asked) -> Option<Rc<dyn Underway>> {
        let guard = ResponseGuard::new(self, engine.clone(), request.slot);
        match request.verb {
            Verb::Lock(ttl) => Some(lock(&engine, ttl, request, guard)),
            Verb::Unlock { value, since } => {
                let Asked {
                    resources,
                    settings,
                    ..
                } = request;
                engine.release_then(
                    resources,
                    value,
                    since,
                    &settings,
                    |outcome| match outcome {
                        Ok(()) => guard.answer(1, Outcome::Unlocked),
                        Err(failure) => guard.fail(&failure),
                    },
                );
                None
            }
            _ => {
                let is_release = matches!(request.verb, Verb::UnlockAll);
                let environment = Rc::clone(&self.environment);
                let (mut task, abort) = abortable(async move {
                    let (attempts, outcome) =
                        carry_out(engine, request, environment.as_ref()).await;
                    guard.answer(attempts, outcome);
                });
                // At once, as a lock and an unlock do: an extension must not come after an
                // unlock that was asked for later.
                let mut context = Context::from_waker(Waker::noop());
                if task.as_mut().poll(&mut context).is_pending() {
                    self.environment.spawn(task);
                }
                (!is_release).then_some(abort)
            }
        }
    }

    /// Answers a request that no engine can carry out.
    pub fn refuse(&self, slot: Slot, refusal: Refusal) {
        let outcome = Outcome::Failed(describe::refusal(refusal), None);
        let response = Response {
            slot: Some(slot),
            attempts: 0,
            outcome,
        };
        // There is no lock in it that would have to be released.
        drop(self.responses.send(response));
    }

    /// Gives a request up; what it took is still released. One that is answered
    /// already can't be cancelled.
    pub fn cancel(&self, slot: Slot) {
        let mut all = self.underway.borrow_mut();
        let underway = all.get_mut(slot.index()).and_then(Option::take);
        drop(all);
        if let Some(underway) = underway {
            self.cancelled.borrow_mut().insert(slot);
            underway.give_up();
            return;
        }
        let waiting = self.acquires.borrow_mut().remove(slot);
        if waiting.is_some() {
            self.refuse(slot, Refusal::Cancelled);
        }
    }

    /// Gives all of them up, as nobody waits for them any more.
    pub fn abort_all(&self) {
        self.acquires.take();
        for underway in self.underway.take().into_iter().flatten() {
            underway.give_up();
        }
    }

    /// Resolves when none is under way any more.
    pub async fn idle(&self) {
        while self.number.get() > 0 {
            self.idle.notified().await;
        }
    }

    /// A request is over, however it ended.
    fn ended(&self, slot: Slot) {
        self.number.set(self.number.get() - 1);
        if self.number.get() == 0 {
            self.idle.notify_one();
        }
        let mut all = self.underway.borrow_mut();
        let underway = all.get_mut(slot.index()).and_then(Option::take);
        drop(all);
        // Without the borrow: it may be what keeps the request.
        drop(underway);
    }
}

/// Has the acquires that wait begin, turn by turn, until the session is over.
async fn take_turns(tasks: Weak<Requests>) {
    poll_fn(|context| {
        let Some(tasks) = tasks.upgrade() else {
            return Poll::Ready(());
        };
        tasks.turns_left.set(ACQUIRES_PER_TURN);
        while tasks.turns_left.get() > 0 {
            let next = tasks.acquires.borrow_mut().pop();
            let Some((engine, request)) = next else {
                break;
            };
            tasks.turns_left.set(tasks.turns_left.get() - 1);
            tasks.begin(engine, request);
        }
        if tasks.acquires.borrow().is_empty() {
            *tasks.turn_taker.borrow_mut() = Some(context.waker().clone());
        } else {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

impl Drop for Requests {
    fn drop(&mut self) {
        // The task ends when it finds them gone.
        if let Some(taker) = self.turn_taker.take() {
            taker.wake();
        }
    }
}

fn lock(engine: &Engine, ttl: Ttl, request: Asked, guard: ResponseGuard) -> Rc<dyn Underway> {
    let Asked {
        handle,
        resources,
        settings,
        ..
    } = request;
    let (names, how) = (Arc::clone(&resources), Arc::clone(&settings));
    engine.acquire_then(names, ttl, how, move |outcome| match outcome {
        Ok(grant) => {
            let locked = Locked {
                handle,
                resources,
                value: grant.value,
                validity: grant.validity,
                settings,
            };
            guard.answer(grant.attempts, Outcome::Locked(locked));
        }
        Err(failure) => guard.fail(&failure),
    })
}

/// What is carried out by a task of its own.
async fn carry_out(
    engine: Engine,
    request: Asked,
    environment: &dyn Environment,
) -> (u32, Outcome) {
    let Asked {
        verb,
        resources,
        settings,
        ..
    } = request;
    match verb {
        Verb::Extend { ttl, value, until } => {
            let until = match until {
                Until::At(until) => until,
                Until::In(span) => environment.now().after(span),
            };
            match engine
                .extend(resources, value, until, ttl, settings.as_ref().clone())
                .await
            {
                Ok(extension) => (extension.attempts, Outcome::Extended(extension.validity)),
                Err(failure) => failed(&failure),
            }
        }
        Verb::Inspect => {
            let resource = resources[0].clone();
            let votes = engine.inspect(resource, &settings).await;
            (1, Outcome::Inspected(describe::inspection(&votes)))
        }
        Verb::Wait(span) => {
            let end = environment.now().after(span);
            environment.sleep_until(end).await;
            (1, Outcome::Unlocked)
        }
        Verb::UnlockAll => {
            let unreleased = engine.release_all(settings.as_ref().clone()).await;
            (1, Outcome::Inspected(describe::unreleased(&unreleased)))
        }
        Verb::Stats => (1, Outcome::Inspected(describe::stats(&engine.stats()))),
        Verb::Lock(_) | Verb::Unlock { .. } | Verb::Invalid => {
            let details = describe::refusal(Refusal::Invalid);
            (0, Outcome::Failed(details, None))
        }
    }
}

fn failed(failure: &Failure) -> (u32, Outcome) {
    let outcome = Outcome::Failed(describe::failure(failure), failure.until);
    (failure.attempts, outcome)
}

/// Sees that a request is answered exactly once: a task that is given up, or that
/// panics, drops it.
struct ResponseGuard {
    tasks: Rc<Requests>,
    engine: Engine,
    slot: Slot,
    is_answered: bool,
}

impl ResponseGuard {
    fn new(tasks: &Rc<Requests>, engine: Engine, slot: Slot) -> Self {
        tasks.number.set(tasks.number.get() + 1);
        Self {
            tasks: Rc::clone(tasks),
            engine,
            slot,
            is_answered: false,
        }
    }

    fn fail(self, failure: &Failure) {
        let (attempts, outcome) = failed(failure);
        self.answer(attempts, outcome);
    }

    fn answer(mut self, attempts: u32, outcome: Outcome) {
        self.is_answered = true;
        let undelivered = self.tasks.responses.send(Response {
            slot: Some(self.slot),
            attempts,
            outcome,
        });
        // Nobody will ever unlock it.
        if let Some(Outcome::Locked(locked)) = undelivered.map(|response| response.outcome) {
            locked.take_back(&self.engine);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.tasks.ended(self.slot);
        if self.is_answered || self.tasks.responses.is_closed() {
            return;
        }
        let is_cancelled = self.tasks.cancelled.borrow_mut().remove(&self.slot);
        let refusal = if is_cancelled {
            Refusal::Cancelled
        } else {
            Refusal::Internal
        };
        self.tasks.refuse(self.slot, refusal);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::decode::Batch;
    use super::super::layout::{NO_SLOT, UNLIMITED, request};
    use super::super::outbox::Outbox;
    use super::super::responses::flush;
    use super::*;
    use crate::engine::{Instance, Question, Responder, System, Vote};

    /// Panics when it is asked for a certain name.
    struct Trap;

    impl Instance for Trap {
        fn ask(&self, question: &Rc<Question>, responder: Responder) {
            let name = &*question.resources[0];
            assert!(name != "fatal", "on purpose");
            responder.vote(Vote::Granted);
        }
    }

    /// A lock of that name, under that slot.
    fn lock(slot: u32, name: &str) -> Asked {
        let mut numbers = vec![0.0; request::NUMBERS];
        numbers[request::SLOT] = slot.into();
        numbers[request::TTL] = 1000.0;
        numbers[request::MAX_WAIT] = UNLIMITED;
        numbers[request::COUNT] = 1.0;
        numbers.push(f64::from(u32::try_from(name.len()).expect("short")));
        let text: Vec<_> = name.encode_utf16().collect();
        let batch = Batch::new(numbers, &text);
        let request = batch.requests().next().expect("a request");
        Asked {
            slot: request.slot,
            handle: request.terms.handle(),
            verb: request.verb,
            resources: request.resources,
            settings: request.terms.settings().into(),
        }
    }

    /// Runs `body` as the engine's thread does, with requests to an engine over a trap.
    fn run(body: impl AsyncFnOnce(Engine, Rc<Requests>, Arc<Outbox>)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime");
        runtime.block_on(async {
            let environment: Rc<dyn Environment> = Rc::new(System);
            let outbox = Arc::new(Outbox::new(|| {}));
            let responses = Rc::new(Responses::new(Arc::clone(&outbox)));
            tokio::task::spawn_local(flush(Rc::downgrade(&responses), |_| {}));
            let requests = Requests::new(Rc::clone(&environment), Rc::clone(&responses));
            let engine = Engine::new(
                vec![Rc::new(Trap)],
                environment,
                Rc::default(),
                Rc::default(),
                |_| {},
            );
            body(engine, requests, outbox).await;
        });
    }

    #[test]
    fn a_panic_reaches_who_has_asked_and_nobody_else() {
        run(async |engine, requests, outbox| {
            for (slot, name) in ["a", "fatal", "b"].into_iter().enumerate() {
                let slot = u32::try_from(slot).expect("few");
                requests.start(engine.clone(), lock(slot, name));
            }
            requests.idle().await;
            tokio::task::yield_now().await;
            let told = outbox.take(usize::MAX).into_iter().map(|response| {
                let slot = response.slot.map_or(NO_SLOT, |slot| slot.0.into());
                (slot, matches!(response.outcome, Outcome::Locked(_)))
            });
            let told: Vec<_> = told.collect();
            assert_eq!(told, [(0.0, true), (1.0, false), (2.0, true)]);
        });
    }

    #[test]
    fn what_waits_for_its_turn_can_be_given_up() {
        run(async |engine, requests, outbox| {
            let many = u32::try_from(2 * ACQUIRES_PER_TURN).expect("few");
            for slot in 0..many {
                requests.start(engine.clone(), lock(slot, "a"));
            }
            let (first, last) = (many / 2, many - 1);
            requests.cancel(Slot(first));
            // Its slot is another's, behind all others.
            requests.start(engine.clone(), lock(first, "a"));
            requests.cancel(Slot(last));
            requests.cancel(Slot(last));
            let mut told = Vec::new();
            while told.len() < 2 * ACQUIRES_PER_TURN + 1 {
                tokio::task::yield_now().await;
                told.extend(outbox.take(usize::MAX));
            }
            let refused = told.iter().filter_map(|response| {
                let is_failed = matches!(response.outcome, Outcome::Failed(..));
                is_failed.then_some(response.slot?)
            });
            assert_eq!(refused.collect::<Vec<_>>(), [Slot(first), Slot(last)]);
            assert_eq!(told.last().and_then(|last| last.slot), Some(Slot(first)));
            requests.idle().await;
        });
    }
}
