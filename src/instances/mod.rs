//! What can vote.

#![forbid(unsafe_code)]

#[cfg(feature = "redis")]
pub mod client;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
