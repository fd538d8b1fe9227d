//! What goes wrong, and its end.

use std::rc::Rc;
use std::time::Duration;

use crate::checker::Checker;
use crate::connection::{LINES, Remote};
use crate::counts::bump;
use crate::process::Process;
use crate::scenario::{Faults, Scenario};
use crate::server::Server;
use crate::world::World;

/// What can go wrong with instances and clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A client's connection breaks.
    Snap,
    /// The network keeps what is under way on a connection for a while.
    Hold,
    /// A server accepts and doesn't answer.
    Hang,
    /// Nothing passes between one client and one server.
    Part,
    /// A server restarts with its keys.
    Crash,
    /// A server loses its keys and stays away for longer than any of them would
    /// have lived, as crash recovery without persistence requires.
    Forget,
    /// A client stands still.
    Pause,
    /// The connection breaks on which a server tells a client of changes.
    Deafen,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::Snap,
        Self::Hold,
        Self::Hang,
        Self::Part,
        Self::Crash,
        Self::Forget,
        Self::Pause,
        Self::Deafen,
    ];
}

/// Does harm as the scenario has it.
pub struct Nemesis {
    world: Rc<World>,
    servers: Vec<Rc<Server>>,
    processes: Vec<Process>,
    remotes: Vec<Remote>,
    faults: Faults,
    checker: Rc<Checker>,
}

impl Nemesis {
    pub fn new(
        world: &Rc<World>,
        servers: &[Rc<Server>],
        remotes: Vec<Remote>,
        faults: Faults,
        checker: &Rc<Checker>,
    ) -> Rc<Self> {
        let mut processes: Vec<Process> = Vec::new();
        for remote in &remotes {
            if processes
                .last()
                .is_none_or(|last| last.index() != remote.process().index())
            {
                processes.push(remote.process().clone());
            }
        }
        Rc::new(Self {
            world: Rc::clone(world),
            servers: servers.to_vec(),
            processes,
            remotes,
            faults,
            checker: Rc::clone(checker),
        })
    }

    /// Strikes again and again until the world is quiet.
    pub fn strike(self: &Rc<Self>) {
        if self.faults.kinds.is_empty() {
            return;
        }
        let nemesis = Rc::clone(self);
        let pause = self.world.chance.span(self.faults.every);
        self.world.after(pause, move || {
            if !nemesis.world.is_quiet() {
                nemesis.do_harm(nemesis.world.chance.pick(&nemesis.faults.kinds));
                nemesis.strike();
            }
        });
    }

    fn do_harm(&self, kind: Fault) {
        bump(&self.checker.counts.struck);
        let chance = &self.world.chance;
        let span = chance.span(self.faults.longest);
        let until = self.world.now().after(span);
        let server = &self.servers[chance.index(self.servers.len())];
        let remote = &self.remotes[chance.index(self.remotes.len())];
        let process = &self.processes[chance.index(self.processes.len())];
        let line = chance.index(LINES);
        self.world.note(format_args!(
            "fault: {kind:?} for {span:?} (s{}, p{}, or p{} and s{} line {line})",
            server.index,
            process.index(),
            remote.process().index(),
            remote.server().index,
        ));
        match kind {
            Fault::Snap => snap(remote, line, Duration::ZERO),
            Fault::Hold => remote.hold_until(line, until),
            Fault::Hang => {
                server.hang_until(until);
                self.let_some_snap(server, span);
            }
            Fault::Part => {
                remote.part_until(until);
                if chance.percent(50) {
                    snap(remote, line, chance.span(span));
                }
            }
            Fault::Crash => self.crash(server, true, span),
            // It takes so long that the rest of the run would see no lock, were
            // more than one away, or the only one more than now and then.
            Fault::Forget => {
                let others = self.servers.iter().filter(|other| other.is_up()).count() > 1;
                if self.servers.iter().all(|server| server.is_up()) && (others || chance.percent(5))
                {
                    self.crash(server, false, Scenario::LONGEST_TTL + span);
                }
            }
            Fault::Pause => process.pause(span),
            Fault::Deafen => remote.watch_line().snap(),
        }
    }

    fn crash(&self, server: &Rc<Server>, keep_keys: bool, away: Duration) {
        if !server.is_up() {
            return;
        }
        server.crash(keep_keys);
        for remote in self
            .remotes
            .iter()
            .filter(|remote| remote.server().index == server.index)
        {
            let soon = || self.world.chance.span(away.min(self.faults.longest));
            for line in 0..LINES {
                snap(remote, line, soon());
            }
            let deaf = remote.clone();
            let after = soon();
            remote
                .process()
                .after(after, move || deaf.watch_line().snap());
        }
        let server = Rc::clone(server);
        self.world.after(away, move || server.restart());
    }

    /// Some clients lose patience with a silent server.
    fn let_some_snap(&self, server: &Server, within: Duration) {
        let chance = &self.world.chance;
        for remote in self
            .remotes
            .iter()
            .filter(|remote| remote.server().index == server.index)
        {
            if chance.percent(30) {
                snap(remote, chance.index(LINES), chance.span(within));
            }
        }
    }

    /// Ends what would not end by itself soon.
    pub fn stop(&self) {
        for server in &self.servers {
            server.wake();
        }
        for remote in &self.remotes {
            remote.part_until(self.world.now());
            for line in 0..LINES {
                remote.hold_until(line, self.world.now());
            }
        }
    }
}

fn snap(remote: &Remote, line: usize, after: Duration) {
    let broken = remote.clone();
    remote.process().after(after, move || broken.snap(line));
}
