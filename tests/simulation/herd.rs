//! Many processes that wait for one lock: how soon the next of them has it, and what waiting
//! costs the servers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redlock_native::engine::{Environment as _, Resources, Retry, Settings, Ticket, Ttl};

use crate::checker::Checker;
use crate::connection::Remote;
use crate::member::{Member, RequestOutcome, RequestSpec};
use crate::process::Process;
use crate::scenario::{Faults, Identity, Network, Scenario, Tells};
use crate::server::Server;
use crate::world::{Clock, World};

const SERVERS: usize = 3;
/// From one end to the other; half a round trip.
const LAG: Duration = Duration::from_millis(10);

/// Those who wait.
pub struct Herd {
    pub processes: usize,
    pub held_for: Duration,
    pub retry: Retry,
    pub is_fair: bool,
    /// After so many grants it has been seen.
    pub grants: usize,
}

/// What was seen in one run.
pub struct Seen {
    /// From each release to the next grant.
    pub free_for: Vec<Duration>,
    /// How many commands each of those who wait has sent until the first release.
    pub commands: Vec<u64>,
    /// What of the promises was broken.
    pub violation: Option<String>,
}

/// One lock that is held for some seconds while many processes wait for it, each of which
/// releases it at once.
pub fn wait(seed: u64, herd: &Herd) -> Seen {
    let world = World::new(seed, false);
    let scenario = Rc::new(scenario(&world, herd.processes));
    let clock = || Clock::draw(&world.chance, scenario.drift);
    let servers = (0..SERVERS).map(|index| Server::new(&world, index, clock(), false));
    let servers: Vec<_> = servers.collect();
    let checker = Checker::new(&world, &servers, true);
    let member = |index| {
        let process = Process::new(&world, index, clock());
        let remotes = servers.iter();
        let remotes = remotes.map(|server| Remote::new(&process, server, &checker, &scenario));
        let remotes = remotes.collect();
        Member::new(&process, remotes, &checker, &scenario)
    };
    let members: Vec<_> = (0..=herd.processes).map(member).collect();
    let (holder, others) = members.split_last().expect("a holder");

    let ttl = Ttl::new(60_000.0, scenario.drift()).expect("long enough");
    let settings = Settings {
        retry: herd.retry,
        drift: scenario.drift(),
        queues: !herd.is_fair,
        wakeups: true,
        ..Settings::default()
    };
    let spec = RequestSpec::acquire(ttl, settings);
    let released = Rc::<RefCell<Vec<_>>>::default();
    let granted = Rc::<RefCell<Vec<_>>>::default();

    let (first, of_first, at) = (holder.clone(), spec.clone(), Rc::clone(&released));
    let held_for = herd.held_for;
    let holds = Box::pin(async move {
        let resources = first.scenario().every_resource().into();
        let RequestOutcome::Granted(lock) = first.acquire(&resources, &of_first).await else {
            return;
        };
        first.process().sleep(held_for).await;
        at.borrow_mut().push(first.process().world().now());
        first.release(&lock, &of_first).await;
    });
    holder.process().spawn(holds);
    for member in others {
        let (one, mut spec, is_fair) = (member.clone(), spec.clone(), herd.is_fair);
        let (granted, released) = (Rc::clone(&granted), Rc::clone(&released));
        let waits = Box::pin(async move {
            let world = Rc::clone(one.process().world());
            // The holder comes first.
            let later = Duration::from_secs(1) + world.chance.span(Duration::from_secs(1));
            one.process().sleep(later).await;
            let resources: Resources = one.scenario().every_resource().into();
            if is_fair {
                let ticket = Ticket::new(one.process(), &resources[0]);
                spec.settings.ticket = Some(Arc::new(ticket));
            }
            if let RequestOutcome::Granted(lock) = one.acquire(&resources, &spec).await {
                granted.borrow_mut().push(world.now());
                released.borrow_mut().push(world.now());
                one.release(&lock, &spec).await;
            }
        });
        member.process().spawn(waits);
    }

    let commands = |member: &Member| member.remotes().iter().map(Remote::commands).sum();
    let mut sent = Vec::new();
    while granted.borrow().len() < herd.grants && world.violation().is_none() && world.step() {
        if sent.is_empty() && !released.borrow().is_empty() {
            sent = others.iter().map(commands).collect();
        }
        checker.look();
    }
    let free_for = (granted.borrow().iter().zip(&*released.borrow()))
        .map(|(granted, released)| granted.since(*released))
        .collect();
    let violation = world.violation();
    members.iter().for_each(Member::end);
    world.end();
    Seen {
        free_for,
        commands: sent,
        violation,
    }
}

fn scenario(world: &World, processes: usize) -> Scenario {
    let drawn = Scenario::draw(&world.chance);
    let straight: Vec<_> = (0..SERVERS).collect();
    Scenario {
        servers: SERVERS,
        layouts: vec![straight; processes + 1],
        identity: Identity::Unknown,
        tells_own: false,
        resends: false,
        own_values: false,
        processes,
        clients: 1,
        resources: 1,
        network: Network {
            least: LAG,
            usual: Duration::from_micros(500),
            hold_ups: 0,
            slow: 0,
            spread: 0,
            ..drawn.network
        },
        tells: Tells {
            at_all: true,
            loses: 0,
            doubles: 0,
            astray: 0,
        },
        faults: Faults {
            kinds: Vec::new(),
            deaths: false,
            ..drawn.faults
        },
        ..drawn
    }
}
