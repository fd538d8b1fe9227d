//! What the engine's thread hands to one JavaScript thread.

use super::handoff::Handoff;
use super::inbox::Handle;
use crate::engine::{Instant, Resources, Settings, Token, Validity};

/// The answers on their way to one environment.
pub type Outbox = Handoff<Answer>;

/// The answer to one request, or an event.
pub struct Answer {
    /// Whose: `None` for an event. The number of what is over where that is all.
    pub slot: Option<u32>,
    pub attempts: u32,
    pub outcome: Outcome,
}

impl Answer {
    /// Whether it is what a request is waited for with.
    pub fn is_of_request(&self) -> bool {
        let is_notice = matches!(self.outcome, Outcome::Time | Outcome::ContextEnded);
        self.slot.is_some() && !is_notice
    }
}

/// What came of a request.
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
    /// What the caller's client is to be asked, as JSON.
    Errand(String),
    /// A time that JavaScript has waited for.
    Time,
    /// Nothing will be asked for in this context of a caller's any more.
    ContextEnded,
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
