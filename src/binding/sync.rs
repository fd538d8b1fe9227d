//! Where the hand-off takes its locks from; tests/handoff.rs brings loom's in their
//! place.

pub(super) use std::sync::{Mutex, MutexGuard};
