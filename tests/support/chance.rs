//! All randomness of a run, from its seed.

use std::cell::Cell;
use std::time::Duration;

/// `SplitMix64`: our own, so that a seed means the same run for ever, whatever
/// a dependency's next version does.
pub struct Chance(Cell<u64>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        let chance = Self(Cell::new(seed));
        // Neighbouring seeds start far apart.
        chance.0.set(chance.next());
        chance
    }

    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `limit`, without it; 0 if there is nothing below it.
    pub fn below(&self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// An index into something with `len` elements.
    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    pub fn percent(&self, share: u64) -> bool {
        self.below(100) < share
    }

    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A span of up to `longest`.
    pub fn span(&self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }

    pub fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
