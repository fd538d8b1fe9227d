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

mod acquires;
mod redirect_error;
mod routing;
mod slots;
pub(super) mod topology;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use acquires::Acquires;
#[cfg(test)]
pub(super) use redirect_error::Redirect;
pub(super) use slots::{Slot, SlotMap};
use tokio::sync::Notify;

use super::config::{Address, Config};
use super::link::{Link, MOST_BYTES, TRIPS_OF_A_DIAL};
use super::link_registry::Links;
use super::owed_releases::OwedReleases;
use super::state_observers::StateObservers;
use super::weight::weight_of;
use crate::engine::{
    Cause, ConnectionState, Environment, Instant, Observer, Operation, Question, Responder,
    RoundTrip, SafetyRule,
};

/// How many questions wait for the first map.
const BACKLOG: usize = 10_000;

/// A cluster, known and connected to for as long as somebody holds this.
pub(super) struct Cluster {
    me: Weak<Self>,
    nodes: Nodes,
    seeds: Vec<Rc<Address>>,
    environment: Rc<dyn Environment>,
    state: RefCell<State>,
    observers: StateObservers,
    /// That the map is to be learnt anew.
    refresh_wanted: Rc<Notify>,
}

/// How to get at a node.
#[derive(Clone)]
struct Nodes {
    config: Config,
    links: Rc<Links>,
}

struct State {
    phase: Phase,
    map: SlotMap,
    nodes: BTreeMap<Rc<Address>, Node>,
    acquires: Acquires,
    /// About how many bytes wait for the first map.
    weight: usize,
    owed: OwedReleases,
}

enum Phase {
    /// There is no map yet; these wait for it.
    Learning(VecDeque<(Rc<Question>, Responder)>),
    Known,
    /// Nobody could give one, since then, for this reason.
    Unknown(Instant, Cause),
}

struct Node {
    link: Rc<Link>,
    /// Since when it has carried nothing out, as far as is known: what was asked
    /// for later was not.
    unresponsive_since: Option<Instant>,
}

impl Cluster {
    /// One whose map nobody learns yet: [`topology::open`] does.
    fn new(config: Config, seeds: &[Address], links: &Rc<Links>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            environment: Rc::clone(&links.transport.environment),
            nodes: Nodes {
                config,
                links: Rc::clone(links),
            },
            seeds: seeds.iter().cloned().map(Rc::new).collect(),
            state: RefCell::new(State {
                phase: Phase::Learning(VecDeque::new()),
                map: SlotMap::default(),
                nodes: BTreeMap::new(),
                acquires: Acquires::default(),
                weight: 0,
                owed: OwedReleases::default(),
            }),
            observers: StateObservers::connecting(),
            refresh_wanted: Rc::default(),
        })
    }

    /// Puts `question` to the node that has its keys.
    pub(super) fn ask(&self, question: &Rc<Question>, responder: Responder) {
        let slot = match self.slot_of(question) {
            Ok(slot) => slot,
            Err(cause) => return responder.fail(cause),
        };
        let refused = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let bounded = SafetyRule::Bounded.is_kept();
            match &mut state.phase {
                Phase::Known => None,
                Phase::Learning(waiting)
                    if !bounded || (waiting.len() < BACKLOG && state.weight <= MOST_BYTES) =>
                {
                    state.weight += weight_of(question);
                    waiting.push_back((Rc::clone(question), responder));
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
        self.state.borrow().acquires.release(question);
        match refused {
            // Only now: casting a vote may ask the next question.
            Some(cause) => responder.fail(cause),
            None => self.route(Rc::clone(question), slot, Some(responder)),
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
        matches!(*self.observers.state(), ConnectionState::Ready { .. })
    }

    /// Tells `observer` how the cluster is, now and whenever that changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.observers.observe(index, observer);
    }

    /// The slot that all keys of `question` are in.
    fn slot_of(&self, question: &Question) -> Result<Slot, Cause> {
        let prefix = &self.nodes.config.key_prefix;
        let slot = |resource: &str| {
            if prefix.is_empty() {
                Slot::of(resource.as_bytes())
            } else {
                Slot::of(format!("{prefix}{resource}").as_bytes())
            }
        };
        let Some((first, others)) = question.resources.split_first() else {
            return Err(Cause::Dropped);
        };
        let wanted = slot(first);
        let queue = question.ticket.as_ref().map(|ticket| ticket.queue());
        if let Some(queue) = queue
            && slot(queue) != wanted
        {
            return Err(Cause::QueueElsewhere {
                resource: (&**first).into(),
            });
        }
        match others.iter().find(|other| slot(other) != wanted) {
            None => Ok(wanted),
            Some(other) => Err(Cause::CrossSlot {
                one: (&**first).into(),
                other: (&**other).into(),
            }),
        }
    }

    /// The map is to be learnt anew, soon.
    fn refresh(&self) {
        self.refresh_wanted.notify_one();
    }

    /// The link to a node, which is opened if there is none.
    fn link(&self, address: &Rc<Address>) -> Rc<Link> {
        if let Some(node) = self.state.borrow().nodes.get(address) {
            return Rc::clone(&node.link);
        }
        let link = self.nodes.link(address);
        let node = Node {
            link: Rc::clone(&link),
            unresponsive_since: None,
        };
        self.state
            .borrow_mut()
            .nodes
            .insert(Rc::clone(address), node);
        let observer: Weak<dyn Observer> = self.me.clone();
        link.observe(0, observer);
        link
    }
}

impl Observer for Cluster {
    /// A node's connection.
    fn connection_changed(&self, _: usize, state: &ConnectionState) {
        let owes = || !self.state.borrow().owed.is_empty();
        match state {
            ConnectionState::Down(_) => self.refresh(),
            ConnectionState::Ready { .. } if owes() => self.refresh(),
            _ => {}
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its task ends when it finds the cluster gone.
        self.refresh_wanted.notify_one();
    }
}

impl Nodes {
    fn link(&self, address: &Address) -> Rc<Link> {
        let link = self.links.open(self.config.at(address));
        link.is_cluster_node();
        link
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
}
