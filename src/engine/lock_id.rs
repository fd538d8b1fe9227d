//! What tells one lock from another: its value and what it is on. A value of the
//! caller's own may stand on several resources at once.

use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::question::Resources;
use super::token::Token;

/// A lock of one quorum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LockId {
    value: Token,
    /// In order, however they were given.
    resources: Resources,
}

impl LockId {
    pub(super) fn new(value: &Token, resources: &Resources) -> Self {
        let resources = if resources.is_sorted() {
            Arc::clone(resources)
        } else {
            let mut sorted = resources.to_vec();
            sorted.sort_unstable();
            sorted.into()
        };
        Self {
            value: value.clone(),
            resources,
        }
    }

    pub(super) fn value(&self) -> &Token {
        &self.value
    }
}

impl Hash for LockId {
    /// Values are different from each other but for callers' own.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// Hashes locks by their values.
pub(super) type LockIdHasher = BuildHasherDefault<ValueHasher>;

/// For values, each of which is written at once.
#[derive(Default)]
pub(super) struct ValueHasher(u64);

impl Hasher for ValueHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        self.0 = hasher.finish();
    }

    /// A part of a value of ours, which is random already.
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
