//! What a link makes of its server's replies.

use redis::Value;

use super::Link;
use super::pipeline::{ExpectedReply, Generation};
use crate::engine::{Cause, SafetyRule, Vote};
use crate::instances::redis::protocol::command::ParsedReply;
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

    /// Matches a reply to the oldest question on that connection.
    pub(super) fn receive(&self, generation: Generation, answered: Value) -> Result<(), Cause> {
        let mut state = self.state.borrow_mut();
        let Some((asked, expected)) = state.pipeline_of(generation).answered() else {
            return Err(unexpected(&answered));
        };
        if state.meter.wants(asked) {
            state.meter.measure(asked, self.environment.now());
        }
        let (question, form, responder) = match expected {
            ExpectedReply::Vote {
                question,
                form,
                responder,
            } => (question, form, responder),
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
        let answer = state
            .writer
            .parse_reply(answered, form, &question, &self.redactor);
        let (vote, end) = match answer {
            ParsedReply::Vote(Vote::Failed(cause)) if cause.reply() == Some("READONLY") => {
                // The master has become a replica: its name may lead elsewhere now.
                (Vote::Failed(cause.clone()), Err(cause))
            }
            ParsedReply::Vote(vote) => (vote, Ok(())),
            ParsedReply::UnknownScript(_)
                if question.is_wanted(self.environment.now(), responder.as_ref()) =>
            {
                let written = state.write_in_full(question, responder);
                drop(state);
                if let Err(Some(responder)) = written {
                    responder.fail(Cause::Withdrawn);
                }
                return Ok(());
            }
            ParsedReply::UnknownScript(cause) => (Vote::Failed(cause), Ok(())),
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
