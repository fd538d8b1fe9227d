//! Holders in one process, over tables in its memory, who extend one lock several
//! times at once and for different spans: whichever of the extensions comes last,
//! the longest that was granted must hold.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{
    Drift, Engine, Environment, Event, Instance, Instant, Resources, Retry, SafetyRule, Settings,
    Token, Ttl,
};
use redlock_native::instances::memory::{Memory, Tables};

use crate::process::Process;
use crate::world::{Clock, World};

/// What a run came to.
pub struct Outcome {
    pub granted: u64,
    pub extended: u64,
    pub violation: Option<String>,
}

struct Holder {
    value: Token,
    until: Cell<Instant>,
}

struct Case {
    process: Process,
    engine: Engine,
    holders: RefCell<Vec<Rc<Holder>>>,
    granted: Cell<u64>,
    extended: Cell<u64>,
}

const CLIENTS: usize = 3;
const ROUNDS: usize = 30;

/// Runs the world of `seed`, with every rule kept but one, if that is taken out.
pub fn run(seed: u64, without: Option<SafetyRule>) -> Outcome {
    SafetyRule::take_out(without);
    let world = World::new(seed, false);
    let process = Process::new(&world, 0, Clock::draw(&world.chance, 10));
    let tables = Tables::default();
    let environment: Rc<dyn Environment> = Rc::new(process.clone());
    let member = |name: &str| {
        Rc::new(Memory::open(name, Rc::clone(&environment), &tables)) as Rc<dyn Instance>
    };
    let members = ["a", "b", "c"].map(member).to_vec();
    let engine = Engine::new(
        members,
        environment,
        Rc::default(),
        Rc::default(),
        |_: Event| {},
    );
    let case = Rc::new(Case {
        process: process.clone(),
        engine,
        holders: RefCell::default(),
        granted: Cell::new(0),
        extended: Cell::new(0),
    });
    for _ in 0..CLIENTS {
        let case = Rc::clone(&case);
        process.spawn(Box::pin(async move { case.live().await }));
    }
    while world.violation().is_none() && world.step() {}
    process.kill();
    let outcome = Outcome {
        granted: case.granted.get(),
        extended: case.extended.get(),
        violation: world.violation(),
    };
    world.end();
    outcome
}

impl Case {
    async fn live(self: &Rc<Self>) {
        for _ in 0..ROUNDS {
            let chance = &self.process.world().chance;
            self.process
                .sleep(chance.span(Duration::from_millis(20)))
                .await;
            let settings = Settings {
                retry: Retry::never(),
                ..Settings::default()
            };
            let asked = self.engine.acquire(resource(), self.ttl(), settings);
            let Ok(grant) = asked.await else {
                continue;
            };
            self.granted.set(self.granted.get() + 1);
            self.expect_alone(&grant.value);
            let holder = Rc::new(Holder {
                value: grant.value,
                until: Cell::new(grant.validity.until),
            });
            self.holders.borrow_mut().push(Rc::clone(&holder));
            for _ in 0..=chance.index(3) {
                self.extend(&holder);
            }
            self.process
                .sleep(chance.span(Duration::from_millis(200)))
                .await;
        }
    }

    /// Extends it beside whatever else is under way.
    fn extend(self: &Rc<Self>, holder: &Rc<Holder>) {
        let (case, holder) = (Rc::clone(self), Rc::clone(holder));
        self.process.spawn(Box::pin(async move {
            let (ttl, settings) = (case.ttl(), Settings::default());
            let (value, until) = (holder.value.clone(), holder.until.get());
            let asked = case.engine.extend(resource(), value, until, ttl, settings);
            if let Ok(extension) = asked.await {
                case.extended.set(case.extended.get() + 1);
                let until = extension.validity.until.max(holder.until.get());
                holder.until.set(until);
            }
        }));
    }

    fn expect_alone(&self, value: &Token) {
        let now = self.process.now();
        for other in self.holders.borrow().iter() {
            if now < other.until.get() {
                let left = other.until.get().since(now);
                let (one, two) = (&*value.text(), &*other.value.text());
                self.process.world().blame(format_args!(
                    "two holders: {one:.6} and, for {left:?} more, {two:.6}"
                ));
            }
        }
    }

    fn ttl(&self) -> Ttl {
        let millis = self.process.world().chance.pick(&[20.0, 60.0, 400.0]);
        Ttl::new(millis, Drift::default()).expect("a ttl with validity")
    }
}

fn resource() -> Resources {
    Resources::from([Box::from("r")])
}
