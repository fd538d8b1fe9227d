//! What the engine tells beside its answers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::cause::Cause;
use super::context::Trace;
use super::failure::Failure;
use super::instance::ConnectionState;
use super::question::{Operation, Resources};
use super::vote::Vote;

/// Something a listener may want to know. Nothing depends on anybody's listening.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An instance failed to carry out one command. Contention is not an event. Of one
    /// instance, a hundred are told in a second at most.
    ClientError {
        /// Which instance, by its index in the quorum.
        instance: usize,
        /// What it was asked to do.
        operation: Operation,
        /// What went wrong.
        cause: Cause,
        /// How many such events of this instance were left out since the one before.
        omitted: u64,
    },
    /// A watched lock is lost: from now on it must not be believed in.
    Lost {
        /// [`WatchRequest::number`](super::watchdog::WatchRequest::number).
        number: u64,
        /// Why: a [`Loss`](super::watchdog::Loss), and what the last extension got for
        /// an answer.
        failure: Failure,
    },
    /// A watched lock is about to be lost: an extension has failed, and less than a third of
    /// its ttl is left. Told once, until one succeeds.
    Endangered {
        /// [`WatchRequest::number`](super::watchdog::WatchRequest::number).
        number: u64,
        /// What is left of its validity.
        left: Duration,
        /// What the extension has failed with. It is tried again while there is time.
        failure: Failure,
    },
    /// All votes of one attempt are in, or have missed their deadline.
    Votes {
        /// [`Settings::reports_votes_as`](super::settings::Settings::reports_votes_as).
        number: u64,
        /// Which attempt of the request, from 1.
        attempt: u32,
        /// By instance.
        votes: Vec<Option<Vote>>,
    },
    /// A vote was cast, or has missed its deadline.
    Vote {
        /// That of [`Settings::trace`](super::settings::Settings::trace), if there is one.
        trace: Option<Arc<Trace>>,
        /// What was asked.
        operation: Operation,
        /// Of which resources.
        resources: Resources,
        /// By which attempt of the request, from 1.
        attempt: u32,
        /// Which instance, by its index in the quorum.
        instance: usize,
        /// What it says.
        vote: Vote,
        /// How long after it was asked.
        took: Duration,
        /// It had missed its deadline, which was told.
        is_late: bool,
    },
    /// The connection to an instance has changed.
    Connection {
        /// Which instance, by its index in the quorum.
        instance: usize,
        /// How it is now.
        state: ConnectionState,
    },
    /// Whether an instance tells of changes to its keys is another thing from now on.
    Wakeups {
        /// Which instance, by its index in the quorum.
        instance: usize,
        /// Why it doesn't; `None` where it does, or is expected to as soon as anybody waits.
        trouble: Option<Rc<str>>,
    },
    /// Two instances look like one server. Told once for each pair.
    LookAlikes {
        /// The first of the two.
        instance: usize,
        /// The other one.
        other: usize,
        /// Whether all of the quorum are that server by nature, which is then
        /// asked once and counts for all. Else each votes for itself.
        sole: bool,
    },
}
