//! One run: a world from a seed, its servers, processes and callers, its faults,
//! and what came of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use redlock_native::binding::ids::Handle;
use redlock_native::engine::{Environment as _, SafetyRule};
use redlock_native::instances::redis::Config;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::checker::Checker;
use crate::clients::{self, Client, Target};
use crate::cluster::Slots;
use crate::dialler::Names;
use crate::javascript::App;
use crate::process::Process;
use crate::redis::{Role, Server};
use crate::scenario::{Member, Reach, Scenario, Tells};
use crate::seeds::Outcome;
use crate::world::{Clock, World};

/// More happenings than any run has that comes to an end.
const ENDLESS: u32 = 3_000_000;

/// How many bytes may wait for one server: what waits, the same as commands, and
/// releases that are owed.
const MOST_WEIGHT: usize = 48 * 1024 * 1024;

/// How long requests may take to settle once nothing goes wrong any more.
const SETTLING: Duration = Duration::from_secs(20);

/// Runs the world of `seed`, with the crate keeping every rule but one, if that is
/// taken out. A run told to be `verbose` prints its trace.
pub fn run(seed: u64, without: Option<SafetyRule>, verbose: bool) -> Outcome {
    SafetyRule::take_out(without);
    let simulation = Run::new(seed, without, verbose);
    simulation.live();
    simulation.end()
}

/// Everything there is.
pub struct Run {
    pub world: Rc<World>,
    pub scenario: Rc<Scenario>,
    pub checker: Rc<Checker>,
    /// All that have keys.
    pub servers: Vec<Rc<Server>>,
    pub groups: Vec<Rc<Group>>,
    pub clusters: Vec<Rc<Slots>>,
    backends: Vec<Backend>,
    pub names: Vec<Rc<Names>>,
    pub apps: RefCell<Vec<App>>,
    pub clients: RefCell<Vec<Rc<Client>>>,
    /// Callers that are not done, by process.
    busy: Vec<Rc<Cell<usize>>>,
    /// Nobody takes a new lock for now.
    rest: Rc<Cell<bool>>,
}

/// One member of the quorum, as it is.
enum Backend {
    Server(Rc<Server>),
    Group(Rc<Group>),
    Cluster(Rc<Slots>),
    Memory,
}

/// A master, its replica, and the sentinels that know which is which.
pub struct Group {
    nodes: [Rc<Server>; 2],
    master: Cell<usize>,
    pub sentinels: Vec<Rc<Server>>,
    pub changing: Cell<bool>,
}

impl Group {
    pub fn is_changing(&self) -> bool {
        self.changing.get()
    }

    /// The other one becomes the master: who was it, who is it.
    pub fn turn_over(&self) -> (Rc<Server>, Rc<Server>) {
        let old = self.master.get();
        self.master.set(1 - old);
        (Rc::clone(&self.nodes[old]), Rc::clone(&self.nodes[1 - old]))
    }
}

/// Makes what a scenario has.
struct Builder {
    world: Rc<World>,
    checker: Rc<Checker>,
    drift: u64,
    tells: Tells,
    count: Cell<usize>,
    servers: RefCell<Vec<Rc<Server>>>,
}

impl Builder {
    fn server(&self, host: String) -> Rc<Server> {
        let server = self.other(host);
        server.tracking.faults.set(self.tells.faults);
        if self.world.chance.percent(self.tells.refused) {
            let refusal = "NOPERM this user has no permissions to run the 'hello' command";
            server.tracking.refusal.set(Some(refusal));
        }
        self.servers.borrow_mut().push(Rc::clone(&server));
        server
    }

    /// One without keys.
    fn other(&self, host: String) -> Rc<Server> {
        let clock = Clock::draw(&self.world.chance, self.drift);
        let index = self.count.get();
        self.count.set(index + 1);
        Server::new(&self.world, index, host, clock, &self.checker)
    }

    fn group(&self, index: usize) -> Rc<Group> {
        let chance = &self.world.chance;
        let nodes = ["a", "b"].map(|name| self.server(format!("g{index}{name}")));
        let writable = chance.percent(50);
        nodes[1].turn(Role::Replica { writable });
        let hides_role = chance.percent(30);
        for node in &nodes {
            node.hides_role.set(hides_role);
        }
        let sentinels = (0..3).map(|number| {
            let sentinel = self.other(format!("g{index}s{number}"));
            sentinel.names.replace(Some(Rc::clone(&nodes[0])));
            sentinel
        });
        Rc::new(Group {
            sentinels: sentinels.collect(),
            nodes,
            master: Cell::new(0),
            changing: Cell::new(false),
        })
    }

    fn cluster(&self, index: usize) -> Rc<Slots> {
        let nodes: Vec<_> = (0..2 + self.world.chance.index(2))
            .map(|number| self.server(format!("c{index}n{number}")))
            .collect();
        Slots::new(&nodes)
    }
}

impl Run {
    fn new(seed: u64, without: Option<SafetyRule>, verbose: bool) -> Rc<Self> {
        let world = World::new(seed, verbose);
        let mut scenario = Scenario::draw(&world.chance);
        if let Some(rule) = without {
            scenario.favour(rule);
        }
        let scenario = Rc::new(scenario);
        world.note(format_args!("{scenario:#?}"));
        let checker = Checker::new(&world);
        checker
            .longest
            .set(*scenario.ttls.iter().max().expect("some"));
        let builder = Builder {
            world: Rc::clone(&world),
            checker: Rc::clone(&checker),
            drift: scenario.drift,
            tells: scenario.tells,
            count: Cell::new(0),
            servers: RefCell::default(),
        };
        let mut backends: Vec<Backend> = Vec::new();
        for (index, member) in scenario.members.iter().enumerate() {
            let backend = match member {
                Member::Server => Backend::Server(builder.server(format!("m{index}"))),
                Member::Loopback if index == 0 => {
                    Backend::Server(builder.server("127.0.0.1".to_owned()))
                }
                Member::Loopback => match &backends[0] {
                    Backend::Server(server) => Backend::Server(Rc::clone(server)),
                    _ => unreachable!("all are the same"),
                },
                Member::Same(other) => match &backends[*other] {
                    Backend::Server(server) => Backend::Server(Rc::clone(server)),
                    _ => unreachable!("only servers have other names"),
                },
                Member::Sentinel => Backend::Group(builder.group(index)),
                Member::Cluster => Backend::Cluster(builder.cluster(index)),
                Member::Memory => Backend::Memory,
            };
            backends.push(backend);
        }
        let groups = backends.iter().filter_map(|backend| match backend {
            Backend::Group(group) => Some(Rc::clone(group)),
            _ => None,
        });
        let groups = groups.collect();
        let clusters = backends.iter().filter_map(|backend| match backend {
            Backend::Cluster(cluster) => Some(Rc::clone(cluster)),
            _ => None,
        });
        let clusters = clusters.collect();
        let servers = builder.servers.into_inner();
        for server in &servers {
            server.be_odd(scenario.odd);
            server.together.set(scenario.together);
        }
        let processes: Vec<_> = (0..scenario.processes)
            .map(|index| {
                let clock = Clock::draw(&world.chance, scenario.drift);
                Process::new(&world, index, clock)
            })
            .collect();
        let names = processes
            .iter()
            .map(|process| Names::new(process, scenario.network, &checker))
            .collect();
        let run = Rc::new(Self {
            world,
            scenario,
            checker,
            servers,
            groups,
            clusters,
            backends,
            names,
            apps: RefCell::default(),
            clients: RefCell::default(),
            busy: processes.iter().map(|_| Rc::default()).collect(),
            rest: Rc::default(),
        });
        for process in &processes {
            run.start(process);
        }
        run
    }

    /// Starts one app, with its names for the servers and its quorums.
    fn start(self: &Rc<Self>, process: &Process) {
        let scenario = &self.scenario;
        let names = &self.names[process.index()];
        self.name(names);
        let dialler = Rc::clone(names);
        let app = App::start(
            process,
            dialler,
            &self.checker,
            scenario.room,
            scenario.between,
        );
        for _ in 0..scenario.engines {
            let (instances, clients): (Vec<_>, Vec<_>) = (0..self.backends.len())
                .map(|index| self.member(index, process))
                .unzip();
            let deadlines = &scenario.deadlines;
            let config = json!({
                "instances": instances,
                "deadlines": {
                    "floor": deadlines.floor,
                    "ceiling": deadlines.ceiling,
                },
            });
            self.clients
                .borrow_mut()
                .extend(clients.iter().flatten().cloned());
            app.open(&config, clients);
        }
        self.apps.borrow_mut().push(app);
    }

    /// Says where each host leads to from one process.
    fn name(&self, names: &Names) {
        let chance = &self.world.chance;
        for (index, backend) in self.backends.iter().enumerate() {
            let member = format!("member {index}");
            match backend {
                Backend::Server(server) => {
                    let server = if self.scenario.strange_names {
                        &self.servers[chance.index(self.servers.len())]
                    } else {
                        server
                    };
                    names.lead(&self.host(index), server, &member);
                }
                Backend::Group(group) => {
                    for server in group.nodes.iter().chain(&group.sentinels) {
                        names.lead(&server.host, server, &member);
                    }
                }
                Backend::Cluster(cluster) => {
                    for server in cluster.nodes() {
                        names.lead(&server.host, &server, &member);
                    }
                }
                Backend::Memory => {}
            }
        }
    }

    fn host(&self, index: usize) -> String {
        match self.scenario.members[index] {
            Member::Loopback => "127.0.0.1".to_owned(),
            _ => format!("m{index}"),
        }
    }

    /// A member of a quorum as a configuration, and the client that it goes by.
    fn member(&self, index: usize, process: &Process) -> (Value, Option<Rc<Client>>) {
        let (prefix, db) = (self.scenario.prefix, self.scenario.db);
        let address = |server: &Rc<Server>| json!({ "host": server.host, "port": 6379 });
        let mut config = match &self.backends[index] {
            Backend::Memory => return (json!({ "kind": "memory", "name": "m" }), None),
            Backend::Server(_) => {
                let by_client = match self.scenario.reach {
                    Reach::Links => false,
                    Reach::Clients => true,
                    Reach::Either => self.world.chance.percent(40),
                };
                if by_client {
                    return self.client(index, process);
                }
                json!({ "kind": "redis", "host": self.host(index), "port": 6379 })
            }
            Backend::Group(group) => {
                let sentinels: Vec<_> = group.sentinels.iter().map(address).collect();
                json!({ "kind": "redis", "sentinel": { "sentinels": sentinels, "service": "main" } })
            }
            Backend::Cluster(cluster) => {
                let nodes: Vec<_> = cluster.nodes().iter().map(address).collect();
                json!({ "kind": "redis", "cluster": { "nodes": nodes } })
            }
        };
        let in_cluster = matches!(self.backends[index], Backend::Cluster(_));
        config["db"] = if in_cluster { 0 } else { db }.into();
        config["keyPrefix"] = prefix.into();
        config["connectTimeout"] = self.scenario.connect_timeout.into();
        (config, None)
    }

    fn client(&self, index: usize, process: &Process) -> (Value, Option<Rc<Client>>) {
        let (prefix, db) = (self.scenario.prefix, self.scenario.db);
        let chance = &self.world.chance;
        let names = &self.names[process.index()];
        let host = self.host(index);
        let server = names.server(&host).expect("a name that leads somewhere");
        let target = Target {
            server,
            db,
            prefix: prefix.to_owned(),
        };
        // Some say something else than is true.
        let promotable = chance.percent(70);
        let honest = chance.percent(80);
        let native = promotable && honest && chance.percent(20);
        let says = promotable.then(|| {
            let config = match chance.below(3) {
                _ if honest => clients::config(&host, db, prefix),
                0 => clients::config(&host, db + 1, prefix),
                1 => clients::config(&host, db, "other:"),
                _ => {
                    let other = &self.servers[chance.index(self.servers.len())];
                    let alias = format!("other{index}");
                    names.lead(&alias, other, &format!("member {index}"));
                    clients::config(&alias, db, prefix)
                }
            };
            Config {
                connect_timeout: Duration::from_millis(500),
                ..config
            }
        });
        let client = Client::new(
            process,
            &self.checker,
            self.scenario.network,
            target,
            says,
            self.scenario.client_faults,
        );
        let config = json!({
            "kind": "client",
            "address": format!("redis://{host}"),
            "native": native,
        });
        (config, Some(client))
    }

    fn live(self: &Rc<Self>) {
        for app in &*self.apps.borrow() {
            for number in 0..self.scenario.callers {
                let engine = u32::try_from(number % self.scenario.engines).expect("a few");
                self.employ(app, Handle(engine));
            }
        }
        self.strike();
        if self.scenario.changes {
            let run = Rc::clone(self);
            let half = self.scenario.busy / 2;
            self.world.after(half, move || run.change_clients());
        }
        if self.scenario.moves {
            let run = Rc::clone(self);
            let half = self.scenario.busy / 2;
            self.world.after(half, move || {
                run.rest.set(true);
                run.move_names_once_idle();
            });
        }
        if self.scenario.burst > 0 {
            self.weigh();
            for server in &self.servers {
                if self.world.chance.percent(60) {
                    server.hang(Duration::from_secs(2));
                }
            }
        }
        let run = Rc::clone(self);
        self.world.after(self.scenario.busy, move || {
            run.world.quieten();
            run.heal();
        });
        self.go_on(self.scenario.busy + SETTLING, |run| {
            run.world.is_quiet() && run.is_done()
        });
        self.checker.expect_settled();
        self.checker.expect_no_replay();
        if self.scenario.calm {
            self.expect_clean();
        }
        for app in &*self.apps.borrow() {
            if self.world.chance.percent(30) {
                app.close();
            }
            app.leave();
        }
        self.go_on(SETTLING, |run| run.apps.borrow().iter().all(App::has_ended));
        for app in &*self.apps.borrow() {
            if !app.has_ended() {
                self.world.blame(format_args!(
                    "p{}: the engine's thread does not end",
                    app.process().index()
                ));
            }
        }
        // What is still under way may set a key now.
        self.go_on(SETTLING + Scenario::LONGEST_KEY, |_| false);
        for server in &self.servers {
            if let Some((name, value)) = server.left().first() {
                self.world.blame(format_args!(
                    "s{} is left with {name} = {value:.6}",
                    server.index
                ));
            }
        }
    }

    fn is_done(&self) -> bool {
        let apps = self.apps.borrow();
        let mut callers = apps.iter().zip(&self.busy);
        callers.all(|(app, busy)| app.has_ended() || busy.get() == 0)
    }

    /// Where nothing went wrong, what was released and what was refused is gone
    /// before its time.
    fn expect_clean(self: &Rc<Self>) {
        self.go_on(Duration::from_millis(100), |_| false);
        for server in &self.servers {
            let left = server.left();
            let left = left
                .iter()
                .find(|(_, value)| !self.checker.is_forgotten(value));
            if let Some((name, value)) = left {
                self.world.blame(format_args!(
                    "nothing went wrong, and s{} still has {name} = {value:.6}",
                    server.index
                ));
            }
        }
    }

    /// Once nobody has held anything for longer than any lock lives, names lead
    /// elsewhere.
    fn move_names_once_idle(self: &Rc<Self>) {
        let run = Rc::clone(self);
        if !self.checker.is_idle() {
            let soon = Duration::from_millis(20);
            return self.world.after(soon, move || run.move_names_once_idle());
        }
        self.world.after(Scenario::LONGEST_TTL, move || {
            run.world.note(format_args!("names lead elsewhere"));
            for server in &run.servers {
                for wire in server.wires() {
                    wire.forget();
                    wire.cut(true);
                }
            }
            for names in &run.names {
                run.name(names);
            }
            run.rest.set(false);
        });
    }

    /// Looks now and then how much waits for servers.
    fn weigh(self: &Rc<Self>) {
        let links = self.servers.len().max(self.backends.len());
        for app in &*self.apps.borrow() {
            let weight = app.weight();
            if weight > links * MOST_WEIGHT {
                self.world.blame(format_args!(
                    "p{} lets {weight} bytes wait for {links} members",
                    app.process().index()
                ));
            }
        }
        if !self.world.is_quiet() {
            let run = Rc::clone(self);
            self.world
                .after(Duration::from_millis(10), move || run.weigh());
        }
    }

    fn employ(&self, app: &App, engine: Handle) {
        let caller = Rc::new(Caller {
            app: app.clone(),
            engine,
            scenario: Rc::clone(&self.scenario),
            rest: Rc::clone(&self.rest),
        });
        for number in 0..self.scenario.burst {
            let caller = Rc::clone(&caller);
            self.spawn(app, async move { caller.burst(number).await });
        }
        self.spawn(app, async move { caller.live().await });
    }

    fn spawn(&self, app: &App, life: impl Future<Output = ()> + 'static) {
        let busy = Rc::clone(&self.busy[app.process().index()]);
        busy.set(busy.get() + 1);
        let process = app.process().clone();
        let life = Box::pin(async move {
            life.await;
            busy.set(busy.get() - 1);
        });
        process.spawn(life);
    }

    /// All clients of one or more members go to another database.
    fn change_clients(&self) {
        self.world
            .note(format_args!("clients change their database"));
        self.checker.change();
        for client in &*self.clients.borrow() {
            client.change(self.scenario.db + 5, self.scenario.prefix);
        }
    }

    /// Lets things happen for so long, or until that is enough, or a promise is
    /// broken.
    fn go_on(self: &Rc<Self>, longest: Duration, enough: impl Fn(&Self) -> bool) {
        let over = Rc::new(Cell::new(false));
        let timer = Rc::clone(&over);
        self.world.after(longest, move || timer.set(true));
        for _ in 0..ENDLESS {
            if self.world.violation().is_some() || over.get() || enough(self) {
                return;
            }
            if !self.world.step() {
                return;
            }
            self.checker.look();
        }
        self.world.blame(format_args!("the run does not end"));
    }

    fn end(self: Rc<Self>) -> Outcome {
        let outcome = Outcome {
            trace: self.world.trace(),
            violation: self.world.violation(),
            counts: self.checker.counts.all(),
        };
        for app in self.apps.take() {
            app.process().kill();
        }
        self.world.end();
        outcome
    }
}
