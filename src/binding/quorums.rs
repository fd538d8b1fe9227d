//! A session's quorums: each an engine over its instances.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::client_rows::{ClientQuestion, ClientRequest};
use super::command::{ClientReply, ClientUpdate};
use super::config::Config;
use super::decode::Applied;
use super::describe;
use super::ids::{Handle, Index};
use super::numbers::saturated_long;
use super::outbox::{Locked, Outcome};
use super::responses::Responses;
use super::shared::Shared;
use crate::engine::{Cause, DeadlineBounds, Engine, Event, Question, supervised};
use crate::instances::client::port::{self, Port, Ticket};
use crate::instances::client::{Client, Route, RouteObserver};

/// The quorums of one session, by their handles.
pub struct Quorums {
    shared: Shared,
    responses: Rc<Responses>,
    open: RefCell<BTreeMap<Handle, Quorum>>,
    /// Those that were closed and still have rounds open.
    closing: RefCell<BTreeMap<Handle, Quorum>>,
    /// Whether each of them tells votes as they come.
    tell_votes: Cell<bool>,
}

struct Quorum {
    engine: Engine,
    deadlines: DeadlineBounds,
    /// The instances that are the caller's own clients.
    clients: BTreeMap<Index, Rc<Client>>,
}

impl Quorums {
    pub fn new(shared: Shared, responses: Rc<Responses>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            responses,
            open: RefCell::default(),
            closing: RefCell::default(),
            tell_votes: Cell::new(false),
        })
    }

    pub fn open(&self, handle: Handle, config: Config) {
        let deadlines = config.deadlines();
        let responses = Rc::clone(&self.responses);
        let listener = move |event: Event| {
            let described = describe::event(handle, &event);
            responses.tell(match event {
                Event::Vote { trace, .. } => Outcome::Vote(described, trace),
                _ => Outcome::Event(described),
            });
        };
        let opened = config.open(&self.shared, |index| ClientPort {
            responses: Rc::clone(&self.responses),
            handle,
            index,
        });
        let engine = Engine::new(
            opened.instances,
            Rc::clone(&self.shared.environment),
            Rc::clone(&self.shared.claims),
            Rc::clone(&self.shared.queues),
            listener,
        );
        engine.tell_votes(self.tell_votes.get());
        let quorum = Quorum {
            engine,
            deadlines,
            clients: opened.clients,
        };
        self.open.borrow_mut().insert(handle, quorum);
    }

    /// Each vote is told as it comes from now on, or no longer.
    pub fn tell_votes(&self, are_told: bool) {
        self.tell_votes.set(are_told);
        let (open, closing) = (self.open.borrow(), self.closing.borrow());
        for quorum in open.values().chain(closing.values()) {
            quorum.engine.tell_votes(are_told);
        }
    }

    /// The engine goes once what it has been asked is answered, and its
    /// connections with it.
    pub fn close(self: &Rc<Self>, handle: Handle) {
        let Some(quorum) = self.open.borrow_mut().remove(&handle) else {
            return;
        };
        let engine = quorum.engine.clone();
        // Or the locks that are kept would keep it open.
        engine.stop_renewals();
        self.closing.borrow_mut().insert(handle, quorum);
        let quorums = Rc::downgrade(self);
        let begin = move || {
            let (engine, quorums) = (engine.clone(), Weak::clone(&quorums));
            async move {
                engine.quiet().await;
                if let Some(quorums) = quorums.upgrade() {
                    quorums.closed(handle);
                }
            }
        };
        let environment = Rc::clone(&self.shared.environment);
        let closing = supervised(environment, begin, |_| {});
        self.shared.environment.spawn(Box::pin(closing));
    }

    /// Nothing is under way any more.
    fn closed(&self, handle: Handle) {
        let quorum = self.closing.borrow_mut().remove(&handle);
        let clients = quorum.map(|quorum| quorum.clients).unwrap_or_default();
        for client in clients.values() {
            client.close();
        }
        // JavaScript may end these clients from now on.
        if !clients.is_empty() {
            self.responses
                .tell(Outcome::Event(describe::closed(handle)));
        }
    }

    /// Nobody is left to hold a lock, or to ask a client. Returns the engines, which
    /// must still come to an end.
    pub fn end(&self) -> Vec<Engine> {
        let open = self.open.take().into_values();
        open.chain(self.closing.take().into_values())
            .map(|quorum| {
                for client in quorum.clients.values() {
                    client.close();
                }
                quorum.engine.stop_renewals();
                quorum.engine
            })
            .collect()
    }

    /// The engine that may be asked for something new, and how long its instances
    /// may take; `None` once it is closed.
    pub fn engine(&self, handle: Handle) -> Option<(Engine, DeadlineBounds)> {
        let open = self.open.borrow();
        let quorum = open.get(&handle)?;
        Some((quorum.engine.clone(), quorum.deadlines))
    }

    /// The engine, be it open or closing.
    pub fn engine_to_its_end(&self, handle: Handle) -> Option<Engine> {
        self.find(handle, |quorum| quorum.engine.clone())
    }

    /// Releases a lock that nobody will be told of.
    pub fn rollback(&self, locked: Locked) {
        if let Some(engine) = self.engine_to_its_end(locked.handle) {
            locked.take_back(&engine);
        }
    }

    /// Where a caller's client leads to has changed.
    pub fn update_client(&self, handle: Handle, index: Index, update: ClientUpdate) {
        if let Some(client) = self.client(handle, index) {
            client.update_details(update.server.map(|server| *server), update.retain);
        }
    }

    /// JavaScript has come round after a call for a caller's client.
    pub fn came_round(&self, handle: Handle, index: Index) {
        if let Some(client) = self.client(handle, index) {
            client.came_round();
        }
    }

    /// A caller's client has carried out a script.
    pub fn applied(&self, applied: &Applied) {
        if let Some(client) = self.client(applied.handle, applied.index) {
            client.answer(applied.ticket, port::Answer::Applied(applied.keys));
        }
    }

    /// A caller's client has come back with something else.
    pub fn replied(&self, handle: Handle, index: Index, ticket: Ticket, reply: ClientReply) {
        let Some(client) = self.client(handle, index) else {
            return;
        };
        let answer = match reply {
            ClientReply::Seen { value, ttl } => {
                port::Answer::Seen(value.map(Rc::from), ttl.map(saturated_long))
            }
            ClientReply::Unexpected(what) => {
                port::Answer::Failed(Cause::Unexpected { what: what.into() })
            }
            ClientReply::Failed {
                number,
                code,
                message,
            } => port::Answer::Failed(Cause::Client {
                message: message.into(),
                reply: code.map(Rc::from),
                number,
            }),
        };
        client.answer(ticket, answer);
    }

    /// A caller's client, without a borrow: its vote may ask the next question.
    fn client(&self, handle: Handle, index: Index) -> Option<Rc<Client>> {
        self.find(handle, |quorum| quorum.clients.get(&index).cloned())
            .flatten()
    }

    /// Finds something of a quorum, be it open or closing.
    fn find<T>(&self, handle: Handle, find: impl FnOnce(&Quorum) -> T) -> Option<T> {
        let (open, closing) = (self.open.borrow(), self.closing.borrow());
        open.get(&handle).or_else(|| closing.get(&handle)).map(find)
    }
}

/// The way to JavaScript for one caller's client.
struct ClientPort {
    responses: Rc<Responses>,
    handle: Handle,
    index: Index,
}

impl Port for ClientPort {
    fn carry(&self, ticket: Ticket, question: &Rc<Question>) {
        let request = ClientRequest {
            handle: self.handle,
            index: self.index,
            ticket,
            question: ClientQuestion::new(question),
        };
        self.responses
            .tell(Outcome::ClientRequest(Box::new(request)));
    }

    fn call(&self) {
        let details = describe::call(self.handle, self.index);
        self.responses.tell(Outcome::Event(details));
    }
}

impl RouteObserver for ClientPort {
    fn rerouted(&self, route: &Route) {
        let details = describe::route(self.handle, self.index, route);
        self.responses.tell(Outcome::Event(details));
    }
}
