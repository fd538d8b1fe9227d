//! What can vote.

#![forbid(unsafe_code)]

#[cfg(feature = "redis")]
mod acquire_queue;
#[cfg(feature = "redis")]
pub mod client;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
