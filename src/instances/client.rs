//! An instance behind the caller's own Redis client. It is asked through that
//! client, and over a connection of our own once the two are proven to lead to
//! the same keys.
//!
//! The proof: a key that the client has just set to a value nobody can guess is
//! read over our own connection. The same value can only stand there if server,
//! database and prefix are the same. Without the proof a wrong database would
//! let two holders in. It is asked for anew after each reconnect.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use thiserror::Error;

use super::bridge::{Answer, Bridge, Port, Ticket};
use super::redis::{Config, Server};
use crate::engine::{
    Ballot, Cause, Connection, Environment, Instance, Instant, Keyspace, Observer, Operation,
    Question, Reply, Vote,
};

/// The caller's client as a member of the quorum.
pub struct Client {
    address: Box<str>,
    rule: Rule,
    environment: Rc<dyn Environment>,
    bridge: Bridge,
    watcher: Box<dyn Watcher>,
    state: RefCell<State>,
    observers: RefCell<Vec<(usize, Weak<dyn Observer>)>>,
    /// Itself, for those who bring it answers.
    myself: Weak<Self>,
}

/// Which ways may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The client, then our own connection once it is proven.
    Auto,
    /// Our own connection, on the caller's word.
    Native,
}

/// Who is told by which way the instance is asked.
pub trait Watcher {
    /// From now on it is asked this way.
    fn rerouted(&self, route: &Route);
}

/// The way by which an instance is asked.
#[derive(Clone, Debug)]
pub enum Route {
    /// Our own connection.
    Native,
    /// The caller's client, and why.
    Bridge(Why),
}

/// Why the caller's client is asked, for people.
#[derive(Clone, Debug, Error)]
pub enum Why {
    /// There are no details to connect with.
    #[error("there is no connection of our own")]
    NoConnection,
    /// Nothing has been locked yet on the connection there is.
    #[error("our own connection is not proven yet; the next lock that is granted proves it")]
    Unproven,
    /// The proof failed.
    #[error(
        "our own connection does not see the key that the client has just set; \
         is the client's database, prefix or server another than its options say?"
    )]
    Refuted,
    /// The proof could not be made.
    #[error("the key that was to prove our own connection could not be read: {0}")]
    Unreadable(Cause),
    /// One can't write there.
    #[error("our own connection leads to a replica")]
    Replica,
    /// Whether one can write there is not known.
    #[error(
        "our own connection's server does not say that it is a master (may its user read INFO?)"
    )]
    Taciturn,
    /// The connection is being made.
    #[error("our own connection is being made")]
    Connecting,
    /// The connection could not be made, or was lost.
    #[error("our own connection failed: {0}")]
    Unreachable(Cause),
}

impl Why {
    /// Whether something went wrong, and it isn't just too early.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        !matches!(self, Self::NoConnection | Self::Unproven | Self::Connecting)
    }
}

struct State {
    /// Grows with each of our own connections.
    generation: usize,
    direct: Option<Direct>,
    /// Connections whose details the client no longer has: locks that were taken
    /// with them are still there.
    former: Vec<Former>,
    /// What the client's keys are called: equal for those that may be the same.
    hint: Option<Rc<str>>,
    /// When the last key that was asked for ends.
    last_end: Instant,
}

/// Our own connection.
struct Direct {
    server: Rc<Server>,
    connection: Connection,
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    Missing(Why),
    /// The key is being read.
    Asked,
    Given,
    /// It did not come out: not again before then.
    Failed(Why, Instant, Duration),
}

struct Former {
    server: Rc<Server>,
    /// When its last key ends.
    end: Instant,
}

/// More changes of a client's details than that, while its locks last, are not
/// followed.
const MOST_FORMER: usize = 4;

/// The wait before the next proof, after a failed one: doubled each time.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Client {
    /// A client that is asked through `port`. `address` is for people and must
    /// not contain a secret. Clients with the same `hint` may be the same.
    #[must_use]
    pub fn new(
        address: &str,
        rule: Rule,
        hint: Option<Rc<str>>,
        environment: Rc<dyn Environment>,
        port: Rc<dyn Port>,
        watcher: Box<dyn Watcher>,
    ) -> Rc<Self> {
        let now = environment.now();
        Rc::new_cyclic(|myself| Self {
            address: address.into(),
            rule,
            bridge: Bridge::new(Rc::clone(&environment), port),
            environment,
            watcher,
            state: RefCell::new(State {
                generation: 0,
                direct: None,
                former: Vec::new(),
                hint,
                last_end: now,
            }),
            observers: RefCell::default(),
            myself: Weak::clone(myself),
        })
    }

    /// The client's details are these now: what a connection of our own takes,
    /// if one can be made. `keep` says whether the connection there was is still
    /// good for the locks that were taken with it.
    pub fn amend(&self, config: Option<Config>, hint: Option<Rc<str>>, keep: bool) {
        let now = self.environment.now();
        let generation = {
            let mut state = self.state.borrow_mut();
            let before = state.direct.take();
            if keep {
                let end = state.last_end;
                state.former.retain(|former| now < former.end);
                if let Some(direct) = before.filter(|_| now < end) {
                    state.former.push(Former {
                        server: direct.server,
                        end,
                    });
                    if state.former.len() > MOST_FORMER {
                        state.former.remove(0);
                    }
                }
            } else {
                state.former.clear();
            }
            state.hint = hint;
            state.generation += 1;
            state.generation
        };
        if let Some(config) = config {
            let server = Rc::new(Server::open(config, &self.environment));
            self.state.borrow_mut().direct = Some(Direct {
                server: Rc::clone(&server),
                connection: Connection::Connecting,
                proof: Proof::Missing(Why::Connecting),
            });
            let observer: Weak<dyn Observer> = Weak::<Self>::clone(&self.myself);
            server.observe(generation, observer);
        }
        self.tell_name();
        self.tell_route();
    }

    /// Brings the client's answer, as to [`Bridge::answer`].
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        self.bridge.answer(ticket, answer);
    }

    /// Nobody will bring an answer any more.
    pub fn close(&self) {
        self.bridge.close();
    }

    /// By which way it is asked now.
    fn route(&self) -> Route {
        match &self.state.borrow().direct {
            None => Route::Bridge(Why::NoConnection),
            Some(direct) => direct.route(self.rule),
        }
    }

    fn tell_route(&self) {
        self.watcher.rerouted(&self.route());
    }

    fn tell_name(&self) {
        let ready = self.ready();
        let observers = self.observers.borrow().clone();
        for (index, observer) in observers {
            if let Some(observer) = observer.upgrade() {
                observer.connection_changed(index, &ready);
            }
        }
    }

    /// It can always be asked. Its name stays the same whichever way it is
    /// asked, so that what was proven of twins holds on.
    fn ready(&self) -> Connection {
        let hint = self.state.borrow().hint.clone();
        Connection::Ready {
            keyspace: hint.map(Keyspace::Guessed),
        }
    }

    /// Our own connection, if it is the way for `question`.
    fn direct_for(&self, question: &Question) -> Option<Rc<Server>> {
        // A caller's own acquire may do what only that client can.
        let own = question.scripts.as_ref();
        if self.rule == Rule::Auto && own.is_some_and(|scripts| scripts.acquire.is_some()) {
            return None;
        }
        let state = self.state.borrow();
        let direct = state.direct.as_ref()?;
        let native = matches!(direct.route(self.rule), Route::Native);
        native.then(|| Rc::clone(&direct.server))
    }

    /// Those that may have keys from before the client's details changed.
    fn former(&self) -> Vec<Rc<Server>> {
        let now = self.environment.now();
        let state = self.state.borrow();
        let alive = state.former.iter().filter(|former| now < former.end);
        alive.map(|former| Rc::clone(&former.server)).collect()
    }

    /// Whether the grant of `question` would prove our own connection.
    fn wants_proof_by(&self, question: &Question) -> bool {
        if !matches!(question.operation, Operation::Acquire { .. }) || question.scripts.is_some() {
            return false;
        }
        let now = self.environment.now();
        let state = self.state.borrow();
        state.direct.as_ref().is_some_and(|direct| {
            matches!(direct.connection, Connection::Ready { .. })
                && match direct.proof {
                    Proof::Missing(_) => direct.server.is_master() == Some(true),
                    Proof::Failed(_, again, _) => now >= again,
                    Proof::Asked | Proof::Given => false,
                }
        })
    }

    /// The client has set the keys of `question`: reads the first of them.
    fn prove(&self, question: &Rc<Question>) {
        let mut state = self.state.borrow_mut();
        let generation = state.generation;
        let Some(direct) = &mut state.direct else {
            return;
        };
        let pause = match &direct.proof {
            Proof::Failed(_, _, pause) => (*pause * 2).min(PAUSE.1),
            _ => PAUSE.0,
        };
        direct.proof = Proof::Asked;
        let server = Rc::clone(&direct.server);
        drop(state);
        let (client, question) = (Weak::clone(&self.myself), Rc::clone(question));
        server.read(&question.resources[0].clone(), move |read| {
            if let Some(client) = client.upgrade() {
                client.judge(generation, &question, read, pause);
            }
        });
    }

    fn judge(
        &self,
        generation: usize,
        question: &Question,
        read: Result<Option<Vec<u8>>, Cause>,
        pause: Duration,
    ) {
        let again = self.environment.now().after(pause);
        let mut state = self.state.borrow_mut();
        let current = state.generation == generation;
        let Some(direct) = state.direct.as_mut().filter(|_| current) else {
            return;
        };
        // The connection may have been lost meanwhile: then it is another one.
        if !matches!(direct.proof, Proof::Asked) {
            return;
        }
        direct.proof = match read {
            Ok(Some(value)) if value == question.value.as_str().as_bytes() => Proof::Given,
            // It may have been released already: that proves nothing.
            Ok(None) => Proof::Failed(Why::Unproven, self.environment.now(), pause),
            Ok(Some(_)) => Proof::Failed(Why::Refuted, again, pause),
            Err(cause) => Proof::Failed(Why::Unreadable(cause), again, pause),
        };
        drop(state);
        self.tell_route();
    }
}

impl Direct {
    fn route(&self, rule: Rule) -> Route {
        match (&self.proof, rule) {
            (_, Rule::Native) | (Proof::Given, Rule::Auto) => Route::Native,
            (Proof::Asked, Rule::Auto) => Route::Bridge(Why::Unproven),
            (Proof::Missing(why) | Proof::Failed(why, ..), Rule::Auto) => {
                Route::Bridge(why.clone())
            }
        }
    }
}

impl Observer for Client {
    /// Our own connection's state.
    fn connection_changed(&self, generation: usize, connection: &Connection) {
        {
            let mut state = self.state.borrow_mut();
            let current = state.generation == generation;
            let Some(direct) = state.direct.as_mut().filter(|_| current) else {
                return;
            };
            direct.connection = connection.clone();
            direct.proof = Proof::Missing(match connection {
                Connection::Connecting => Why::Connecting,
                Connection::Down(cause) => Why::Unreachable(cause.clone()),
                Connection::Ready { .. } => match direct.server.is_master() {
                    Some(true) => Why::Unproven,
                    Some(false) => Why::Replica,
                    None => Why::Taciturn,
                },
            });
        }
        self.tell_route();
    }
}

impl Instance for Client {
    fn address(&self) -> &str {
        &self.address
    }

    fn ask(&self, question: &Rc<Question>, reply: Reply) {
        let reply = match question.operation {
            Operation::Acquire { ttl } => {
                let mut state = self.state.borrow_mut();
                state.last_end = state.last_end.max(question.deadline.after(ttl.span()));
                drop(state);
                reply
            }
            Operation::Extend { ttl } => {
                let end = question.deadline.after(ttl.span());
                let mut state = self.state.borrow_mut();
                state.last_end = state.last_end.max(end);
                for former in &mut state.former {
                    former.end = former.end.max(end);
                }
                drop(state);
                self.otherwise_former(question, reply)
            }
            Operation::Release { .. } => self.otherwise_former(question, reply),
            Operation::Inspect => reply,
        };
        match self.direct_for(question) {
            Some(server) => {
                let reply = match question.operation {
                    Operation::Release { .. } => self.otherwise_bridge(question, reply),
                    _ => reply,
                };
                server.ask(question, reply);
            }
            None if self.wants_proof_by(question) => {
                let proof = Rc::new(ProofBallot {
                    client: Weak::clone(&self.myself),
                    question: Rc::clone(question),
                    reply: Cell::new(Some(reply)),
                });
                self.bridge.ask(question, Reply::new(proof, 0));
            }
            None => self.bridge.ask(question, reply),
        }
    }

    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        let ready = self.ready();
        if let Some(observer) = observer.upgrade() {
            observer.connection_changed(index, &ready);
        }
        self.observers.borrow_mut().push((index, observer));
    }

    fn connection(&self) -> Option<usize> {
        Some(std::ptr::from_ref(self).addr())
    }
}

impl Client {
    /// Where nothing is found, it may stand where the client's details led
    /// before they changed.
    fn otherwise_former(&self, question: &Rc<Question>, reply: Reply) -> Reply {
        let former = self.former();
        if former.is_empty() {
            return reply;
        }
        let ballot = FormerBallot {
            former: RefCell::new(former),
            question: Rc::clone(question),
            reply: Cell::new(Some(reply)),
        };
        Reply::new(Rc::new(ballot), 0)
    }

    /// A release whose connection is lost goes by the client: it names one
    /// attempt's value, so that a second one does no harm.
    fn otherwise_bridge(&self, question: &Rc<Question>, reply: Reply) -> Reply {
        let ballot = ReleaseBallot {
            client: Weak::clone(&self.myself),
            question: Rc::clone(question),
            reply: Cell::new(Some(reply)),
        };
        Reply::new(Rc::new(ballot), 0)
    }
}

/// Takes the client's vote on an acquire that may prove our own connection.
struct ProofBallot {
    client: Weak<Client>,
    question: Rc<Question>,
    reply: Cell<Option<Reply>>,
}

impl Ballot for ProofBallot {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        // Before the vote: the lock may be released as soon as it is counted.
        if let (Vote::Granted, Some(client)) = (&vote, self.client.upgrade())
            && client.wants_proof_by(&self.question)
        {
            client.prove(&self.question);
        }
        if let Some(reply) = self.reply.take() {
            reply.vote(vote);
        }
    }
}

/// Takes our own connection's vote on a release.
struct ReleaseBallot {
    client: Weak<Client>,
    question: Rc<Question>,
    reply: Cell<Option<Reply>>,
}

impl Ballot for ReleaseBallot {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let lost = matches!(
            vote,
            Vote::Failed(Cause::Lost { .. } | Cause::Unreachable { .. } | Cause::Silent { .. })
        );
        match self.client.upgrade() {
            Some(client) if lost => client.bridge.ask(&self.question, reply),
            _ => reply.vote(vote),
        }
    }
}

/// Takes a vote on what may stand elsewhere.
struct FormerBallot {
    former: RefCell<Vec<Rc<Server>>>,
    question: Rc<Question>,
    reply: Cell<Option<Reply>>,
}

impl Ballot for FormerBallot {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let next = match vote {
            Vote::Held { .. } => self.former.borrow_mut().pop(),
            _ => None,
        };
        if let Some(server) = next {
            let again = Reply::new(Rc::<Self>::clone(&self), 0);
            server.ask(&self.question, again);
        } else if let Some(reply) = self.reply.take() {
            reply.vote(vote);
        }
    }
}
