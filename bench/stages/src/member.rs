//! A member of the quorum that answers a batch at a time, as a link does.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{Instance, Operation, Question, Responder, RoundTrip, Vote};

use crate::names::is_held;

/// Grants everything but what somebody else holds.
#[derive(Default)]
pub struct Member {
    asked: RefCell<Vec<(Rc<Question>, Responder)>>,
}

impl Member {
    /// Votes on what it was asked since it last did.
    pub fn answer(&self) {
        let asked = self.asked.take();
        for (question, responder) in asked {
            responder.vote(vote(&question));
        }
    }
}

fn vote(question: &Question) -> Vote {
    let is_acquire = matches!(question.operation, Operation::Acquire { .. });
    let is_held = question.resources.iter().any(|name| is_held(name));
    match (is_held, is_acquire) {
        (false, _) => Vote::Granted,
        (true, _) => Vote::Held { applied: 0 },
    }
}

impl Instance for Member {
    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        self.asked
            .borrow_mut()
            .push((Rc::clone(question), responder));
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        let (smoothed, variation) = (Duration::from_millis(1), Duration::from_micros(100));
        Some(RoundTrip::new(smoothed, variation))
    }
}
