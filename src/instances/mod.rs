//! What can vote.

#![forbid(unsafe_code)]

pub mod bridge;
#[cfg(feature = "redis")]
pub mod client;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
