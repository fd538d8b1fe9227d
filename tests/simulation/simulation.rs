//! One run: a world from a seed, its clients and servers, its faults, and what
//! came of it.

use std::rc::Rc;

use redlock_native::engine::{Environment as _, SafetyRule, Ticket};

use crate::checker::Checker;
use crate::connection::Remote;
use crate::faults::Nemesis;
use crate::member::Member;
use crate::process::Process;
use crate::scenario::Scenario;
use crate::seeds::Outcome;
use crate::server::Server;
use crate::world::{Clock, World};
use crate::{client, liveness};

/// More happenings than any run has that comes to an end.
const ENDLESS: u32 = 2_000_000;

/// Runs the world of `seed`, with the engine keeping every rule but one, if that is
/// taken out. A run told to be
/// `verbose` prints its trace.
pub fn run(seed: u64, without: Option<SafetyRule>, verbose: bool) -> Outcome {
    SafetyRule::take_out(without);
    let simulation = Simulation::new(seed, without, verbose);
    simulation.live();
    simulation.end()
}

struct Simulation {
    world: Rc<World>,
    scenario: Rc<Scenario>,
    members: Vec<Member>,
    checker: Rc<Checker>,
    nemesis: Rc<Nemesis>,
}

impl Simulation {
    fn new(seed: u64, without: Option<SafetyRule>, verbose: bool) -> Self {
        let world = World::new(seed, verbose);
        let scenario = Rc::new(Scenario::draw(&world.chance));
        world.note(format_args!("{scenario:#?}"));
        let clock = || Clock::draw(&world.chance, scenario.drift);
        let servers: Vec<_> = (0..scenario.servers)
            .map(|index| Server::new(&world, index, clock(), scenario.tells_own))
            .collect();
        let checker = Checker::new(
            &world,
            &servers,
            !matches!(
                without,
                Some(SafetyRule::Validity | SafetyRule::Majority | SafetyRule::Loss)
            ),
        );
        // One more than there are contenders: the one that comes when they are
        // gone.
        let members: Vec<_> = (0..=scenario.processes)
            .map(|index| {
                let process = Process::new(&world, index, clock());
                let remote =
                    |server: &usize| Remote::new(&process, &servers[*server], &checker, &scenario);
                let remotes = scenario.layouts[index].iter().map(remote).collect();
                Member::new(&process, remotes, &checker, &scenario)
            })
            .collect();
        let remotes = members
            .iter()
            .flat_map(|member| member.remotes().to_vec())
            .collect();
        let nemesis = Nemesis::new(&world, &servers, remotes, scenario.faults.clone(), &checker);
        Self {
            world,
            scenario,
            members,
            checker,
            nemesis,
        }
    }

    fn live(&self) {
        let (last, contenders) = self.members.split_last().expect("at least one");
        for member in contenders {
            for _ in 0..self.scenario.clients {
                let client = member.clone();
                let life = Box::pin(async move { client::live(&client).await });
                member.process().spawn(life);
            }
        }
        self.nemesis.strike();
        let world = Rc::clone(&self.world);
        let nemesis = Rc::clone(&self.nemesis);
        self.world.after(self.scenario.busy, move || {
            world.quieten();
            nemesis.stop();
        });
        self.exhaust();

        self.world.note(format_args!("no fault is left"));
        let newcomer = last.clone();
        last.process()
            .spawn(Box::pin(async move { liveness::newcomer(&newcomer).await }));
        self.exhaust();

        // The longest life of a key, on a server whose clock is slow.
        let longest = Scenario::LONGEST_TTL.max(Ticket::LEASE + Ticket::LEASE / 20);
        self.world.after(longest, || {});
        self.exhaust();
        self.checker.expect_empty();
    }

    /// Lets things happen until nothing does, or a promise is broken.
    fn exhaust(&self) {
        for _ in 0..ENDLESS {
            if self.world.violation().is_some() {
                return;
            }
            if !self.world.step() {
                self.checker.expect_settled();
                self.members.iter().for_each(Member::expect_quiet);
                return;
            }
            self.checker.look();
        }
        self.world.blame(format_args!("the run does not end"));
    }

    fn end(self) -> Outcome {
        let outcome = Outcome {
            trace: self.world.trace(),
            violation: self.world.violation(),
            counts: self.checker.counts.all(),
        };
        for member in &self.members {
            member.end();
        }
        self.world.end();
        outcome
    }
}
