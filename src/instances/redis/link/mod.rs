//! One connection to one server: questions are written in batches, replies are
//! matched in order, and when it breaks it is dialled again.
//!
//! - While the first dial runs, or the first after a loss, questions wait for it
//!   within their deadlines. After a failed dial they fail at once until a dial in
//!   the background succeeds.
//! - An acquire or extend is written at most once. A release that was not
//!   answered when the connection broke is written again on the next one.
//! - A server that owes an answer for too long is given up and dialled anew; so is
//!   one whose reply is none to the oldest question.
//! - One that says nothing for less than that is dialled beside the connection
//!   there is (`connections.rs`). Where that succeeds, questions go by the new
//!   connection, and the former one is only listened to.
//! - Extensions and releases go before acquires: only so many acquires are on
//!   their way at a time, and the others wait, for as long as somebody waits for
//!   them. A release withdraws its own acquire if that is still unwritten.

mod connections;
mod gather;
mod gathered;
mod pending;
mod phases;
mod pipeline;
mod pump;
pub(super) mod reconnect;
mod release_copies;
mod replies;
mod request;
mod state;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::Waker;

use pending::{ExpectedReply, OnReply};
use pipeline::{Generation, Pipeline};
use redis::Cmd;
pub(super) use request::SlotState;
use request::{Kind, Request};
pub(super) use state::MOST_BYTES;
use state::{Outage, Phase, State, Waiting};

use super::config::Config;
use super::dial::Transport;
use super::owed_releases::OwedReleases;
use super::protocol::command::Writer;
use super::redact::Redactor;
use super::state_observers::StateObservers;
use crate::engine::{Cause, Environment, Instant, Meter, Observer, Question, Responder, RoundTrip};
use crate::instances::acquire_queue::AcquireQueue;

/// How many round trips it takes to connect and log in.
pub(super) const TRIPS_OF_A_DIAL: u32 = 2;

/// A connection that keeps itself up for as long as somebody holds the link.
pub(super) struct Link {
    environment: Rc<dyn Environment>,
    encrypts: bool,
    state: RefCell<State>,
    observers: StateObservers,
    /// Whether the server has said that it is a master, when it was dialled.
    master: Cell<Option<bool>>,
    redactor: Redactor,
}

impl Link {
    /// One that nobody dials yet: [`reconnect::open`] does.
    fn new(config: &Config, transport: &Transport) -> Self {
        Self {
            encrypts: config.tls.is_some(),
            state: RefCell::new(State {
                phase: Phase::Dialling(None, VecDeque::new()),
                writer: Writer::new(&config.key_prefix),
                has_slots: false,
                pipeline: Pipeline::default(),
                former: None,
                releases: VecDeque::new(),
                acquires: AcquireQueue::default(),
                weight: 0,
                owed: OwedReleases::default(),
                meter: Meter::default(),
                waker: None,
            }),
            redactor: Redactor::new(config),
            environment: Rc::clone(&transport.environment),
            observers: StateObservers::connecting(),
            master: Cell::new(None),
        }
    }

    /// Puts `question` to the server.
    pub(super) fn ask(&self, question: &Rc<Question>, responder: Responder, slot: SlotState) {
        let mut state = self.state.borrow_mut();
        if state.is_unhindered() {
            state.write(Rc::clone(question), Some(responder), slot);
            state.wake();
            return;
        }
        let request = Request {
            question: Rc::clone(question),
            responder,
            slot,
        };
        if !state.acquires.is_empty() {
            return self.ask_where_acquires_wait(state, request);
        }
        if let Err((responder, cause)) = state.take_on(request, self.environment.as_ref()) {
            state.owe(question, self.environment.now());
            drop(state);
            responder.fail(cause);
        }
    }

    /// The same. `request` may withdraw some of them.
    fn ask_where_acquires_wait(&self, mut state: RefMut<'_, State>, request: Request) {
        let question = Rc::clone(&request.question);
        let mut withdrawn = state.withdraw(&question);
        let is_withdrawn = !withdrawn.is_empty();
        withdrawn.extend(state.acquires.pop_late(self.environment.now()));
        let refused = state.take_on(request, self.environment.as_ref());
        if refused.is_err() && !is_withdrawn {
            state.owe(&question, self.environment.now());
        }
        drop(state);
        // Only now: casting a vote may ask the next question of this link.
        for responder in withdrawn {
            responder.fail(Cause::Withdrawn);
        }
        if let Err((responder, cause)) = refused {
            responder.fail(cause);
        }
    }

    /// About how many bytes it keeps for what is not answered yet.
    #[cfg(any(test, feature = "sabotage"))]
    pub(super) fn weight(&self) -> usize {
        let state = self.state.borrow();
        let pipelines = state.former.iter().chain([&state.pipeline]);
        let pipelines: usize = pipelines.map(Pipeline::bytes).sum();
        state.weight + state.acquires.weight() + pipelines + state.owed.weight()
    }

    /// Whether the server has said that it is a master, when it was dialled.
    pub(super) fn is_master(&self) -> Option<bool> {
        self.master.get()
    }

    /// Since when it has been out of reach.
    pub(super) fn down_since(&self) -> Option<Instant> {
        self.state.borrow().outage().map(|outage| outage.since)
    }

    /// Whether commands can be sent.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Up)
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.borrow();
        let waits = matches!(&state.phase, Phase::Dialling(_, waiting) if !waiting.is_empty());
        let queued = !state.releases.is_empty() || !state.acquires.is_empty();
        state.pipeline.unanswered.is_empty() && state.former.is_none() && !queued && !waits
    }

    /// Sends a command beside the votes, at most once, on the connection that is
    /// there or that questions wait for; `on_reply` is called with the reply, which is
    /// an array or the server's error.
    pub(super) fn call(&self, command: &Cmd, on_reply: OnReply) {
        let refused = {
            let mut state = self.state.borrow_mut();
            let overloaded = state.is_overloaded(Kind::Other, self.environment.as_ref());
            match &mut state.phase {
                Phase::Dialling(_, waiting) => {
                    waiting.push_back(Waiting::Command(command.get_packed_command(), on_reply));
                    return;
                }
                Phase::Up if !overloaded => {
                    let before = state.pipeline.out.len();
                    command.write_packed_command(&mut state.pipeline.out);
                    state
                        .pipeline
                        .expect(before, ExpectedReply::Array(on_reply));
                    state.wake();
                    return;
                }
                Phase::Down(outage) => outage.cause.clone(),
                Phase::Up => Cause::Overloaded {
                    waiting: state.pipeline.questions,
                },
            }
        };
        on_reply(Err(refused));
    }

    /// How long an answer takes, and before it, where there is no connection, to
    /// connect and to log in; `None` while nobody has ever answered.
    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        let state = self.state.borrow();
        let trips = match state.phase {
            Phase::Up => 1,
            Phase::Dialling(..) | Phase::Down(_) => TRIPS_OF_A_DIAL + 1,
        };
        state.meter.known().map(|trip| trip.times(trips))
    }

    /// What is known to be wrong with it.
    pub(super) fn trouble(&self) -> Option<Rc<str>> {
        let state = self.state.borrow();
        let Phase::Dialling(outage, _) = &state.phase else {
            return None;
        };
        if let Some(Outage { cause, .. }) = outage {
            let why = match cause {
                Cause::Unreachable { what } => what.to_string(),
                other => other.to_string(),
            };
            return Some(format!("it is being dialled again: {why}").into());
        }
        Some(if self.encrypts {
            "its TLS connection is not made yet: it is hung, overloaded or cut off from here, or does not speak TLS on this port".into()
        } else {
            "its connection is not made yet: the server is hung, overloaded or cut off from here"
                .into()
        })
    }

    /// Why the last dial after a loss has failed, if one has.
    pub(super) fn unreached(&self) -> Option<Cause> {
        let state = self.state.borrow();
        let outage = state.outage().filter(|outage| outage.is_known);
        outage.map(|outage| outage.cause.clone())
    }

    /// Tells `observer` how the connection is, now and whenever that changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.observers.observe(index, observer);
    }

    /// Gives the pump, which writes and reads, what is to be written on one of the
    /// connections, and what was.
    fn with_pipeline<T>(&self, generation: Generation, with: impl FnOnce(&mut Pipeline) -> T) -> T {
        with(self.state.borrow_mut().pipeline_of(generation))
    }

    /// Makes commands of the releases that were gathered for one of the connections.
    fn encode_gathered(&self, generation: Generation) {
        self.state.borrow_mut().encode_gathered(generation);
    }

    /// The server is a node of a cluster: one call can't have keys of several slots.
    pub(super) fn is_cluster_node(&self) {
        self.state.borrow_mut().has_slots = true;
    }

    /// The pump is to be woken by this when there is something to be written.
    fn wake_by(&self, waker: &Waker) {
        self.state.borrow_mut().waker = Some(waker.clone());
    }

    /// The clock it goes by.
    fn environment(&self) -> &dyn Environment {
        self.environment.as_ref()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Its task ends when it finds the link gone.
        self.state.get_mut().wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{System, Vote, VoteSink};
    use crate::instances::redis::config::Endpoint;
    use crate::instances::redis::dial::Sockets;
    use crate::instances::redis::test_questions::acquire;

    /// How many were refused for want of room.
    #[derive(Default)]
    struct Refused(Cell<usize>);

    impl VoteSink for Refused {
        fn cast(self: Rc<Self>, _: usize, vote: Vote) {
            if let Vote::Failed(Cause::Overloaded { .. }) = vote {
                self.0.set(self.0.get() + 1);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_waiters_are_not_too_many() {
        let config = Config::new(Endpoint::Tcp {
            host: "h".into(),
            port: 1,
        });
        let transport = Transport::new(Rc::new(System), Rc::new(Sockets::default()));
        let link = Link::new(&config, &transport);
        link.state.borrow_mut().phase = Phase::Up;
        let refused = Rc::new(Refused::default());
        for number in 0..100_000 {
            let question = acquire(&format!("{number:032}"), &["the name of a resource"]);
            let responder = Responder::new(Rc::<Refused>::clone(&refused), 0);
            link.ask(&question, responder, SlotState::Owned);
        }
        assert_eq!(refused.0.get(), 0);
    }
}
