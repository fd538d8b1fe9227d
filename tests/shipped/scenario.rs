//! What a seed makes of the world: what the members of the quorum are, how each
//! process reaches them, how bad the network is, which faults there are.

use std::time::Duration;

use redlock_native::engine::SafetyRule;

use crate::chance::Chance;
use crate::clients::ClientFaults;
use crate::faults::Fault;
use crate::redis::Together;
use crate::tracking::MessageFaults;
use crate::world::World;

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub struct Scenario {
    pub members: Vec<Member>,
    pub processes: usize,
    /// Callers in one process, and engines that they share.
    pub callers: usize,
    pub engines: usize,
    pub resources: usize,
    /// The allowance for clock drift, in thousandths; the clocks use it up.
    pub drift: u64,
    pub ttls: &'static [u64],
    pub deadlines: DeadlineBounds,
    pub network: Network,
    pub faults: Vec<Fault>,
    /// The time between two, and how long one lasts, at most.
    pub every: Duration,
    pub longest: Duration,
    pub busy: Duration,
    pub idle: Duration,
    /// How many answers JavaScript takes at once.
    pub room: usize,
    /// How long others' code runs between two of them.
    pub between: Duration,
    pub prefix: &'static str,
    pub db: u32,
    /// In milliseconds.
    pub connect_timeout: u32,
    pub odd: u64,
    pub tells: Tells,
    pub together: Together,
    /// Whether names lead elsewhere than they say, differently in each process.
    pub strange_names: bool,
    /// How the members are reached.
    pub reach: Reach,
    pub client_faults: ClientFaults,
    /// Whether callers' clients change their database or prefix under us.
    pub changes: bool,
    /// So many locks are asked for at once by each process, with names so long.
    pub burst: u32,
    pub long: usize,
    /// Whether names lead elsewhere once nobody has held a lock for longer than
    /// any lives.
    pub moves: bool,
    /// Nothing goes wrong.
    pub calm: bool,
}

/// What a member of the quorum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Server,
    /// The same server as the member of this number, by another name.
    Same(usize),
    /// The one server that all members are, by its one name.
    Loopback,
    Sentinel,
    Cluster,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By connections of the crate's own.
    Links,
    /// By callers' clients, promotable or not as drawn for each.
    Clients,
    /// Each as drawn.
    Either,
}

/// How servers tell of keys that change.
#[derive(Clone, Copy, Debug)]
pub struct Tells {
    /// In percent of the servers: those that refuse to.
    pub refused: u64,
    pub faults: MessageFaults,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineBounds {
    pub floor: f64,
    pub ceiling: f64,
}

#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub usual: Duration,
    /// In percent of the messages, the delay is up to `slowest`.
    pub slow: u64,
    pub slowest: Duration,
    /// In percent of the pieces, they are cut once more.
    pub cut: u64,
    /// How many bytes may be under way before a write has to wait.
    pub window: usize,
}

const MS: Duration = Duration::from_millis(1);

impl Scenario {
    /// Longer than any lock's key lives by any clock.
    pub const LONGEST_TTL: Duration = Duration::from_millis(1100);
    /// The same of any key, proofs' too.
    pub const LONGEST_KEY: Duration = Duration::from_millis(2200);

    pub fn draw(chance: &Chance) -> Self {
        let (members, reach, strange_names) = Self::draw_members(chance);
        let clustered = members.contains(&Member::Cluster);
        let memory = members.contains(&Member::Memory);
        let overloaded = chance.below(500) == 0;
        let calm = chance.percent(12);
        let moves = reach == Reach::Links && chance.percent(20);
        let mut scenario = Self {
            processes: chance.pick(&[2, 2, 3]),
            callers: chance.pick(&[1, 1, 2]),
            engines: if memory { 2 } else { 1 },
            resources: chance.pick(&[1, 2, 3]),
            drift: chance.pick(&[10, 10, 50]),
            ttls: chance.pick(&[&[60, 120, 200][..], &[100, 300, 1000], &[40, 400]]),
            deadlines: chance.pick(&[
                DeadlineBounds {
                    floor: 50.0,
                    ceiling: 1000.0,
                },
                DeadlineBounds {
                    floor: 10.0,
                    ceiling: 50.0,
                },
                // Releases are waited for much shorter than what they release was.
                DeadlineBounds {
                    floor: 400.0,
                    ceiling: 20.0,
                },
            ]),
            network: Network::draw(chance),
            faults: Fault::ALL
                .into_iter()
                .filter(|_| chance.percent(30))
                .collect(),
            every: chance.pick(&[60, 150, 300]) * MS,
            longest: chance.pick(&[20, 100, 600]) * MS,
            busy: chance.pick(&[1500, 2200, 2800]) * MS,
            idle: chance.pick(&[1, 5, 15]) * MS,
            room: chance.pick(&[1, 2, 1024]),
            between: chance.pick(&[0, 0, 1, 20]) * MS,
            prefix: chance.pick(&["", "", "app:"]),
            db: if clustered {
                0
            } else {
                chance.pick(&[0, 0, 2])
            },
            connect_timeout: chance.pick(&[100, 500, 5000]),
            odd: chance.pick(&[0, 0, 0, 1, 3]),
            tells: Tells {
                refused: chance.pick(&[0, 0, 30, 100]),
                faults: MessageFaults {
                    lost: chance.pick(&[0, 0, 20, 100]),
                    late: chance.pick(&[0, 30]),
                    latest: 200 * MS,
                    doubled: chance.pick(&[0, 20]),
                    foreign: chance.pick(&[0, 20]),
                    all: chance.pick(&[0, 20]),
                },
            },
            together: Together {
                spreads: chance.percent(25),
                refused: chance.pick(&[0, 0, 30]),
                failed: chance.pick(&[0, 0, 20]),
            },
            strange_names,
            reach,
            client_faults: ClientFaults {
                twice: chance.pick(&[0, 0, 10]),
                late: chance.pick(&[0, 5]),
                never: chance.pick(&[0, 0, 2]),
                odd: chance.pick(&[0, 0, 5]),
                resends: chance.percent(60),
            },
            changes: reach == Reach::Clients && !strange_names && chance.percent(30),
            burst: if overloaded { 400 } else { 0 },
            long: if overloaded { 128 * 1024 } else { 0 },
            moves,
            calm,
            members,
        };
        if calm {
            scenario.calm_down();
        }
        if overloaded {
            scenario.calm = false;
            scenario.faults = vec![Fault::Hang, Fault::Dead];
            scenario.processes = 1;
        }
        scenario
    }

    /// Makes the world one in which this rule matters, so that its being missed is
    /// seen soon.
    pub fn favour(&mut self, rule: SafetyRule) {
        let odd = self.odd;
        match rule {
            SafetyRule::Cleanup => self.calm_down(),
            SafetyRule::Bounded => {
                self.burst = 400;
                self.long = 128 * 1024;
                self.processes = 1;
                self.calm = false;
                self.faults = vec![Fault::Hang];
            }
            SafetyRule::AskedAlone => {
                self.calm_down();
                self.troubled(vec![Member::Server; 3], Reach::Links);
                self.calm = true;
                self.together.spreads = true;
                // Many unlock in one turn.
                self.callers = 6;
                self.resources = 6;
                self.room = 1024;
                self.between = 20 * MS;
                // A key that is left is seen only while it lives.
                self.ttls = &[1000];
            }
            SafetyRule::Refusers => {
                self.troubled(vec![Member::Server; 3], Reach::Links);
                self.strange_names = true;
                self.faults = vec![Fault::Forget, Fault::Part, Fault::Hang, Fault::Crash];
            }
            SafetyRule::Order => {
                self.troubled(vec![Member::Server; 5], Reach::Links);
                // An acquire whose script is unknown comes back late.
                self.faults = vec![Fault::Flush];
                self.every = 60 * MS;
                self.resources = 2;
                self.network.usual = 12 * MS;
            }
            SafetyRule::NoLikeness => {
                self.troubled(vec![Member::Server; 2], Reach::Links);
                self.strange_names = true;
            }
            SafetyRule::PreviousConnection => {
                self.troubled(vec![Member::Server; 3], Reach::Clients);
                self.changes = true;
            }
            SafetyRule::Proof => self.troubled(vec![Member::Server; 3], Reach::Clients),
            SafetyRule::OwnValue => {
                self.troubled(vec![Member::Server; 3], Reach::Clients);
                self.strange_names = true;
            }
            SafetyRule::ReplyKind => {
                self.troubled(vec![Member::Server; 3], Reach::Links);
                self.odd = odd.max(3);
            }
            SafetyRule::Loss => {
                // Who keeps a lock reaches no majority, and stands still as it ends.
                self.troubled(vec![Member::Server; 3], Reach::Links);
                self.faults = vec![Fault::Part, Fault::Pause];
                self.resources = 1;
            }
            SafetyRule::HandOver => {
                self.troubled(vec![Member::Server; 3], Reach::Links);
                self.faults = vec![Fault::Block];
            }
            SafetyRule::Role => {
                self.troubled(vec![Member::Sentinel; 3], Reach::Links);
                self.faults = vec![Fault::Failover, Fault::Part, Fault::Hang];
            }
            _ => {}
        }
    }

    fn troubled(&mut self, members: Vec<Member>, reach: Reach) {
        self.members = members;
        self.reach = reach;
        self.engines = 1;
        self.odd = 0;
        self.calm = false;
        self.changes = false;
        self.strange_names = false;
        self.moves = false;
        self.burst = 0;
    }

    /// Nothing goes wrong.
    fn calm_down(&mut self) {
        self.faults = Vec::new();
        self.calm = true;
        self.odd = 0;
        self.network.slow = 0;
        self.network.window = 65_536;
        self.changes = false;
        self.moves = false;
        self.client_faults = ClientFaults {
            twice: self.client_faults.twice,
            late: 0,
            never: 0,
            odd: 0,
            resends: true,
        };
    }

    fn draw_members(chance: &Chance) -> (Vec<Member>, Reach, bool) {
        let count = chance.pick(&[1, 3, 3, 3, 5]);
        let plain = vec![Member::Server; count];
        match chance.below(20) {
            0..5 => (plain, Reach::Links, false),
            5..7 => (plain, Reach::Links, true),
            7..9 => {
                let mut members = plain;
                let again = chance.index(count);
                members.push(Member::Same(again));
                if chance.percent(30) {
                    members.push(Member::Same(chance.index(count)));
                }
                (members, Reach::Links, false)
            }
            9 => (vec![Member::Loopback; 3], Reach::Links, false),
            10..12 => (vec![Member::Sentinel; count.min(3)], Reach::Links, false),
            12..14 => (vec![Member::Cluster; count.min(3)], Reach::Links, false),
            14..17 => (plain, Reach::Clients, chance.percent(20)),
            17 => (vec![Member::Memory; 1], Reach::Links, false),
            _ => {
                let draw = |_| chance.pick(&[Member::Server, Member::Sentinel, Member::Cluster]);
                ((0..3).map(draw).collect(), Reach::Either, false)
            }
        }
    }
}

impl Network {
    fn draw(chance: &Chance) -> Self {
        Self {
            usual: chance.pick(&[1, 1, 4, 12]) * MS,
            slow: chance.pick(&[0, 0, 2, 10]),
            slowest: chance.pick(&[20, 100, 600, 3000]) * MS,
            cut: chance.pick(&[0, 10, 60]),
            window: chance.pick(&[64, 1024, 65_536]),
        }
    }

    /// How long one message takes.
    pub fn delay(&self, world: &World) -> Duration {
        let slow = !world.is_quiet() && world.chance.percent(self.slow);
        let most = if slow { self.slowest } else { self.usual };
        Duration::from_micros(50) + world.chance.span(most)
    }
}
