//! An engine that is called directly.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redlock_native::engine::{
    Claims, Drift, Engine, Grant, Instance, Resources, Retry, Settings, Ttl,
};
use redlock_native::instances::memory::{Memory, Tables};

use crate::TOGETHER;
use crate::member::Member;
use crate::names::{SETS, batches, is_held, resources};
use crate::world::World;

/// An engine and who answers it.
pub struct Quorum {
    world: World,
    engine: Engine,
    members: Vec<Rc<Member>>,
    settings: Arc<Settings>,
    ttl: Ttl,
    /// What was granted and not yet released.
    granted: Rc<RefCell<Vec<(usize, Grant)>>>,
    pub counts: Rc<Counts>,
}

/// What came of what was asked.
#[derive(Default)]
pub struct Counts {
    pub granted: Cell<u32>,
    pub refused: Cell<u32>,
    pub released: Cell<u32>,
}

pub(crate) fn add(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

impl Counts {
    /// Begins anew.
    pub fn reset(&self) {
        for counter in [&self.granted, &self.refused, &self.released] {
            counter.set(0);
        }
    }

    /// Sees that it was what it should be.
    ///
    /// # Panics
    ///
    /// Unless nine in ten of so many cycles were granted and released, and the others
    /// refused.
    pub fn expect(&self, cycles: u32) {
        let free = cycles / 10 * 9;
        let found = [&self.granted, &self.refused, &self.released].map(Cell::get);
        assert_eq!(found, [free, cycles - free, free]);
    }
}

impl Quorum {
    /// One over so many members.
    #[must_use]
    pub fn over_members(count: usize) -> Self {
        let members: Vec<_> = (0..count).map(|_| Rc::<Member>::default()).collect();
        let instances = members.iter().map(|one| Rc::clone(one) as Rc<dyn Instance>);
        Self::new(World::default(), instances.collect(), members)
    }

    fn new(world: World, instances: Vec<Rc<dyn Instance>>, members: Vec<Rc<Member>>) -> Self {
        let engine = Engine::new(
            instances,
            world.environment(),
            Rc::<Claims>::default(),
            Rc::default(),
            |_| {},
        );
        world.run();
        Self {
            engine,
            members,
            settings: Arc::new(Settings {
                retry: Retry::never(),
                ..Settings::default()
            }),
            ttl: ttl(10_000.0),
            granted: Rc::default(),
            counts: Rc::default(),
            world,
        }
    }

    /// Takes all of these, and releases what was granted.
    pub fn cycle(&self, names: &[Resources]) {
        for (index, name) in names.iter().enumerate() {
            let (granted, counts) = (Rc::clone(&self.granted), Rc::clone(&self.counts));
            self.engine.acquire_then(
                Resources::clone(name),
                self.ttl,
                Arc::clone(&self.settings),
                move |outcome| match outcome {
                    Ok(grant) => {
                        add(&counts.granted);
                        granted.borrow_mut().push((index, grant));
                    }
                    Err(_) => add(&counts.refused),
                },
            );
        }
        self.answer();
        for (index, grant) in self.granted.take() {
            let counts = Rc::clone(&self.counts);
            self.engine.release_then(
                Resources::clone(&names[index]),
                grant.value,
                grant.validity.since,
                &self.settings,
                move |outcome| {
                    if outcome.is_ok() {
                        add(&counts.released);
                    }
                },
            );
        }
        self.answer();
    }

    fn answer(&self) {
        self.world.pass(Duration::from_millis(1));
        for member in &self.members {
            member.answer();
        }
        self.world.run();
    }

    /// Has what is refused refused by somebody who holds it.
    fn hold(&self, names: &[Resources]) {
        for name in names.iter().filter(|name| is_held(&name[0])) {
            let name = Resources::clone(name);
            let settings = Arc::clone(&self.settings);
            self.engine.acquire_then(name, ttl(1e9), settings, |_| {});
        }
        self.world.run();
    }

    fn repeat(&self, cycles: u32) {
        for names in batches(cycles, resources) {
            self.cycle(&names);
        }
        // Clean-up of what was refused may still be under way.
        self.answer();
        assert!(self.engine.is_quiet());
        self.counts.expect(cycles);
    }
}

/// So many ms.
///
/// # Panics
///
/// If a lock can't live for so long.
#[must_use]
pub fn ttl(millis: f64) -> Ttl {
    Ttl::new(millis, Drift::default()).expect("a ttl")
}

/// An engine over three members that answer in batches.
pub fn over_members(cycles: u32) {
    Quorum::over_members(3).repeat(cycles);
}

/// An engine over three tables in memory, which answer at once: what [`crate::rows`]
/// has below the hand-over.
pub fn over_memory(cycles: u32) {
    let world = World::default();
    let tables = Tables::default();
    let open =
        |name: &&str| Rc::new(Memory::open(name, world.environment(), &tables)) as Rc<dyn Instance>;
    let instances = ["a", "b", "c"].iter().map(open).collect();
    let quorum = Quorum::new(world.clone(), instances, Vec::new());
    for set in 0..SETS {
        quorum.hold(&resources(set, TOGETHER));
    }
    quorum.repeat(cycles);
}
