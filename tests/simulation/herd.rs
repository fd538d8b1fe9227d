//! Many processes that wait for one lock: how soon the next of them has it, and what waiting
//! costs the servers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{Environment as _, Retry, Settings, Ttl};

use crate::checker::Checker;
use crate::connection::Remote;
use crate::member::{Member, RequestOutcome, RequestSpec};
use crate::process::Process;
use crate::scenario::{Faults, Identity, Network, Scenario, Tells};
use crate::server::Server;
use crate::world::{Clock, World};

const SERVERS: usize = 3;
const PROCESSES: usize = 100;
const HELD_FOR: Duration = Duration::from_secs(5);
/// From one end to the other; half a round trip.
const LAG: Duration = Duration::from_millis(10);

/// What was seen in one run.
pub struct Seen {
    /// From the release to the next grant.
    pub free_for: Duration,
    /// How many commands each of those who wait has sent until the release.
    pub commands: Vec<u64>,
    /// What of the promises was broken.
    pub violation: Option<String>,
}

/// One lock that is held for some seconds while a hundred processes wait for it.
pub fn wait(seed: u64) -> Seen {
    let world = World::new(seed, false);
    let scenario = Rc::new(scenario(&world));
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
    let members: Vec<_> = (0..=PROCESSES).map(member).collect();
    let (holder, others) = members.split_last().expect("a holder");

    let ttl = Ttl::new(30_000.0, scenario.drift()).expect("long enough");
    let settings = Settings {
        retry: Retry {
            count: None,
            ..Retry::default()
        },
        drift: scenario.drift(),
        queues: true,
        wakeups: true,
        ..Settings::default()
    };
    let spec = RequestSpec::acquire(ttl, settings);
    let released = Rc::new(RefCell::new(None));
    let granted = Rc::new(RefCell::new(None));

    let (first, of_first, at) = (holder.clone(), spec.clone(), Rc::clone(&released));
    let held = Box::pin(async move {
        let resources = first.scenario().every_resource().into();
        let RequestOutcome::Granted(lock) = first.acquire(&resources, &of_first).await else {
            return;
        };
        first.process().sleep(HELD_FOR).await;
        at.replace(Some(first.process().world().now()));
        first.release(&lock, &of_first).await;
    });
    holder.process().spawn(held);
    for member in others {
        let (one, spec) = (member.clone(), spec.clone());
        let granted = Rc::clone(&granted);
        let waits = Box::pin(async move {
            let world = Rc::clone(one.process().world());
            // The holder comes first.
            let later = Duration::from_secs(1) + world.chance.span(Duration::from_secs(1));
            one.process().sleep(later).await;
            let resources = one.scenario().every_resource().into();
            if let RequestOutcome::Granted(_) = one.acquire(&resources, &spec).await {
                granted.borrow_mut().get_or_insert(world.now());
            }
        });
        member.process().spawn(waits);
    }

    let commands = |member: &Member| member.remotes().iter().map(Remote::commands).sum();
    let mut sent = Vec::new();
    while granted.borrow().is_none() && world.violation().is_none() && world.step() {
        if sent.is_empty() && released.borrow().is_some() {
            sent = others.iter().map(commands).collect();
        }
        checker.look();
    }
    let free_for = match (*released.borrow(), *granted.borrow()) {
        (Some(released), Some(granted)) => granted.since(released),
        _ => Duration::MAX,
    };
    let violation = world.violation();
    members.iter().for_each(Member::end);
    world.end();
    Seen {
        free_for,
        commands: sent,
        violation,
    }
}

fn scenario(world: &World) -> Scenario {
    let drawn = Scenario::draw(&world.chance);
    let straight: Vec<_> = (0..SERVERS).collect();
    Scenario {
        servers: SERVERS,
        layouts: vec![straight; PROCESSES + 1],
        identity: Identity::Unknown,
        tells_own: false,
        resends: false,
        own_values: false,
        processes: PROCESSES,
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
