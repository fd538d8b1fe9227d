//! One app's process: the engine's thread with the real inbox, sessions and
//! outbox, and a JavaScript thread that writes and reads rows as lib/native.js
//! does (docs/hand-over.md).
//!
//! The JavaScript thread takes answers at its own turns, and may be busy for a
//! while: that is how a lock arrives when it is over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use redlock_native::binding::config::Config;
use redlock_native::binding::inbox::{Amendment, ClientAnswer, Errand, Inbox, Message};
use redlock_native::binding::outbox::{Answer as Posted, Outbox};
use redlock_native::binding::record::{self, Batch, Rows};
use redlock_native::binding::serve::serve;
use redlock_native::binding::session::handed_over;
use redlock_native::binding::shared::Shared;
use redlock_native::engine::{Environment, Instant, Resources, Token, Watch};
use redlock_native::instances::redis::{Dialler, Network};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::checker::{Ledger, bump};
use crate::clients::{Came, Client};
use crate::process::Process;
use crate::world::Moment;

/// Clones are the same app.
#[derive(Clone)]
pub struct App(Rc<Inner>);

struct Inner {
    process: Process,
    ledger: Rc<Ledger>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    /// The requests of this tick.
    numbers: RefCell<Vec<f64>>,
    text: RefCell<Vec<u16>>,
    /// What clients came back with in this tick.
    brought: RefCell<Vec<f64>>,
    slots: RefCell<Vec<Option<oneshot::Sender<Answer>>>>,
    free: RefCell<Vec<u32>>,
    /// The requests that may be given up, by slot.
    asking: RefCell<BTreeMap<u32, u64>>,
    busy: Cell<Moment>,
    room: usize,
    /// How long others' code takes between two answers of a batch, at most.
    between: Duration,
    engines: RefCell<Vec<Opened>>,
    keeps: RefCell<BTreeMap<u32, Kept>>,
    last_keep: Cell<u32>,
    ended: Cell<bool>,
    network: Rc<Network>,
}

/// One quorum, as JavaScript knows it.
struct Opened {
    /// Clients, by place.
    clients: Vec<Option<Rc<Client>>>,
}

struct Kept {
    engine: u32,
    resources: Resources,
    value: String,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub kind: u32,
    pub attempts: u32,
    /// On the engine's clock.
    pub until: Instant,
    /// In ms on the engine's clock.
    pub since: f64,
    pub value: String,
    pub code: String,
}

pub const UNLOCKED: u32 = 0;
pub const LOCKED: u32 = 1;
pub const EXTENDED: u32 = 2;
pub const FAILED: u32 = 3;

/// A request's numbers, but for those that follow from the rest.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub engine: u32,
    pub operation: u32,
    /// Whether members' failures are wanted as events.
    pub reports: bool,
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

pub const LOCK: u32 = 0;
pub const EXTEND: u32 = 1;
pub const UNLOCK: u32 = 2;
pub const INSPECT: u32 = 3;

const SESSION: u32 = 1;

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
        ledger: &Rc<Ledger>,
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
            ledger: Rc::clone(ledger),
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
        app.0.inbox.push(Message::Enter(SESSION, outbox));
        app
    }

    pub fn process(&self) -> &Process {
        &self.0.process
    }

    pub fn ledger(&self) -> &Rc<Ledger> {
        &self.0.ledger
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

    fn send(&self, errand: Errand) {
        self.0.inbox.push(Message::Session(SESSION, errand));
    }

    // ---- quorums

    /// Opens a quorum of this configuration; `clients` are by place.
    pub fn open(&self, config: &Value, clients: Vec<Option<Rc<Client>>>) -> u32 {
        let read = Config::read(&config.to_string());
        let read = read.unwrap_or_else(|error| panic!("{error}: {config}"));
        let handle = u32::try_from(self.0.engines.borrow().len()).expect("a few");
        self.send(Errand::Open(handle, read));
        for (place, client) in clients.iter().enumerate() {
            if let Some(client) = client {
                self.amend(handle, place, client);
            }
        }
        self.0.engines.borrow_mut().push(Opened { clients });
        handle
    }

    fn amend(&self, handle: u32, place: usize, client: &Client) {
        let place = u32::try_from(place).expect("a few");
        let amendment = Amendment {
            server: client.says().map(Box::new),
            keep: true,
        };
        self.send(Errand::Amend(handle, place, amendment));
    }

    /// Looks whether clients lead elsewhere by now.
    fn look(&self, handle: u32) {
        let changed: Vec<_> = {
            let engines = self.0.engines.borrow();
            let clients = engines[handle as usize].clients.iter().enumerate();
            clients
                .filter_map(|(place, client)| Some((place, client.clone()?)))
                .filter(|(_, client)| client.has_changed())
                .collect()
        };
        for (place, client) in changed {
            self.amend(handle, place, &client);
        }
    }

    /// The process ends where it stands.
    pub fn die(&self) {
        self.0.ended.set(true);
        self.0.process.kill();
        self.0.ledger.died(&self.0.process);
    }

    /// Lets the quorums go once what they were asked is answered.
    pub fn close(&self) {
        let app = self.clone();
        self.0.process.after(Duration::ZERO, move || {
            for handle in 0..app.0.engines.borrow().len() {
                app.send(Errand::Close(u32::try_from(handle).expect("a few")));
            }
        });
    }

    /// Everything ends: the environment goes.
    pub fn leave(&self) {
        let app = self.clone();
        self.0.process.after(Duration::ZERO, move || {
            app.0.inbox.push(Message::Leave(SESSION));
            app.0.inbox.push(Message::End);
        });
    }

    // ---- requests

    /// Puts a request beside the others of this tick. It is given up after
    /// `patience`, if there is one, and answered all the same.
    pub async fn ask(&self, request: Request, patience: Option<Duration>) -> Answer {
        self.free().await;
        self.look(request.engine);
        let (tell, told) = oneshot::channel();
        let slot = {
            let mut slots = self.0.slots.borrow_mut();
            let free = self.0.free.borrow_mut().pop();
            let slot = free.unwrap_or_else(|| {
                slots.push(None);
                u32::try_from(slots.len() - 1).expect("a few")
            });
            slots[slot as usize] = Some(tell);
            slot
        };
        self.write(slot, &request);
        if let Some(patience) = patience {
            let number = self.0.process.world().number();
            self.0.asking.borrow_mut().insert(slot, number);
            let app = self.clone();
            self.0.process.after(patience, move || {
                let cancels = app.clone();
                app.turn(move || cancels.cancel(slot, number));
            });
        }
        told.await.expect("every request is answered")
    }

    fn write(&self, slot: u32, request: &Request) {
        let mut numbers = self.0.numbers.borrow_mut();
        if numbers.is_empty() {
            let app = self.clone();
            self.0.process.after(Duration::ZERO, move || app.flush());
        }
        #[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
        let row = [
            f64::from(slot),
            f64::from(request.engine),
            f64::from(request.operation),
            f64::from(u32::from(request.reports)),
            request.ttl as f64,
            request.retries,
            request.delay,
            request.jitter,
            request.drift,
            request.instant,
            request.value.encode_utf16().count() as f64,
            0.0,
            0.0,
            request.max_wait,
            0.0,
            request.resources.len() as f64,
        ];
        numbers.extend(row);
        let mut text = self.0.text.borrow_mut();
        text.extend(request.value.encode_utf16());
        for resource in &request.resources {
            #[expect(clippy::cast_precision_loss, reason = "a short name")]
            numbers.push(resource.encode_utf16().count() as f64);
            text.extend(resource.encode_utf16());
        }
    }

    /// Gives a request up, unless another has its slot by now.
    fn cancel(&self, slot: u32, number: u64) {
        let waits = self.0.slots.borrow()[slot as usize].is_some();
        if waits && self.0.asking.borrow().get(&slot) == Some(&number) {
            self.flush();
            self.send(Errand::Cancel(slot));
        }
    }

    fn flush(&self) {
        let numbers = self.0.numbers.take();
        let text = self.0.text.take();
        if !numbers.is_empty() {
            self.send(Errand::Carry(Batch { numbers, text }));
        }
    }

    /// Keeps a lock; returns the number it is kept under.
    pub fn keep(
        &self,
        engine: u32,
        terms: [f64; 7],
        value: &str,
        resources: &[String],
    ) -> (u32, Watch) {
        self.flush();
        let number = self.0.last_keep.get() + 1;
        self.0.last_keep.set(number);
        let hold = record::hold(number, &terms, value, resources.to_vec());
        let hold = hold.expect("seven numbers that make sense");
        let watch = hold.watch();
        let kept = Kept {
            engine,
            resources: hold.resources.clone(),
            value: value.to_owned(),
        };
        self.0.keeps.borrow_mut().insert(number, kept);
        self.send(Errand::Keep(engine, 0, Box::new(hold), watch.clone()));
        (number, watch)
    }

    /// It is kept no longer.
    pub fn let_go(&self, number: u32) {
        if let Some(kept) = self.0.keeps.borrow_mut().remove(&number) {
            let value = Token::from(&*kept.value);
            self.send(Errand::LetGo(kept.engine, kept.resources, value, number));
        }
    }

    // ---- answers

    /// As `Mailbox::drain` and lib/native.js do.
    fn drain(&self) {
        loop {
            let now = self.clock();
            let mut numbers = vec![0.0; 1 + self.0.room * 6];
            let mut values = vec![0; self.0.room * 32];
            let mut rows = Rows::new(&mut numbers, &mut values, now);
            for answer in self.0.outbox.take(rows.room()) {
                rows.write(self.worth(answer, now));
            }
            let details = rows.finish();
            let details: Vec<Value> = details.map_or_else(Vec::new, |details| {
                serde_json::from_str(&details).expect("JSON")
            });
            let count = whole(numbers[0]) as usize;
            self.deliver(&numbers[1..=count * 6], &values, &details);
            if count < self.0.room {
                return;
            }
        }
    }

    fn worth(&self, answer: Posted, now: Instant) -> Posted {
        let (answer, dead) = handed_over(answer, now);
        if let Some(locked) = dead {
            bump(&self.0.ledger.counts.dead);
            self.send(Errand::TakeBack(Box::new(locked)));
        }
        answer
    }

    fn deliver(&self, rows: &[f64], values: &[u8], details: &[Value]) {
        let mut values = values.chunks(32);
        let mut after = Duration::ZERO;
        for row in rows.chunks(6) {
            let last = || &details[whole(row[5]) as usize];
            let kind = whole(row[1]);
            match kind {
                4 => {
                    self.hear(last());
                    continue;
                }
                5 => {
                    self.run(last());
                    continue;
                }
                _ => {}
            }
            let value = if kind == LOCKED {
                let value = values.next().expect("one for each lock");
                String::from_utf8_lossy(value).into_owned()
            } else {
                String::new()
            };
            let code = if kind == FAILED {
                last()["code"].as_str().expect("a code").to_owned()
            } else {
                String::new()
            };
            let answer = Answer {
                kind,
                attempts: whole(row[2]),
                until: record::instant(row[4]),
                since: row[5],
                value,
                code,
            };
            // Whoever waited for the answer before has his turn first.
            let slot = whole(row[0]);
            let app = self.clone();
            self.0
                .process
                .after(after, move || app.settle(slot, answer));
            after += self.0.process.world().chance.span(self.0.between);
        }
    }

    fn settle(&self, slot: u32, answer: Answer) {
        let waiting = self.0.slots.borrow_mut()[slot as usize].take();
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
        let counts = &self.0.ledger.counts;
        let world = self.0.process.world();
        world.note(format_args!("p{} hears {event}", self.0.process.index()));
        match event["event"].as_str() {
            Some("lost") => {
                bump(&counts.lost);
                let number = event["number"].as_u64().expect("a number");
                self.0
                    .keeps
                    .borrow_mut()
                    .remove(&u32::try_from(number).expect("a small one"));
            }
            Some("route") if event["why"].is_null() => bump(&counts.promoted),
            Some("call") => {
                let number = |name: &str| u32::try_from(event[name].as_u64().expect("a number"));
                let handle = number("handle").expect("small");
                let place = number("instance").expect("small");
                let app = self.clone();
                self.turn(move || app.send(Errand::CameRound(handle, place)));
            }
            _ => {}
        }
    }

    /// An errand for a caller's client.
    fn run(&self, errand: &Value) {
        let number = |name: &str| u32::try_from(errand[name].as_u64().expect("a number"));
        let handle = number("handle").expect("small");
        let place = number("instance").expect("small");
        let ticket = number("ticket").expect("small");
        let client = {
            let engines = self.0.engines.borrow();
            let clients = &engines[handle as usize].clients;
            // A client that stands at several places is asked at the first.
            clients[place as usize].clone()
        };
        let client = client.expect("a client is at this place");
        bump(&self.0.ledger.counts.bridged);
        let app = self.clone();
        client.run(errand, move |came| app.bring(handle, place, ticket, came));
    }

    /// A client has come back, perhaps not for the first time.
    fn bring(&self, handle: u32, place: u32, ticket: u32, came: Came) {
        let app = self.clone();
        self.turn(move || {
            let answer = match came {
                Came::Applied(keys) => {
                    let mut brought = app.0.brought.borrow_mut();
                    if brought.is_empty() {
                        let all = app.clone();
                        app.0.process.after(Duration::ZERO, move || {
                            let rows = all.0.brought.take();
                            all.send(Errand::Applied(rows));
                        });
                    }
                    #[expect(clippy::cast_precision_loss, reason = "a few keys")]
                    let keys = keys as f64;
                    brought.extend([f64::from(handle), f64::from(place), f64::from(ticket), keys]);
                    return;
                }
                Came::Seen(value, ttl) => {
                    #[expect(clippy::cast_precision_loss, reason = "some seconds")]
                    let ttl = ttl.map(|ttl| ttl as f64);
                    ClientAnswer::Seen(value, ttl)
                }
                Came::Odd => ClientAnswer::Unexpected("a string".to_owned()),
                Came::Failed(message) => {
                    let code = message.split(' ').next().map(str::to_owned);
                    ClientAnswer::Failed(1, code, message)
                }
            };
            app.send(Errand::Answer(handle, place, ticket, answer));
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
