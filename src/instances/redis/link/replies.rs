//! What a link makes of its server's replies.

use std::cell::RefMut;

use redis::Value;

use super::Link;
use super::pending::{ExpectedReply, Release};
use super::pipeline::Generation;
use super::request::SlotState;
use super::state::State;
use crate::engine::{Cause, SafetyRule, Vote};
use crate::instances::redis::protocol::command::{Form, ParsedReply};
use crate::instances::redis::protocol::merged_releases::{DELETED, MergedReply, NOT_OURS};
use crate::instances::redis::protocol::value::unexpected;

impl Link {
    /// Writes what waits, now that answers have made room.
    pub(super) fn write_waiting(&self) {
        let mut late = Vec::new();
        let mut state = self.state.borrow_mut();
        state.write_owed(self.environment.as_ref());
        state.write_waiting(self.environment.as_ref(), &mut late);
        drop(state);
        for responder in late {
            responder.fail(Cause::Withdrawn);
        }
    }

    /// Matches a reply to the oldest question on that connection. Before a vote is cast
    /// `state` is let go: that may ask the next question of this link.
    pub(super) fn receive(
        &self,
        mut state: RefMut<'_, State>,
        generation: Generation,
        answered: Value,
    ) -> Result<(), Cause> {
        let Some((asked, expected)) = state.pipeline_of(generation).answered() else {
            return Err(unexpected(&answered));
        };
        if state.meter.wants(asked) {
            state.meter.measure(asked, self.environment.now());
        }
        let (question, form, responder, is_doubted) = match expected {
            ExpectedReply::Vote {
                question,
                form,
                responder,
                is_doubted,
            } => (question, form, responder, is_doubted),
            ExpectedReply::Releases { releases, form } => {
                let form = form.unwrap_or(Form::Text);
                return self.receive_merged(state, releases, form, answered);
            }
            ExpectedReply::Array(on_reply) => {
                drop(state);
                let end = match &answered {
                    Value::Array(_) | Value::ServerError(_) => Ok(()),
                    other => out_of_step(unexpected(other)),
                };
                on_reply(Ok(answered));
                return end;
            }
            ExpectedReply::Asking => {
                return match &answered {
                    Value::Okay | Value::ServerError(_) => Ok(()),
                    other => out_of_step(unexpected(other)),
                };
            }
        };
        if let Some(vote) = state.writer.usual_vote(&answered, form) {
            drop(state);
            if let Some(responder) = responder {
                responder.vote(vote);
            }
            return Ok(());
        }
        let answer = state
            .writer
            .parse_reply(answered, form, &question, &self.redactor);
        let (vote, end) = match answer {
            ParsedReply::Vote(Vote::Failed(cause)) if cause.reply() == Some("READONLY") => {
                // The master has become a replica: its name may lead elsewhere now.
                (Vote::Failed(cause.clone()), Err(cause))
            }
            ParsedReply::Vote(vote) => {
                if is_doubted && matches!(vote, Vote::Granted) {
                    // Another server than the one that the call went to.
                    state.writer.stop_merging();
                }
                (vote, Ok(()))
            }
            ParsedReply::UnknownScript
                if question.is_wanted(self.environment.now(), responder.as_ref()) =>
            {
                let written = state.write_in_full(question, responder);
                drop(state);
                if let Err(Some(responder)) = written {
                    responder.fail(Cause::Withdrawn);
                }
                return Ok(());
            }
            // Nothing was carried out, and nobody waits for it: no fault of the server.
            ParsedReply::UnknownScript => (Vote::Failed(Cause::Withdrawn), Ok(())),
            ParsedReply::Impossible(cause) => {
                // Nobody knows whether it was carried out.
                state.owe(&question, self.environment.now());
                (Vote::Failed(cause.clone()), Err(cause))
            }
        };
        drop(state);
        if let Some(responder) = responder {
            responder.vote(vote);
        }
        end
    }

    /// What a reply says of several releases. Only that a key was deleted is a vote: a
    /// proxy may have put the call to one of several servers, of which another has the
    /// key, and of an error the server's own words are wanted.
    fn receive_merged(
        &self,
        mut state: RefMut<'_, State>,
        mut releases: Vec<Release>,
        form: Form,
        answered: Value,
    ) -> Result<(), Cause> {
        let reply = state.writer.parse_merged(answered, form, releases.len());
        let now = self.environment.now();
        let mut late = Vec::new();
        match &reply {
            MergedReply::Each(letters) => {
                for (release, letter) in releases.iter_mut().zip(letters) {
                    let counts = *letter == DELETED
                        || *letter == NOT_OURS && !SafetyRule::AskedAlone.is_kept();
                    if !counts {
                        let release = release.take();
                        if release.question.is_wanted(now, None) {
                            state.write_again(release, *letter == NOT_OURS);
                        } else {
                            late.extend(release.responder);
                        }
                    }
                }
            }
            MergedReply::UnknownScript | MergedReply::Refused => {
                let is_known = matches!(reply, MergedReply::Refused);
                for release in releases.drain(..) {
                    if !release.question.is_wanted(now, None) {
                        late.extend(release.responder);
                    } else if is_known {
                        state.write_again(release, false);
                    } else {
                        state.write(release.question, release.responder, SlotState::Owned);
                    }
                }
            }
            MergedReply::Impossible(_) => {
                for release in &releases {
                    // Nobody knows whether it was carried out.
                    state.owe(&release.question, now);
                }
            }
        }
        drop(state);
        for responder in late {
            responder.fail(Cause::Withdrawn);
        }
        match reply {
            MergedReply::Each(letters) => {
                for (release, letter) in releases.into_iter().zip(letters) {
                    let Some(responder) = release.responder else {
                        continue;
                    };
                    responder.vote(if letter == DELETED {
                        Vote::Granted
                    } else {
                        Vote::Held { applied: 0 }
                    });
                }
                Ok(())
            }
            MergedReply::Impossible(cause) => {
                for responder in releases.into_iter().filter_map(|one| one.responder) {
                    responder.fail(cause.clone());
                }
                out_of_step(cause)
            }
            MergedReply::UnknownScript | MergedReply::Refused => Ok(()),
        }
    }
}

/// A reply that its command can't give ends the link: whose the next one is,
/// nobody knows.
pub(super) fn out_of_step(cause: Cause) -> Result<(), Cause> {
    if SafetyRule::ReplyKind.is_kept() {
        Err(cause)
    } else {
        Ok(())
    }
}
