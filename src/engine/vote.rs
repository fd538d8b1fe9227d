//! What an instance answers with: a vote, and the right to cast it.

use std::rc::Rc;

use super::cause::Cause;

/// What one instance says.
#[derive(Clone, Debug)]
pub enum Vote {
    /// Done, for every key.
    Granted,
    /// Not done: a key is somebody else's, or (extend, release) gone.
    Held {
        /// For how many keys it was done (release) or could have been.
        applied: u32,
    },
    /// Acquire with a ticket only: not done, since the key is somebody else's or another
    /// waiter is before it.
    Waiting {
        /// The ticket of whoever is right before it; `None` if nobody is.
        behind: Option<Rc<str>>,
    },
    /// Inspect only: what the key has.
    Inspected {
        /// Its value; `None` if there is no such key.
        value: Option<Rc<str>>,
        /// How long it lives on, in milliseconds; `None` if for ever, or if it
        /// isn't there.
        ttl: Option<u64>,
    },
    /// No answer, or an error for an answer.
    Failed(Cause),
}

impl Vote {
    /// Whether the instance has said it, and not somebody in its place.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::Failed(cause) => cause.is_answer(),
            _ => true,
        }
    }
}

/// Where votes are cast.
pub trait VoteSink {
    /// Takes the vote of the instance numbered `index`.
    fn cast(self: Rc<Self>, index: usize, vote: Vote);

    /// Whether that vote would still count.
    fn is_awaited(&self, index: usize) -> bool {
        let _ = index;
        true
    }

    /// The caller's thread, which was busy, puts the question to that instance only
    /// now: the time before counts neither against its deadline nor as its round trip.
    fn begin(self: Rc<Self>, index: usize) {
        let _ = index;
    }

    /// The question will be put to that instance by the caller's thread, which then
    /// says so by [`VoteSink::begin`].
    fn postpone(&self, index: usize) {
        let _ = index;
    }
}

/// The right to cast one vote. Dropped unused, it votes
/// [`Cause::Dropped`], so that no round waits for nothing.
pub struct Responder {
    sink: Option<Rc<dyn VoteSink>>,
    index: usize,
}

impl Responder {
    /// The right to vote once into `sink` as the instance numbered `index`.
    #[must_use]
    pub fn new(sink: Rc<dyn VoteSink>, index: usize) -> Self {
        Self {
            sink: Some(sink),
            index,
        }
    }

    /// Casts the vote.
    pub fn vote(mut self, vote: Vote) {
        if let Some(sink) = self.sink.take() {
            sink.cast(self.index, vote);
        }
    }

    /// Whether the vote would still count.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let sink = self.sink.as_ref();
        sink.is_some_and(|sink| sink.is_awaited(self.index))
    }

    /// The question waits for the caller's thread from now on; its deadline begins
    /// with [`Responder::begin`].
    pub fn postpone(&self) {
        if let Some(sink) = &self.sink {
            sink.postpone(self.index);
        }
    }

    /// The caller's thread has put the question.
    pub fn begin(&self) {
        if let Some(sink) = &self.sink {
            Rc::clone(sink).begin(self.index);
        }
    }

    /// Casts a failed vote.
    pub fn fail(self, cause: Cause) {
        self.vote(Vote::Failed(cause));
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.cast(self.index, Vote::Failed(Cause::Dropped));
        }
    }
}
