//! A question's way through a cluster: to the node that has its slot, and to wherever
//! that one sends it.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::{Rc, Weak};

use super::acquires::Acquire;
use super::redirect_error::Redirect;
use super::slots::Slot;
use super::{Cluster, State};
use crate::engine::{Cause, Instant, Question, Responder, Vote, VoteSink};
use crate::instances::redis::config::Address;
use crate::instances::redis::link::SlotState;

/// How many redirects one question follows.
const MOST_HOPS: u8 = 5;

impl Cluster {
    /// Puts `question` to the node that has the slot, and follows its redirects.
    pub(super) fn route(&self, question: Rc<Question>, slot: Slot, responder: Option<Responder>) {
        self.send(RoutedQuestion {
            question,
            slot,
            responder,
            hops: 0,
        });
    }

    fn send(&self, routed: RoutedQuestion) {
        let owner = self.state.borrow().map.owner(routed.slot).cloned();
        if let Some(owner) = owner {
            return self.send_to(routed, owner, SlotState::Owned);
        }
        let now = self.environment.now();
        self.state.borrow_mut().owe(&routed.question, now);
        self.refresh();
        if let Some(responder) = routed.responder {
            responder.fail(nobody(routed.slot));
        }
    }

    fn send_to(&self, routed: RoutedQuestion, node: Rc<Address>, slot: SlotState) {
        let link = self.link(&node);
        let question = Rc::clone(&routed.question);
        let acquire = self.state.borrow_mut().acquires.add(&question);
        let request = Rc::new(NodeRequest {
            cluster: Weak::clone(&self.me),
            node,
            acquire,
            routed: Cell::new(Some(routed)),
        });
        link.ask(&question, Responder::new(request, 0), slot);
    }

    /// A node has answered, or can't.
    fn answered(&self, mut routed: RoutedQuestion, request: &NodeRequest, vote: Vote) {
        let by = &request.node;
        if let Some(acquire) = &request.acquire {
            self.state.borrow_mut().acquires.remove(acquire);
        }
        let Vote::Failed(cause) = &vote else {
            if let Some(node) = self.state.borrow_mut().nodes.get_mut(by) {
                node.unresponsive_since = None;
            }
            return routed.end(vote);
        };
        let redirect = Redirect::read(cause, by);
        if matches!(redirect, Some(Redirect::Moved { .. })) || is_transient(cause) {
            self.refresh();
        }
        routed.hops += 1;
        let goes_on = routed.hops <= MOST_HOPS
            && routed
                .question
                .is_wanted(self.environment.now(), routed.responder.as_ref())
            && !request.is_released();
        match redirect {
            Some(Redirect::Moved { slot, to }) if goes_on => {
                self.state.borrow_mut().map.moved(slot, to);
                return self.send(routed);
            }
            Some(Redirect::Ask { to }) if goes_on => {
                return self.send_to(routed, Rc::new(to), SlotState::Importing);
            }
            _ => {}
        }
        let now = self.environment.now();
        self.state
            .borrow_mut()
            .not_carried_out(&routed.question, by, cause, now);
        routed.end(vote);
    }

    /// Sends the releases that are owed to those that have their slots now. A
    /// node that has carried nothing out lately is tried with one of them.
    pub(super) fn send_owed(&self) {
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
                    node.link.is_up()
                        && (node.unresponsive_since.is_none() || tried.insert(owner.clone()))
                });
                if can {
                    due.push((release, slot));
                } else {
                    state.owed.add(release);
                }
            }
        }
        for (release, slot) in due {
            self.route(release, slot, None);
        }
    }
}

impl State {
    /// A node did not carry out what it was asked, for this reason.
    fn not_carried_out(
        &mut self,
        question: &Rc<Question>,
        by: &Address,
        cause: &Cause,
        now: Instant,
    ) {
        let Some(node) = self.nodes.get_mut(by) else {
            return self.owe(question, now);
        };
        let since = match cause {
            // Nobody knows whether it has.
            Cause::Lost { .. } | Cause::Silent { .. } | Cause::Dropped => {
                node.unresponsive_since = Some(now);
                now
            }
            Cause::Unreachable { .. } | Cause::Overloaded { .. } => {
                let down = node.link.down_since().unwrap_or(now);
                *node.unresponsive_since.get_or_insert(down)
            }
            cause if is_transient(cause) => *node.unresponsive_since.get_or_insert(now),
            // It would say the same again.
            _ => return,
        };
        self.owe(question, since);
    }
}

/// A question on its way through the cluster.
struct RoutedQuestion {
    question: Rc<Question>,
    slot: Slot,
    /// Nobody waits for the answer to an owed release.
    responder: Option<Responder>,
    /// How many nodes have sent it elsewhere.
    hops: u8,
}

impl RoutedQuestion {
    fn end(self, vote: Vote) {
        if let Some(responder) = self.responder {
            responder.vote(vote);
        }
    }
}

/// A question that was put to one node, whose vote is taken here.
struct NodeRequest {
    cluster: Weak<Cluster>,
    node: Rc<Address>,
    /// If it is one.
    acquire: Option<Rc<Acquire>>,
    routed: Cell<Option<RoutedQuestion>>,
}

impl NodeRequest {
    /// Whether the release of what it acquires was asked for meanwhile.
    fn is_released(&self) -> bool {
        let acquire = self.acquire.as_ref();
        acquire.is_some_and(|acquire| acquire.is_released())
    }
}

impl VoteSink for NodeRequest {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        match (self.routed.take(), self.cluster.upgrade()) {
            (Some(routed), Some(cluster)) => cluster.answered(routed, &self, vote),
            (Some(routed), None) => routed.end(vote),
            (None, _) => {}
        }
    }

    fn is_awaited(&self, _: usize) -> bool {
        let routed = self.routed.take();
        let responder = routed.as_ref().and_then(|routed| routed.responder.as_ref());
        let is_awaited = responder.is_some_and(Responder::is_awaited);
        self.routed.set(routed);
        is_awaited
    }
}

/// What nodes answer while the cluster, or they themselves, change.
const TRANSIENT_ERRORS: [&str; 8] = [
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
fn is_transient(cause: &Cause) -> bool {
    cause
        .reply()
        .is_some_and(|code| TRANSIENT_ERRORS.contains(&code))
}

fn nobody(slot: Slot) -> Cause {
    Cause::Unreachable {
        what: format!("no node of the cluster has the slot {slot}; is a part of it down?").into(),
    }
}
