//! A session's requests: a task for each, which the engine answers.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use tokio::sync::Notify;

use super::abortable_task::{Abort, abortable};
use super::decode::{Request, Until, Verb};
use super::describe;
use super::ids::Slot;
use super::low_priority::LowPriority;
use super::outbox::{Locked, Outcome, Response};
use super::reasons::Refusal;
use super::responses::Responses;
use crate::engine::{Engine, Environment, Failure};

/// The requests of one session that are under way.
pub struct RequestTasks {
    environment: Rc<dyn Environment>,
    responses: Rc<Responses>,
    acquires: LowPriority,
    /// Gives each of them up, by slot; those that nobody can give up aren't there.
    aborts: RefCell<Vec<Option<Abort>>>,
    /// Those that are being given up because JavaScript wants it.
    cancelled: RefCell<HashSet<Slot>>,
    /// How many are under way.
    number: Cell<usize>,
    /// That the last of them is answered.
    idle: Notify,
}

impl RequestTasks {
    pub fn new(environment: Rc<dyn Environment>, responses: Rc<Responses>) -> Rc<Self> {
        Rc::new(Self {
            acquires: LowPriority::new(Rc::clone(&environment)),
            environment,
            responses,
            aborts: RefCell::default(),
            cancelled: RefCell::default(),
            number: Cell::new(0),
            idle: Notify::new(),
        })
    }

    /// Has `engine` carry a request out, and its outcome told.
    pub fn start(self: &Rc<Self>, engine: Engine, request: Request) {
        let slot = request.slot;
        let is_acquire = matches!(request.verb, Verb::Lock(_));
        let is_release = matches!(request.verb, Verb::Unlock { .. } | Verb::UnlockAll);
        let guard = ResponseGuard::new(self, engine.clone(), slot);
        let environment = Rc::clone(&self.environment);
        let (task, abort) = abortable(async move {
            let (attempts, outcome) = carry_out(engine, request, environment.as_ref()).await;
            guard.answer(attempts, outcome);
        });
        let mut aborts = self.aborts.borrow_mut();
        if aborts.len() <= slot.index() {
            aborts.resize_with(slot.index() + 1, || None);
        }
        // A release that nobody waits for any more is carried out all the same.
        aborts[slot.index()] = (!is_release).then_some(abort);
        drop(aborts);
        // Acquires wait for their turns; extensions and releases don't (rule 22).
        if is_acquire {
            self.acquires.spawn(task);
        } else {
            self.environment.spawn(task);
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
        let mut aborts = self.aborts.borrow_mut();
        let abort = aborts.get_mut(slot.index()).and_then(Option::take);
        drop(aborts);
        if let Some(abort) = abort {
            self.cancelled.borrow_mut().insert(slot);
            abort.abort();
        }
    }

    /// Gives all of them up, as nobody waits for them any more.
    pub fn abort_all(&self) {
        for abort in self.aborts.take().into_iter().flatten() {
            abort.abort();
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
        if let Ok(mut aborts) = self.aborts.try_borrow_mut()
            && let Some(abort) = aborts.get_mut(slot.index())
        {
            *abort = None;
        }
    }
}

async fn carry_out(
    engine: Engine,
    request: Request,
    environment: &dyn Environment,
) -> (u32, Outcome) {
    let Request {
        handle,
        verb,
        resources,
        settings,
        ..
    } = request;
    match verb {
        Verb::Lock(ttl) => {
            let asked = (resources.clone(), settings.clone());
            match engine.acquire(asked.0, ttl, asked.1).await {
                Ok(grant) => (
                    grant.attempts,
                    Outcome::Locked(Locked {
                        handle,
                        resources,
                        value: grant.value,
                        validity: grant.validity,
                        settings,
                    }),
                ),
                Err(failure) => failed(&failure),
            }
        }
        Verb::Extend { ttl, value, until } => {
            let until = match until {
                Until::At(until) => until,
                Until::In(span) => environment.now().after(span),
            };
            match engine.extend(resources, value, until, ttl, settings).await {
                Ok(extension) => (extension.attempts, Outcome::Extended(extension.validity)),
                Err(failure) => failed(&failure),
            }
        }
        Verb::Unlock { value, since } => {
            match engine.release(resources, value, since, settings).await {
                Ok(()) => (1, Outcome::Unlocked),
                Err(failure) => failed(&failure),
            }
        }
        Verb::Inspect => {
            let resource = resources[0].clone();
            let votes = engine.inspect(resource, settings).await;
            (1, Outcome::Inspected(describe::inspection(&votes)))
        }
        Verb::Wait(span) => {
            let end = environment.now().after(span);
            environment.sleep_until(end).await;
            (1, Outcome::Unlocked)
        }
        Verb::UnlockAll => {
            let unreleased = engine.release_all(settings).await;
            (1, Outcome::Inspected(describe::unreleased(&unreleased)))
        }
        Verb::Invalid => {
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
    tasks: Rc<RequestTasks>,
    engine: Engine,
    slot: Slot,
    is_answered: bool,
}

impl ResponseGuard {
    fn new(tasks: &Rc<RequestTasks>, engine: Engine, slot: Slot) -> Self {
        tasks.number.set(tasks.number.get() + 1);
        Self {
            tasks: Rc::clone(tasks),
            engine,
            slot,
            is_answered: false,
        }
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
            let since = locked.validity.since;
            self.engine
                .rollback(locked.resources, locked.value, since, locked.settings);
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
