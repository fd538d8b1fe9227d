//! How often something took how much, in buckets whose bounds lie a seventh to a quarter
//! apart, and in memory that never grows.
//!
//! The bounds are 1, 2, 3 and 4 units, then 5, 6, 7 and 8, and those four doubled again and
//! again: each power of two is divided by four. They are round decimals where the unit
//! is, and finding a bucket takes one look at a number's leading bit.

use std::cell::Cell;

/// So many bounds divide each power of two.
const PARTS: u64 = 4;

/// So many are found by the leading bit.
const BITS: u32 = PARTS.trailing_zeros();

/// A histogram with so many bounds; what is beyond the last is counted as well.
#[derive(Clone, Debug)]
pub(super) struct Histogram<const BOUNDS: usize> {
    counts: [Cell<u64>; BOUNDS],
    beyond: Cell<u64>,
    sum: Cell<u64>,
}

/// A histogram as it was when it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many there were in each bucket, up to the last that has any. What is beyond all
    /// bounds has a bucket behind the last.
    pub counts: Vec<u64>,
    /// All of them together, in units of what was added.
    pub sum: u64,
}

impl<const BOUNDS: usize> Default for Histogram<BOUNDS> {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| Cell::default()),
            beyond: Cell::default(),
            sum: Cell::default(),
        }
    }
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// Counts what took so many units, begun ones included, which is `exactly` so much.
    pub(super) fn add(&self, units: u64, exactly: u64) {
        let count = self.counts.get(bucket(units)).unwrap_or(&self.beyond);
        count.set(count.get() + 1);
        self.sum.set(self.sum.get().saturating_add(exactly));
    }

    pub(super) fn look(&self) -> Distribution {
        let counts = self.counts.iter().chain([&self.beyond]).map(Cell::get);
        let mut counts: Vec<_> = counts.collect();
        while counts.last() == Some(&0) {
            counts.pop();
        }
        Distribution {
            counts,
            sum: self.sum.get(),
        }
    }
}

/// The first so many bounds, in units.
pub(super) fn bounds(number: usize) -> impl Iterator<Item = u64> {
    let first = 1..=PARTS;
    let doubled =
        (0..).flat_map(|doublings| (1..=PARTS).map(move |part| (PARTS + part) << doublings));
    first.chain(doubled).take(number)
}

/// Which bucket has this number of units: the first whose bound is not below it.
#[inline]
fn bucket(units: u64) -> usize {
    let below = units.saturating_sub(1);
    let Some(doublings) = below.checked_ilog2().and_then(|bit| bit.checked_sub(BITS)) else {
        // One of the first: this is less than PARTS.
        return usize::try_from(below).unwrap_or(usize::MAX);
    };
    // From PARTS on, and less than twice that.
    let part = below >> doublings;
    let at = u64::from(doublings) * PARTS + part;
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_divide_each_power_of_two_by_four() {
        let bounds: Vec<_> = bounds(14).collect();
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24];
        assert_eq!(bounds, expected);
    }

    #[test]
    fn a_bucket_has_what_is_above_the_bound_before_it_up_to_its_own() {
        let bounds: Vec<_> = bounds(60).collect();
        let mut from = 0;
        for (at, bound) in bounds.into_iter().enumerate() {
            for units in [from + 1, bound] {
                assert_eq!(bucket(units), at, "{units}");
            }
            from = bound;
        }
        assert_eq!(bucket(0), 0);
        assert!(bucket(u64::MAX) > 60);
    }

    #[test]
    fn what_is_beyond_all_bounds_is_counted_and_a_sum_does_not_begin_anew() {
        let histogram = Histogram::<4>::default();
        assert_eq!(histogram.look(), Distribution::default());
        histogram.add(2, 15);
        assert_eq!(histogram.look().counts, [0, 1]);
        histogram.add(5, 41);
        let seen = histogram.look();
        assert_eq!((&*seen.counts, seen.sum), (&[0, 1, 0, 0, 1][..], 56));
        histogram.add(u64::MAX, u64::MAX);
        assert_eq!(histogram.look().sum, u64::MAX);
    }
}
