//! Where the releases of one flush that go in one call have their place.

use std::hash::{Hash as _, Hasher};

use super::pending::ExpectedReply;
use crate::engine::Token;

/// Where the releases of one flush that go in one call have their place: where the first
/// of them was asked for. What is asked for after that one is behind all of them, so
/// that a release comes before the acquires that may wait for it.
///
/// A release must not come before its own acquire: one whose value something behind
/// may have goes by itself, behind that.
pub(super) struct Gathered {
    /// In the bytes that are to be written.
    pub(super) at: usize,
    /// How many commands are behind.
    pub(super) behind: usize,
    values_behind: Values,
}

impl Gathered {
    pub(super) fn at(at: usize) -> Self {
        Self {
            at,
            behind: 0,
            values_behind: Values::default(),
        }
    }

    /// Whether a value that something behind has may be this one.
    pub(super) fn may_be_behind(&self, value: &Token) -> bool {
        self.values_behind.may_have(value)
    }

    /// This comes behind.
    pub(super) fn put_behind(&mut self, command: &ExpectedReply) {
        self.behind += 1;
        if let ExpectedReply::Vote { question, .. } = command {
            self.values_behind.add(&question.value);
        }
    }
}

/// Which values some commands may have: all that they have, and few others.
struct Values([u64; Self::WORDS]);

impl Values {
    const WORDS: usize = 128;

    fn add(&mut self, value: &Token) {
        let (word, bit) = place(value);
        self.0[word] |= bit;
    }

    fn may_have(&self, value: &Token) -> bool {
        let (word, bit) = place(value);
        self.0[word] & bit != 0
    }
}

impl Default for Values {
    fn default() -> Self {
        Self([0; Self::WORDS])
    }
}

fn place(value: &Token) -> (usize, u64) {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hash);
    // Of the product, the upper bits depend on all.
    let mixed = hash.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (mixed >> 32) as usize % Values::WORDS;
    (word, 1 << (mixed >> 58))
}

/// FNV-1a: short, the same every time, and no more is needed where a value that is
/// taken for another only has its release go by itself.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    /// A value of ours, which is random already.
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0100_0000_01b3);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
