//! What can vote.

#![forbid(unsafe_code)]

pub mod bridge;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
