//! What JavaScript threads hand to the engine's thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::config::Config;
use super::handoff::Handoff;
use super::outbox::{Locked, Outbox};
use super::record::Batch;
use crate::engine::{Hold, Resources, Scripts, Token, Watch};
use crate::instances::bridge::Ticket;
use crate::instances::redis;

/// The messages on their way to the engine's thread, which sleeps in
/// [`Inbox::poll_take`].
pub struct Inbox {
    messages: Handoff<Message>,
    reader: Arc<Mutex<Option<Waker>>>,
}

/// A message to the engine's thread.
pub enum Message {
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
pub enum Errand {
    /// An engine under this handle.
    Open(Handle, Config),
    /// No engine under this handle any more.
    Close(Handle),
    /// A set of scripts that requests may name by this number, from 1.
    Learn(u32, Arc<Scripts>),
    /// No request names it any more.
    Forget(u32),
    /// The details of the caller's client at a place are others now.
    Amend(Handle, u32, Amendment),
    /// For how many keys callers' clients have carried scripts out, as rows.
    Applied(Vec<f64>),
    CameRound(Handle, u32),
    /// What else the caller's client at a place came back with.
    Answer(Handle, u32, Ticket, ClientAnswer),
    /// The request of this slot is no longer wanted.
    Cancel(u32),
    /// A lock to be kept, with a set of scripts.
    Keep(Handle, u32, Box<Hold>, Watch),
    /// This lock is kept no longer.
    LetGo(Handle, Resources, Token, u32),
    /// Requests to be carried out.
    Carry(Batch),
    /// In so many milliseconds JavaScript is to be told, under this number.
    Wait(u32, Duration),
    /// A lock to be released that came too late to be handed over.
    TakeBack(Box<Locked>),
}

/// What a caller's client came back with.
pub enum ClientAnswer {
    /// An answer of a kind that no script gives.
    Unexpected(String),
    /// An error of the client's: its number, the server's first word if it is
    /// the server's, and its text.
    Failed(u32, Option<String>, String),
    /// What a key has, and for how many milliseconds.
    Seen(Option<String>, Option<f64>),
}

/// What our own connection beside a caller's client is to be.
pub struct Amendment {
    /// Where to, if there is to be one.
    pub server: Option<Box<redis::Config>>,
    /// Whether the one there was is good for the locks taken with it.
    pub keep: bool,
}

/// An environment's number in this process.
pub type SessionId = u32;

/// An engine's number in its environment.
pub type Handle = u32;

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
