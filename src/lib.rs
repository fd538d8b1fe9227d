//! A distributed lock over a quorum of Redis or Valkey instances, for Node.js.
//!
//! The crate has three storeys and imports go down only:
//!
//! - [`binding`] (feature `hand-over`, the whole with `napi`) is the hand-over to JavaScript: requests in,
//!   answers and events out, one thread for the whole process.
//! - [`instances`] are what can vote: a Redis server behind a connection of our
//!   own (feature `redis`), or a table in this process.
//! - [`engine`] is the algorithm: rounds, quorum, validity, retries. It knows
//!   neither Redis nor Node.js and takes time and chance from a trait.
//!
//! A lock request comes in at [`binding`], becomes a call of
//! [`engine::Engine::acquire`], goes out as one question to every
//! [`engine::Instance`], and its answer goes the same way back.

#![warn(clippy::pedantic)]
#![warn(missing_docs)]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(feature = "hand-over")]
pub mod binding;
pub mod engine;
pub mod instances;
