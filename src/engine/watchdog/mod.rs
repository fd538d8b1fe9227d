//! Watched locks: extended for as long as their holder wants it, and reported
//! lost at the moment they can no longer be believed in, not when that is next asked
//! for.
//!
//! Sources: the algorithm's section on making it reliable by extending the lock,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>, and
//! safety rules 9, 10 and 11.

mod early_loss;
pub(super) mod keep_or_lose;
mod request;
mod shared_validity;
#[cfg(test)]
mod tests;
mod watched_keys;
pub(super) mod watched_lock;

pub use request::{Renewal, WatchRequest};
pub use shared_validity::{Loss, SharedValidity};
