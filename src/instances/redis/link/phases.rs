//! What becomes of a link's questions when its connection is made, lost or replaced.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::Link;
use super::pending::{ExpectedReply, OnReply};
use super::pipeline::{Generation, Pipeline};
use super::pump::Pump;
use super::release_copies::answer_of_both;
use super::request::{Request, SlotState};
use super::state::{MOST_BYTES, Outage, Phase, State, Waiting};
use crate::engine::{Cause, ConnectionState, Instant, Responder, SafetyRule};
use crate::instances::redis::weight::weight_of;

/// A server that restarts refuses for a moment to be dialled. So long after a loss
/// it is tried again and again, and questions wait: no deadline is longer.
const RESTART: Duration = Duration::from_secs(1);

impl Link {
    /// A dial is done: what waits may go.
    pub(super) fn connected(&self, greeted: &Pump) {
        self.master.set(greeted.master());
        self.measure(greeted);
        let keyspace = greeted.keyspace();
        self.observers.tell(&ConnectionState::Ready { keyspace });
        let mut late = Vec::new();
        let mut state = self.state.borrow_mut();
        state.writer.begin();
        state.write_owed(self.environment.as_ref());
        if let Phase::Dialling(_, waiting) = std::mem::replace(&mut state.phase, Phase::Up) {
            for waiting in waiting {
                match waiting {
                    Waiting::Request(Request {
                        question,
                        responder,
                        slot,
                    }) => {
                        state.weight -= weight_of(&question);
                        if question.is_wanted(self.environment.now(), Some(&responder)) {
                            state.write(question, Some(responder), slot);
                        } else {
                            late.push(responder);
                        }
                    }
                    Waiting::Command(command, on_reply) => {
                        let before = state.pipeline.out.len();
                        state.pipeline.out.extend(command);
                        let array = ExpectedReply::Array(on_reply);
                        state.pipeline.expect(before, array);
                    }
                }
            }
        }
        drop(state);
        for responder in late {
            responder.fail(Cause::Withdrawn);
        }
        self.write_waiting();
    }

    /// The connection is over. Questions wait for the next one if that is dialled
    /// at once.
    pub(super) fn connection_lost(&self, cause: &Cause, is_dialled: bool) {
        if !is_dialled {
            return self.disconnected(cause);
        }
        let failed = {
            let mut state = self.state.borrow_mut();
            let failed = state.give_all_up(cause, self.environment.now());
            let outage = Outage {
                since: self.environment.now(),
                cause: cause.clone(),
                is_known: false,
            };
            state.phase = Phase::Dialling(Some(outage), VecDeque::new());
            failed
        };
        // First of all: who has another way takes it from now on.
        self.observers.tell_down(cause);
        failed.tell();
    }

    /// A dial has failed. Returns whether that may be over in a moment, so that
    /// questions wait for the next one.
    pub(super) fn dial_failed(&self, cause: &Cause) -> bool {
        let passes = matches!(cause, Cause::Unreachable { .. }) || cause.reply() == Some("LOADING");
        let now = self.environment.now();
        if let Phase::Dialling(Some(outage), _) = &mut self.state.borrow_mut().phase
            && passes
            && now.since(outage.since) < RESTART
        {
            outage.cause = cause.clone();
            outage.is_known = true;
            return true;
        }
        self.disconnected(cause);
        false
    }

    /// Nobody can be asked until the next dial succeeds.
    pub(super) fn disconnected(&self, cause: &Cause) {
        let now = self.environment.now();
        let mut state = self.state.borrow_mut();
        let mut failed = state.give_all_up(cause, now);
        let since = state.outage().map_or(now, |outage| outage.since);
        let down = Phase::Down(Outage {
            since,
            cause: cause.clone(),
            is_known: true,
        });
        let before = std::mem::replace(&mut state.phase, down);
        for release in std::mem::take(&mut state.releases) {
            state.owe(&release.question, now);
            failed.votes.push((release.responder, cause.clone()));
        }
        while let Some(acquire) = state.acquires.pop() {
            failed.votes.push((acquire.responder, cause.clone()));
        }
        if let Phase::Dialling(_, waiting) = before {
            for waiting in waiting {
                match waiting {
                    Waiting::Request(request) => {
                        state.owe(&request.question, now);
                        failed.votes.push((request.responder, cause.clone()));
                    }
                    Waiting::Command(_, on_reply) => {
                        failed.commands.push((on_reply, cause.clone()));
                    }
                }
            }
        }
        state.weight = 0;
        drop(state);
        // First of all: who has another way takes it from now on.
        self.observers.tell_down(cause);
        failed.tell();
    }

    /// A connection was made beside the one that has said nothing for so long, and
    /// takes its place. Returns whether the former one is still worth listening
    /// to: not if it leads to another server, whose votes are not this one's.
    pub(super) fn replace_connection(
        &self,
        greeted: &Pump,
        former: &Pump,
        waited: Duration,
    ) -> bool {
        let is_same = greeted.keyspace() == former.keyspace();
        let cause = Cause::Silent {
            waited,
            option: None,
            because: Some("a new connection has taken its place".into()),
        };
        let failed = {
            let mut state = self.state.borrow_mut();
            state.encode_gathered(Generation::Present);
            state.writer.begin();
            let mut silent = std::mem::take(&mut state.pipeline);
            if is_same {
                // First of all: what these delete must not be in the way of what is
                // asked for next.
                let weight = silent.weight;
                for (release, responder) in silent.releases() {
                    if weight + state.waiting_bytes() > MOST_BYTES && SafetyRule::Bounded.is_kept()
                    {
                        // They are owed once the former connection is over.
                        break;
                    }
                    let copy = responder.take().and_then(|only| {
                        let (first, copy) = answer_of_both(release, only);
                        *responder = Some(first);
                        copy
                    });
                    state.write(Rc::clone(release), copy, SlotState::Owned);
                }
                state.former = Some(silent);
                Failed::default()
            } else {
                state.give_up(silent, &cause, self.environment.now())
            }
        };
        self.master.set(greeted.master());
        self.measure(greeted);
        self.observers.tell_down(&cause);
        let keyspace = greeted.keyspace();
        self.observers.tell(&ConnectionState::Ready { keyspace });
        failed.tell();
        self.write_waiting();
        is_same
    }

    /// Its greeting was answered.
    fn measure(&self, greeted: &Pump) {
        let (asked, answered) = greeted.greeted();
        self.state.borrow_mut().meter.measure(asked, answered);
    }

    /// The former connection is over. What it owes is owed by the one there is.
    pub(super) fn end_former(&self, cause: &Cause) {
        let failed = {
            let mut state = self.state.borrow_mut();
            let Some(former) = state.former.take() else {
                return;
            };
            let failed = state.give_up(former, cause, self.environment.now());
            state.write_owed(self.environment.as_ref());
            failed
        };
        failed.tell();
    }
}

/// Who is to be told, once the link's state is free again, that nothing came of what
/// they asked, and why.
#[derive(Default)]
struct Failed {
    votes: Vec<(Responder, Cause)>,
    commands: Vec<(OnReply, Cause)>,
}

impl Failed {
    fn tell(self) {
        for (responder, cause) in self.votes {
            responder.fail(cause);
        }
        for (on_reply, cause) in self.commands {
            on_reply(Err(cause));
        }
    }
}

impl State {
    /// What was written on this connection is not answered any more: releases are
    /// owed by the next one.
    fn give_up(&mut self, pipeline: Pipeline, cause: &Cause, now: Instant) -> Failed {
        let mut failed = Failed::default();
        for pending in pipeline.unanswered {
            match pending.expected {
                ExpectedReply::Vote {
                    question,
                    responder,
                    ..
                } => {
                    self.owe(&question, now);
                    failed
                        .votes
                        .extend(responder.map(|responder| (responder, lost(cause))));
                }
                ExpectedReply::Releases { releases, .. } => {
                    for release in releases {
                        self.owe(&release.question, now);
                        let responder = release.responder;
                        failed
                            .votes
                            .extend(responder.map(|responder| (responder, lost(cause))));
                    }
                }
                ExpectedReply::Array(on_reply) => failed.commands.push((on_reply, lost(cause))),
                ExpectedReply::Asking => {}
            }
        }
        failed
    }

    fn give_all_up(&mut self, cause: &Cause, now: Instant) -> Failed {
        let mut failed = Failed::default();
        let present = std::mem::take(&mut self.pipeline);
        for pipeline in self.former.take().into_iter().chain([present]) {
            let more = self.give_up(pipeline, cause, now);
            failed.votes.extend(more.votes);
            failed.commands.extend(more.commands);
        }
        failed
    }
}

/// The cause of an outage, for questions that were on their way by then.
fn lost(cause: &Cause) -> Cause {
    match cause {
        Cause::Unreachable { what } => Cause::Lost {
            what: Rc::clone(what),
        },
        Cause::Unexpected { .. } | Cause::Refused { .. } => Cause::Lost {
            what: format!("it was given up after {cause}").into(),
        },
        other => other.clone(),
    }
}
