//! The watch connection by itself on virtual time: keys change, messages of it are lost,
//! late, doubled or others', connections die, and whoever watches knows in the end.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use redlock_native::engine::{Cause, Instance as _, Seen, Watch, Watcher};
use redlock_native::instances::redis::{self, Config, Connecting, Dialler, Endpoint};

use crate::checker::Checker;
use crate::dialler::Names;
use crate::process::Process;
use crate::redis::{CommandKind, ErrorState, LockCommand, Server};
use crate::scenario::Scenario;
use crate::tracking::MessageFaults;
use crate::world::{Clock, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// How often a key is looked at of which nothing is told.
const POLL: Duration = Duration::from_secs(2);

const KEYS: [&str; 3] = ["a", "b", "c"];

/// Counts the dials.
struct Counting {
    names: Rc<Names>,
    dials: Cell<usize>,
}

impl Dialler for Counting {
    fn connect<'a>(&'a self, config: &'a Config) -> Connecting<'a> {
        self.dials.set(self.dials.get() + 1);
        self.names.connect(config)
    }
}

/// One process that watches the keys of one server.
struct Run {
    world: Rc<World>,
    process: Process,
    dialler: Rc<Counting>,
    server: Rc<Server>,
    member: redis::Server,
}

impl Run {
    fn new(seed: u64) -> Self {
        let world = World::new(seed, std::env::var_os("VERBOSE").is_some());
        let checker = Checker::new(&world);
        let mut network = Scenario::draw(&world.chance).network;
        // A server is given up that doesn't answer for a second, which is not what is shown.
        network.slowest = network.slowest.min(300 * MS);
        let clock = || Clock::draw(&world.chance, 10);
        let process = Process::new(&world, 0, clock());
        let server = Server::new(&world, 0, "m".into(), clock(), &checker);
        let names = Names::new(&process, network, &checker);
        names.lead("m", &server, "m");
        let dialler = Rc::new(Counting {
            names,
            dials: Cell::new(0),
        });
        let connections =
            redis::Network::new(Rc::new(process.clone()), Rc::<Counting>::clone(&dialler));
        let config = Config {
            key_prefix: "p:".into(),
            ..Config::new(Endpoint::Tcp {
                host: "m".into(),
                port: 6379,
            })
        };
        let member = redis::Server::open(config, &connections);
        Self {
            world,
            process,
            dialler,
            server,
            member,
        }
    }

    fn watch(&self, key: &'static str) -> Rc<Waiter> {
        let waiter = Rc::new(Waiter {
            world: Rc::clone(&self.world),
            key,
            state: RefCell::default(),
            watch: RefCell::default(),
        });
        let weak = Rc::downgrade(&waiter);
        let watcher: Weak<dyn Watcher> = weak;
        let watch = self.member.watch(key, 0, watcher).expect("room");
        waiter.watch.replace(Some(watch));
        waiter
    }

    /// Lets so much time pass.
    fn pass(&self, span: Duration) {
        let is_over = Rc::new(Cell::new(false));
        let over = Rc::clone(&is_over);
        self.world.after(span, move || over.set(true));
        while !is_over.get() && self.world.step() {}
        assert_eq!(self.world.violation(), None);
    }

    /// In the process, which then sees to what it has woken.
    fn act(&self, act: impl FnOnce() + 'static) {
        self.process.after(Duration::ZERO, act);
    }

    /// The connections that tell of changes.
    fn watch_connections(&self) -> usize {
        let tracks = |wire: &Rc<crate::stream::Wire>| wire.server_side.borrow().is_told();
        self.server
            .wires()
            .iter()
            .filter(|wire| tracks(wire))
            .count()
    }

    /// Somebody else changes a key.
    fn change(&self, key: &str) {
        change(&self.server, &self.world, key);
    }

    /// What a key has.
    fn truth(&self, key: &str) -> Option<String> {
        let left = self.server.left();
        let found = left
            .into_iter()
            .find(|(name, _)| *name == format!("p:{key}"));
        found.map(|(_, value)| value)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.process.kill();
        self.world.end();
    }
}

fn change(server: &Server, world: &World, key: &str) {
    let chance = &world.chance;
    let keys = vec![format!("p:{key}")];
    let held = server.left().into_iter().find(|(name, _)| *name == keys[0]);
    let (kind, value) = match held {
        None => (CommandKind::Set, format!("v{}", world.number())),
        Some((_, value)) => (
            chance.pick(&[CommandKind::Release, CommandKind::Extend]),
            value,
        ),
    };
    let lock_command = LockCommand {
        kind,
        keys,
        value,
        ttl: chance.pick(&[50, 500, 5000]),
    };
    server.carry_out(0, &lock_command);
}

/// One who watches a key and looks again when told that it has changed.
struct Waiter {
    world: Rc<World>,
    key: &'static str,
    state: RefCell<Known>,
    watch: RefCell<Option<Rc<dyn Watch>>>,
}

#[derive(Default)]
struct Known {
    seen: Option<Seen>,
    /// Has been told of a change that it has not looked at.
    is_told: bool,
    is_unwatched: bool,
    times_seen: usize,
    times_unwatched: usize,
    looks: usize,
}

impl Waiter {
    fn look(&self) {
        let mut known = self.state.borrow_mut();
        known.is_told = false;
        known.looks += 1;
        drop(known);
        let watch = self.watch.borrow().clone();
        if let Some(watch) = watch {
            watch.look();
        }
    }

    /// The value that it believes the key to have.
    fn believes(&self) -> Option<String> {
        match &self.state.borrow().seen {
            Some(Seen::Held { value, .. }) => value.as_ref().map(ToString::to_string),
            _ => None,
        }
    }
}

impl Watcher for Waiter {
    fn seen(&self, _: usize, seen: Seen) {
        self.world.note(format_args!("{}: {seen:?}", self.key));
        let mut known = self.state.borrow_mut();
        assert!(!known.is_unwatched, "an answer without a connection");
        known.seen = Some(seen);
        known.times_seen += 1;
        assert!(known.times_seen <= known.looks, "more answers than looks");
    }

    fn changed(&self, _: usize) {
        self.world.note(format_args!("{} has changed", self.key));
        {
            let mut known = self.state.borrow_mut();
            assert!(!known.is_told, "told twice");
            known.is_told = true;
            known.is_unwatched = false;
        }
        self.look();
    }

    fn unwatched(&self, _: usize, cause: &Cause) {
        self.world
            .note(format_args!("{} is unwatched: {cause}", self.key));
        let mut known = self.state.borrow_mut();
        known.times_unwatched += 1;
        // A look that a server refuses leaves the connection as it is.
        if cause.reply().is_none() {
            assert!(!known.is_unwatched, "told twice");
            known.is_unwatched = true;
        }
    }
}

/// Looks every now and then, as whoever waits must.
fn poll(process: &Process, waiter: &Weak<Waiter>) {
    let Some(known) = waiter.upgrade() else {
        return;
    };
    known.look();
    let (again, waiter) = (process.clone(), Weak::clone(waiter));
    process.after(POLL, move || poll(&again, &waiter));
}

/// Everything that goes wrong does, until the world is quiet.
fn harm(run: &Rc<Run>) {
    let again = Rc::clone(run);
    run.world.after(run.world.chance.span(SECOND), move || {
        let chance = &again.world.chance;
        if again.world.is_quiet() {
            return;
        }
        let span = chance.span(3 * SECOND);
        let wires = again.server.wires();
        let wire = (!wires.is_empty()).then(|| &wires[chance.index(wires.len())]);
        match (chance.below(9), wire) {
            (0, Some(wire)) => wire.cut(chance.percent(50)),
            (1, Some(wire)) => wire.go_dead(),
            (2, Some(wire)) => wire.go_deaf(),
            (3, Some(wire)) => wire.hold(span),
            (4, _) => again.server.hang(span),
            (5, _) => again
                .server
                .be(chance.pick(&[ErrorState::Busy, ErrorState::Loading]), span),
            (6, _) => again.server.flush(),
            (7, _) => again.server.flush_scripts(),
            (8, _) => again.process.pause(span),
            _ => {}
        }
        harm(&again);
    });
}

/// Others change the keys now and then.
fn keep_changing(run: &Rc<Run>) {
    let again = Rc::clone(run);
    run.world.after(run.world.chance.span(200 * MS), move || {
        if !again.world.is_quiet() {
            if again.server.is_awake() {
                again.change(again.world.chance.pick(&KEYS));
            }
            keep_changing(&again);
        }
    });
}

#[test]
fn whatever_becomes_of_messages_and_connections_a_change_is_known_in_the_end() {
    let (mut told, mut lost) = (0, 0);
    for seed in 0..60 {
        let run = Rc::new(Run::new(seed));
        let chance = &run.world.chance;
        let percent = || chance.pick(&[0, 0, 10, 50]);
        run.server.tracking.faults.set(MessageFaults {
            lost: percent(),
            late: percent(),
            latest: 3 * SECOND,
            doubled: percent(),
            foreign: percent(),
            all: percent(),
        });
        let waiters = KEYS.map(|key| run.watch(key));
        for waiter in &waiters {
            let (process, weak) = (run.process.clone(), Rc::downgrade(waiter));
            run.act(move || poll(&process, &weak));
        }
        harm(&run);
        keep_changing(&run);
        run.pass(30 * SECOND);

        run.world.quieten();
        run.server.hang(Duration::ZERO);
        run.server.be(ErrorState::Busy, Duration::ZERO);
        run.server.tracking.faults.set(MessageFaults::default());
        // A pause between two dials may have grown to a minute, and a poll comes after it.
        run.pass(70 * SECOND);
        for (waiter, key) in waiters.iter().zip(KEYS) {
            assert!(!waiter.state.borrow().is_unwatched, "seed {seed}: {key}");
            assert_eq!(waiter.believes(), run.truth(key), "seed {seed}: {key}");
        }
        // Now that nothing goes wrong it is known within a round trip, or soon after the
        // end of a key's life.
        for _ in 0..20 {
            let key = chance.pick(&KEYS);
            run.change(key);
            run.pass(150 * MS);
            for (waiter, key) in waiters.iter().zip(KEYS) {
                let truth = run.truth(key);
                if waiter.believes() != truth {
                    run.pass(150 * MS);
                    assert_eq!(waiter.believes(), run.truth(key), "seed {seed}: {key}");
                }
            }
        }
        for waiter in &waiters {
            told += waiter.state.borrow().times_seen;
            lost += waiter.state.borrow().times_unwatched;
        }
        assert!(run.watch_connections() >= 1);
    }
    assert!(
        told > 60 * 100 && lost > 60,
        "too little happens: {told}, {lost}"
    );
}

#[test]
fn a_server_that_refuses_or_hangs_up_each_time_is_dialled_once_a_minute_at_last() {
    for hangs_up in [false, true] {
        let run = Rc::new(Run::new(1));
        if !hangs_up {
            run.server
                .tracking
                .refusal
                .set(Some("ERR unknown command 'HELLO'"));
        }
        let waiter = run.watch("a");
        let weak = Rc::downgrade(&waiter);
        let process = run.process.clone();
        run.act(move || poll(&process, &weak));
        run.pass(SECOND);
        if hangs_up {
            fn hang_up(run: &Rc<Run>) {
                let again = Rc::clone(run);
                run.world.after(10 * MS, move || {
                    for wire in again.server.wires() {
                        if wire.server_side.borrow().is_told() {
                            wire.cut(true);
                        }
                    }
                    hang_up(&again);
                });
            }
            hang_up(&run);
        }
        let before = run.dialler.dials.get();
        run.pass(60 * SECOND);
        let first = run.dialler.dials.get() - before;
        assert!((1..=16).contains(&first), "{first} in the first minute");
        run.pass(600 * SECOND);
        let rest = run.dialler.dials.get() - before - first;
        assert!((5..=25).contains(&rest), "{rest} in ten minutes");
        if !hangs_up {
            assert_eq!(waiter.state.borrow().times_unwatched, 1, "said once");
            run.server.tracking.refusal.set(None);
            run.pass(65 * SECOND);
            assert!(waiter.state.borrow().times_seen > 0);
        }
    }
}

#[test]
fn a_connection_that_dies_unused_is_noticed_by_its_ping() {
    let run = Run::new(2);
    let waiter = run.watch("a");
    let looks = Rc::clone(&waiter);
    run.act(move || looks.look());
    run.pass(60 * SECOND);
    let known = || {
        let known = waiter.state.borrow();
        (known.times_seen, known.times_unwatched)
    };
    assert_eq!(known(), (1, 0), "a minute without a look");
    for wire in run.server.wires() {
        wire.go_dead();
    }
    run.pass(3 * SECOND + SECOND + 500 * MS);
    assert_eq!(waiter.state.borrow().times_unwatched, 1);
    run.pass(SECOND);
    assert!(waiter.state.borrow().times_seen >= 2, "there is another");
}

#[test]
fn it_is_dialled_when_somebody_watches_and_closed_ten_seconds_after_the_last() {
    let run = Run::new(3);
    run.pass(5 * SECOND);
    assert_eq!(run.watch_connections(), 0);
    for _ in 0..3 {
        let [one, other] = ["a", "b"].map(|key| run.watch(key));
        run.pass(SECOND);
        assert_eq!(run.watch_connections(), 1);
        run.act(move || drop(one));
        run.pass(20 * SECOND);
        assert_eq!(run.watch_connections(), 1, "there is the other");
        run.act(move || drop(other));
        run.pass(9 * SECOND);
        assert_eq!(run.watch_connections(), 1);
        let again = run.watch("a");
        run.act(move || drop(again));
        run.pass(9 * SECOND);
        assert_eq!(run.watch_connections(), 1, "somebody was there meanwhile");
        run.pass(2 * SECOND);
        assert_eq!(run.watch_connections(), 0);
    }
}
