//! What the engine's thread hands to one JavaScript thread.

use std::sync::Arc;

use super::client_rows::ClientRequest;
use super::describe;
use super::handoff::Handoff;
use super::ids::{ContextId, Handle, Slot, TimerId};
use crate::engine::{
    Engine, Instant, Reason, Resources, SafetyRule, Settings, Token, Trace, Validity,
};

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

    /// Makes of it what may be handed over at `now`; returns the lock that is to be taken
    /// back if it is one that is over by now (rule 3). An extension that is over is none
    /// (rule 19).
    #[must_use]
    pub fn check_at(&mut self, now: Instant) -> Option<Locked> {
        let reason = match &self.outcome {
            Outcome::Locked(locked)
                if !locked.validity.holds(now) && SafetyRule::HandOver.is_kept() =>
            {
                Reason::TooSlow
            }
            Outcome::Extended(validity)
                if !validity.holds(now) && SafetyRule::HandOver.is_kept() =>
            {
                Reason::Expired
            }
            _ => return None,
        };
        let failed = Outcome::Failed(describe::without_votes(reason), None);
        match std::mem::replace(&mut self.outcome, failed) {
            Outcome::Locked(locked) => Some(locked),
            _ => None,
        }
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
    /// A vote, as JSON, and whom it is told to, which has not ended before.
    Vote(String, Option<Arc<Trace>>),
    /// What a caller's client is to be asked.
    ClientRequest(Box<ClientRequest>),
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
    pub settings: Arc<Settings>,
}

impl Locked {
    /// Has `engine` release it, since nobody else will.
    pub fn take_back(self, engine: &Engine) {
        let since = self.validity.since;
        engine.rollback(self.resources, self.value, since, &self.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Instant = Instant::from_nanos(10);

    fn response(outcome: Outcome) -> Response {
        Response {
            slot: Some(Slot(1)),
            attempts: 2,
            outcome,
        }
    }

    fn validity() -> Validity {
        Validity {
            since: Instant::ORIGIN,
            until: END,
        }
    }

    fn locked() -> Response {
        response(Outcome::Locked(Locked {
            handle: Handle(0),
            resources: [Box::from("r")].into(),
            value: Token::from("v"),
            validity: validity(),
            settings: Arc::default(),
        }))
    }

    #[test]
    fn a_lock_that_is_valid_is_handed_over() {
        let mut response = locked();
        let over = response.check_at(Instant::from_nanos(9));
        assert!(matches!(response.outcome, Outcome::Locked(_)));
        assert!(over.is_none());
    }

    #[test]
    fn a_lock_that_is_over_is_a_failure_and_is_given_back() {
        let mut response = locked();
        let over = response.check_at(END);
        assert_eq!((response.slot, response.attempts), (Some(Slot(1)), 2));
        let Outcome::Failed(why, None) = response.outcome else {
            panic!("it was handed over");
        };
        assert!(why.contains(Reason::TooSlow.code()), "{why}");
        assert_eq!(over.map(|lock| lock.value), Some(Token::from("v")));
    }

    #[test]
    fn an_extension_that_is_over_is_a_failure() {
        let extended = || response(Outcome::Extended(validity()));
        let mut valid = extended();
        assert!(valid.check_at(Instant::from_nanos(9)).is_none());
        assert!(matches!(valid.outcome, Outcome::Extended(_)));
        let mut late = extended();
        let over = late.check_at(END);
        let Outcome::Failed(why, None) = late.outcome else {
            panic!("it was handed over");
        };
        assert!(why.contains(Reason::Expired.code()), "{why}");
        assert!(over.is_none());
    }
}
