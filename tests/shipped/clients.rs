//! Callers' own clients, behind the bridge: one connection each, whose commands
//! go one after another. After a reconnect they send again what was not answered,
//! and they may answer twice, late, never or oddly.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::binding::client_rows::Questions;
use redlock_native::binding::layout::{Operation, question};
use redlock_native::binding::numbers::saturated;
use redlock_native::instances::redis::{Config, Endpoint, fair_texts};

use crate::checker::{Checker, bump};
use crate::process::Process;
use crate::redis::{CommandKind, CommandResult, LockCommand, Server};
use crate::scenario::Network;
use crate::world::{Moment, World};

pub struct Client {
    process: Process,
    checker: Rc<Checker>,
    network: Network,
    /// What its options say of where it leads; nothing if there can be no
    /// connection of the crate's own.
    says: RefCell<Option<Config>>,
    target: RefCell<Target>,
    changed: Cell<bool>,
    state: RefCell<State>,
    faults: ClientFaults,
}

/// Where a client leads.
#[derive(Clone)]
pub struct Target {
    pub server: Rc<Server>,
    pub db: u32,
    pub prefix: String,
}

#[derive(Clone, Copy, Debug)]
pub struct ClientFaults {
    /// In percent of the answers.
    pub twice: u64,
    pub late: u64,
    pub never: u64,
    pub odd: u64,
    /// Whether it sends what was not answered again after a reconnect.
    pub resends: bool,
}

/// What it comes back with.
#[derive(Clone, Debug)]
pub enum ClientAnswer {
    Applied(i64),
    Seen(Option<String>, Option<u64>),
    Odd,
    Failed(String),
}

/// What clients are asked, as lib/native/client-requests.js reads it.
pub struct Asked {
    operation: Operation,
    keys: Vec<String>,
    value: String,
    /// In ms; 0 where there is none.
    ttl: u64,
    /// By the script that takes a lock in turn.
    is_fair: bool,
}

impl Asked {
    /// All that one drain has brought.
    pub fn all(questions: &Questions) -> Vec<Self> {
        let mut numbers = questions.numbers.iter().copied();
        let mut text = questions.text.encode_utf16();
        let mut asked = Vec::new();
        while let Some(operation) = numbers.next() {
            let mut row = [operation; question::NUMBERS];
            row[1..].fill_with(|| numbers.next().expect("a whole row"));
            let mut take = |length: f64| {
                let units: Vec<u16> = text.by_ref().take(saturated(length) as usize).collect();
                String::from_utf16(&units).expect("a text")
            };
            // No script: the length is below zero.
            let script = take(row[question::SCRIPT_LENGTH]);
            asked.push(Self {
                operation: Operation::numbered(saturated(operation)).expect("an operation"),
                value: take(row[question::VALUE_LENGTH]),
                ttl: saturated(row[question::TTL]).into(),
                keys: (0..saturated(row[question::COUNT]))
                    .map(|_| take(numbers.next().expect("a length")))
                    .collect(),
                is_fair: fair_texts().contains(&&*script),
            });
        }
        assert_eq!(text.next(), None, "all of the text is somebody's");
        asked
    }
}

#[derive(Default)]
struct State {
    /// Sent and not answered, oldest first.
    waiting: VecDeque<Rc<Sent>>,
    last_up: Moment,
    last_down: Moment,
    /// Grows with each connection.
    connection: u64,
    /// The next one is being made.
    dialling: bool,
}

/// Who is told what it comes back with, perhaps twice.
type Tell = Box<dyn Fn(ClientAnswer)>;

struct Sent {
    lock_command: LockCommand,
    /// As it was when it was written: db and prefix go with the connection.
    target: Target,
    done: RefCell<Option<Tell>>,
}

impl Client {
    pub fn new(
        process: &Process,
        checker: &Rc<Checker>,
        network: Network,
        target: Target,
        says: Option<Config>,
        faults: ClientFaults,
    ) -> Rc<Self> {
        Rc::new(Self {
            process: process.clone(),
            checker: Rc::clone(checker),
            network,
            says: RefCell::new(says),
            target: RefCell::new(target),
            changed: Cell::new(false),
            state: RefCell::default(),
            faults,
        })
    }

    fn world(&self) -> &Rc<World> {
        self.process.world()
    }

    /// Where its options say that it leads, for native.
    pub fn says(&self) -> Option<Config> {
        self.says.borrow().clone()
    }

    /// Whether it leads elsewhere since this was asked last.
    pub fn has_changed(&self) -> bool {
        self.changed.replace(false)
    }

    /// Another database or prefix from now on, as `select()` has it: the options
    /// say so too.
    pub fn change(&self, db: u32, prefix: &str) {
        if let Some(config) = &mut *self.says.borrow_mut() {
            config.db = db;
            prefix.clone_into(&mut config.key_prefix);
        }
        let mut target = self.target.borrow_mut();
        target.db = db;
        prefix.clone_into(&mut target.prefix);
        self.changed.set(true);
    }

    /// Puts a request's question to the server.
    pub fn run(self: &Rc<Self>, asked: &Asked, done: impl Fn(ClientAnswer) + 'static) {
        let kind = match asked.operation {
            // By a script that goes with it.
            Operation::Lock if asked.is_fair => CommandKind::AcquireFair,
            Operation::Lock => CommandKind::Acquire,
            Operation::Extend => CommandKind::Extend,
            Operation::Unlock => CommandKind::Release,
            Operation::Inspect => CommandKind::Inspect,
            other => panic!("no client can {other:?}"),
        };
        let target = self.target.borrow().clone();
        let keys = asked.keys.iter();
        let keys = keys.map(|key| format!("{}{key}", target.prefix));
        let sent = Rc::new(Sent {
            lock_command: LockCommand {
                kind,
                keys: keys.collect(),
                value: asked.value.clone(),
                ttl: asked.ttl,
            },
            target,
            done: RefCell::new(Some(Box::new(done))),
        });
        self.state.borrow_mut().waiting.push_back(Rc::clone(&sent));
        self.send(&sent);
    }

    fn send(self: &Rc<Self>, sent: &Rc<Sent>) {
        let world = self.world();
        let at = {
            let mut state = self.state.borrow_mut();
            let at = world.now().after(self.network.delay(world));
            state.last_up = state.last_up.max(at);
            state.last_up
        };
        let connection = self.state.borrow().connection;
        let (client, sent) = (Rc::clone(self), Rc::clone(sent));
        world.at(at, move || client.arrive(&sent, connection));
    }

    /// It has reached the server, were it by a connection that was lost since.
    fn arrive(self: &Rc<Self>, sent: &Rc<Sent>, connection: u64) {
        let world = self.world();
        let server = &sent.target.server;
        if !server.is_up() {
            // The connection breaks; the client dials until it can send it again.
            let mut state = self.state.borrow_mut();
            if connection == state.connection && !std::mem::replace(&mut state.dialling, true) {
                let client = Rc::clone(self);
                world.after(Duration::from_millis(100), move || client.reconnect());
            }
            return;
        }
        if !server.is_awake() {
            let (client, sent) = (Rc::clone(self), Rc::clone(sent));
            world.at(server.wakes(), move || client.arrive(&sent, connection));
            return;
        }
        let came = match server.refusal() {
            Some(error) => ClientAnswer::Failed(error.to_owned()),
            None => match server.carry_out(sent.target.db, &sent.lock_command) {
                CommandResult::Applied(keys) => ClientAnswer::Applied(keys),
                // As any script of a caller's that answers no number.
                CommandResult::Behind(_) => ClientAnswer::Applied(0),
                CommandResult::Seen(seen) => {
                    let (value, ttl) = seen.unzip();
                    ClientAnswer::Seen(value, ttl)
                }
            },
        };
        if connection != self.state.borrow().connection {
            return;
        }
        let mut delay = self.network.delay(world);
        if world.chance.percent(self.faults.late) {
            delay += world.chance.span(Duration::from_millis(300));
        }
        let at = {
            let mut state = self.state.borrow_mut();
            state.last_down = state.last_down.max(world.now().after(delay));
            state.last_down
        };
        let (client, sent) = (Rc::clone(self), Rc::clone(sent));
        self.process
            .at(at, move || client.answered(&sent, connection, came));
    }

    fn answered(&self, sent: &Rc<Sent>, connection: u64, came: ClientAnswer) {
        let world = self.world();
        {
            let mut state = self.state.borrow_mut();
            if connection != state.connection {
                return;
            }
            state.waiting.retain(|other| !Rc::ptr_eq(other, sent));
        }
        if world.chance.percent(self.faults.never) {
            return;
        }
        let came = if world.chance.percent(self.faults.odd) {
            ClientAnswer::Odd
        } else {
            came
        };
        if let Some(done) = &*sent.done.borrow() {
            if world.chance.percent(self.faults.twice) {
                done(came.clone());
            }
            done(came);
        }
    }

    /// Its connection is lost, and made anew.
    pub fn reconnect(self: &Rc<Self>) {
        let world = self.world();
        let waiting: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.connection += 1;
            state.dialling = false;
            state.last_up = world.now();
            state.last_down = world.now();
            state.waiting.iter().cloned().collect()
        };
        if waiting.is_empty() {
            return;
        }
        if !self.faults.resends {
            self.state.borrow_mut().waiting.clear();
            let lost = move || {
                for sent in waiting {
                    if let Some(done) = sent.done.take() {
                        done(ClientAnswer::Failed("Connection is closed.".to_owned()));
                    }
                }
            };
            self.process.at(world.now(), lost);
            return;
        }
        for sent in waiting {
            bump(&self.checker.counts.resent);
            self.send(&sent);
        }
    }
}

/// The configuration that a client's options give.
pub fn config(host: &str, db: u32, prefix: &str) -> Config {
    let host = host.to_owned();
    Config {
        db,
        key_prefix: prefix.to_owned(),
        ..Config::new(Endpoint::Tcp { host, port: 6379 })
    }
}
