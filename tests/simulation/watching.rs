//! The connection on which a simulated server tells a client of keys that change, and what
//! becomes of that on the way.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use redlock_native::engine::{Cause, Seen, Watch, Watcher};

use crate::checker::Checker;
use crate::counts::bump;
use crate::process::Process;
use crate::scenario::{Network, Scenario, Tells};
use crate::server::Server;
use crate::world::{Moment, World};

/// After so long without an answer the client takes the connection for dead.
const PATIENCE: Duration = Duration::from_secs(1);

/// Clones are the same one.
#[derive(Clone)]
pub struct WatchLine(Rc<Inner>);

struct Inner {
    process: Process,
    server: Rc<Server>,
    network: Network,
    tells: Tells,
    connection: RefCell<Option<Rc<Connection>>>,
    is_dialing: Cell<bool>,
    watches: RefCell<BTreeMap<u64, OneWatch>>,
    parted_until: Cell<Moment>,
    checker: Rc<Checker>,
    looks: Cell<u64>,
}

struct OneWatch {
    name: Box<str>,
    index: usize,
    watcher: Weak<dyn Watcher>,
    /// A look is to be made as soon as there is a connection.
    wants: bool,
    /// It knows that there is none.
    is_told: bool,
}

struct Connection {
    /// The life of the server that it leads to.
    life: u32,
    to_server: RefCell<VecDeque<(u64, Box<str>)>>,
    to_client: RefCell<VecDeque<Said>>,
    unanswered: RefCell<VecDeque<u64>>,
    is_broken: Cell<bool>,
}

/// What the server says.
enum Said {
    Seen(u64, Seen),
    Changed(u64),
}

impl WatchLine {
    pub fn new(
        process: &Process,
        server: &Rc<Server>,
        checker: &Rc<Checker>,
        scenario: &Scenario,
    ) -> Self {
        Self(Rc::new(Inner {
            process: process.clone(),
            server: Rc::clone(server),
            network: scenario.network,
            tells: scenario.tells,
            checker: Rc::clone(checker),
            connection: RefCell::default(),
            is_dialing: Cell::default(),
            watches: RefCell::default(),
            parted_until: Cell::default(),
            looks: Cell::default(),
        }))
    }

    pub fn watch(
        &self,
        name: &str,
        index: usize,
        watcher: Weak<dyn Watcher>,
    ) -> Option<Rc<dyn Watch>> {
        if !self.0.tells.at_all {
            return None;
        }
        let number = self.world().number();
        let watch = OneWatch {
            name: name.into(),
            index,
            watcher,
            wants: false,
            is_told: false,
        };
        self.0.watches.borrow_mut().insert(number, watch);
        let line = self.clone();
        Some(Rc::new(OfLine { line, number }))
    }

    /// How many looks were sent.
    pub fn looks(&self) -> u64 {
        self.0.looks.get()
    }

    pub fn part_until(&self, until: Moment) {
        self.0.parted_until.set(until);
    }

    /// The client finds the connection broken.
    pub fn snap(&self) {
        if let Some(connection) = self.0.connection.take() {
            connection.is_broken.set(true);
            self.note(format_args!("no longer tells"));
            self.lose();
            self.dial_later();
        }
    }

    /// The client has died.
    pub fn die(&self) {
        if let Some(connection) = self.0.connection.take() {
            connection.is_broken.set(true);
        }
        self.0.watches.borrow_mut().clear();
    }

    fn lose(&self) {
        let mut told = Vec::new();
        for watch in self.0.watches.borrow_mut().values_mut() {
            watch.wants = false;
            if !std::mem::replace(&mut watch.is_told, true) {
                told.push((Weak::clone(&watch.watcher), watch.index));
            }
        }
        for (watcher, index) in told {
            if let Some(watcher) = watcher.upgrade() {
                let what = "no connection".into();
                watcher.unwatched(index, &Cause::Unreachable { what });
            }
        }
    }

    fn look(&self, number: u64) {
        if !self.0.process.is_alive() {
            return;
        }
        if let Some(watch) = self.0.watches.borrow_mut().get_mut(&number) {
            // Who knows that there is no connection hears when there is one.
            watch.wants = !watch.is_told;
        }
        if self.0.connection.borrow().is_some() {
            self.flush();
        } else if !self.0.is_dialing.get() {
            self.dial();
        }
    }

    fn dial(&self) {
        self.0.is_dialing.set(true);
        let there_and_back = self.delay() + self.delay();
        let line = self.clone();
        let dialed = move || line.dialed();
        self.0.process.after(there_and_back, dialed);
    }

    fn dial_later(&self) {
        self.0.is_dialing.set(true);
        let pause = Duration::from_millis(10) + self.world().chance.span(self.0.network.backoff);
        let line = self.clone();
        self.0.process.after(pause, move || line.dial());
    }

    fn dialed(&self) {
        self.0.is_dialing.set(false);
        if !self.0.server.is_up() || self.is_parted() {
            self.lose();
            // Nobody needs it any more, or those who do try again.
            if !self.world().is_quiet() && !self.0.watches.borrow().is_empty() {
                self.dial_later();
            }
            return;
        }
        let connection = Connection {
            life: self.0.server.life(),
            to_server: RefCell::default(),
            to_client: RefCell::default(),
            unanswered: RefCell::default(),
            is_broken: Cell::default(),
        };
        self.0.connection.replace(Some(Rc::new(connection)));
        let mut told = Vec::new();
        for watch in self.0.watches.borrow_mut().values_mut() {
            if std::mem::take(&mut watch.is_told) {
                told.push((Weak::clone(&watch.watcher), watch.index));
            }
        }
        for (watcher, index) in told {
            if let Some(watcher) = watcher.upgrade() {
                watcher.changed(index);
            }
        }
        self.flush();
    }

    /// Sends the looks that are wanted.
    fn flush(&self) {
        let Some(connection) = self.0.connection.borrow().clone() else {
            return;
        };
        for (number, watch) in &mut *self.0.watches.borrow_mut() {
            if !std::mem::take(&mut watch.wants) {
                continue;
            }
            let (process, server) = (self.0.process.index(), self.0.server.index);
            let world = self.world();
            world.note(format_args!("p{process}: s{server} is looked at"));
            bump(&self.0.looks);
            bump(&self.0.checker.counts.looks);
            connection.unanswered.borrow_mut().push_back(*number);
            let look = (*number, watch.name.clone());
            connection.to_server.borrow_mut().push_back(look);
            let (line, on) = (self.clone(), Rc::clone(&connection));
            self.world().after(self.delay(), move || line.arrive(&on));
            let (line, on, number) = (self.clone(), Rc::clone(&connection), *number);
            self.0.process.after(PATIENCE, move || {
                if !on.is_broken.get() && on.unanswered.borrow().front() == Some(&number) {
                    line.snap();
                }
            });
        }
    }

    /// A look reaches the server, whichever is first in line.
    fn arrive(&self, connection: &Rc<Connection>) {
        let world = self.world();
        let held = self.0.parted_until.get().max(self.0.server.hung_until());
        if held > world.now() {
            let (line, on) = (self.clone(), Rc::clone(connection));
            world.at(held.after(self.delay()), move || line.arrive(&on));
            return;
        }
        let Some((number, name)) = connection.to_server.borrow_mut().pop_front() else {
            return;
        };
        if !self.0.server.is_up() || self.0.server.life() != connection.life {
            return;
        }
        let (line, on) = (self.clone(), Rc::downgrade(connection));
        let tell = move || {
            if let Some(connection) = on.upgrade() {
                line.tell(&connection, number);
            }
        };
        let seen = self.0.server.look(&name, Box::new(tell));
        self.send(connection, Said::Seen(number, seen));
    }

    /// The server tells of a change; not everything arrives, nor once, nor by its name.
    fn tell(&self, connection: &Rc<Connection>, number: u64) {
        let chance = &self.world().chance;
        let Tells {
            loses,
            doubles,
            astray,
            ..
        } = self.0.tells;
        if !chance.percent(loses) {
            self.send(connection, Said::Changed(number));
        }
        if chance.percent(doubles) {
            self.send(connection, Said::Changed(number));
        }
        if chance.percent(astray) {
            let watches = self.0.watches.borrow();
            let numbers: Vec<_> = watches.keys().copied().collect();
            drop(watches);
            if !numbers.is_empty() {
                self.send(connection, Said::Changed(chance.pick(&numbers)));
            }
        }
    }

    fn send(&self, connection: &Rc<Connection>, said: Said) {
        connection.to_client.borrow_mut().push_back(said);
        let (line, on) = (self.clone(), Rc::clone(connection));
        self.0.process.after(self.delay(), move || line.hear(&on));
    }

    /// Something reaches the client, whatever is first in line.
    fn hear(&self, connection: &Rc<Connection>) {
        if connection.is_broken.get() {
            return;
        }
        if self.is_parted() {
            let (line, on) = (self.clone(), Rc::clone(connection));
            let until = self.0.parted_until.get();
            self.0.process.at(until, move || line.hear(&on));
            return;
        }
        let said = connection.to_client.borrow_mut().pop_front();
        let Some(said) = said else {
            return;
        };
        let (Said::Seen(number, _) | Said::Changed(number)) = &said;
        if let Said::Seen(..) = said {
            connection.unanswered.borrow_mut().pop_front();
        }
        let Some((to, index)) = self.watcher(*number) else {
            return;
        };
        match said {
            Said::Seen(_, seen) => {
                self.note(format_args!("shows {seen:?}"));
                to.seen(index, seen);
            }
            Said::Changed(_) => {
                self.note(format_args!("tells of a change"));
                bump(&self.0.checker.counts.told);
                to.changed(index);
            }
        }
    }

    fn watcher(&self, number: u64) -> Option<(Rc<dyn Watcher>, usize)> {
        let watches = self.0.watches.borrow();
        let watch = watches.get(&number)?;
        Some((watch.watcher.upgrade()?, watch.index))
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        let (process, server) = (self.0.process.index(), self.0.server.index);
        self.world()
            .note(format_args!("p{process}: s{server} {what}"));
    }

    fn is_parted(&self) -> bool {
        self.0.parted_until.get() > self.world().now()
    }

    fn delay(&self) -> Duration {
        self.0.network.delay(self.world())
    }

    fn world(&self) -> &World {
        self.0.process.world()
    }
}

/// One watch, as its watcher has it.
struct OfLine {
    line: WatchLine,
    number: u64,
}

impl Watch for OfLine {
    fn look(&self) {
        self.line.look(self.number);
    }
}

impl Drop for OfLine {
    fn drop(&mut self) {
        let watch = self.line.0.watches.borrow_mut().remove(&self.number);
        drop(watch);
    }
}
