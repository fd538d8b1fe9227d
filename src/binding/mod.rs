//! The hand-over to JavaScript: requests in, answers and events out.
//!
//! JavaScript hands over the requests of a tick in one call
//! (`Mailbox::submit`); the engine's thread answers into a queue and wakes
//! JavaScript once per batch, which then takes the answers in one call
//! (`Mailbox::drain`). docs/hand-over.md describes the rows.
//!
//! On a JavaScript thread:
//!
//! - `mailbox` is the class that JavaScript sees, `addon` and `constants` are what
//!   else it finds; `wake_up` calls it, [`kept_locks`] are the locks it can ask for.
//! - `engine_thread` starts the engine's thread and ends it; `driver` has the engine run
//!   there, or on the JavaScript thread, which `node_loop` calls then.
//!
//! Between the threads:
//!
//! - [`inbox`] brings [`command`]s, [`outbox`] brings responses; each is a
//!   [`handoff`], a queue whose reader is woken once per batch.
//! - [`layout`] says where each number of a row is; [`decode`] reads requests,
//!   [`encode`] writes responses, [`client_rows`] what callers' clients are asked,
//!   [`describe`] has what is told in words.
//! - [`ids`], [`numbers`], [`reasons`] and [`config`] are what they are made of.
//!
//! On the engine's thread:
//!
//! - [`serve`] takes the messages; a [`session`] is one mailbox's other end.
//! - [`quorums`] are its engines, [`requests`] what these are asked, [`responses`]
//!   collects what that comes to.
//! - [`context`] and [`shared`] are what they use.

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
#[cfg(feature = "napi")]
mod addon;
#[doc(hidden)]
pub mod client_rows;
#[doc(hidden)]
pub mod command;
#[doc(hidden)]
pub mod config;
#[cfg(feature = "napi")]
mod constants;
#[doc(hidden)]
pub mod context;
#[doc(hidden)]
pub mod decode;
#[doc(hidden)]
pub mod describe;
#[cfg(any(feature = "napi", test))]
#[cfg_attr(
    not(all(feature = "napi", target_os = "linux")),
    allow(
        dead_code,
        reason = "only a `node_loop` has JavaScript take the engine"
    )
)]
mod driver;
#[doc(hidden)]
pub mod encode;
#[cfg(feature = "napi")]
mod engine_thread;
#[cfg(test)]
mod fuzz;
#[doc(hidden)]
pub mod handoff;
#[doc(hidden)]
pub mod ids;
#[doc(hidden)]
pub mod inbox;
#[doc(hidden)]
pub mod kept_locks;
#[doc(hidden)]
pub mod layout;
#[doc(hidden)]
#[cfg(feature = "napi")]
mod mailbox;
#[cfg(feature = "napi")]
#[cfg_attr(not(target_os = "linux"), path = "no_node_loop.rs")]
mod node_loop;
#[doc(hidden)]
pub mod numbers;
#[doc(hidden)]
pub mod outbox;
#[doc(hidden)]
pub mod quorums;
#[doc(hidden)]
pub mod reasons;
#[doc(hidden)]
pub mod requests;
#[doc(hidden)]
pub mod responses;
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod shared;
mod sync;
#[cfg(feature = "napi")]
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "only a `node_loop` calls from the event loop")
)]
mod wake_up;

#[cfg(feature = "napi")]
pub use addon::{DefaultScripts, clock, default_scripts, raise, version};
#[cfg(feature = "napi")]
pub use constants::{
    AnswerKinds, AnswerLayout, AppliedLayout, Constants, Deadlines, Defaults, Explanation, Flags,
    Operations, QuestionLayout, Reasons, RequestLayout, constants,
};
#[cfg(feature = "napi")]
pub use mailbox::{Mailbox, Opened};
