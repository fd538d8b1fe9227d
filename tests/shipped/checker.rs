//! What must hold, judged in true time by somebody who sees everything: who
//! believes in a lock, what was written to whom, what was asked and not answered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use redlock_native::engine::{Environment as _, Instant, SafetyRule, SharedValidity};

use crate::process::Process;
use crate::redis::{CommandKind, LockCommand};
use crate::seeds;
use crate::stream::Wire;
use crate::world::{Moment, World};

pub struct Checker {
    world: Rc<World>,
    beliefs: RefCell<Vec<Belief>>,
    /// What was asked and is not settled.
    requests: RefCell<BTreeMap<u64, Open>>,
    /// How often each acquire was carried out.
    acquires: RefCell<Times>,
    /// The values that were released on a connection.
    releases: RefCell<BTreeSet<(u64, String)>>,
    dead: RefCell<BTreeSet<usize>>,
    /// Values whose keys may stay until they end by themselves.
    forgotten: RefCell<BTreeSet<String>>,
    /// The same of extensions.
    extends: RefCell<Times>,
    /// How often they may have been, by value; none where nobody counts.
    asked: RefCell<BTreeMap<String, u32>>,
    /// Since when callers' clients lead elsewhere: what was asked for before is
    /// not believed in any longer.
    changed: Cell<Moment>,
    /// The longest that a key may be asked to live, in milliseconds.
    pub longest: Cell<u64>,
    pub counts: Counts,
}

/// How often something was carried out: by process, member and value.
type Times = BTreeMap<(usize, Rc<str>, String), u32>;

/// A request that is not settled.
struct Open {
    process: usize,
    since: Moment,
    what: String,
}

struct Belief {
    process: Process,
    scope: Scope,
    resources: Vec<String>,
    value: String,
    until: Until,
    /// When it, or its extension, was asked for.
    asked: Moment,
}

/// Where a lock holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everywhere,
    /// In this process.
    Process(usize),
}

enum Until {
    At(Moment),
    /// As long as the watch says; how long that was when it was looked at last.
    Watched(SharedValidity, Cell<Instant>),
}

/// What happened in the runs: a simulation in which nothing does shows nothing.
#[derive(Default)]
pub struct Counts {
    pub granted: Cell<u64>,
    pub refused: Cell<u64>,
    pub dead: Cell<u64>,
    pub extended: Cell<u64>,
    pub not_extended: Cell<u64>,
    pub released: Cell<u64>,
    pub kept: Cell<u64>,
    pub lost: Cell<u64>,
    pub faults: Cell<u64>,
    pub odd: Cell<u64>,
    pub erred: Cell<u64>,
    pub redirected: Cell<u64>,
    pub unknown: Cell<u64>,
    pub promoted: Cell<u64>,
    pub bridged: Cell<u64>,
    pub resent: Cell<u64>,
    pub beside: Cell<u64>,
    pub together: Cell<u64>,
    pub looked_at: Cell<u64>,
}

impl Checker {
    pub fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            beliefs: RefCell::default(),
            requests: RefCell::default(),
            acquires: RefCell::default(),
            releases: RefCell::default(),
            dead: RefCell::default(),
            forgotten: RefCell::default(),
            extends: RefCell::default(),
            asked: RefCell::default(),
            changed: Cell::default(),
            longest: Cell::default(),
            counts: Counts::default(),
        })
    }

    // ---- beliefs

    /// From now on a process believes in a lock until that point of its clock,
    /// were it for this moment only.
    pub fn believe(
        &self,
        process: &Process,
        scope: Scope,
        resources: &[String],
        value: &str,
        until: Instant,
        asked: Moment,
    ) {
        if SafetyRule::HandOver.is_kept()
            && SafetyRule::Validity.is_kept()
            && process.now() >= until
        {
            // Taking out other rules is to be seen by other harm.
            self.world.blame(format_args!(
                "p{} is handed a lock that is over",
                process.index()
            ));
        }
        let moment = self.world.now().after(std::time::Duration::from_nanos(1));
        let until = process.reaches(until).max(moment);
        self.add(process, scope, resources, value, Until::At(until), asked);
    }

    /// From now on a process believes in a lock for as long as its watch says.
    pub fn watch(
        &self,
        process: &Process,
        scope: Scope,
        resources: &[String],
        value: &str,
        watch: &SharedValidity,
        asked: Moment,
    ) {
        let until = Until::Watched(watch.clone(), Cell::new(watch.until()));
        self.add(process, scope, resources, value, until, asked);
    }

    fn add(
        &self,
        process: &Process,
        scope: Scope,
        resources: &[String],
        value: &str,
        until: Until,
        asked: Moment,
    ) {
        self.disbelieve(process, value);
        let belief = Belief {
            process: process.clone(),
            scope,
            resources: resources.to_vec(),
            value: value.to_owned(),
            until,
            asked,
        };
        let mut beliefs = self.beliefs.borrow_mut();
        let now = self.world.now();
        beliefs.retain(|other| matches!(other.until, Until::Watched(..)) || other.holds(now));
        self.expect_alone(&belief, &beliefs);
        beliefs.push(belief);
    }

    pub fn disbelieve(&self, process: &Process, value: &str) {
        self.beliefs
            .borrow_mut()
            .retain(|belief| belief.value != value || belief.process.index() != process.index());
    }

    /// A process has ended, and nobody believes or waits there any more.
    pub fn died(&self, process: &Process) {
        let gone = process.index();
        self.beliefs
            .borrow_mut()
            .retain(|belief| belief.process.index() != gone);
        self.requests
            .borrow_mut()
            .retain(|_, open| open.process != gone);
        // What it asked for is not known.
        self.extends
            .borrow_mut()
            .retain(|(process, ..), _| *process != gone);
        self.dead.borrow_mut().insert(gone);
    }

    /// Whether nobody holds or asks for anything.
    pub fn is_idle(&self) -> bool {
        let now = self.world.now();
        let holds = self.beliefs.borrow().iter().any(|belief| belief.holds(now));
        !holds && self.requests.borrow().is_empty()
    }

    fn expect_alone(&self, one: &Belief, all: &[Belief]) {
        let now = self.world.now();
        if one.asked < self.changed.get() {
            return;
        }
        for other in all {
            let shared = one
                .resources
                .iter()
                .find(|name| other.resources.contains(name));
            let other_counts = other.asked >= self.changed.get() && other.holds(now);
            if let (Some(shared), true) = (shared, other_counts)
                && one.scope == other.scope
                && one.value != other.value
            {
                self.world.blame(format_args!(
                    "two holders of {shared}: p{} with {:.6} and p{} with {:.6}",
                    one.process.index(),
                    one.value,
                    other.process.index(),
                    other.value,
                ));
            }
        }
    }

    /// Looks whether somebody's watch says more than before.
    pub fn look(&self) {
        let beliefs = self.beliefs.borrow();
        for belief in &*beliefs {
            if let Until::Watched(watch, before) = &belief.until {
                let until = watch.until();
                if until > before.replace(until) {
                    self.expect_alone(belief, &beliefs);
                }
            }
        }
    }

    /// Callers' clients lead elsewhere from now on.
    pub fn change(&self) {
        self.changed.set(self.world.now());
    }

    // ---- requests

    pub fn begin(&self, process: &Process, what: String) -> u64 {
        self.world.note(format_args!("{what}"));
        let number = self.world.number();
        self.requests.borrow_mut().insert(
            number,
            Open {
                process: process.index(),
                since: self.world.now(),
                what,
            },
        );
        number
    }

    pub fn settled(&self, number: u64, how: &str) {
        if let Some(open) = self.requests.borrow_mut().remove(&number) {
            self.world.note(format_args!("{} → {how}", open.what));
        }
    }

    pub fn expect_settled(&self) {
        let requests = self.requests.borrow();
        if let Some(open) = requests.values().next() {
            let span = self.world.now().since(open.since);
            self.world
                .blame(format_args!("{} has not settled after {span:?}", open.what));
        }
    }

    // ---- what was written

    /// A server carries out what came on a connection of the crate's own.
    pub fn written(&self, wire: &Wire, lock_command: &LockCommand) {
        if lock_command.ttl > self.longest.get() {
            self.world
                .blame(format_args!("a key is to live for {} ms", lock_command.ttl));
        }
        let key = (
            wire.process.index(),
            Rc::clone(&wire.address),
            lock_command.value.clone(),
        );
        match lock_command.kind {
            CommandKind::Set | CommandKind::Acquire | CommandKind::AcquireFair => {
                let released = (wire.number, lock_command.value.clone());
                if self.releases.borrow().contains(&released) {
                    self.world.blame(format_args!(
                        "p{}'s acquire of {:.6} comes after its own release to {}",
                        wire.process.index(),
                        lock_command.value,
                        wire.address
                    ));
                }
                let mut acquires = self.acquires.borrow_mut();
                let times = acquires.entry(key).or_default();
                *times += 1;
                if *times > 1 {
                    self.world.blame(format_args!(
                        "p{}'s acquire of {:.6} is written twice to {}",
                        wire.process.index(),
                        lock_command.value,
                        wire.address
                    ));
                }
            }
            CommandKind::Release => {
                let released = (wire.number, lock_command.value.clone());
                self.releases.borrow_mut().insert(released);
            }
            CommandKind::Extend if self.dead.borrow().contains(&wire.process.index()) => {}
            CommandKind::Extend => *self.extends.borrow_mut().entry(key).or_default() += 1,
            CommandKind::Inspect => {}
        }
    }

    /// Nobody will release this.
    pub fn forget(&self, value: &str) {
        self.forgotten.borrow_mut().insert(value.to_owned());
    }

    pub fn is_forgotten(&self, value: &str) -> bool {
        self.forgotten.borrow().contains(value)
    }

    /// A lock was to be extended so many times at most; `None`: nobody knows.
    pub fn asked(&self, value: &str, times: Option<u32>) {
        let mut asked = self.asked.borrow_mut();
        let sum = asked.entry(value.to_owned()).or_default();
        *sum = times.map_or(u32::MAX, |times| sum.saturating_add(times));
    }

    pub fn expect_no_replay(&self) {
        let asked = self.asked.borrow();
        for ((process, address, value), times) in &*self.extends.borrow() {
            let most = asked.get(value).copied().unwrap_or(0);
            if *times > most {
                self.world.blame(format_args!(
                    "p{process}'s extension of {value:.6} is written {times} times to {address}, \
                     asked for {most} times"
                ));
            }
        }
    }

    pub fn redirected(&self, _: &str) {
        bump(&self.counts.redirected);
    }
}

impl Belief {
    fn holds(&self, now: Moment) -> bool {
        match &self.until {
            Until::At(until) => now < *until,
            Until::Watched(watch, _) => self.process.now() < watch.until(),
        }
    }
}

impl Counts {
    pub fn all(&self) -> seeds::Counts {
        [
            ("granted", &self.granted),
            ("refused", &self.refused),
            ("dead on arrival", &self.dead),
            ("extended", &self.extended),
            ("not extended", &self.not_extended),
            ("released", &self.released),
            ("kept", &self.kept),
            ("lost while kept", &self.lost),
            ("struck by a fault", &self.faults),
            ("answered oddly", &self.odd),
            ("refused in a bad state", &self.erred),
            ("redirected", &self.redirected),
            ("asked for an unknown script", &self.unknown),
            ("promoted", &self.promoted),
            ("carried by a caller's client", &self.bridged),
            ("sent again by a caller's client", &self.resent),
            ("dialled beside a silent connection", &self.beside),
            ("released in one call with others", &self.together),
            ("looked at by who is told of changes", &self.looked_at),
        ]
        .map(|(name, count)| (name, count.get()))
        .to_vec()
    }
}

pub fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}
