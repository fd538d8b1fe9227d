//! Whose request something is asked for.

use std::fmt::Debug;
use std::panic::RefUnwindSafe;

/// The caller's context. Who runs code of the caller's for a question (his Redis
/// client's, say) runs it there: a client may lead each tenant to keys of his own
/// (rule 21). It goes with every question that a request brings about, however
/// late, and is dropped with the last of them; the engine doesn't look at it.
pub trait Context: Debug + Send + Sync + RefUnwindSafe {
    /// What its owner knows it by.
    fn number(&self) -> u32;
}
