//! An instance behind the caller's own Redis client. It is asked through that
//! client, and over a connection of our own once the two are proven to lead to
//! the same keys.
//!
//! The proof: the client is asked to set a key of a name and a value that nobody
//! else can guess, and the key is deleted over our own connection. It can only be
//! found there if server, database and prefix are the same. Without the proof a
//! wrong database would let two holders in. It is asked for anew after each
//! reconnect.
//!
//! A lock's own key would not do: all members of a quorum set it to the same
//! value, so that one could pass for another.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::bridge::{Answer, Bridge, Port, Ticket};
use super::redis::{Config, Network, Server};
use crate::engine::{
    Ballot, Cause, Connection, Drift, Environment, Instance, Instant, Observer, Operation,
    Question, Reply, RoundTrip, Rule, Token, Ttl, Vote,
};

/// The caller's client as a member of the quorum.
pub struct Client {
    address: Box<str>,
    mode: Mode,
    environment: Rc<dyn Environment>,
    network: Rc<Network>,
    bridge: Rc<Bridge>,
    watcher: Box<dyn Watcher>,
    state: RefCell<State>,
    observers: RefCell<Vec<(usize, Weak<dyn Observer>)>>,
    /// Itself, for those who bring it answers.
    myself: Weak<Self>,
}

/// Which ways may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
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
    /// A lock was taken in a way that proves nothing.
    #[error("locks are taken with a lockScript of one's own, which nothing but the client may run")]
    OwnScript,
    /// The proof failed.
    #[error(
        "our own connection does not see the key that the client has just set; \
         is the client's database, prefix or server another than its options say?"
    )]
    Refuted,
    /// The proof could not be made.
    #[error("the key that was to prove our own connection could not be set or found: {0}")]
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
        !matches!(
            self,
            Self::NoConnection | Self::Unproven | Self::OwnScript | Self::Connecting
        )
    }
}

struct State {
    /// Grows with each of our own connections.
    generation: usize,
    /// Grows with each proof that is asked for.
    probes: u64,
    direct: Option<Direct>,
    /// Connections whose details the client no longer has: locks that were taken
    /// with them are still there.
    former: Vec<Former>,
    /// When the last key that was asked for ends.
    last_end: Instant,
}

/// Our own connection.
struct Direct {
    server: Rc<Server>,
    connection: Connection,
    proof: Proof,
    /// The wait before the next proof, once one has failed.
    pause: Duration,
}

#[derive(Clone, Debug)]
enum Proof {
    Missing(Why),
    /// The probe of this number is under way.
    Asked(u64),
    Given,
    /// It did not come out: not again before then.
    Failed(Why, Instant),
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

/// How long the key of a proof lives, should it not be deleted, in milliseconds.
const PROBE_TTL: f64 = 2000.0;

impl Client {
    /// A client that is asked through `port`, and on `network` once it is proven.
    /// `address` is for people and must not contain a secret.
    #[must_use]
    pub fn new(
        address: &str,
        mode: Mode,
        network: Rc<Network>,
        port: Rc<dyn Port>,
        watcher: Box<dyn Watcher>,
    ) -> Rc<Self> {
        let environment = network.environment();
        let now = environment.now();
        Rc::new_cyclic(|myself| Self {
            address: address.into(),
            mode,
            bridge: Bridge::new(Rc::clone(&environment), port),
            environment,
            network,
            watcher,
            state: RefCell::new(State {
                generation: 0,
                probes: 0,
                direct: None,
                former: Vec::new(),
                last_end: now,
            }),
            observers: RefCell::default(),
            myself: Weak::clone(myself),
        })
    }

    /// The client's details are these now: what a connection of our own takes,
    /// if one can be made. `keep` whether the connection there was is still
    /// good for the locks that were taken with it.
    pub fn amend(&self, config: Option<Config>, keep: bool) {
        let now = self.environment.now();
        let (generation, gone) = {
            let mut state = self.state.borrow_mut();
            let mut servers = std::mem::take(&mut state.former);
            let end = state.last_end;
            servers.extend(state.direct.take().map(|direct| Former {
                server: direct.server,
                end,
            }));
            let (mut former, mut gone): (Vec<_>, Vec<_>) = servers
                .into_iter()
                .partition(|former| keep && now < former.end);
            let beyond = former.len().saturating_sub(MOST_FORMER);
            gone.extend(former.drain(..beyond));
            state.former = former;
            state.generation += 1;
            (state.generation, gone)
        };
        // Only now: a connection's end is a vote on what was asked there, and may
        // come back here.
        drop(gone);
        if let Some(config) = config {
            let server = Rc::new(Server::open(config, &self.network));
            self.state.borrow_mut().direct = Some(Direct {
                server: Rc::clone(&server),
                connection: Connection::Connecting,
                proof: Proof::Missing(Why::Connecting),
                pause: PAUSE.0,
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
        match &self.state.borrow().direct {
            None => Route::Bridge(Why::NoConnection),
            Some(direct) => direct.route(self.mode),
        }
    }

    /// With a text of the caller's nothing is ever proven: that is the reason then.
    fn note_own_acquire(&self) {
        let mut state = self.state.borrow_mut();
        if let Some(direct) = &mut state.direct
            && self.mode == Mode::Auto
            && matches!(direct.proof, Proof::Missing(Why::Unproven))
        {
            direct.proof = Proof::Missing(Why::OwnScript);
            drop(state);
            self.tell_route();
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

    /// While there are two ways it can always be asked. What its keys are called
    /// is known once our own connection is the way.
    fn ready(&self) -> Connection {
        let state = self.state.borrow();
        match &state.direct {
            // There is no other way then.
            Some(direct) if self.mode == Mode::Native && !direct.is_ready() => {
                direct.connection.clone()
            }
            Some(direct) if matches!(direct.route(self.mode), Route::Native) => {
                direct.connection.clone()
            }
            _ => Connection::Ready { keyspace: None },
        }
    }

    /// Our own connection, if it is the way for `question`.
    fn direct_for(&self, question: &Question) -> Option<Rc<Server>> {
        // A caller's own acquire may do what only that client can.
        if self.mode == Mode::Auto && has_own_acquire(question) {
            return None;
        }
        let state = self.state.borrow();
        let direct = state.direct.as_ref()?;
        let native = matches!(direct.route(self.mode), Route::Native);
        native.then(|| Rc::clone(&direct.server))
    }

    /// Those that may have keys from before the client's details changed.
    fn former(&self) -> Vec<Rc<Server>> {
        let now = self.environment.now();
        let state = self.state.borrow();
        let alive = state.former.iter().filter(|former| now < former.end);
        alive.map(|former| Rc::clone(&former.server)).collect()
    }

    /// Whether it is time, with `question`, to prove our own connection.
    fn wants_proof_by(&self, question: &Question) -> bool {
        if !matches!(question.operation, Operation::Acquire { .. }) || has_own_acquire(question) {
            return false;
        }
        let now = self.environment.now();
        let state = self.state.borrow();
        state.direct.as_ref().is_some_and(|direct| {
            direct.is_ready()
                && match direct.proof {
                    Proof::Missing(_) => direct.server.is_master() == Some(true),
                    Proof::Failed(_, again) => now >= again,
                    Proof::Asked(_) | Proof::Given => false,
                }
        })
    }

    /// Has the client set a key that nobody else sets, not even another member of
    /// this quorum, and looks for it over our own connection.
    fn prove(&self, question: &Question) {
        let Ok(ttl) = Ttl::new(PROBE_TTL, Drift::default()) else {
            return;
        };
        let number = {
            let mut state = self.state.borrow_mut();
            state.probes += 1;
            let number = state.probes;
            let Some(direct) = &mut state.direct else {
                return;
            };
            direct.pause = match direct.proof {
                Proof::Failed(..) => (direct.pause * 2).min(PAUSE.1),
                _ => PAUSE.0,
            };
            direct.proof = Proof::Asked(number);
            number
        };
        // Beside the resource, so that whoever may lock that may do this too.
        let environment = self.environment.as_ref();
        let secret = Token::random(environment);
        let name = format!("{}:{}", question.resources[0], secret.as_str());
        let probe = Probe {
            client: Weak::clone(&self.myself),
            number,
            asks: Cell::new(Asks::Client),
            question: Rc::new(Question {
                operation: Operation::Acquire { ttl },
                resources: Arc::new([name.into()]),
                value: Token::random(environment),
                deadline: environment.now().after(ttl.span()),
                report: false,
                scripts: None,
                // Where the client leads to may depend on it: it is what the acquire has.
                context: question.context.clone(),
            }),
        };
        let probing = Rc::clone(&probe.question);
        self.bridge.ask(&probing, Reply::new(Rc::new(probe), 0));
    }

    /// What came of a probe, unless something else has come meanwhile.
    fn judge(&self, number: u64, outcome: Result<(), Why>) {
        let mut state = self.state.borrow_mut();
        let Some(direct) = &mut state.direct else {
            return;
        };
        if !matches!(direct.proof, Proof::Asked(asked) if asked == number) {
            return;
        }
        let again = self.environment.now().after(direct.pause);
        let is_given = outcome.is_ok();
        direct.proof = match outcome {
            Ok(()) => Proof::Given,
            Err(why) => Proof::Failed(why, again),
        };
        drop(state);
        self.tell_route();
        if is_given {
            self.tell_name();
        }
    }
}

impl Direct {
    fn is_ready(&self) -> bool {
        matches!(self.connection, Connection::Ready { .. })
    }

    fn route(&self, mode: Mode) -> Route {
        match (&self.proof, mode) {
            (_, Mode::Native) | (Proof::Given, Mode::Auto) => Route::Native,
            _ if self.is_ready() && !Rule::Proof.is_kept() => Route::Native,
            (Proof::Asked(_), Mode::Auto) => Route::Bridge(Why::Unproven),
            (Proof::Missing(why) | Proof::Failed(why, ..), Mode::Auto) => {
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
        if self.mode == Mode::Native {
            self.tell_name();
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
                if has_own_acquire(question) {
                    self.note_own_acquire();
                }
                reply
            }
            Operation::Extend { ttl } => {
                let end = question.deadline.after(ttl.span());
                let mut state = self.state.borrow_mut();
                state.last_end = state.last_end.max(end);
                drop(state);
                if Rule::Former.is_kept() {
                    reply
                } else {
                    self.otherwise_former(question, reply)
                }
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
                self.bridge.ask(question, reply);
                // At once: before anybody has the lock, the proof's key is gone.
                self.prove(question);
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

    fn round_trip(&self) -> Option<RoundTrip> {
        let state = self.state.borrow();
        match &state.direct {
            Some(direct) if matches!(direct.route(self.mode), Route::Native) => {
                direct.server.round_trip()
            }
            _ => self.bridge.round_trip(),
        }
    }

    fn trouble(&self) -> Option<Rc<str>> {
        let state = self.state.borrow();
        match &state.direct.as_ref()?.connection {
            Connection::Down(cause) => {
                Some(format!("a connection of our own to it can't be made either: {cause}").into())
            }
            _ => None,
        }
    }

    /// That of our own connection, once the client is proven to lead there: what its
    /// options say is not enough to count one vote for several members (rule 16).
    fn identity(&self) -> Option<usize> {
        let state = self.state.borrow();
        let direct = state.direct.as_ref()?;
        let leads_there = matches!(direct.route(self.mode), Route::Native);
        leads_there.then(|| direct.server.identity()).flatten()
    }

    fn coming_identity(&self) -> Option<usize> {
        let state = self.state.borrow();
        let direct = state.direct.as_ref()?;
        let is_open = match &direct.proof {
            Proof::Missing(why) => matches!(why, Why::Connecting | Why::Unproven),
            Proof::Asked(_) | Proof::Given => true,
            Proof::Failed(..) => false,
        };
        is_open.then(|| direct.server.identity()).flatten()
    }
}

impl Client {
    /// Where nothing is found to release, it may stand where the client's details
    /// led before they changed. An extension there would keep its holder alive
    /// beside one who asks elsewhere (rule 17).
    fn otherwise_former(&self, question: &Rc<Question>, reply: Reply) -> Reply {
        let former = self.former();
        if former.is_empty() {
            return reply;
        }
        let ballot = FormerBallot {
            former: RefCell::new(former),
            first: RefCell::default(),
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

/// A key that proves our own connection: set by the client, and deleted again
/// over the connection, which finds it only if both lead to the same keys.
struct Probe {
    client: Weak<Client>,
    number: u64,
    question: Rc<Question>,
    asks: Cell<Asks>,
}

/// Whose vote on it comes next.
#[derive(Clone, Copy)]
enum Asks {
    /// The client's, on setting it.
    Client,
    /// Our own connection's, on deleting it.
    Direct,
    /// Nobody's that counts.
    Nobody,
}

impl Ballot for Probe {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let Some(client) = self.client.upgrade() else {
            return;
        };
        match (self.asks.get(), vote) {
            (Asks::Client, Vote::Granted) => self.find(&client),
            (Asks::Direct, Vote::Granted) => client.judge(self.number, Ok(())),
            (Asks::Client | Asks::Direct, vote) => {
                let why = match vote {
                    Vote::Failed(cause) => Why::Unreadable(cause),
                    _ => Why::Refuted,
                };
                client.judge(self.number, Err(why));
                if let Asks::Direct = self.asks.replace(Asks::Nobody) {
                    // Wherever it stands, there the client finds it.
                    let nobody = Reply::new(Rc::<Self>::clone(&self), 0);
                    client.bridge.ask(&self.release(), nobody);
                }
            }
            (Asks::Nobody, _) => {}
        }
    }
}

impl Probe {
    fn find(self: Rc<Self>, client: &Client) {
        let server = client
            .state
            .borrow()
            .direct
            .as_ref()
            .map(|direct| Rc::clone(&direct.server));
        let reply = Reply::new(Rc::<Self>::clone(&self), 0);
        if let Some(server) = server {
            self.asks.set(Asks::Direct);
            server.ask(&self.release(), reply);
        } else {
            self.asks.set(Asks::Nobody);
            client.bridge.ask(&self.release(), reply);
        }
    }

    fn release(&self) -> Rc<Question> {
        Rc::new(Question {
            operation: Operation::Release {
                since: Instant::ORIGIN,
                expires: Instant::LAST,
            },
            resources: Arc::clone(&self.question.resources),
            value: self.question.value.clone(),
            deadline: self.question.deadline,
            report: false,
            scripts: None,
            context: self.question.context.clone(),
        })
    }
}

/// Whether it is taken with a text of the caller's, which proves nothing and may
/// do what only the client can.
fn has_own_acquire(question: &Question) -> bool {
    let scripts = question.scripts.as_ref();
    scripts.is_some_and(|scripts| scripts.acquire.is_some())
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
            Some(client) if lost => {
                let again = SecondBallot {
                    first: Cell::new(Some(vote)),
                    reply: Cell::new(Some(reply)),
                };
                let reply = Reply::new(Rc::new(again), 0);
                client.bridge.ask(&self.question, reply);
            }
            _ => reply.vote(vote),
        }
    }
}

/// Takes the client's vote on a release that our own connection has left open.
struct SecondBallot {
    first: Cell<Option<Vote>>,
    reply: Cell<Option<Reply>>,
}

impl Ballot for SecondBallot {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        // Nothing may be there because it was carried out the first time.
        let vote = match (vote, self.first.take()) {
            (
                Vote::Held { .. },
                Some(first @ Vote::Failed(Cause::Lost { .. } | Cause::Silent { .. })),
            ) => first,
            (vote, _) => vote,
        };
        if let Some(reply) = self.reply.take() {
            reply.vote(vote);
        }
    }
}

/// Takes votes on a release until somebody has what is to be released: wherever
/// the client led while the lock may have been taken.
struct FormerBallot {
    former: RefCell<Vec<Rc<Server>>>,
    question: Rc<Question>,
    /// What was said where the client leads now: it counts if nobody has it.
    first: RefCell<Option<Vote>>,
    reply: Cell<Option<Reply>>,
}

impl Ballot for FormerBallot {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let is_done = matches!(vote, Vote::Granted);
        let next = if is_done {
            None
        } else {
            self.first.borrow_mut().get_or_insert(vote.clone());
            self.former.borrow_mut().pop()
        };
        if let Some(server) = next {
            let again = Reply::new(Rc::<Self>::clone(&self), 0);
            server.ask(&self.question, again);
        } else if let Some(reply) = self.reply.take() {
            let first = self.first.take().filter(|_| !is_done);
            reply.vote(first.unwrap_or(vote));
        }
    }
}
