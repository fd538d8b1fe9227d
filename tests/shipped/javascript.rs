//! One app's process: the engine's thread with the real inbox, sessions and
//! outbox, and a JavaScript thread that writes and reads rows as lib/native
//! does (docs/hand-over.md).
//!
//! The JavaScript thread takes answers at its own turns, and may be busy for a
//! while: that is how a lock arrives when it is over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use redlock_native::binding::command::{ClientReply, ClientUpdate, Command};
use redlock_native::binding::config::Config;
use redlock_native::binding::decode::{self, Batch};
use redlock_native::binding::encode::Rows;
use redlock_native::binding::ids::{Handle, Index, KeptId, ScriptsId, SessionId, Slot};
use redlock_native::binding::inbox::{Inbox, Message};
use redlock_native::binding::layout::{
    AnswerKind, KEEP_NUMBERS, Operation, VALUE_LENGTH, answer, request,
};
use redlock_native::binding::numbers::instant;
use redlock_native::binding::outbox::{Outbox, Response};
use redlock_native::binding::serve::serve;
use redlock_native::binding::shared::Shared;
use redlock_native::engine::{Environment, Instant, Resources, SharedValidity, Token};
use redlock_native::instances::client::port::Ticket;
use redlock_native::instances::redis::{Dialler, Network};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::checker::{Checker, bump};
use crate::clients::{Asked, Client, ClientAnswer};
use crate::process::Process;
use crate::world::Moment;

/// Clones are the same app.
#[derive(Clone)]
pub struct App(Rc<Inner>);

struct Inner {
    process: Process,
    checker: Rc<Checker>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    /// The requests of this tick.
    numbers: RefCell<Vec<f64>>,
    text: RefCell<Vec<u16>>,
    /// What clients came back with in this tick.
    brought: RefCell<Vec<f64>>,
    slots: RefCell<Vec<Option<oneshot::Sender<Answer>>>>,
    free: RefCell<Vec<Slot>>,
    /// The requests that may be given up, by slot.
    asking: RefCell<BTreeMap<Slot, u64>>,
    busy: Cell<Moment>,
    room: usize,
    /// How long others' code takes between two answers of a batch, at most.
    between: Duration,
    engines: RefCell<Vec<Opened>>,
    keeps: RefCell<BTreeMap<KeptId, Kept>>,
    last_keep: Cell<u32>,
    ended: Cell<bool>,
    network: Rc<Network>,
}

/// One quorum, as JavaScript knows it.
struct Opened {
    /// Clients, by index.
    clients: Vec<Option<Rc<Client>>>,
}

struct Kept {
    engine: Handle,
    resources: Resources,
    value: String,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub kind: AnswerKind,
    pub attempts: u32,
    /// On the engine's clock.
    pub until: Instant,
    /// In ms on the engine's clock.
    pub since: f64,
    pub value: String,
    pub code: String,
}

/// A request's numbers, but for those that follow from the rest.
#[derive(Clone, Debug)]
pub struct Request {
    pub engine: Handle,
    pub operation: Operation,
    /// Of [`flags`].
    pub flags: u32,
    pub ttl: u64,
    pub retries: f64,
    pub delay: f64,
    pub jitter: f64,
    pub drift: f64,
    /// On the engine's clock, in ms.
    pub instant: f64,
    pub value: String,
    pub max_wait: f64,
    pub resources: Vec<String>,
}

const SESSION: SessionId = SessionId(1);

/// Wakes the JavaScript thread.
#[derive(Default)]
struct Bell {
    rung: bool,
    waker: Option<Waker>,
}

impl App {
    /// Starts the engine's thread and the JavaScript thread.
    pub fn start(
        process: &Process,
        dialler: Rc<dyn Dialler>,
        checker: &Rc<Checker>,
        room: usize,
        between: Duration,
    ) -> Self {
        let bell: Arc<Mutex<Bell>> = Arc::default();
        let ringing = Arc::clone(&bell);
        let outbox = Arc::new(Outbox::new(move || {
            let mut bell = ringing.lock().expect("one thread");
            bell.rung = true;
            if let Some(waker) = bell.waker.take() {
                waker.wake();
            }
        }));
        let shared = Shared::new(Rc::new(process.clone()), dialler);
        let app = Self(Rc::new(Inner {
            network: Rc::clone(&shared.network),
            process: process.clone(),
            checker: Rc::clone(checker),
            inbox: Arc::new(Inbox::new()),
            outbox,
            numbers: RefCell::default(),
            text: RefCell::default(),
            brought: RefCell::default(),
            slots: RefCell::default(),
            free: RefCell::default(),
            asking: RefCell::default(),
            busy: Cell::default(),
            room,
            between,
            engines: RefCell::default(),
            keeps: RefCell::default(),
            last_keep: Cell::default(),
            ended: Cell::default(),
        }));
        let engine = app.clone();
        process.spawn(Box::pin(async move {
            serve(&engine.0.inbox, &shared).await;
            engine.0.ended.set(true);
        }));
        let listening = app.clone();
        process.spawn(Box::pin(async move {
            loop {
                let rung = poll_fn(|context| {
                    let mut bell = bell.lock().expect("one thread");
                    if std::mem::take(&mut bell.rung) {
                        return Poll::Ready(());
                    }
                    bell.waker = Some(context.waker().clone());
                    Poll::Pending
                });
                rung.await;
                let drains = listening.clone();
                listening.turn(move || drains.drain());
            }
        }));
        let outbox = Arc::clone(&app.0.outbox);
        app.0.inbox.push(Message::Begin(SESSION, outbox));
        app
    }

    pub fn process(&self) -> &Process {
        &self.0.process
    }

    pub fn checker(&self) -> &Rc<Checker> {
        &self.0.checker
    }

    /// Whether the engine's thread has come to its end.
    pub fn has_ended(&self) -> bool {
        self.0.ended.get()
    }

    /// The engine's clock.
    pub fn clock(&self) -> Instant {
        self.0.process.now()
    }

    /// About how many bytes wait for servers.
    pub fn weight(&self) -> usize {
        self.0.network.weight()
    }

    /// Runs `act` on the JavaScript thread, once that is free.
    pub fn turn(&self, act: impl FnOnce() + 'static) {
        let now = self.0.process.world().now();
        let at = self.0.busy.get().max(now);
        let app = self.clone();
        self.0.process.at(at, move || {
            if app.0.busy.get() > app.0.process.world().now() {
                app.turn(act);
            } else {
                act();
            }
        });
    }

    /// The JavaScript thread is busy with something else.
    pub fn block(&self, span: Duration) {
        let world = self.0.process.world();
        let until = world.now().after(span);
        self.0.busy.set(self.0.busy.get().max(until));
    }

    /// Resolves when the JavaScript thread is free.
    pub async fn free(&self) {
        loop {
            let left = self.0.busy.get().since(self.0.process.world().now());
            if left.is_zero() {
                return;
            }
            self.0.process.sleep(left).await;
        }
    }

    fn send(&self, command: Command) {
        self.0.inbox.push(Message::Command(SESSION, command));
    }

    // ---- quorums

    /// Opens a quorum of this configuration; `clients` are by index.
    pub fn open(&self, config: &Value, clients: Vec<Option<Rc<Client>>>) {
        let read = Config::read(&config.to_string());
        let read = read.unwrap_or_else(|error| panic!("{error}: {config}"));
        let handle = self.handles().end;
        self.send(Command::Open {
            handle: Handle(handle),
            config: read,
        });
        for (index, client) in clients.iter().enumerate() {
            if let Some(client) = client {
                self.update_client(Handle(handle), index, client);
            }
        }
        self.0.engines.borrow_mut().push(Opened { clients });
    }

    /// Those of the quorums.
    fn handles(&self) -> Range<u32> {
        0..u32::try_from(self.0.engines.borrow().len()).expect("a few")
    }

    fn update_client(&self, handle: Handle, index: usize, client: &Client) {
        self.send(Command::UpdateClient {
            handle,
            index: Index(u32::try_from(index).expect("a few")),
            update: ClientUpdate {
                server: client.says().map(Box::new),
                retain: true,
            },
        });
    }

    /// Looks whether clients lead elsewhere by now.
    fn look(&self, handle: Handle) {
        let changed: Vec<_> = {
            let engines = self.0.engines.borrow();
            let clients = engines[handle.0 as usize].clients.iter().enumerate();
            clients
                .filter_map(|(index, client)| Some((index, client.clone()?)))
                .filter(|(_, client)| client.has_changed())
                .collect()
        };
        for (index, client) in changed {
            self.update_client(handle, index, &client);
        }
    }

    /// The process ends where it stands.
    pub fn die(&self) {
        self.0.ended.set(true);
        self.0.process.kill();
        self.0.checker.died(&self.0.process);
    }

    /// Lets the quorums go once what they were asked is answered.
    pub fn close(&self) {
        let app = self.clone();
        self.0.process.after(Duration::ZERO, move || {
            for handle in app.handles() {
                app.send(Command::Close(Handle(handle)));
            }
        });
    }

    /// Everything ends: the environment goes.
    pub fn leave(&self) {
        let app = self.clone();
        self.0.process.after(Duration::ZERO, move || {
            app.0.inbox.push(Message::End(SESSION));
            app.0.inbox.push(Message::Stop);
        });
    }

    // ---- requests

    /// Puts a request beside the others of this tick. It is given up after
    /// `patience`, if there is one, and answered all the same.
    pub async fn ask(&self, request: Request, deadlines: Option<Duration>) -> Answer {
        self.free().await;
        self.look(request.engine);
        let (tell, told) = oneshot::channel();
        let slot = {
            let mut slots = self.0.slots.borrow_mut();
            let free = self.0.free.borrow_mut().pop();
            let slot = free.unwrap_or_else(|| {
                slots.push(None);
                Slot(u32::try_from(slots.len() - 1).expect("a few"))
            });
            slots[slot.index()] = Some(tell);
            slot
        };
        self.write(slot, &request);
        if let Some(deadlines) = deadlines {
            let number = self.0.process.world().number();
            self.0.asking.borrow_mut().insert(slot, number);
            let app = self.clone();
            self.0.process.after(deadlines, move || {
                let cancels = app.clone();
                app.turn(move || cancels.cancel(slot, number));
            });
        }
        told.await.expect("every request is answered")
    }

    fn write(&self, slot: Slot, asked: &Request) {
        let mut numbers = self.0.numbers.borrow_mut();
        if numbers.is_empty() {
            let app = self.clone();
            self.0.process.after(Duration::ZERO, move || app.flush());
        }
        let mut row = [0.0; request::NUMBERS];
        row[request::SLOT] = slot.0.into();
        row[request::HANDLE] = asked.engine.0.into();
        row[request::OPERATION] = asked.operation.number().into();
        row[request::FLAGS] = asked.flags.into();
        row[request::TTL] = small(asked.ttl);
        row[request::RETRY_COUNT] = asked.retries;
        row[request::RETRY_DELAY] = asked.delay;
        row[request::RETRY_JITTER] = asked.jitter;
        row[request::DRIFT_FACTOR] = asked.drift;
        row[request::TIME] = asked.instant;
        row[request::VALUE_LENGTH] = length(&asked.value);
        row[request::MAX_WAIT] = asked.max_wait;
        row[request::COUNT] = small(asked.resources.len() as u64);
        numbers.extend(row);
        numbers.extend(asked.resources.iter().map(|resource| length(resource)));
        let mut text = self.0.text.borrow_mut();
        text.extend(asked.value.encode_utf16());
        for resource in &asked.resources {
            text.extend(resource.encode_utf16());
        }
    }

    /// Gives a request up, unless another has its slot by now.
    fn cancel(&self, slot: Slot, number: u64) {
        let waits = self.0.slots.borrow()[slot.index()].is_some();
        if waits && self.0.asking.borrow().get(&slot) == Some(&number) {
            self.flush();
            self.send(Command::Cancel(slot));
        }
    }

    fn flush(&self) {
        let numbers = self.0.numbers.take();
        let text = self.0.text.take();
        if !numbers.is_empty() {
            self.send(Command::Submit(Batch::new(numbers, &text)));
        }
    }

    /// Keeps a lock; returns the number it is kept under.
    pub fn keep(
        &self,
        engine: Handle,
        renewal: [f64; KEEP_NUMBERS],
        value: &str,
        resources: &[String],
    ) -> (KeptId, SharedValidity) {
        self.flush();
        let number = KeptId(self.0.last_keep.get() + 1);
        self.0.last_keep.set(number.0);
        let request = decode::watch_request(number, &renewal, value, resources.to_vec());
        let request = request.expect("seven numbers that make sense");
        let watch = request.watch();
        let kept = Kept {
            engine,
            resources: request.resources.clone(),
            value: value.to_owned(),
        };
        self.0.keeps.borrow_mut().insert(number, kept);
        self.send(Command::Watch {
            handle: engine,
            scripts: ScriptsId(0),
            request: Box::new(request),
            watch: watch.clone(),
        });
        (number, watch)
    }

    /// It is kept no longer.
    pub fn unwatch(&self, number: KeptId) {
        if let Some(kept) = self.0.keeps.borrow_mut().remove(&number) {
            self.send(Command::LetGo {
                handle: kept.engine,
                number,
                resources: kept.resources,
                value: Token::from(&*kept.value),
            });
        }
    }

    // ---- answers

    /// As `Mailbox::drain` and lib/native/answers.js do.
    fn drain(&self) {
        loop {
            let now = self.clock();
            let mut numbers = vec![0.0; 1 + self.0.room * answer::NUMBERS];
            let mut values = vec![0; self.0.room * VALUE_LENGTH];
            let mut rows = Rows::new(&mut numbers, &mut values, now);
            for response in self.0.outbox.take(rows.room()) {
                rows.write(self.checked(response, now));
            }
            let questions = Asked::all(&rows.take_questions());
            let details = rows.finish();
            let details: Vec<Value> = details.map_or_else(Vec::new, |details| {
                serde_json::from_str(&details).expect("JSON")
            });
            let count = whole(numbers[0]) as usize;
            self.deliver(
                &numbers[1..=count * answer::NUMBERS],
                &values,
                &details,
                &questions,
            );
            if count < self.0.room {
                return;
            }
        }
    }

    fn checked(&self, mut response: Response, now: Instant) -> Response {
        if let Some(locked) = response.check_at(now) {
            bump(&self.0.checker.counts.dead);
            self.send(Command::TakeBack(Box::new(locked)));
        }
        response
    }

    fn deliver(&self, rows: &[f64], values: &[u8], details: &[Value], questions: &[Asked]) {
        let mut values = values.chunks(VALUE_LENGTH);
        let mut after = Duration::ZERO;
        for row in rows.chunks(answer::NUMBERS) {
            let last = || &details[whole(row[answer::LAST]) as usize];
            let kind = AnswerKind::numbered(whole(row[answer::KIND])).expect("a kind");
            match kind {
                AnswerKind::Event => {
                    self.hear(last());
                    continue;
                }
                AnswerKind::ClientRequest => {
                    self.run(row, &questions[whole(row[answer::LAST]) as usize]);
                    continue;
                }
                _ => {}
            }
            let value = if kind == AnswerKind::Locked {
                let value = values.next().expect("one for each lock");
                String::from_utf8_lossy(value).into_owned()
            } else {
                String::new()
            };
            let code = if kind == AnswerKind::Failed {
                last()["code"].as_str().expect("a code").to_owned()
            } else {
                String::new()
            };
            let answer = Answer {
                kind,
                attempts: whole(row[answer::ATTEMPTS]),
                until: instant(row[answer::UNTIL]),
                since: row[answer::LAST],
                value,
                code,
            };
            // Whoever waited for the answer before has his turn first.
            let slot = Slot(whole(row[answer::SLOT]));
            let app = self.clone();
            self.0
                .process
                .after(after, move || app.settle(slot, answer));
            after += self.0.process.world().chance.span(self.0.between);
        }
    }

    fn settle(&self, slot: Slot, answer: Answer) {
        let waiting = self.0.slots.borrow_mut()[slot.index()].take();
        self.0.asking.borrow_mut().remove(&slot);
        self.0.free.borrow_mut().push(slot);
        match waiting {
            Some(waiting) => {
                let _ = waiting.send(answer);
            }
            None => self
                .0
                .process
                .world()
                .blame(format_args!("slot {slot} is answered twice: {answer:?}")),
        }
    }

    fn hear(&self, event: &Value) {
        let counts = &self.0.checker.counts;
        let world = self.0.process.world();
        world.note(format_args!("p{} hears {event}", self.0.process.index()));
        match event["event"].as_str() {
            Some("lost") => {
                bump(&counts.lost);
                let number = event["number"].as_u64().expect("a number");
                self.0
                    .keeps
                    .borrow_mut()
                    .remove(&KeptId(u32::try_from(number).expect("a small one")));
            }
            Some("route") if event["why"].is_null() => bump(&counts.promoted),
            Some("call") => {
                let handle = Handle(number(event, "handle"));
                let index = Index(number(event, "instance"));
                let app = self.clone();
                self.turn(move || app.send(Command::CameRound { handle, index }));
            }
            _ => {}
        }
    }

    /// A request for a caller's client.
    fn run(&self, row: &[f64], asked: &Asked) {
        let handle = Handle(whole(row[answer::ATTEMPTS]));
        let index = Index(whole(row[answer::LEFT]));
        let ticket = Ticket(whole(row[answer::SLOT]));
        let client = {
            let engines = self.0.engines.borrow();
            let clients = &engines[handle.0 as usize].clients;
            // A client that has several indices is asked at the first.
            clients[index.0 as usize].clone()
        };
        let client = client.expect("a client has this index");
        bump(&self.0.checker.counts.bridged);
        let app = self.clone();
        client.run(asked, move |came| app.bring(handle, index, ticket, came));
    }

    /// A client has come back, perhaps not for the first time.
    fn bring(&self, handle: Handle, index: Index, ticket: Ticket, came: ClientAnswer) {
        let app = self.clone();
        self.turn(move || {
            let reply = match came {
                ClientAnswer::Applied(keys) => {
                    let mut brought = app.0.brought.borrow_mut();
                    if brought.is_empty() {
                        let all = app.clone();
                        app.0.process.after(Duration::ZERO, move || {
                            let rows = all.0.brought.take();
                            all.send(Command::ClientsApplied(rows));
                        });
                    }
                    #[expect(clippy::cast_precision_loss, reason = "a few keys")]
                    let keys = keys as f64;
                    brought.extend([handle.0.into(), index.0.into(), ticket.0.into(), keys]);
                    return;
                }
                ClientAnswer::Seen(value, ttl) => {
                    #[expect(clippy::cast_precision_loss, reason = "some seconds")]
                    let ttl = ttl.map(|ttl| ttl as f64);
                    ClientReply::Seen { value, ttl }
                }
                ClientAnswer::Odd => ClientReply::Unexpected("a string".to_owned()),
                ClientAnswer::Failed(message) => {
                    let code = message.split(' ').next().map(str::to_owned);
                    ClientReply::Failed {
                        number: 1,
                        code,
                        message,
                    }
                }
            };
            app.send(Command::ClientReplied {
                handle,
                index,
                ticket,
                reply,
            });
        });
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small whole numbers"
)]
fn whole(number: f64) -> u32 {
    number as u32
}

#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
fn small(number: u64) -> f64 {
    number as f64
}

/// As JavaScript counts.
fn length(text: &str) -> f64 {
    small(text.encode_utf16().count() as u64)
}

fn number(details: &Value, name: &str) -> u32 {
    let number = details[name].as_u64().expect("a number");
    u32::try_from(number).expect("a small one")
}
