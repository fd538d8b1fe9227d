//! What JavaScript threads hand to the engine's thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::config::Config;
use super::outbox::Outbox;
use super::record::Batch;
use crate::engine::{Instant, Resources, Token};

/// A queue with many writers, which are JavaScript threads, and one reader.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    reader: Option<Waker>,
}

/// A message to the engine's thread.
pub(super) enum Message {
    /// An environment comes, whose answers go to this outbox.
    Enter(SessionId, Arc<Outbox>),
    /// Something of an environment that is here.
    Session(SessionId, Errand),
    /// An environment goes.
    Leave(SessionId),
    /// The last environment has gone.
    End,
}

/// What an environment wants.
pub(super) enum Errand {
    /// An engine under this handle.
    Open(Handle, Config),
    /// No engine under this handle any more.
    Close(Handle),
    /// Requests to be carried out.
    Carry(Batch),
    /// A lock to be released that came too late to be handed over.
    TakeBack(Handle, Resources, Token, Instant),
}

/// An environment's number in this process.
pub(super) type SessionId = u32;

/// An engine's number in its environment.
pub(super) type Handle = u32;

impl Inbox {
    /// Adds a message and wakes the engine's thread if it sleeps.
    pub(super) fn push(&self, message: Message) {
        let reader = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.messages.push(message);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// All messages there are; ready when there is one.
    pub(super) fn poll_take(&self, context: &Context<'_>) -> Poll<Vec<Message>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.messages.is_empty() {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut state.messages))
    }
}
