//! What a seed makes of the world: how many of everything, how bad the network
//! is, which faults there are.

use std::time::Duration;

use redlock_native::engine::{DeadlineBounds, Drift, Retry, Settings, Ttl};

use crate::chance::Chance;
use crate::faults::Fault;
use crate::world::World;

/// The parameters of one run. Each seed has some faults and lacks others, since
/// all of them at once would hide what two of them do.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub servers: usize,
    /// Which server each instance is, for each process: usually its own. Where
    /// names lead elsewhere than they say, two of a process's may be one server.
    pub layouts: Vec<Vec<usize>>,
    pub identity: Identity,
    /// A server that is asked twice says so, as by a script; SET can't tell.
    pub tells_own: bool,
    /// Connections send an acquire again that was lost with another, as callers'
    /// clients do.
    pub resends: bool,
    /// Values of locks are the callers' own, and come again. A release that is
    /// overtaken would then delete another lock's key, so that messages keep
    /// their order: rule 1 is why the engine's own values never come again.
    pub own_values: bool,
    pub processes: usize,
    /// Clients in one process share its engine.
    pub clients: usize,
    pub resources: usize,
    /// The allowance for clock drift, in thousandths; the clocks use it up.
    pub drift: u64,
    pub ttls: &'static [u64],
    pub deadlines: DeadlineBounds,
    pub network: Network,
    pub tells: Tells,
    pub faults: Faults,
    /// How long new things begin.
    pub busy: Duration,
    /// How long a client does nothing between two locks, at most.
    pub idle: Duration,
}

/// What a client can tell of which instances are the same server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Identity {
    Unknown,
    /// All are one server by nature.
    Sole,
    /// Each life of a server has a name of its own.
    Named,
    /// The same, but servers that are not the same have one name too, as
    /// machines do that were copied while they ran.
    Cloned,
}

#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// How long each message takes at least.
    pub least: Duration,
    /// And beyond that at most.
    pub usual: Duration,
    /// In percent of the questions, the caller's thread is busy first.
    pub hold_ups: u64,
    /// In percent of the messages, the delay is up to `slowest`.
    pub slow: u64,
    pub slowest: Duration,
    /// In percent of the messages, either line is as good as the other.
    pub spread: u64,
    /// How long a message of a broken connection may be under way.
    pub oldest: Duration,
    pub backoff: Duration,
    /// Requests wait for a dial that is under way.
    pub patient: bool,
}

/// How servers tell of keys that change.
#[derive(Clone, Copy, Debug)]
pub struct Tells {
    /// Whether they do.
    pub at_all: bool,
    /// In percent of what is told, it does not arrive.
    pub loses: u64,
    /// It arrives twice.
    pub doubles: u64,
    /// Something arrives about a key that hasn't changed.
    pub astray: u64,
}

#[derive(Clone, Debug)]
pub struct Faults {
    /// The time between two, at most.
    pub every: Duration,
    pub longest: Duration,
    pub kinds: Vec<Fault>,
    /// A client's process dies while it holds a lock.
    pub deaths: bool,
}

const MS: Duration = Duration::from_millis(1);
const SHORTEST_DELAY: Duration = Duration::from_micros(50);

impl Scenario {
    /// Also the longest life of a key whose server's clock is slow, for who waits by a
    /// fast one.
    pub const LONGEST_TTL: Duration = Duration::from_millis(3250);

    pub fn draw(chance: &Chance) -> Self {
        let drift = chance.pick(&[10, 10, 50]);
        let servers = chance.pick(&[1, 2, 3, 3, 3, 4, 5]);
        let own_values = chance.percent(20);
        let processes = chance.pick(&[2, 2, 3, 4]);
        let sole = servers == 1 && chance.percent(50);
        let network = Network::draw(chance, own_values);
        let is_far = network.least > Duration::ZERO;
        Self {
            servers,
            layouts: Self::draw_layouts(chance, servers, processes, sole),
            // Names decide nothing, right or wrong.
            identity: if sole {
                Identity::Sole
            } else {
                chance.pick(&[Identity::Unknown, Identity::Named, Identity::Cloned])
            },
            tells_own: chance.percent(50),
            resends: !own_values && chance.percent(25),
            own_values,
            processes,
            clients: chance.pick(&[1, 1, 2, 5]),
            resources: chance.pick(&[1, 1, 2, 3]),
            drift,
            ttls: if is_far {
                &[600, 2000, 3000]
            } else {
                chance.pick(&[
                    &[20, 40, 80],
                    &[60, 120, 300],
                    &[100, 500, 2000],
                    &[40, 400, 3000],
                ])
            },
            deadlines: chance.pick(&[
                DeadlineBounds::default(),
                DeadlineBounds {
                    floor: 5 * MS,
                    ceiling: 50 * MS,
                },
                // Releases are waited for much shorter than what they release was.
                DeadlineBounds {
                    floor: 400 * MS,
                    ceiling: 20 * MS,
                },
            ]),
            network,
            tells: Tells::draw(chance),
            faults: Faults::draw(chance, own_values),
            busy: chance.pick(&[2500, 5500, 9500]) * MS,
            idle: chance.pick(&[2, 30, 200]) * MS,
        }
    }

    fn draw_layouts(
        chance: &Chance,
        servers: usize,
        processes: usize,
        sole: bool,
    ) -> Vec<Vec<usize>> {
        let mut straight: Vec<usize> = (0..servers).collect();
        if sole {
            straight = vec![0; 2 + chance.index(3)];
        } else if (3..5).contains(&servers) && chance.percent(20) {
            // One server under two names, and still a majority of servers.
            straight.insert(chance.index(servers + 1), chance.index(servers));
        }
        let astray = !sole && straight.len() == servers && chance.percent(20);
        let layout = |_| {
            let elsewhere = |server: &usize| {
                if astray && chance.percent(25) {
                    chance.index(servers)
                } else {
                    *server
                }
            };
            straight.iter().map(elsewhere).collect()
        };
        // The last one, who comes when the others are gone, is led right.
        let mut layouts: Vec<_> = (0..processes).map(layout).collect();
        layouts.push(straight.clone());
        layouts
    }

    /// Whether nothing ever goes wrong.
    pub fn is_undisturbed(&self) -> bool {
        self.faults.kinds.is_empty() && self.network.slow == 0 && self.network.hold_ups == 0
    }

    /// Whether one server is under two names, for who is led right.
    pub fn has_two_names(&self) -> bool {
        let straight = self.layouts.last().expect("at least one");
        straight.len() > self.servers
    }

    pub fn every_resource(&self) -> Vec<Box<str>> {
        (0..self.resources)
            .map(|index| format!("r{index}").into())
            .collect()
    }

    pub fn drift(&self) -> Drift {
        #[expect(clippy::cast_precision_loss, reason = "a few thousandths")]
        let factor = self.drift as f64 / 1000.0;
        Drift::new(factor).expect("a positive factor")
    }

    pub fn ttl(&self, chance: &Chance) -> Ttl {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let millis = chance.pick(self.ttls) as f64;
        Ttl::new(millis, self.drift()).expect("a ttl with validity")
    }

    pub fn settings(&self, chance: &Chance) -> Settings {
        Settings {
            retry: Retry {
                count: chance.pick(&[Some(0), Some(1), Some(3), Some(10), None]),
                delay: chance.pick(&[0.0, 5.0, 20.0, 100.0]),
                jitter: chance.pick(&[0.0, 5.0, 50.0]),
            },
            drift: self.drift(),
            deadlines: self.deadlines,
            report: true,
            queues: chance.percent(70),
            wakeups: chance.percent(70),
            ..Settings::default()
        }
    }
}

impl Network {
    fn draw(chance: &Chance, in_order: bool) -> Self {
        let drawn = Self {
            // A server that is further away than its deadlines allow for, until it
            // is measured.
            least: chance.pick(&[0, 0, 0, 0, 0, 0, 0, 150]) * MS,
            hold_ups: chance.pick(&[0, 0, 0, 0, 0, 10]),
            usual: chance.pick(&[1, 1, 4, 12, 40]) * MS / 2,
            slow: chance.pick(&[0, 0, 5, 20]),
            slowest: chance.pick(&[20, 100, 600]) * MS,
            spread: chance.pick(&[0, 20, 100]),
            oldest: chance.pick(&[20, 200, 1500]) * MS,
            backoff: chance.pick(&[20, 150]) * MS,
            patient: chance.percent(50),
        };
        if in_order {
            return Self {
                slow: 0,
                spread: 0,
                oldest: Duration::ZERO,
                ..drawn
            };
        }
        drawn
    }

    /// How long one message takes at most, where the network is not at fault.
    pub fn longest_delay(&self) -> Duration {
        SHORTEST_DELAY + self.least + self.usual
    }

    /// How long the caller's thread lets a question wait.
    pub fn postpone(&self, world: &World) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_millis(300);
        let busy = !world.is_quiet() && world.chance.percent(self.hold_ups);
        busy.then(|| world.chance.span(LONGEST))
    }

    /// How long one message takes.
    pub fn delay(&self, world: &World) -> Duration {
        let slow = !world.is_quiet() && world.chance.percent(self.slow);
        let most = if slow { self.slowest } else { self.usual };
        SHORTEST_DELAY + self.least + world.chance.span(most)
    }
}

impl Tells {
    fn draw(chance: &Chance) -> Self {
        Self {
            at_all: chance.percent(75),
            loses: chance.pick(&[0, 0, 10, 50, 100]),
            doubles: chance.pick(&[0, 0, 20]),
            astray: chance.pick(&[0, 0, 20, 100]),
        }
    }
}

impl Faults {
    fn draw(chance: &Chance, in_order: bool) -> Self {
        let breaks_order =
            |fault: &Fault| matches!(fault, Fault::Snap | Fault::Hold | Fault::Hang | Fault::Part);
        Self {
            every: chance.pick(&[20, 100, 400]) * MS,
            longest: chance.pick(&[30, 200, 1200]) * MS,
            kinds: Fault::ALL
                .into_iter()
                .filter(|fault| chance.percent(40) && !(in_order && breaks_order(fault)))
                .collect(),
            deaths: chance.percent(20),
        }
    }
}
