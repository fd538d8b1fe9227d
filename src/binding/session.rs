//! One JavaScript environment, as the engine's thread sees it: its engines,
//! what it has asked for, and the answers on their way back.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::abort::{Abort, abortable};
use super::config::Config;
use super::context::context;
use super::crowd::Crowd;
use super::inbox::{Amendment, ClientAnswer, Errand, Handle};
use super::outbox::{Answer, Locked, Outbox, Outcome};
use super::reasons::Refusal;
use super::record::{self, Batch, Request, Terms, Until, Verb};
use super::shared::Shared;
use crate::engine::{
    Cause, Engine, Environment, Event, Instant, Patience, Question, Reason, Rule, Scripts,
    supervised,
};
use crate::instances::bridge::{self, Port, Ticket};
use crate::instances::client::{Client, Route, Watcher};

/// The engine's side of one environment.
pub struct Session {
    shared: Shared,
    crowd: Crowd,
    outbox: Arc<Outbox>,
    quorums: RefCell<BTreeMap<Handle, Quorum>>,
    /// Sets of the caller's scripts, by their numbers.
    scripts: RefCell<BTreeMap<u32, Arc<Scripts>>>,
    /// Those that were closed and still have rounds open.
    closing: RefCell<BTreeMap<Handle, Quorum>>,
    /// What is under way, by slot.
    running: RefCell<Vec<Option<Abort>>>,
    /// Those of them that are being given up on JavaScript's wish.
    cancelled: RefCell<HashSet<u32>>,
    /// Answers of this turn, which go to JavaScript together at its end.
    answers: RefCell<Vec<Answer>>,
    poster: RefCell<Option<Waker>>,
    gone: Cell<bool>,
    /// How many requests are under way.
    duties: Cell<usize>,
    /// That the last of them is answered.
    idle: Notify,
}

struct Quorum {
    engine: Engine,
    patience: Patience,
    /// The instances that are the caller's own clients, by their place.
    clients: BTreeMap<u32, Rc<Client>>,
}

/// The way to JavaScript for the caller's client at one place of a quorum.
struct Desk {
    session: Weak<Session>,
    handle: Handle,
    place: u32,
}

impl Port for Desk {
    fn carry(&self, ticket: Ticket, question: &Rc<Question>) {
        if let Some(session) = self.session.upgrade() {
            let details = record::errand(self.handle, self.place, ticket, question);
            session.post(None, 0, Outcome::Errand(details));
        }
    }

    fn call(&self) {
        if let Some(session) = self.session.upgrade() {
            let details = record::call(self.handle, self.place);
            session.post(None, 0, Outcome::Event(details));
        }
    }
}

impl Watcher for Desk {
    fn rerouted(&self, route: &Route) {
        if let Some(session) = self.session.upgrade() {
            let details = record::route(self.handle, self.place, route);
            session.post(None, 0, Outcome::Event(details));
        }
    }
}

impl Session {
    pub fn new(outbox: Arc<Outbox>, shared: Shared) -> Rc<Self> {
        let session = Rc::new(Self {
            crowd: Crowd::new(Rc::clone(&shared.environment)),
            shared,
            outbox,
            quorums: RefCell::default(),
            scripts: RefCell::default(),
            closing: RefCell::default(),
            running: RefCell::default(),
            cancelled: RefCell::default(),
            answers: RefCell::default(),
            poster: RefCell::default(),
            gone: Cell::new(false),
            duties: Cell::new(0),
            idle: Notify::new(),
        });
        let whose = Rc::downgrade(&session);
        session.supervise(move || post_answers(Weak::clone(&whose)));
        session
    }

    pub fn run(self: &Rc<Self>, errand: Errand) {
        match errand {
            Errand::Open(handle, config) => self.open(handle, config),
            Errand::Close(handle) => self.close(handle),
            Errand::Learn(number, scripts) => {
                self.scripts.borrow_mut().insert(number, scripts);
            }
            Errand::Forget(number) => {
                self.scripts.borrow_mut().remove(&number);
            }
            Errand::Amend(handle, place, amendment) => self.amend(handle, place, amendment),
            Errand::Applied(rows) => {
                for (handle, place, ticket, keys) in record::applied(&rows) {
                    if let Some(client) = self.client(handle, place) {
                        client.answer(ticket, bridge::Answer::Applied(keys));
                    }
                }
            }
            Errand::CameRound(handle, place) => {
                if let Some(client) = self.client(handle, place) {
                    client.came_round();
                }
            }
            Errand::Answer(handle, place, ticket, answer) => {
                self.bring(handle, place, ticket, answer);
            }
            Errand::Cancel(slot) => self.cancel(slot),
            Errand::Keep(handle, scripts, mut hold, watch) => {
                let Terms { patience, scripts } = self.terms(handle, scripts);
                hold.settings.patience = patience;
                hold.settings.scripts = scripts;
                if !self.quorums.borrow().contains_key(&handle) {
                    // It is being closed: a lock would keep it open.
                    hold.renewal = None;
                }
                if let Some(engine) = self.quorum(handle, |quorum| quorum.engine.clone()) {
                    engine.keep(*hold, watch);
                }
            }
            Errand::LetGo(handle, resources, value, number) => {
                if let Some(engine) = self.quorum(handle, |quorum| quorum.engine.clone()) {
                    engine.let_go(&resources, &value, number.into());
                }
            }
            Errand::Wait(number, span) => self.wait(number, span),
            Errand::Carry(batch) => self.carry(&batch),
            Errand::TakeBack(locked) => self.take_back(*locked),
        }
    }

    /// The environment has gone: what it waits for is given up, what it can no
    /// longer be told of is released. Returns what must still come to an end.
    pub fn leave(&self) -> Vec<Engine> {
        self.gone.set(true);
        for task in self.running.take().into_iter().flatten() {
            task.abort();
        }
        let unheard = self.outbox.close();
        for answer in unheard.into_iter().chain(self.answers.take()) {
            self.take_back_unheard(answer);
        }
        if let Some(poster) = self.poster.take() {
            poster.wake();
        }
        let quorums = self.quorums.take().into_values();
        let quorums = quorums.chain(self.closing.take().into_values());
        quorums
            .map(|quorum| {
                for client in quorum.clients.values() {
                    client.close();
                }
                // Nobody is left to hold a lock.
                quorum.engine.let_all_end();
                quorum.engine
            })
            .collect()
    }

    /// Resolves when all that the environment has left behind is done: requests
    /// that were given up have released what they took, and these releases were
    /// answered or have passed their deadlines.
    pub async fn end(self: Rc<Self>, engines: Rc<[Engine]>) {
        while self.duties.get() > 0 {
            self.idle.notified().await;
        }
        for engine in &*engines {
            engine.quiet().await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.shared.environment.spawn(Box::pin(task));
    }

    /// The same, of one that nobody else would tell that it has failed.
    fn supervise<F: Future<Output = ()> + 'static>(&self, begin: impl FnMut() -> F + 'static) {
        let environment = Rc::clone(&self.shared.environment);
        self.spawn(supervised(environment, begin, |_| {}));
    }

    fn open(self: &Rc<Self>, handle: Handle, config: Config) {
        let session = Rc::downgrade(self);
        let patience = config.patience();
        let listener = move |event: Event| {
            if let Some(session) = session.upgrade() {
                let details = record::event(handle, &event);
                session.post(None, 0, Outcome::Event(details));
            }
        };
        let opened = config.open(&self.shared, |place| Desk {
            session: Rc::downgrade(self),
            handle,
            place,
        });
        let quorum = Quorum {
            engine: Engine::new(
                opened.instances,
                Rc::clone(&self.shared.environment),
                Rc::clone(&self.shared.claims),
                listener,
            ),
            patience,
            clients: opened.clients,
        };
        self.quorums.borrow_mut().insert(handle, quorum);
    }

    fn amend(&self, handle: Handle, place: u32, amendment: Amendment) {
        if let Some(client) = self.client(handle, place) {
            client.amend(amendment.server.map(|server| *server), amendment.keep);
        }
    }

    fn bring(&self, handle: Handle, place: u32, ticket: Ticket, answer: ClientAnswer) {
        if let Some(client) = self.client(handle, place) {
            client.answer(
                ticket,
                match answer {
                    ClientAnswer::Seen(value, ttl) => {
                        bridge::Answer::Seen(value.map(Rc::from), ttl.map(record::whole))
                    }
                    ClientAnswer::Unexpected(what) => {
                        bridge::Answer::Failed(Cause::Unexpected { what: what.into() })
                    }
                    ClientAnswer::Failed(number, reply, message) => {
                        bridge::Answer::Failed(Cause::Client {
                            message: message.into(),
                            reply: reply.map(Rc::from),
                            number,
                        })
                    }
                },
            );
        }
    }

    /// The engine goes once what it has been asked is answered, and its
    /// connections with it.
    fn close(self: &Rc<Self>, handle: Handle) {
        let Some(quorum) = self.quorums.borrow_mut().remove(&handle) else {
            return;
        };
        let engine = quorum.engine.clone();
        // Or the locks that are kept would keep it open.
        engine.let_all_end();
        self.closing.borrow_mut().insert(handle, quorum);
        let session = Rc::downgrade(self);
        self.supervise(move || {
            let (engine, session) = (engine.clone(), Weak::clone(&session));
            async move {
                engine.quiet().await;
                let closed = session
                    .upgrade()
                    .and_then(|session| session.closing.borrow_mut().remove(&handle));
                let clients = closed.map(|quorum| quorum.clients).unwrap_or_default();
                for client in clients.values() {
                    client.close();
                }
                // JavaScript may end these clients from now on.
                if let (false, Some(session)) = (clients.is_empty(), session.upgrade()) {
                    session.post(None, 0, Outcome::Event(record::closed(handle)));
                }
            }
        });
    }

    fn carry(self: &Rc<Self>, batch: &Batch) {
        let requests = batch.requests(|handle, scripts| self.terms(handle, scripts));
        for mut request in requests {
            let slot = request.slot;
            request.settings.context = context(request.context, &self.outbox);
            let engine = self
                .quorums
                .borrow()
                .get(&request.handle)
                .map(|quorum| quorum.engine.clone());
            let Some(engine) = engine else {
                let closed = record::refusal(Refusal::Closed);
                self.post(Some(slot), 0, Outcome::Failed(closed, None));
                continue;
            };
            self.duties.set(self.duties.get() + 1);
            let duty = Duty {
                session: Rc::clone(self),
                slot,
                answered: false,
            };
            let acquires = matches!(request.verb, Verb::Lock(_));
            let releases = matches!(request.verb, Verb::Unlock(..) | Verb::UnlockAll);
            let environment = Rc::clone(&self.shared.environment);
            let (task, abort) = abortable(async move {
                let (attempts, outcome) = carry_out(engine, request, environment.as_ref()).await;
                duty.answer(attempts, outcome);
            });
            let mut running = self.running.borrow_mut();
            let at = slot as usize;
            if running.len() <= at {
                running.resize_with(at + 1, || None);
            }
            // A release that nobody waits for any more is carried out all the same.
            running[at] = (!releases).then_some(abort);
            drop(running);
            // Acquires wait for their turns; extensions and releases don't (rule 22).
            if acquires {
                self.crowd.spawn(task);
            } else {
                self.spawn(task);
            }
        }
    }

    /// Tells JavaScript, under its number, that so much time has passed.
    fn wait(self: &Rc<Self>, number: u32, span: Duration) {
        let session = Rc::downgrade(self);
        let environment = Rc::clone(&self.shared.environment);
        self.spawn(async move {
            environment.sleep_until(environment.now().after(span)).await;
            if let Some(session) = session.upgrade() {
                session.post(Some(number), 0, Outcome::Time);
            }
        });
    }

    /// Gives a request up: its clean-up still runs. One that is answered already
    /// can't be cancelled.
    fn cancel(&self, slot: u32) {
        let mut running = self.running.borrow_mut();
        let task = running.get_mut(slot as usize).and_then(Option::take);
        drop(running);
        if let Some(task) = task {
            self.cancelled.borrow_mut().insert(slot);
            task.abort();
        }
    }

    fn terms(&self, handle: Handle, scripts: u32) -> Terms {
        let scripts = self.scripts.borrow().get(&scripts).cloned();
        let quorums = self.quorums.borrow();
        let patience = quorums.get(&handle).map(|quorum| quorum.patience);
        Terms {
            patience: patience.unwrap_or_default(),
            scripts,
        }
    }

    fn post(&self, slot: Option<u32>, attempts: u32, outcome: Outcome) {
        let answer = Answer {
            slot,
            attempts,
            outcome,
        };
        if self.gone.get() {
            self.take_back_unheard(answer);
            return;
        }
        self.answers.borrow_mut().push(answer);
        if let Some(poster) = self.poster.take() {
            poster.wake();
        }
    }

    /// Releases a lock that nobody will be told of.
    fn take_back(&self, locked: Locked) {
        if let Some(engine) = self.quorum(locked.handle, |quorum| quorum.engine.clone()) {
            let since = locked.validity.since;
            engine.take_back(locked.resources, locked.value, since, locked.settings);
        }
    }

    /// Looks something up of a quorum, be it open or closing.
    fn quorum<T>(&self, handle: Handle, look: impl FnOnce(&Quorum) -> T) -> Option<T> {
        let (open, closing) = (self.quorums.borrow(), self.closing.borrow());
        open.get(&handle).or_else(|| closing.get(&handle)).map(look)
    }

    /// A caller's client, without a borrow: its vote may ask the next question.
    fn client(&self, handle: Handle, place: u32) -> Option<Rc<Client>> {
        self.quorum(handle, |quorum| quorum.clients.get(&place).cloned())
            .flatten()
    }

    /// The same, if the answer is a lock.
    fn take_back_unheard(&self, answer: Answer) {
        if let Outcome::Locked(locked) = answer.outcome {
            self.take_back(locked);
        }
    }
}

/// Takes what one turn of the engine's thread has answered to JavaScript: it
/// runs after the tasks that were ready together, so that they share a wake-up.
async fn post_answers(session: Weak<Session>) {
    poll_fn(|context| {
        let Some(session) = session.upgrade() else {
            return Poll::Ready(());
        };
        let answers = std::mem::take(&mut *session.answers.borrow_mut());
        if let Some(unheard) = session.outbox.push(answers) {
            for answer in unheard {
                session.take_back_unheard(answer);
            }
        }
        if session.gone.get() {
            return Poll::Ready(());
        }
        *session.poster.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
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
        Verb::Extend(ttl, value, until) => {
            let until = match until {
                Until::At(until) => until,
                Until::In(span) => environment.now().after(span),
            };
            match engine.extend(resources, value, until, ttl, settings).await {
                Ok(extension) => (extension.attempts, Outcome::Extended(extension.validity)),
                Err(failure) => failed(&failure),
            }
        }
        Verb::Unlock(value, since) => {
            match engine.release(resources, value, since, settings).await {
                Ok(()) => (1, Outcome::Unlocked),
                Err(failure) => failed(&failure),
            }
        }
        Verb::Inspect => {
            let resource = resources[0].clone();
            let votes = engine.inspect(resource, settings).await;
            (1, Outcome::Inspected(record::inspection(&votes)))
        }
        Verb::Wait(span) => {
            let end = environment.now().after(span);
            environment.sleep_until(end).await;
            (1, Outcome::Unlocked)
        }
        Verb::UnlockAll => {
            let unreleased = engine.release_all(settings).await;
            (1, Outcome::Inspected(record::unreleased(&unreleased)))
        }
        Verb::Nonsense => {
            let details = record::refusal(Refusal::Invalid);
            (0, Outcome::Failed(details, None))
        }
    }
}

fn failed(failure: &crate::engine::Failure) -> (u32, Outcome) {
    let outcome = Outcome::Failed(record::failure(failure), failure.until);
    (failure.attempts, outcome)
}

/// The duty to answer one request. A panic drops it, and becomes an answer.
struct Duty {
    session: Rc<Session>,
    slot: u32,
    answered: bool,
}

impl Duty {
    fn answer(mut self, attempts: u32, outcome: Outcome) {
        self.answered = true;
        self.session.post(Some(self.slot), attempts, outcome);
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.session.duties.set(self.session.duties.get() - 1);
        if self.session.duties.get() == 0 {
            self.session.idle.notify_one();
        }
        if let Ok(mut running) = self.session.running.try_borrow_mut()
            && let Some(task) = running.get_mut(self.slot as usize)
        {
            *task = None;
        }
        if !self.answered && !self.session.gone.get() {
            let cancelled = self.session.cancelled.borrow_mut().remove(&self.slot);
            let why = if cancelled {
                Refusal::Cancelled
            } else {
                Refusal::Internal
            };
            let details = record::refusal(why);
            self.session
                .post(Some(self.slot), 0, Outcome::Failed(details, None));
        }
    }
}

/// What is handed over of an answer at `now`, and the lock that is to be taken
/// back if it is one that is over by now (rule 3). An extension that is over is
/// none (rule 19).
pub fn handed_over(answer: Answer, now: Instant) -> (Answer, Option<Locked>) {
    let Answer {
        slot,
        attempts,
        outcome,
    } = answer;
    let refused = |reason| Outcome::Failed(record::without_votes(reason), None);
    let (outcome, over) = match outcome {
        Outcome::Locked(locked) if !locked.validity.holds(now) && Rule::HandOver.is_kept() => {
            (refused(Reason::TooSlow), Some(locked))
        }
        Outcome::Extended(validity) if !validity.holds(now) && Rule::HandOver.is_kept() => {
            (refused(Reason::Expired), None)
        }
        outcome => (outcome, None),
    };
    let answer = Answer {
        slot,
        attempts,
        outcome,
    };
    (answer, over)
}
