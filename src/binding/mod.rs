//! The hand-over to JavaScript: requests in, answers and events out.
//!
//! JavaScript hands over the requests of a tick in one call
//! (`Mailbox::submit`); the engine's thread answers into a queue and wakes
//! JavaScript once per batch, which then takes the answers in one call
//! (`Mailbox::drain`). docs/hand-over.md describes the rows.

// What needs no Node.js is public for the simulation, and for nobody else.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    reason = "no part of an interface"
)]

#[doc(hidden)]
pub mod abort;
#[doc(hidden)]
pub mod config;
#[cfg(feature = "napi")]
mod constants;
#[doc(hidden)]
pub mod context;
#[doc(hidden)]
pub mod crowd;
#[cfg(test)]
mod fuzz;
#[doc(hidden)]
pub mod handoff;
#[doc(hidden)]
pub mod inbox;
#[doc(hidden)]
pub mod layout;
#[cfg(feature = "napi")]
mod mailbox;
#[doc(hidden)]
pub mod outbox;
#[doc(hidden)]
pub mod reasons;
#[doc(hidden)]
pub mod record;
#[cfg(feature = "napi")]
mod runtime;
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod shared;

#[cfg(feature = "napi")]
pub use constants::{
    AnswerKinds, AnswerLayout, AppliedLayout, Constants, Deadlines, Defaults, Explanation, Flags,
    Operations, Reasons, RequestLayout, constants,
};
#[cfg(feature = "napi")]
pub use mailbox::{DefaultScripts, Mailbox, Opened, clock, default_scripts, raise, version};

/// Where the hand-off takes its locks from; its checker brings others.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard};
}
