//! Where a configured address leads to, in one process.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{Cause, Environment as _};
use redlock_native::instances::redis::{Config, Connecting, Dialler, Endpoint, Stream};

use crate::checker::{Checker, bump};
use crate::process::Process;
use crate::redis::Server;
use crate::scenario::Network;
use crate::stream::Wire;
use crate::world::Moment;

/// One process's names for servers.
pub struct Names {
    process: Process,
    network: Network,
    routes: RefCell<BTreeMap<String, Route>>,
    /// Till then a dial takes up to so much longer.
    slow: Cell<(Moment, Duration)>,
    checker: Rc<Checker>,
}

struct Route {
    server: Rc<Server>,
    member: String,
    /// Nothing gets through till then.
    parted: Moment,
}

impl Names {
    pub fn new(process: &Process, network: Network, checker: &Rc<Checker>) -> Rc<Self> {
        Rc::new(Self {
            slow: Cell::default(),
            checker: Rc::clone(checker),
            process: process.clone(),
            network,
            routes: RefCell::default(),
        })
    }

    /// This host, of a member of the quorum, leads there from now on.
    pub fn lead(&self, host: &str, server: &Rc<Server>, member: &str) {
        let route = Route {
            server: Rc::clone(server),
            member: member.to_owned(),
            parted: Moment::default(),
        };
        self.routes.borrow_mut().insert(host.to_owned(), route);
    }

    /// The server that a host leads to.
    pub fn server(&self, host: &str) -> Option<Rc<Server>> {
        let routes = self.routes.borrow();
        routes.get(host).map(|route| Rc::clone(&route.server))
    }

    /// No dial gets through to this server till then.
    pub fn part(&self, server: usize, until: Moment) {
        for route in self.routes.borrow_mut().values_mut() {
            if route.server.index == server {
                route.parted = until;
            }
        }
    }

    /// Till then a dial takes up to so much longer.
    pub fn slow_down(&self, until: Moment, by: Duration) {
        self.slow.set((until, by));
    }
}

impl Dialler for Names {
    fn connect<'a>(&'a self, config: &'a Config) -> Connecting<'a> {
        Box::pin(async move {
            let world = self.process.world();
            let Endpoint::Tcp { host, .. } = &config.endpoint else {
                panic!("{:?} is not one server", config.endpoint);
            };
            let mut delay = self.network.delay(world);
            let (until, by) = self.slow.get();
            if world.now() < until {
                delay += world.chance.span(by);
            }
            let answered = self.process.now().after(delay);
            self.process.sleep_until(answered).await;
            let (server, member, parted) = {
                let routes = self.routes.borrow();
                let Some(route) = routes.get(host) else {
                    return Err(unreachable("no such host"));
                };
                (
                    Rc::clone(&route.server),
                    route.member.clone(),
                    world.now() < route.parted,
                )
            };
            if parted {
                // Nobody says that nothing comes.
                std::future::pending::<()>().await;
            }
            if !server.is_up() {
                return Err(unreachable("connection refused"));
            }
            let address: Rc<str> = format!("{member}, {}/{}", config.db, config.key_prefix).into();
            let is_there = |wire: &Rc<Wire>| {
                wire.address == address && wire.process.index() == self.process.index()
            };
            if server.has_keys() && server.wires().iter().any(is_there) {
                world.note(format_args!("s{} is dialled beside", server.index));
                bump(&self.checker.counts.beside);
            }
            let wire = Wire::open(&self.process, address, &server, self.network);
            Ok(Box::new(wire) as Box<dyn Stream>)
        })
    }
}

fn unreachable(what: &str) -> Cause {
    Cause::Unreachable { what: what.into() }
}
