//! What goes wrong, and its end.

use std::rc::Rc;
use std::time::Duration;

use crate::checker::bump;
use crate::cluster::Slots;
use crate::javascript::App;
use crate::redis::{ErrorState, Role, Server};
use crate::scenario::Scenario;
use crate::simulation::{Group, Run};

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A connection breaks; a client's too.
    Snap,
    /// A connection keeps what is under way for a while.
    Hold,
    /// A connection is half open from now on.
    Dead,
    /// What a server says on a connection is lost from now on; what it hears is not.
    Deaf,
    /// Something between one process and all servers forgets their connections; new
    /// ones work.
    Nat,
    /// One process's dials take long.
    Slow,
    /// A server accepts and doesn't answer.
    Hang,
    /// Nothing passes between one process and one server.
    Part,
    /// A server restarts with its keys.
    Crash,
    /// A server loses its keys and stays away for longer than any of them would
    /// have lived, as crash recovery without persistence requires.
    Forget,
    /// A process stands still.
    Pause,
    /// A JavaScript thread is busy.
    Block,
    /// A server carries nothing out, and says why.
    ErrorState,
    /// A server forgets the scripts that it knows.
    Flush,
    /// The master of a group becomes a replica, and the replica the master.
    Failover,
    /// Slots move from one node of a cluster to another.
    Move,
    /// A process ends where it stands.
    Kill,
}

impl Fault {
    pub const ALL: [Self; 17] = [
        Self::Snap,
        Self::Hold,
        Self::Dead,
        Self::Deaf,
        Self::Nat,
        Self::Slow,
        Self::Hang,
        Self::Part,
        Self::Crash,
        Self::Forget,
        Self::Pause,
        Self::Block,
        Self::ErrorState,
        Self::Flush,
        Self::Failover,
        Self::Move,
        Self::Kill,
    ];
}

impl Run {
    /// Strikes again and again until the world is quiet.
    pub fn strike(self: &Rc<Self>) {
        if self.scenario.faults.is_empty() {
            return;
        }
        let nemesis = Rc::clone(self);
        let pause = self.world.chance.span(self.scenario.every);
        self.world.after(pause, move || {
            if !nemesis.world.is_quiet() {
                nemesis.do_harm(nemesis.world.chance.pick(&nemesis.scenario.faults));
                nemesis.strike();
            }
        });
    }

    fn do_harm(self: &Rc<Self>, kind: Fault) {
        let world = &self.world;
        let chance = &world.chance;
        let span = chance.span(self.scenario.longest);
        let app = &self.apps.borrow()[chance.index(self.scenario.processes)].clone();
        let server = (!self.servers.is_empty())
            .then(|| Rc::clone(&self.servers[chance.index(self.servers.len())]));
        bump(&self.checker.counts.faults);
        world.note(format_args!(
            "fault: {kind:?} for {span:?} (s{}, p{})",
            server.as_ref().map_or(0, |server| server.index),
            app.process().index()
        ));
        match kind {
            Fault::Pause => return app.process().pause(span),
            Fault::Block => return app.block(span),
            Fault::Kill => {
                // Somebody must be left.
                let apps = self.apps.borrow();
                let alive = apps.iter().filter(|app| !app.has_ended()).count();
                if alive > 1 && chance.percent(10) {
                    app.die();
                }
                return;
            }
            Fault::Nat => {
                for server in &self.servers {
                    for wire in server.wires() {
                        if wire.process.index() == app.process().index() {
                            wire.go_dead();
                        }
                    }
                }
                return;
            }
            Fault::Slow => {
                let until = world.now().after(5 * span);
                return self.names[app.process().index()].slow_down(until, span);
            }
            _ => {}
        }
        if let Some(server) = server {
            self.harm(&server, app, kind, span);
        }
    }

    /// What befalls a server, or somebody's way to it.
    fn harm(self: &Rc<Self>, server: &Rc<Server>, app: &App, kind: Fault, span: Duration) {
        let world = &self.world;
        let chance = &world.chance;
        let wires = server.wires();
        let wire = (!wires.is_empty()).then(|| &wires[chance.index(wires.len())]);
        match kind {
            Fault::Snap => {
                if let Some(wire) = wire {
                    wire.cut(chance.percent(50));
                }
                let clients = self.clients.borrow();
                if !clients.is_empty() {
                    clients[chance.index(clients.len())].reconnect();
                }
            }
            Fault::Hold => {
                if let Some(wire) = wire {
                    wire.hold(span);
                }
            }
            Fault::Dead => {
                if let Some(wire) = wire {
                    wire.go_dead();
                }
            }
            Fault::Deaf => {
                if let Some(wire) = wire {
                    wire.go_deaf();
                }
            }
            Fault::Hang => server.hang(span),
            Fault::Part => {
                for wire in &wires {
                    if wire.process.index() == app.process().index() {
                        wire.go_dead();
                    }
                }
                let until = world.now().after(span);
                self.names[app.process().index()].part(server.index, until);
            }
            Fault::Crash => {
                if server.is_up() {
                    server.crash(true, span);
                    self.restart_after(server, span);
                }
            }
            // Redlock promises nothing if two of them forget together.
            Fault::Forget => {
                let groups = self.groups.iter().any(|group| group.is_changing());
                if !groups && self.servers.iter().all(|server| server.is_up()) {
                    server.crash(false, span);
                    self.restart_after(server, Scenario::LONGEST_TTL + span);
                }
            }
            Fault::ErrorState => {
                let error_state = chance.pick(&[
                    ErrorState::Busy,
                    ErrorState::Loading,
                    ErrorState::OutOfMemory,
                    ErrorState::ReadOnly,
                    ErrorState::ClusterDown,
                ]);
                server.be(error_state, span);
            }
            Fault::Flush => server.flush_scripts(),
            Fault::Failover => {
                if !self.groups.is_empty() {
                    let group = Rc::clone(&self.groups[chance.index(self.groups.len())]);
                    self.fail_over(&group, span);
                }
            }
            Fault::Move => {
                if !self.clusters.is_empty() {
                    let cluster = Rc::clone(&self.clusters[chance.index(self.clusters.len())]);
                    let part = if chance.percent(70) {
                        crate::cluster::part_of("{r}")
                    } else {
                        chance.index(8)
                    };
                    cluster.begin(part, chance.index(8));
                    for _ in 0..chance.below(4) {
                        let moving = Rc::clone(&cluster);
                        world.after(chance.span(span), move || moving.migrate_one());
                    }
                    self.end_move(&cluster, span);
                }
            }
            Fault::Pause | Fault::Block | Fault::Kill | Fault::Nat | Fault::Slow => {}
        }
    }

    fn end_move(self: &Rc<Self>, cluster: &Rc<Slots>, after: Duration) {
        let (run, moving) = (Rc::clone(self), Rc::clone(cluster));
        self.world.after(after, move || {
            if !moving.end() {
                run.end_move(&moving, Duration::from_millis(50));
            }
        });
    }

    fn restart_after(&self, server: &Rc<Server>, away: Duration) {
        let server = Rc::clone(server);
        self.world.after(away, move || server.restart());
    }

    /// The master becomes a replica. The other one takes over with all keys at
    /// once, or without them once they would be over.
    fn fail_over(self: &Rc<Self>, group: &Rc<Group>, span: Duration) {
        let chance = &self.world.chance;
        let keeps = chance.percent(50);
        let all_up = self.servers.iter().all(|server| server.is_up());
        if group.is_changing() || !all_up {
            return;
        }
        group.changing.set(true);
        let (old, new) = group.turn_over();
        let writable = chance.percent(50);
        old.turn(Role::Replica { writable });
        let away = if keeps {
            new.take_keys_of(&old);
            new.turn(Role::Master);
            Duration::ZERO
        } else {
            new.turn(Role::Replica { writable: false });
            let master = Rc::clone(&new);
            let former = Rc::clone(&old);
            self.world.after(Scenario::LONGEST_TTL, move || {
                former.take_keys_of(&former.clone());
                master.turn(Role::Master);
            });
            Scenario::LONGEST_TTL
        };
        // Each sentinel learns of it in its own time, one perhaps late.
        let mut last = away;
        for sentinel in &group.sentinels {
            let after = away + chance.span(span);
            last = last.max(after);
            let (sentinel, new) = (Rc::clone(sentinel), Rc::clone(&new));
            self.world.after(after, move || {
                sentinel.names.replace(Some(new));
            });
        }
        let group = Rc::clone(group);
        self.world.after(last, move || group.changing.set(false));
    }

    /// Ends what would not end by itself soon.
    pub fn heal(&self) {
        for server in &self.servers {
            server.hang(Duration::ZERO);
            server.be(ErrorState::Busy, Duration::ZERO);
            server.be_odd(0);
        }
        for names in &self.names {
            for server in &self.servers {
                names.part(server.index, self.world.now());
            }
        }
    }
}
