//! A cluster as one member of the quorum: the node that has a question's keys is
//! asked, and a redirect is followed.
//!
//! - While the map of the slots is first learnt, questions wait for it within
//!   their deadlines. If no node could give one they fail at once until one can.
//! - The map is learnt anew, in the background and by one task, when a node says
//!   that it has changed or is lost; meanwhile the old one is used.
//! - A redirected acquire or extend was not carried out, so that it may be
//!   written again elsewhere. A release that its node could not carry out is
//!   owed by whoever has the slot next.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::sync::{Notify, oneshot};

use super::config::{Address, Config};
use super::link::{Link, MOST_BYTES, Slot, TRIPS_OF_A_DIAL};
use super::network::Network;
use super::owed::Owed;
use super::queue::weight_of;
use super::redact::Redactor;
use super::slots::{Map, Redirect, slot_of};
use super::standing::Standing;
use super::together::Together;
use crate::engine::{
    Ballot, Cause, Connection, Environment, Instant, Observer, Operation, Question, Reply,
    RoundTrip, Rule, Token, Vote, supervised, within,
};

/// How many redirects one question follows.
const MOST_HOPS: u8 = 5;

/// How many questions wait for the first map.
const BACKLOG: usize = 10_000;

/// How long one node may take to give a map before another one is asked too.
const HESITATION: Duration = Duration::from_millis(200);

/// The wait before the map is learnt again: from the shortest, doubled each time
/// that it was the same, to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A cluster, known and connected to for as long as somebody holds this.
pub(super) struct Cluster {
    me: Weak<Self>,
    nodes: Nodes,
    seeds: Vec<Rc<Address>>,
    environment: Rc<dyn Environment>,
    state: RefCell<State>,
    standing: Standing,
    /// That the map is to be learnt anew.
    wanted: Rc<Notify>,
}

/// How to get at a node.
#[derive(Clone)]
struct Nodes {
    config: Config,
    network: Rc<Network>,
}

struct State {
    phase: Phase,
    map: Map,
    nodes: BTreeMap<Rc<Address>, Node>,
    /// Acquires on their way, by value.
    acquires: HashMap<Token, Vec<Weak<Trip>>>,
    /// About how many bytes wait for the first map.
    weight: usize,
    owed: Owed,
}

enum Phase {
    /// There is no map yet; these wait for it.
    Learning(VecDeque<(Rc<Question>, Reply)>),
    Known,
    /// Nobody could give one, since then, for this reason.
    Unknown(Instant, Cause),
}

struct Node {
    link: Rc<Link>,
    /// Since when it has carried nothing out, as far as is known: what was asked
    /// for later was not.
    barren: Option<Instant>,
}

impl Cluster {
    /// Begins to learn the map at once, from the nodes at `seeds`.
    pub(super) fn open(config: Config, seeds: &[Address], network: &Rc<Network>) -> Rc<Self> {
        let environment = &network.environment;
        let cluster = Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            nodes: Nodes {
                config,
                network: Rc::clone(network),
            },
            seeds: seeds.iter().cloned().map(Rc::new).collect(),
            environment: Rc::clone(environment),
            state: RefCell::new(State {
                phase: Phase::Learning(VecDeque::new()),
                map: Map::default(),
                nodes: BTreeMap::new(),
                acquires: HashMap::new(),
                weight: 0,
                owed: Owed::default(),
            }),
            standing: Standing::connecting(),
            wanted: Rc::default(),
        });
        let (whose, fallen) = (Rc::downgrade(&cluster), Rc::downgrade(&cluster));
        let begin = move || keep_learning(Weak::clone(&whose));
        let fell = move |what: &str| {
            if let Some(cluster) = fallen.upgrade() {
                cluster.fail(&Cause::Unreachable { what: what.into() });
            }
        };
        let life = supervised(Rc::clone(environment), begin, fell);
        environment.spawn(Box::pin(life));
        cluster
    }

    /// Puts `question` to the node that has its keys.
    pub(super) fn ask(&self, question: &Rc<Question>, reply: Reply) {
        let slot = match self.slot_of(question) {
            Ok(slot) => slot,
            Err(cause) => return reply.fail(cause),
        };
        let refused = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let bounded = Rule::Bounded.is_kept();
            match &mut state.phase {
                Phase::Known => None,
                Phase::Learning(waiting)
                    if !bounded || (waiting.len() < BACKLOG && state.weight <= MOST_BYTES) =>
                {
                    state.weight += weight_of(question);
                    waiting.push_back((Rc::clone(question), reply));
                    return;
                }
                Phase::Learning(_) => {
                    state.owe(question, self.environment.now());
                    Some(Cause::Overloaded { waiting: BACKLOG })
                }
                Phase::Unknown(since, cause) => {
                    let (since, cause) = (*since, cause.clone());
                    state.owe(question, since);
                    Some(cause)
                }
            }
        };
        self.withdraw(question);
        match refused {
            // Only now: casting a vote may ask the next question.
            Some(cause) => reply.fail(cause),
            None => self.send(Errand {
                question: Rc::clone(question),
                slot,
                reply: Some(reply),
                hops: 0,
            }),
        }
    }

    /// How long the slowest of its nodes takes, one that was never asked included;
    /// `None` while none has ever answered.
    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        let state = self.state.borrow();
        let nodes = state.nodes.values().map(|node| node.link.round_trip());
        let mut slowest = None;
        let mut all = true;
        for trip in nodes {
            all &= trip.is_some();
            slowest = slowest.map_or(trip, |slowest: RoundTrip| {
                Some(trip.map_or(slowest, |trip| slowest.or_longer(trip)))
            });
        }
        slowest.map(|trip| trip.times(if all { 1 } else { TRIPS_OF_A_DIAL + 1 }))
    }

    /// About how many bytes it and its nodes' links keep for what is not answered
    /// yet.
    #[cfg(feature = "sabotage")]
    pub(super) fn weight(&self) -> usize {
        let state = self.state.borrow();
        let nodes: usize = state.nodes.values().map(|node| node.link.weight()).sum();
        state.weight + state.owed.weight() + nodes
    }

    /// Whether it is known where one can write.
    pub(super) fn is_known(&self) -> bool {
        matches!(*self.standing.now(), Connection::Ready { .. })
    }

    /// Tells `observer` how the cluster is, now and whenever that changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.standing.observe(index, observer);
    }

    /// The slot that all keys of `question` are in.
    fn slot_of(&self, question: &Question) -> Result<u16, Cause> {
        let prefix = &self.nodes.config.key_prefix;
        let slot = |resource: &str| {
            if prefix.is_empty() {
                slot_of(resource.as_bytes())
            } else {
                slot_of(format!("{prefix}{resource}").as_bytes())
            }
        };
        let Some((first, others)) = question.resources.split_first() else {
            return Err(Cause::Dropped);
        };
        let wanted = slot(first);
        match others.iter().find(|other| slot(other) != wanted) {
            None => Ok(wanted),
            Some(other) => Err(Cause::CrossSlot {
                one: (&**first).into(),
                other: (&**other).into(),
            }),
        }
    }

    /// Sends it to whoever has the slot.
    fn send(&self, errand: Errand) {
        let owner = self.state.borrow().map.owner(errand.slot).cloned();
        if let Some(owner) = owner {
            return self.put(errand, owner, Slot::Own);
        }
        let now = self.environment.now();
        self.state.borrow_mut().owe(&errand.question, now);
        self.learn();
        if let Some(reply) = errand.reply {
            reply.fail(nobody(errand.slot));
        }
    }

    fn put(&self, errand: Errand, to: Rc<Address>, way: Slot) {
        let link = self.link(&to);
        let question = Rc::clone(&errand.question);
        let trip = Rc::new(Trip {
            cluster: Weak::clone(&self.me),
            to,
            question: Rc::clone(&question),
            withdrawn: Cell::new(false),
            errand: Cell::new(Some(errand)),
        });
        if let Operation::Acquire { .. } = question.operation {
            let mut state = self.state.borrow_mut();
            let trips = state.acquires.entry(question.value.clone());
            trips.or_default().push(Rc::downgrade(&trip));
        }
        link.ask(&question, Reply::new(trip, 0), way);
    }

    /// An acquire that `question` is to release and that a node sends elsewhere
    /// from now on is not sent there: it would come after its release.
    fn withdraw(&self, question: &Question) {
        if !matches!(question.operation, Operation::Release { .. }) || !Rule::Order.is_kept() {
            return;
        }
        let state = self.state.borrow();
        let trips = state.acquires.get(&question.value).into_iter().flatten();
        for trip in trips.filter_map(Weak::upgrade) {
            if trip.question.shares_a_resource(question) {
                trip.withdrawn.set(true);
            }
        }
    }

    /// This acquire is no longer on its way.
    fn arrived(&self, trip: &Trip) {
        let mut state = self.state.borrow_mut();
        if let Some(trips) = state.acquires.get_mut(&trip.question.value) {
            trips.retain(|other| !std::ptr::eq(other.as_ptr(), trip));
            if trips.is_empty() {
                state.acquires.remove(&trip.question.value);
            }
        }
    }

    /// The node at the end of `trip` has answered, or can't.
    fn answered(&self, mut errand: Errand, trip: &Trip, vote: Vote) {
        let by = &trip.to;
        self.arrived(trip);
        let Vote::Failed(cause) = &vote else {
            if let Some(node) = self.state.borrow_mut().nodes.get_mut(by) {
                node.barren = None;
            }
            return errand.end(vote);
        };
        let redirect = Redirect::read(cause, by);
        if matches!(redirect, Some(Redirect::Moved { .. })) || is_of_the_cluster(cause) {
            self.learn();
        }
        errand.hops += 1;
        let goes_on = errand.hops <= MOST_HOPS
            && errand
                .question
                .is_wanted(self.environment.now(), errand.reply.as_ref())
            && !trip.withdrawn.get();
        match redirect {
            Some(Redirect::Moved { slot, to }) if goes_on => {
                self.state.borrow_mut().map.moved(slot, to);
                return self.send(errand);
            }
            Some(Redirect::Ask { to }) if goes_on => {
                return self.put(errand, Rc::new(to), Slot::Importing);
            }
            _ => {}
        }
        let now = self.environment.now();
        self.state
            .borrow_mut()
            .miss(&errand.question, by, cause, now);
        errand.end(vote);
    }

    /// The map is to be learnt anew, soon.
    fn learn(&self) {
        self.wanted.notify_one();
    }

    /// The link to a node, which is opened if there is none.
    fn link(&self, address: &Rc<Address>) -> Rc<Link> {
        if let Some(node) = self.state.borrow().nodes.get(address) {
            return Rc::clone(&node.link);
        }
        let link = self.nodes.link(address);
        let node = Node {
            link: Rc::clone(&link),
            barren: None,
        };
        self.state
            .borrow_mut()
            .nodes
            .insert(Rc::clone(address), node);
        let observer: Weak<dyn Observer> = self.me.clone();
        link.observe(0, observer);
        link
    }

    /// A map was learnt. Returns whether it is another than before.
    fn take(&self, map: Map) -> bool {
        let keyspace = map
            .id()
            .map(|id| format!("cluster {id}/{}", self.nodes.config.key_prefix))
            .map(Rc::from);
        let masters = map.masters().to_vec();
        let (changed, waiting) = {
            let mut state = self.state.borrow_mut();
            let changed = state.map != map;
            state.map = map;
            state.weight = 0;
            let waiting = match std::mem::replace(&mut state.phase, Phase::Known) {
                Phase::Learning(waiting) => waiting,
                _ => VecDeque::new(),
            };
            (changed, waiting)
        };
        for master in &masters {
            self.link(master);
        }
        self.let_go_of_others(&masters);
        let same = match &*self.standing.now() {
            Connection::Ready { keyspace: before } => *before == keyspace,
            _ => false,
        };
        if !same {
            self.standing.tell(&Connection::Ready { keyspace });
        }
        for (question, reply) in waiting {
            if question.is_wanted(self.environment.now(), Some(&reply)) {
                self.ask(&question, reply);
            } else {
                reply.fail(Cause::Withdrawn);
            }
        }
        self.pay();
        changed
    }

    /// Nodes that are no masters now are kept only for the answers they owe.
    fn let_go_of_others(&self, masters: &[Rc<Address>]) {
        let masters: HashSet<&Rc<Address>> = masters.iter().collect();
        let mut gone = Vec::new();
        let mut state = self.state.borrow_mut();
        state.nodes.retain(|address, node| {
            let stays = masters.contains(address) || !node.link.is_idle();
            if !stays {
                gone.push(Rc::clone(&node.link));
            }
            stays
        });
        drop(state);
        // Only now: a link's end is told to its observers.
        drop(gone);
    }

    /// Nobody could give a map.
    fn fail(&self, cause: &Cause) {
        let now = self.environment.now();
        let mut failed = VecDeque::new();
        {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            match &mut state.phase {
                // The old one may still do.
                Phase::Known => {}
                Phase::Learning(waiting) => {
                    state.weight = 0;
                    failed = std::mem::take(waiting);
                    state.phase = Phase::Unknown(now, cause.clone());
                }
                Phase::Unknown(_, before) => *before = cause.clone(),
            }
            for (question, _) in &failed {
                state.owe(question, now);
            }
        }
        for (_, reply) in failed {
            reply.fail(cause.clone());
        }
        self.standing.tell_down(cause);
    }

    /// Sends the releases that are owed to those that have their slots now. A
    /// node that has carried nothing out lately is tried with one of them.
    fn pay(&self) {
        let mut tried = HashSet::new();
        let mut due = Vec::new();
        {
            let mut state = self.state.borrow_mut();
            for release in state.owed.take(self.environment.now()) {
                // It was asked for once, so that it has a slot.
                let Ok(slot) = self.slot_of(&release) else {
                    continue;
                };
                let owner = state.map.owner(slot).cloned();
                let node = owner.as_ref().and_then(|owner| state.nodes.get(owner));
                let can = node.is_some_and(|node| {
                    node.link.is_up() && (node.barren.is_none() || tried.insert(owner.clone()))
                });
                if can {
                    due.push((release, slot));
                } else {
                    state.owed.add(release);
                }
            }
        }
        for (release, slot) in due {
            self.send(Errand {
                question: release,
                slot,
                reply: None,
                hops: 0,
            });
        }
    }

    /// Whether there is something that a newer map may mend.
    fn is_unsettled(&self) -> bool {
        let state = self.state.borrow();
        let masters = state.map.masters();
        let is_up = |node: &Node| node.link.is_up();
        !state.owed.is_empty()
            || !matches!(state.phase, Phase::Known)
            || !self.is_known()
            || state.nodes.len() > masters.len()
            || !masters
                .iter()
                .all(|master| state.nodes.get(master).is_some_and(is_up))
    }
}

impl Observer for Cluster {
    /// A node's connection.
    fn connection_changed(&self, _: usize, state: &Connection) {
        let owes = || !self.state.borrow().owed.is_empty();
        match state {
            Connection::Down(_) => self.learn(),
            Connection::Ready { .. } if owes() => self.learn(),
            _ => {}
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its task ends when it finds the cluster gone.
        self.wanted.notify_one();
    }
}

impl Nodes {
    fn link(&self, address: &Address) -> Rc<Link> {
        self.network.link(self.config.at(address))
    }
}

impl State {
    /// Remembers a release for a key that may have been set before nobody could
    /// be asked, at `since`.
    fn owe(&mut self, question: &Rc<Question>, since: Instant) {
        match question.operation {
            Operation::Release { since: held, .. } if held < since => {
                self.owed.add(Rc::clone(question));
            }
            _ => {}
        }
    }

    /// A node did not carry out what it was asked, for this reason.
    fn miss(&mut self, question: &Rc<Question>, by: &Address, cause: &Cause, now: Instant) {
        let Some(node) = self.nodes.get_mut(by) else {
            return self.owe(question, now);
        };
        let since = match cause {
            // Nobody knows whether it has.
            Cause::Lost { .. } | Cause::Silent { .. } | Cause::Dropped => {
                node.barren = Some(now);
                now
            }
            Cause::Unreachable { .. } | Cause::Overloaded { .. } => {
                let down = node.link.down_since().unwrap_or(now);
                *node.barren.get_or_insert(down)
            }
            cause if is_of_the_cluster(cause) => *node.barren.get_or_insert(now),
            // It would say the same again.
            _ => return,
        };
        self.owe(question, since);
    }
}

/// A question on its way.
struct Errand {
    question: Rc<Question>,
    slot: u16,
    /// Nobody waits for the answer to an owed release.
    reply: Option<Reply>,
    /// How many nodes have sent it elsewhere.
    hops: u8,
}

impl Errand {
    fn end(self, vote: Vote) {
        if let Some(reply) = self.reply {
            reply.vote(vote);
        }
    }
}

/// An errand's way to one node.
struct Trip {
    cluster: Weak<Cluster>,
    to: Rc<Address>,
    question: Rc<Question>,
    /// Its release was asked for.
    withdrawn: Cell<bool>,
    errand: Cell<Option<Errand>>,
}

impl Ballot for Trip {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        match (self.errand.take(), self.cluster.upgrade()) {
            (Some(errand), Some(cluster)) => cluster.answered(errand, &self, vote),
            (Some(errand), None) => errand.end(vote),
            (None, _) => {}
        }
    }

    fn is_awaited(&self, _: usize) -> bool {
        let errand = self.errand.take();
        let reply = errand.as_ref().and_then(|errand| errand.reply.as_ref());
        let is_awaited = reply.is_some_and(Reply::is_awaited);
        self.errand.set(errand);
        is_awaited
    }
}

/// What nodes answer while the cluster, or they themselves, change.
const PASSING: [&str; 8] = [
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "LOADING",
    "READONLY",
    "NOREPLICAS",
];

/// Whether a node can't carry anything out because of the state that it or its
/// cluster is in, which will pass.
fn is_of_the_cluster(cause: &Cause) -> bool {
    cause.reply().is_some_and(|code| PASSING.contains(&code))
}

fn nobody(slot: u16) -> Cause {
    Cause::Unreachable {
        what: format!("no node of the cluster has the slot {slot}; is a part of it down?").into(),
    }
}

/// Learns the map, and learns it anew whenever that is wanted, for as long as
/// somebody holds the cluster.
async fn keep_learning(cluster: Weak<Cluster>) {
    let mut backoff = Duration::ZERO;
    let mut turn = 0;
    loop {
        let Some((nodes, whom, wanted, environment)) = cluster.upgrade().map(|cluster| {
            (
                cluster.nodes.clone(),
                cluster.whom_to_ask(turn),
                Rc::clone(&cluster.wanted),
                Rc::clone(&cluster.environment),
            )
        }) else {
            return;
        };
        // They stay open until the cluster has taken those that it needs.
        let mut links = Vec::new();
        let learnt = fetch(&nodes, &whom, &mut links).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        let changed = match learnt {
            Ok(map) => cluster.take(map),
            Err(cause) => {
                cluster.fail(&cause);
                false
            }
        };
        drop(links);
        let unsettled = cluster.is_unsettled();
        drop(cluster);
        backoff = if changed {
            BACKOFF.0
        } else {
            (backoff * 2).clamp(BACKOFF.0, BACKOFF.1)
        };
        turn += 1;
        if !unsettled {
            let idle_since = environment.now();
            wanted.notified().await;
            if environment.now().since(idle_since) > BACKOFF.1 {
                backoff = Duration::ZERO;
            }
        }
        let pause = backoff.mul_f64(0.5 + environment.chance() / 2.0);
        environment
            .sleep_until(environment.now().after(pause))
            .await;
    }
}

impl Cluster {
    /// The nodes that may know the map, each time beginning with another: one
    /// may be cut off from the rest and not know that.
    fn whom_to_ask(&self, turn: usize) -> Vec<Rc<Address>> {
        let mut masters = self.state.borrow().map.masters().to_vec();
        let mut seeds = self.seeds.clone();
        for addresses in [&mut masters, &mut seeds] {
            if !addresses.is_empty() {
                let first = turn % addresses.len();
                addresses.rotate_left(first);
            }
        }
        masters.extend(seeds);
        let mut seen = HashSet::new();
        masters.retain(|address| seen.insert(Rc::clone(address)));
        masters
    }
}

/// The first map that one of the nodes gives. They are asked one after another,
/// the next one as soon as the last has failed or hesitates.
async fn fetch(
    nodes: &Nodes,
    whom: &[Rc<Address>],
    links: &mut Vec<Rc<Link>>,
) -> Result<Map, Cause> {
    let mut asked = Together::new();
    let mut whom = whom.iter().peekable();
    let mut complaint: Option<Cause> = None;
    loop {
        if let Some(address) = whom.next() {
            let link = nodes.link(address);
            links.push(Rc::clone(&link));
            let redactor = Redactor::new(&nodes.config);
            asked.add(ask_for_map(link, Rc::clone(address), redactor));
        } else if asked.is_empty() {
            return Err(complaint.unwrap_or(Cause::Dropped));
        }
        let answer = if whom.peek().is_some() {
            let environment = nodes.network.environment.as_ref();
            within(environment, HESITATION, asked.next()).await
        } else {
            Some(asked.next().await)
        };
        match answer {
            Some(Some(Ok(map))) => return Ok(map),
            Some(Some(Err(cause))) if !complaint.as_ref().is_some_and(is_an_answer) => {
                // What a node says says more than that one can't be reached.
                complaint = Some(cause);
            }
            _ => {}
        }
    }
}

fn is_an_answer(cause: &Cause) -> bool {
    cause.reply().is_some()
}

async fn ask_for_map(
    link: Rc<Link>,
    address: Rc<Address>,
    redactor: Redactor,
) -> Result<Map, Cause> {
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    let (tell, told) = oneshot::channel::<Result<Value, Cause>>();
    let done = move |reply| {
        // Another node may have answered first.
        let _ = tell.send(reply);
    };
    link.call(&question, Box::new(done));
    let of_node = |cause| match cause {
        Cause::Unreachable { what } | Cause::Lost { what } => Cause::Unreachable {
            what: format!("the node {address}: {what}").into(),
        },
        other => other,
    };
    let reply = told.await.unwrap_or(Err(Cause::Dropped)).map_err(of_node)?;
    let map = Map::read(&reply, &address, &redactor)?;
    if map.is_empty() {
        return Err(Cause::Unreachable {
            what: format!("the node {address} knows of no slots; has the cluster been created?")
                .into(),
        });
    }
    Ok(map)
}
