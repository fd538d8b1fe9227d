//! The caller's context, in which code of the caller's runs.

use std::fmt::Debug;
use std::panic::RefUnwindSafe;

/// The caller's context. An instance that runs code of the caller's for a question,
/// as a caller's Redis client is, runs it there: a client may lead each tenant to
/// keys of its own (rule 21). It goes with every question that a request brings about, however
/// late, and is dropped with the last of them; the engine doesn't look at it.
pub trait Context: Debug + Send + Sync + RefUnwindSafe {
    /// What its owner knows it by.
    fn number(&self) -> u32;
}

/// Whom the votes on a question are told to: a context, behind one pointer, since questions are
/// copied often.
#[derive(Debug)]
pub struct Trace(pub Box<dyn Context>);
