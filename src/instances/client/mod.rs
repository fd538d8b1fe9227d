//! An instance behind the caller's own Redis client. It is asked through that
//! client, and over a connection of our own once the two are proven to lead to
//! the same keys.
//!
//! | mode | our own connection | proof | who is asked |
//! |---|---|---|---|
//! | any | none: the client gives no details | – | the client |
//! | auto | being made, or down | missing | the client |
//! | auto | ready, to a replica or who doesn't say that it is a master | missing | the client |
//! | auto | ready, to a master | missing | the client; an acquire begins a proof |
//! | auto | ready, to a master | under way | the client |
//! | auto | ready, to a master | failed | the client; after a pause an acquire begins another |
//! | auto | ready, to a master | given | our own connection; the client for an acquire by the caller's own script |
//! | native | any | not asked for | our own connection |
//!
//! Any change of our own connection takes the proof back, so that one that is made
//! anew is proven anew. A change of the client's details ([`Client::update_details`]) puts
//! another connection in its place. Without the proof a wrong database would let two
//! holders in.
//!
//! A lock's own key would not do for a proof: all members of a quorum set it to the
//! same value, so that one could pass for another.
//!
//! A release has more ways than that: one that our own connection leaves open goes by
//! the client too (`fallback.rs`), and where nothing is found it is looked for where
//! the client led before (`previous.rs`).

pub mod bridge;
mod event_loop;
mod fallback;
mod own_connection;
pub mod port;
mod previous;
mod proof;
mod route;

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use self::bridge::Bridge;
use self::fallback::ReleaseByOwnConnection;
use self::own_connection::{OwnConnection, ProofNumber};
use self::port::{Answer, Port, Ticket};
use self::previous::{AskPrevious, PreviousServers};
use self::proof::{ProofKey, Prover};
pub use self::route::{BridgeReason, Mode, Route, RouteObserver};
use super::redis::{Config, Network, Server};
use crate::engine::{
    ConnectionState, Environment, Instance, Observer, Operation, Question, Responder, RoundTrip,
    SafetyRule, Watch, Watcher,
};

/// The caller's client as a member of the quorum.
pub struct Client {
    mode: Mode,
    environment: Rc<dyn Environment>,
    network: Rc<Network>,
    bridge: Rc<Bridge>,
    watcher: Box<dyn RouteObserver>,
    state: RefCell<State>,
    observers: RefCell<Vec<(usize, Weak<dyn Observer>)>>,
    /// Itself, for those who bring it answers.
    myself: Weak<Self>,
}

struct State {
    /// Grows with each of our own connections: what a former one tells is ignored.
    generation: usize,
    /// The proof that was begun last.
    proof: ProofNumber,
    own: Option<OwnConnection>,
    previous: PreviousServers,
}

impl Client {
    /// A client that is asked through `port`, and on `network` once it is proven.
    #[must_use]
    pub fn new(
        mode: Mode,
        network: Rc<Network>,
        port: Rc<dyn Port>,
        watcher: Box<dyn RouteObserver>,
    ) -> Rc<Self> {
        let environment = network.environment();
        let now = environment.now();
        Rc::new_cyclic(|myself| Self {
            mode,
            bridge: Bridge::new(Rc::clone(&environment), port),
            environment,
            network,
            watcher,
            state: RefCell::new(State {
                generation: 0,
                proof: ProofNumber::default(),
                own: None,
                previous: PreviousServers::none(now),
            }),
            observers: RefCell::default(),
            myself: Weak::clone(myself),
        })
    }

    /// The client's details are these now: what a connection of our own takes,
    /// if one can be made. `keep` whether the connection there was is still
    /// good for the locks that were taken with it.
    pub fn update_details(&self, config: Option<Config>, keep: bool) {
        let now = self.environment.now();
        let (generation, gone) = {
            let mut state = self.state.borrow_mut();
            state.generation += 1;
            let server = state.own.take().map(|own| own.server);
            (state.generation, state.previous.add(server, keep, now))
        };
        // Only now: a connection's end is a vote on what was asked there, and may
        // come back here.
        drop(gone);
        if let Some(config) = config {
            let server = Rc::new(Server::open(config, &self.network));
            self.state.borrow_mut().own = Some(OwnConnection::new(Rc::clone(&server)));
            let observer: Weak<dyn Observer> = Weak::<Self>::clone(&self.myself);
            server.observe(generation, observer);
        }
        self.tell_observers();
        self.tell_route();
    }

    /// Brings the client's answer, as to [`Bridge::answer`].
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        self.bridge.answer(ticket, answer);
    }

    /// JavaScript has come round after a call.
    pub fn came_round(&self) {
        self.bridge.came_round();
    }

    /// Nobody will bring an answer any more.
    pub fn close(&self) {
        self.bridge.close();
    }

    /// By which way it is asked now.
    fn route(&self) -> Route {
        match &self.state.borrow().own {
            None => Route::Bridge(BridgeReason::NoConnection),
            Some(own) => own.route(self.mode),
        }
    }

    fn tell_route(&self) {
        self.watcher.rerouted(&self.route());
        self.tell_of_wakeups();
    }

    fn tell_of_wakeups(&self) {
        let observers = self.observers.borrow().clone();
        for (index, observer) in observers {
            if let Some(observer) = observer.upgrade() {
                observer.wakeups_changed(index);
            }
        }
    }

    fn tell_observers(&self) {
        let connection = self.connection();
        let observers = self.observers.borrow().clone();
        for (index, observer) in observers {
            if let Some(observer) = observer.upgrade() {
                observer.connection_changed(index, &connection);
            }
        }
    }

    /// While there are two ways it can always be asked. What its keys are called
    /// is known once our own connection is the way.
    fn connection(&self) -> ConnectionState {
        let state = self.state.borrow();
        match &state.own {
            // There is no other way then.
            Some(own) if self.mode == Mode::OwnConnection && !own.is_ready() => {
                own.connection.clone()
            }
            Some(own) if own.is_the_way(self.mode) => own.connection.clone(),
            _ => ConnectionState::Ready { keyspace: None },
        }
    }

    /// Our own connection, if it is the way for `question`.
    fn own_server_for(&self, question: &Question) -> Option<Rc<Server>> {
        // A caller's own acquire may do what only that client can.
        if self.mode == Mode::Auto && has_own_acquire(question) {
            return None;
        }
        self.own_server_if_the_way()
    }

    /// Our own connection, if that is the way by which it is asked now.
    fn own_server_if_the_way(&self) -> Option<Rc<Server>> {
        let state = self.state.borrow();
        let own = state.own.as_ref()?;
        own.is_the_way(self.mode).then(|| Rc::clone(&own.server))
    }

    /// With a text of the caller's nothing is ever proven: that is the reason then.
    fn note_own_acquire(&self) {
        if self.mode != Mode::Auto {
            return;
        }
        let mut state = self.state.borrow_mut();
        let is_news = state
            .own
            .as_mut()
            .is_some_and(OwnConnection::note_own_script);
        drop(state);
        if is_news {
            self.tell_route();
        }
    }

    /// Whether it is time, with `question`, to prove our own connection.
    fn wants_proof_by(&self, question: &Question) -> bool {
        if !matches!(question.operation, Operation::Acquire { .. }) || has_own_acquire(question) {
            return false;
        }
        let now = self.environment.now();
        let state = self.state.borrow();
        state.own.as_ref().is_some_and(|own| own.is_proof_due(now))
    }

    fn prove(&self, acquire: &Question) {
        let number = self.state.borrow().proof.next();
        let prover: Weak<dyn Prover> = Weak::<Self>::clone(&self.myself);
        let Some(key) = ProofKey::beside(acquire, prover, number, self.environment.as_ref()) else {
            return;
        };
        {
            let mut state = self.state.borrow_mut();
            state.proof = number;
            let Some(own) = &mut state.own else {
                return;
            };
            own.begin_proof(number);
        }
        key.prove(&self.bridge);
    }

    /// Where nothing is found of what `question` is about, it may be where the
    /// client led before.
    fn or_by_previous(&self, question: &Rc<Question>, responder: Responder) -> Responder {
        let servers = self.state.borrow().previous.at(self.environment.now());
        AskPrevious::after(servers, question, responder)
    }
}

/// Whether it is taken with a text of the caller's, which proves nothing and may
/// do what only the client can.
fn has_own_acquire(question: &Question) -> bool {
    let scripts = question.scripts.as_ref();
    scripts.is_some_and(|scripts| scripts.acquire.is_some())
}

impl Prover for Client {
    fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    fn own_server(&self) -> Option<Rc<Server>> {
        let state = self.state.borrow();
        state.own.as_ref().map(|own| Rc::clone(&own.server))
    }

    fn judge(&self, number: ProofNumber, outcome: Result<(), BridgeReason>) {
        let now = self.environment.now();
        let is_given = outcome.is_ok();
        let counts = {
            let mut state = self.state.borrow_mut();
            let own = state.own.as_mut();
            own.is_some_and(|own| own.end_proof(number, outcome, now))
        };
        if counts {
            self.tell_route();
            if is_given {
                self.tell_observers();
            }
        }
    }
}

impl Observer for Client {
    /// Our own connection's state.
    fn connection_changed(&self, generation: usize, connection: &ConnectionState) {
        {
            let mut state = self.state.borrow_mut();
            let current = state.generation == generation;
            let Some(own) = state.own.as_mut().filter(|_| current) else {
                return;
            };
            own.change(connection);
        }
        if self.mode == Mode::OwnConnection {
            self.tell_observers();
        }
        self.tell_route();
    }

    fn wakeups_changed(&self, generation: usize) {
        if self.state.borrow().generation == generation {
            self.tell_of_wakeups();
        }
    }
}

impl Instance for Client {
    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        if let Operation::Acquire { ttl } | Operation::Extend { ttl } = question.operation {
            let end = question.deadline.after(ttl.span());
            self.state.borrow_mut().previous.note_key(end);
        }
        let responder = match question.operation {
            Operation::Acquire { .. } => {
                if has_own_acquire(question) {
                    self.note_own_acquire();
                }
                responder
            }
            Operation::Extend { .. } if SafetyRule::PreviousConnection.is_kept() => responder,
            Operation::Extend { .. } | Operation::Release { .. } => {
                self.or_by_previous(question, responder)
            }
            Operation::Inspect => responder,
        };
        match self.own_server_for(question) {
            Some(server) => {
                let responder = match question.operation {
                    Operation::Release { .. } => {
                        ReleaseByOwnConnection::before(&self.bridge, question, responder)
                    }
                    _ => responder,
                };
                server.ask(question, responder);
            }
            None if self.wants_proof_by(question) => {
                self.bridge.ask(question, responder);
                // At once: before anybody has the lock, the proof's key is gone.
                self.prove(question);
            }
            None => self.bridge.ask(question, responder),
        }
    }

    fn watch(
        &self,
        resource: &str,
        index: usize,
        watcher: Weak<dyn Watcher>,
    ) -> Option<Rc<dyn Watch>> {
        let server = self.own_server_if_the_way()?;
        server.watch(resource, index, watcher)
    }

    fn no_wakeups(&self) -> Option<Rc<str>> {
        match self.own_server_if_the_way() {
            Some(server) => server.no_wakeups(),
            None => Some("it is asked through your client, which is told of no changes".into()),
        }
    }

    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        let connection = self.connection();
        if let Some(observer) = observer.upgrade() {
            observer.connection_changed(index, &connection);
        }
        self.observers.borrow_mut().push((index, observer));
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        let state = self.state.borrow();
        match &state.own {
            Some(own) if own.is_the_way(self.mode) => own.server.round_trip(),
            _ => self.bridge.round_trip(),
        }
    }

    fn trouble(&self) -> Option<Rc<str>> {
        let state = self.state.borrow();
        match &state.own.as_ref()?.connection {
            ConnectionState::Down(cause) => {
                Some(format!("a connection of our own to it can't be made either: {cause}").into())
            }
            _ => None,
        }
    }

    /// That of our own connection, once the client is proven to lead there: what its
    /// options say is not enough to count one vote for several members (rule 16).
    fn identity(&self) -> Option<usize> {
        let state = self.state.borrow();
        let own = state.own.as_ref()?;
        let leads_there = own.is_the_way(self.mode);
        leads_there.then(|| own.server.identity()).flatten()
    }

    /// Its tenants may share names and not keys, unless our own connection is proven.
    fn keys_are_those_of(&self) -> Option<usize> {
        let state = self.state.borrow();
        let own = state.own.as_ref()?;
        let leads_there = own.is_the_way(self.mode);
        leads_there
            .then(|| own.server.keys_are_those_of())
            .flatten()
    }

    fn coming_identity(&self) -> Option<usize> {
        let state = self.state.borrow();
        let own = state.own.as_ref()?;
        own.may_be_proven().then(|| own.server.identity()).flatten()
    }
}
