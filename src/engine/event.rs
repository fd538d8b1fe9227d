//! What the engine tells beside its answers.

use super::error::Cause;
use super::instance::Operation;

/// Something a listener may want to know. Nothing depends on its being heard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An instance failed to carry out one command. Contention is not an event.
    ClientError {
        /// Which instance, by its place in the quorum.
        instance: usize,
        /// What it was asked to do.
        operation: Operation,
        /// What went wrong.
        cause: Cause,
    },
}
