//! What the engine's thread hands to one JavaScript thread.

use super::describe;
use super::handoff::Handoff;
use super::ids::{ContextId, Handle, Slot, TimerId};
use crate::engine::{Instant, Reason, Resources, Rule, Settings, Token, Validity};

/// The responses on their way to one session's JavaScript.
pub type Outbox = Handoff<Response>;

/// The answer to one request, or what JavaScript is told without having asked.
pub struct Response {
    /// The request that it answers, if it answers one.
    pub slot: Option<Slot>,
    pub attempts: u32,
    pub outcome: Outcome,
}

impl Response {
    /// One that answers no request.
    pub fn unasked(outcome: Outcome) -> Self {
        Self {
            slot: None,
            attempts: 0,
            outcome,
        }
    }

    /// What is handed over of it at `now`, and the lock that is to be taken back if
    /// it is one that is over by now (rule 3). An extension that is over is none
    /// (rule 19).
    pub fn checked_at(self, now: Instant) -> (Self, Option<Locked>) {
        let (reason, over) = match self.outcome {
            Outcome::Locked(locked) if !locked.validity.holds(now) && Rule::HandOver.is_kept() => {
                (Reason::TooSlow, Some(locked))
            }
            Outcome::Extended(validity) if !validity.holds(now) && Rule::HandOver.is_kept() => {
                (Reason::Expired, None)
            }
            outcome => return (Self { outcome, ..self }, None),
        };
        let outcome = Outcome::Failed(describe::without_votes(reason), None);
        (Self { outcome, ..self }, over)
    }
}

/// What came of a request, or has happened.
pub enum Outcome {
    Unlocked,
    Locked(Locked),
    Extended(Validity),
    /// Why, as JSON, and until when the lock may still be believed in.
    Failed(String, Option<Instant>),
    /// What instances said of a key, as JSON.
    Inspected(String),
    /// What happened, as JSON.
    Event(String),
    /// What a caller's client is to be asked, as JSON.
    ClientRequest(String),
    /// A time has come that JavaScript has waited for.
    Time(TimerId),
    /// Nothing will be asked for in this context any more.
    ContextEnded(ContextId),
}

/// A lock on its way to JavaScript, with what it takes to release it should it
/// never arrive.
pub struct Locked {
    pub handle: Handle,
    pub resources: Resources,
    pub value: Token,
    pub validity: Validity,
    /// How it was taken, and so is to be released.
    pub settings: Settings,
}
