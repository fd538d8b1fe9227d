//! Keeps cycles under way: every turn of the loop reads what there is, counts votes, and writes once to each server.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Poll, Token};

use crate::commands::{self, Name, Value};
use crate::figures::{self, Figures};
use crate::link::Link;
use crate::replies::Body;

#[derive(Clone, Copy, PartialEq)]
pub enum Releases {
    /// Each in a script call of its own.
    Single,
    /// Those of one flush together.
    Merged,
}

/// How many locks one script call releases at most.
const MOST_MERGED: usize = 64;

pub struct Client {
    poll: Poll,
    links: Vec<Link>,
    /// For each link the rounds that it has not answered, in order.
    unanswered: Vec<VecDeque<u32>>,
    majority: u8,
    releases: Releases,
    release: Vec<u8>,
    release_each: Vec<u8>,
    cycles: Vec<Cycle>,
    rounds: Vec<Round>,
    free: Vec<u32>,
    /// What this turn says to every server, in the same words.
    out: Vec<u8>,
    /// The cycles that release in this turn.
    releasing: Vec<u32>,
    names: u64,
    random: u64,
    now: Instant,
    latencies: Vec<u32>,
    cycles_in_all: u64,
}

/// A lock and its unlock.
struct Cycle {
    name: Name,
    value: Value,
    start: Instant,
}

/// A question to all servers, of one cycle or, if it is a merged release, of many.
struct Round {
    is_release: bool,
    left: u8,
    votes: Vec<Votes>,
}

struct Votes {
    cycle: u32,
    yes: u8,
}

impl Client {
    pub fn connect(
        servers: &[SocketAddr],
        under_way: usize,
        releases: Releases,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (mut links, mut digests) = (Vec::new(), Vec::new());
        for (at, &server) in servers.iter().enumerate() {
            let (mut link, its) =
                Link::connect(server, &[commands::RELEASE, commands::RELEASE_EACH])?;
            link.register(poll.registry(), Token(at))?;
            links.push(link);
            digests = its;
        }
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seed = since.as_secs() << 30 ^ u64::from(since.subsec_nanos());
        let mut client = Self {
            poll,
            unanswered: links.iter().map(|_| VecDeque::new()).collect(),
            majority: u8::try_from(links.len() / 2 + 1).map_err(io::Error::other)?,
            links,
            releases,
            release_each: digests.pop().unwrap_or_default(),
            release: digests.pop().unwrap_or_default(),
            cycles: Vec::new(),
            rounds: Vec::new(),
            free: Vec::new(),
            out: Vec::new(),
            releasing: Vec::new(),
            // A run that has ended leaves locks behind for some seconds.
            names: seed % 9_000_000_000,
            random: seed,
            now: Instant::now(),
            latencies: Vec::new(),
            cycles_in_all: 0,
        };
        for at in 0..under_way {
            let (name, value) = client.next_lock();
            client.cycles.push(Cycle {
                name,
                value,
                start: client.now,
            });
            client.acquire(u32::try_from(at).map_err(io::Error::other)?);
        }
        client.flush()?;
        Ok(client)
    }

    /// Goes on for so long.
    pub fn run(&mut self, span: Duration) -> io::Result<Figures> {
        self.latencies.clear();
        let (start, cpu) = (Instant::now(), figures::cpu());
        let mut events = Events::with_capacity(16);
        while self.now - start < span || self.now < start {
            self.poll.poll(&mut events, None)?;
            self.now = Instant::now();
            for event in &events {
                let at = event.token().0;
                if event.is_writable() {
                    self.links[at].write_rest()?;
                }
                if event.is_readable() {
                    while self.links[at].read()? {
                        self.count(at)?;
                    }
                    self.count(at)?;
                }
            }
            self.flush()?;
        }
        Ok(Figures {
            elapsed: start.elapsed(),
            cpu: figures::cpu().saturating_sub(cpu),
            latencies: std::mem::take(&mut self.latencies),
            cycles_in_all: self.cycles_in_all,
        })
    }

    /// Counts the votes that a server has given.
    fn count(&mut self, at: usize) -> io::Result<()> {
        while let Some(body) = self.links[at].reply() {
            let index = self.unanswered[at]
                .pop_front()
                .ok_or_else(|| io::Error::other("a reply too many"))?;
            let round = &mut self.rounds[index as usize];
            round.left -= 1;
            // Those that this vote decides are left in `releasing` or begin anew below.
            let mut decided = 0;
            match body {
                Body::Yes => {
                    for vote in &mut round.votes {
                        vote.yes += 1;
                        decided += usize::from(vote.yes == self.majority);
                    }
                }
                Body::Text(letters) if letters.len() == round.votes.len() => {
                    for (vote, &letter) in round.votes.iter_mut().zip(letters) {
                        if letter != b'1' {
                            return Err(io::Error::other("a release found another's value"));
                        }
                        vote.yes += 1;
                        decided += usize::from(vote.yes == self.majority);
                    }
                }
                Body::No => return Err(io::Error::other("a lock was held or gone")),
                Body::Text(said) | Body::Unexpected(said) => {
                    return Err(io::Error::other(String::from_utf8_lossy(said).into_owned()));
                }
            }
            if decided > 0 {
                self.go_on(index);
            }
            if self.rounds[index as usize].left == 0 {
                self.free.push(index);
            }
        }
        Ok(())
    }

    /// The round's outcome is certain: what comes next in its cycles. All servers answer yes, so that all votes of a
    /// round are decided at once.
    fn go_on(&mut self, index: u32) {
        let is_release = self.rounds[index as usize].is_release;
        for at in 0..self.rounds[index as usize].votes.len() {
            let cycle = self.rounds[index as usize].votes[at].cycle;
            if is_release {
                self.finish(cycle);
                self.acquire(cycle);
            } else if self.releases == Releases::Merged {
                self.releasing.push(cycle);
            } else {
                let Cycle { name, value, .. } = &self.cycles[cycle as usize];
                commands::release(&mut self.out, &self.release, name, value);
                self.ask(true, &[cycle]);
            }
        }
    }

    fn finish(&mut self, cycle: u32) {
        let (name, value) = self.next_lock();
        let now = self.now;
        let cycle = &mut self.cycles[cycle as usize];
        let took = u32::try_from((now - cycle.start).as_nanos()).unwrap_or(u32::MAX);
        *cycle = Cycle {
            name,
            value,
            start: now,
        };
        self.latencies.push(took);
        self.cycles_in_all += 1;
    }

    fn acquire(&mut self, cycle: u32) {
        let Cycle { name, value, .. } = &self.cycles[cycle as usize];
        commands::acquire(&mut self.out, name, value);
        self.ask(false, &[cycle]);
    }

    /// A round about `cycles`, whose command is in `out`.
    fn ask(&mut self, is_release: bool, cycles: &[u32]) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.rounds.push(Round {
                is_release,
                left: 0,
                votes: Vec::new(),
            });
            u32::try_from(self.rounds.len() - 1).expect("fewer rounds than that")
        });
        let round = &mut self.rounds[index as usize];
        round.is_release = is_release;
        round.left = u8::try_from(self.links.len()).expect("a handful of servers");
        round.votes.clear();
        round
            .votes
            .extend(cycles.iter().map(|&cycle| Votes { cycle, yes: 0 }));
        for queue in &mut self.unanswered {
            queue.push_back(index);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.merge();
        if self.out.is_empty() {
            return Ok(());
        }
        for link in &mut self.links {
            link.write(&self.out)?;
        }
        self.out.clear();
        Ok(())
    }

    fn merge(&mut self) {
        let releasing = std::mem::take(&mut self.releasing);
        for together in releasing.chunks(MOST_MERGED) {
            let locks = together.iter().map(|&cycle| {
                let cycle = &self.cycles[cycle as usize];
                (&cycle.name, &cycle.value)
            });
            if let &[one] = together {
                let Cycle { name, value, .. } = &self.cycles[one as usize];
                commands::release(&mut self.out, &self.release, name, value);
            } else {
                commands::release_each(&mut self.out, &self.release_each, locks);
            }
            self.ask(true, together);
        }
        self.releasing = releasing;
        self.releasing.clear();
    }

    fn next_lock(&mut self) -> (Name, Value) {
        self.names += 1;
        (
            commands::name(self.names),
            commands::value(u128::from(self.random()) << 64 | u128::from(self.random())),
        )
    }

    /// Splitmix: values need only differ here.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
