//! A simulated instance, the client's side: two connections to one server, each
//! first in first out, and no order between them.
//!
//! It keeps the contract of `Instance::ask`: an acquire or extend is written at
//! most once and not after its deadline; a release that a broken connection
//! still owed goes out on the next one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use redlock_native::engine::{
    Cause, ConnectionState as State, Environment as _, Instance, Instant, Meter, Observer,
    Operation, Question, Responder, RoundTrip, Vote, Watch, Watcher,
};

use crate::checker::{Checker, InFlight};
use crate::counts::bump;
use crate::process::Process;
use crate::scenario::{Identity, Network, Scenario};
use crate::server::Server;
use crate::watching::WatchLine;
use crate::world::{Moment, World};

/// How many connections a client has to an instance.
pub const LINES: usize = 2;

/// An instance as one client sees it. Clones are the same one.
#[derive(Clone)]
pub struct Remote(Rc<Inner>);

struct Inner {
    address: Box<str>,
    process: Process,
    server: Rc<Server>,
    checker: Rc<Checker>,
    network: Network,
    identity: Identity,
    resends: bool,
    observer: RefCell<Option<(usize, Weak<dyn Observer>)>>,
    lines: [Line; LINES],
    /// What there was no connection for, in the order it was asked.
    waiting: RefCell<VecDeque<Pending>>,
    /// On the client's clock; `None` while a connection is up.
    out_of_reach_since: Cell<Option<Instant>>,
    /// The network between the two is parted until then.
    parted_until: Cell<Moment>,
    /// The caller's thread, by which the questions go, is busy until then.
    busy_until: Cell<Moment>,
    /// What waits for it.
    held_up: RefCell<VecDeque<Pending>>,
    meter: Cell<Meter>,
    /// How many commands were written.
    written: Cell<u64>,
    watch_line: WatchLine,
}

#[derive(Default)]
struct Line {
    connection: RefCell<Option<Rc<Connection>>>,
    dialing: Cell<bool>,
}

/// One connection from its dial to its break.
struct Connection {
    /// The life of the server that it leads to.
    life: u32,
    to_server: RefCell<VecDeque<(u64, Envelope)>>,
    to_client: RefCell<VecDeque<(u64, Vote)>>,
    unanswered: RefCell<BTreeMap<u64, Pending>>,
    broken: Cell<bool>,
    /// The network holds what is under way to the server until then.
    held_until: Cell<Moment>,
}

struct Pending {
    question: Rc<Question>,
    responder: Responder,
    in_flight: InFlight,
    /// When it was written.
    written: Instant,
}

struct Envelope {
    question: Rc<Question>,
    _in_flight: InFlight,
}

impl Remote {
    pub fn new(
        process: &Process,
        server: &Rc<Server>,
        checker: &Rc<Checker>,
        scenario: &Scenario,
    ) -> Self {
        let remote = Self(Rc::new(Inner {
            address: format!("s{}", server.index).into(),
            process: process.clone(),
            server: Rc::clone(server),
            checker: Rc::clone(checker),
            network: scenario.network,
            identity: scenario.identity,
            resends: scenario.resends,
            observer: RefCell::default(),
            lines: Default::default(),
            waiting: RefCell::default(),
            out_of_reach_since: Cell::new(Some(process.now())),
            parted_until: Cell::default(),
            busy_until: Cell::default(),
            held_up: RefCell::default(),
            meter: Cell::default(),
            written: Cell::default(),
            watch_line: WatchLine::new(process, server, checker, scenario),
        }));
        // Between two connections there is no order.
        let lines = if scenario.own_values { 1 } else { LINES };
        for line in 0..lines {
            remote.dial(line);
        }
        remote
    }

    pub fn process(&self) -> &Process {
        &self.0.process
    }

    pub fn server(&self) -> &Rc<Server> {
        &self.0.server
    }

    /// Nothing passes between client and server until then.
    pub fn part_until(&self, until: Moment) {
        self.0.parted_until.set(until);
        self.0.watch_line.part_until(until);
    }

    /// How many commands were written to the server, looks included.
    pub fn commands(&self) -> u64 {
        self.0.written.get() + self.0.watch_line.looks()
    }

    pub fn watch_line(&self) -> &WatchLine {
        &self.0.watch_line
    }

    /// What is under way on the line to the server arrives then, not earlier.
    pub fn hold_until(&self, line: usize, until: Moment) {
        if let Some(connection) = &*self.0.lines[line].connection.borrow() {
            connection.held_until.set(until);
        }
    }

    /// The client finds a line broken. What was under way to the server may
    /// still arrive, a part of it or all, soon or late; no reply does.
    pub fn snap(&self, line: usize) {
        let Some(connection) = self.0.lines[line].connection.take() else {
            return;
        };
        self.world().note(format_args!(
            "p{}: {} line {line} breaks",
            self.client(),
            self.0.address
        ));
        self.doom(&connection);
        if self.open_lines().is_empty() {
            self.0.out_of_reach_since.set(Some(self.0.process.now()));
        }
        for (_, pending) in connection.unanswered.take() {
            let again = match pending.question.operation {
                Operation::Release { .. } => true,
                Operation::Acquire { .. } => self.0.resends,
                _ => false,
            };
            if again {
                self.0.waiting.borrow_mut().push_back(pending);
            } else {
                pending.responder.fail(Cause::Lost {
                    what: "broken".into(),
                });
            }
        }
        self.flush();
        self.dial(line);
    }

    /// The client has died: its side of everything is gone.
    pub fn die(&self) {
        for line in &self.0.lines {
            if let Some(connection) = line.connection.take() {
                self.doom(&connection);
                drop(connection.unanswered.take());
            }
        }
        drop(self.0.waiting.take());
        drop(self.0.held_up.take());
        self.0.watch_line.die();
    }

    fn doom(&self, connection: &Connection) {
        let chance = &self.world().chance;
        connection.broken.set(true);
        let mut under_way = connection.to_server.borrow_mut();
        let arriving = match chance.below(3) {
            0 => 0,
            1 => chance.index(under_way.len() + 1),
            _ => under_way.len(),
        };
        drop(under_way.split_off(arriving));
        if chance.percent(50) {
            let late = self.world().now().after(chance.span(self.0.network.oldest));
            connection.held_until.set(late);
        }
    }

    fn dial(&self, line: usize) {
        self.0.lines[line].dialing.set(true);
        let there_and_back = self.delay() + self.delay();
        let remote = self.clone();
        self.0
            .process
            .after(there_and_back, move || remote.dialed(line));
    }

    fn dialed(&self, line: usize) {
        self.0.lines[line].dialing.set(false);
        if !self.0.server.is_up() || self.parted() {
            self.refuse_waiting();
            let backoff =
                Duration::from_millis(10) + self.world().chance.span(self.0.network.backoff);
            let remote = self.clone();
            self.0.process.after(backoff, move || remote.dial(line));
            return;
        }
        let connection = Connection {
            life: self.0.server.life(),
            to_server: RefCell::default(),
            to_client: RefCell::default(),
            unanswered: RefCell::default(),
            broken: Cell::default(),
            held_until: Cell::default(),
        };
        self.0.lines[line]
            .connection
            .replace(Some(Rc::new(connection)));
        self.0.out_of_reach_since.set(None);
        self.tell();
        self.flush();
    }

    /// After a failed dial nothing waits for a connection but releases.
    fn refuse_waiting(&self) {
        if !self.open_lines().is_empty() || self.0.lines.iter().any(|line| line.dialing.get()) {
            return;
        }
        for pending in self.0.waiting.take() {
            if let Operation::Release { .. } = pending.question.operation {
                self.0.waiting.borrow_mut().push_back(pending);
            } else {
                pending.responder.fail(unreachable());
            }
        }
    }

    /// Writes what waited, in the order in which it was asked.
    fn flush(&self) {
        if self.open_lines().is_empty() {
            return;
        }
        for pending in self.0.waiting.take() {
            self.write(pending);
        }
    }

    fn write(&self, mut pending: Pending) {
        pending.written = self.0.process.now();
        // A release that was owed until its value may be given again is not sent.
        let question = &pending.question;
        if !question.is_wanted(pending.written, Some(&pending.responder)) {
            if let Operation::Release { .. } = pending.question.operation {
                self.0.checker.ends_by_itself(&pending.question);
            }
            pending.responder.fail(unreachable());
            return;
        }
        let open = self.open_lines();
        let spread = open.len() > 1 && self.world().chance.percent(self.0.network.spread);
        let line = if spread {
            self.world().chance.pick(&open)
        } else {
            open[0]
        };
        let connection = self.0.lines[line]
            .connection
            .borrow()
            .clone()
            .expect("an open line");
        let number = self.world().number();
        let envelope = Envelope {
            question: Rc::clone(&pending.question),
            _in_flight: pending.in_flight.clone(),
        };
        connection
            .to_server
            .borrow_mut()
            .push_back((number, envelope));
        connection.unanswered.borrow_mut().insert(number, pending);
        bump(&self.0.written);
        let remote = self.clone();
        self.world()
            .after(self.delay(), move || remote.arrive(line, connection));
    }

    /// Something of the connection's reaches the server: whatever is first in
    /// line, so that the order holds however the delays fall.
    fn arrive(&self, line: usize, connection: Rc<Connection>) {
        let world = self.world();
        let held = connection.held_until.get();
        let held = held
            .max(self.0.parted_until.get())
            .max(self.0.server.hung_until());
        if held > world.now() {
            let remote = self.clone();
            let at = held.after(self.delay());
            world.at(at, move || remote.arrive(line, connection));
            return;
        }
        let Some((number, envelope)) = connection.to_server.borrow_mut().pop_front() else {
            return;
        };
        if !self.0.server.is_up() || self.0.server.life() != connection.life {
            return;
        }
        let question = &envelope.question;
        let vote = self.0.server.answer(number, question);
        world.note(format_args!(
            "p{}: {} line {line} carries out {} {:.6} on {:?}: {}",
            self.client(),
            self.0.address,
            question.operation.name(),
            &*question.value.text(),
            question.resources,
            name(&vote),
        ));
        if connection.broken.get() {
            return;
        }
        connection.to_client.borrow_mut().push_back((number, vote));
        let remote = self.clone();
        self.0
            .process
            .after(self.delay(), move || remote.hear(connection));
    }

    /// Something of the connection's reaches the client.
    fn hear(&self, connection: Rc<Connection>) {
        if connection.broken.get() {
            return;
        }
        if self.parted() {
            let remote = self.clone();
            self.0
                .process
                .at(self.0.parted_until.get(), move || remote.hear(connection));
            return;
        }
        let (number, vote) = connection
            .to_client
            .borrow_mut()
            .pop_front()
            .expect("a reply");
        let pending = connection
            .unanswered
            .borrow_mut()
            .remove(&number)
            .expect("its request");
        let question = &pending.question;
        self.world().note(format_args!(
            "p{}: {} says {} to {} {:.6}",
            self.client(),
            self.0.address,
            name(&vote),
            question.operation.name(),
            &*question.value.text(),
        ));
        self.0.server.heard(number);
        let mut meter = self.0.meter.get();
        meter.measure(pending.written, self.0.process.now());
        self.0.meter.set(meter);
        pending.responder.vote(vote);
    }

    /// Tells the engine how the connection is.
    fn tell(&self) {
        let observer = self.0.observer.borrow().clone();
        if let Some((index, observer)) = observer
            && let Some(observer) = observer.upgrade()
        {
            observer.connection_changed(index, &self.state());
        }
    }

    fn state(&self) -> State {
        if self.0.out_of_reach_since.get().is_some() {
            return State::Down(unreachable());
        }
        let (index, life) = (self.0.server.index, self.0.server.life());
        State::Ready {
            keyspace: match self.0.identity {
                Identity::Unknown => None,
                Identity::Named => Some(format!("s{index}, life {life}").into()),
                Identity::Sole | Identity::Cloned => Some("a copy".into()),
            },
        }
    }

    fn open_lines(&self) -> Vec<usize> {
        let open = |line: &usize| self.0.lines[*line].connection.borrow().is_some();
        (0..LINES).filter(open).collect()
    }

    fn parted(&self) -> bool {
        self.0.parted_until.get() > self.world().now()
    }

    fn delay(&self) -> Duration {
        self.0.network.delay(self.world())
    }

    fn world(&self) -> &World {
        self.0.process.world()
    }

    fn client(&self) -> usize {
        self.0.process.index()
    }

    /// Whether the key a release is to delete can have been set, or still be.
    fn may_owe(&self, question: &Question, since: Instant) -> bool {
        let waiting = self.0.waiting.borrow();
        self.0
            .out_of_reach_since
            .get()
            .is_none_or(|lost| lost >= since)
            || waiting
                .iter()
                .any(|pending| pending.question.value == question.value)
    }
}

impl Instance for Remote {
    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.0.observer.replace(Some((index, observer)));
        self.tell();
    }

    fn is_refusal_final(&self) -> bool {
        !self.0.resends
    }

    fn keys_are_those_of(&self) -> Option<usize> {
        Some(self.0.server.index)
    }

    fn identity(&self) -> Option<usize> {
        (self.0.identity == Identity::Sole).then_some(self.0.server.index)
    }

    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        if !self.0.process.is_alive() {
            return;
        }
        self.world().note(format_args!(
            "p{}: {} is asked to {} {:.6}",
            self.client(),
            self.0.address,
            question.operation.name(),
            &*question.value.text()
        ));
        let pending = Pending {
            question: Rc::clone(question),
            responder,
            in_flight: self
                .0
                .checker
                .asked(&self.0.process, self.0.server.index, question),
            written: Instant::LAST,
        };
        if let Some(span) = self.0.network.postpone(self.world()) {
            let until = self.world().now().after(span);
            self.0.busy_until.set(self.0.busy_until.get().max(until));
        }
        let until = self.0.busy_until.get();
        if until <= self.world().now() && self.0.held_up.borrow().is_empty() {
            self.send(pending);
            return;
        }
        pending.responder.postpone();
        self.0.held_up.borrow_mut().push_back(pending);
        let remote = self.clone();
        // In the order in which they were asked, whatever else the process does.
        self.0.process.at(until, move || {
            let next = remote.0.held_up.borrow_mut().pop_front();
            if let Some(pending) = next {
                pending.responder.begin();
                remote.send(pending);
            }
        });
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        self.0.meter.get().known()
    }

    fn watch(
        &self,
        resource: &str,
        index: usize,
        watcher: Weak<dyn Watcher>,
    ) -> Option<Rc<dyn Watch>> {
        self.0.watch_line.watch(resource, index, watcher)
    }
}

impl Remote {
    /// Writes it, or has it wait for a connection; or refuses it.
    fn send(&self, pending: Pending) {
        if !self.open_lines().is_empty() {
            self.write(pending);
            return;
        }
        let question = &pending.question;
        let waits = match question.operation {
            Operation::Release { since, .. } => self.may_owe(question, since),
            Operation::Acquire { .. } | Operation::Extend { .. } | Operation::Inspect => {
                self.0.network.patient && self.0.lines.iter().any(|line| line.dialing.get())
            }
        };
        if waits {
            self.0.waiting.borrow_mut().push_back(pending);
        } else {
            pending.responder.fail(unreachable());
        }
    }
}

fn unreachable() -> Cause {
    Cause::Unreachable {
        what: "no connection".into(),
    }
}

fn name(vote: &Vote) -> &'static str {
    match vote {
        Vote::Granted => "granted",
        Vote::Held { .. } => "held",
        Vote::Waiting { .. } => "it waits",
        Vote::Inspected { .. } => "seen",
        Vote::Failed(_) => "failed",
    }
}
