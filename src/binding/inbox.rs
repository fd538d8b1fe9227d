//! What JavaScript threads hand to the engine's thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::command::Command;
use super::handoff::Handoff;
use super::ids::SessionId;
use super::outbox::Outbox;

/// The messages on their way to the engine's thread, which sleeps in
/// [`Inbox::poll_take`].
pub struct Inbox {
    messages: Handoff<Message>,
    reader: Arc<Mutex<Option<Waker>>>,
}

/// A message to the engine's thread.
pub enum Message {
    /// A session begins, whose responses go to this outbox.
    Begin(SessionId, Arc<Outbox>),
    /// What a session wants that has begun.
    Command(SessionId, Command),
    /// A session ends.
    End(SessionId),
    /// Nobody is left who could begin another.
    Stop,
}

impl Inbox {
    pub fn new() -> Self {
        let reader = Arc::new(Mutex::new(None::<Waker>));
        let sleeping = Arc::clone(&reader);
        let wake = move || {
            let sleeper = sleeping
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(sleeper) = sleeper {
                sleeper.wake();
            }
        };
        Self {
            messages: Handoff::new(wake),
            reader,
        }
    }

    /// Adds a message and wakes the engine's thread if it sleeps.
    pub fn push(&self, message: Message) {
        // It is never closed: the thread outlives all who write.
        self.messages.push([message]);
    }

    /// Whether all messages were taken.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The room of messages that were taken is used again.
    pub fn give_back(&self, taken: VecDeque<Message>) {
        self.messages.give_back(taken);
    }

    /// All messages there are; ready when there is one.
    pub fn poll_take(&self, context: &Context<'_>) -> Poll<VecDeque<Message>> {
        let messages = self.messages.take(usize::MAX);
        if !messages.is_empty() {
            return Poll::Ready(messages);
        }
        let waker = context.waker().clone();
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
        // What came before the waker was there has woken nobody.
        let messages = self.messages.take(usize::MAX);
        if messages.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(messages)
        }
    }
}
