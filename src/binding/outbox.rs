//! What the engine's thread hands to one JavaScript thread.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::inbox::Handle;
use crate::engine::{Instant, Resources, Token, Validity};

/// A queue with one writer and one reader, which is woken once per batch.
pub(super) struct Outbox {
    state: Mutex<State>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    /// The reader was woken and has not yet come.
    woken: bool,
    /// The reader will never come again.
    closed: bool,
}

/// The answer to one request, or an event.
pub(super) struct Answer {
    /// Whose: `None` for an event.
    pub(super) slot: Option<u32>,
    pub(super) attempts: u32,
    pub(super) outcome: Outcome,
}

/// What came of a request.
pub(super) enum Outcome {
    Unlocked,
    Locked(Locked),
    Extended(Validity),
    /// Why, as JSON, and until when the lock may still be believed in.
    Failed(String, Option<Instant>),
    /// What happened, as JSON.
    Event(String),
}

/// A lock on its way to JavaScript, with what it takes to release it should it
/// never arrive.
pub(super) struct Locked {
    pub(super) handle: Handle,
    pub(super) resources: Resources,
    pub(super) value: Token,
    pub(super) validity: Validity,
}

impl Outbox {
    /// A queue whose reader is told by `wake` to come.
    pub(super) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            wake: Box::new(wake),
        }
    }

    /// Adds `answers`, leaving the vector empty, and wakes the reader unless it
    /// is about to come anyway. Answers that nobody will read are left.
    pub(super) fn post(&self, answers: &mut Vec<Answer>) {
        let wake = {
            let mut state = self.lock();
            if state.closed {
                return;
            }
            state.answers.extend(answers.drain(..));
            !state.answers.is_empty() && !std::mem::replace(&mut state.woken, true)
        };
        if wake {
            (self.wake)();
        }
    }

    /// Takes up to `most` answers. The reader must come again if it got as many
    /// as that.
    pub(super) fn take(&self, most: usize) -> VecDeque<Answer> {
        let mut state = self.lock();
        state.woken = false;
        if state.answers.len() <= most {
            return std::mem::take(&mut state.answers);
        }
        state.answers.drain(..most).collect()
    }

    /// No reader comes any more; what it did not take is given back.
    pub(super) fn close(&self) -> VecDeque<Answer> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.answers)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
