//! All time arithmetic of a lock: how long it is asked for, how much of that
//! can be believed, and until when.
//!
//! Source: the Redlock algorithm's step 4 and its section on clock drift,
//! <https://redis.io/docs/latest/develop/use/patterns/distributed-locks/>.

use std::time::Duration;

use thiserror::Error;

use super::safety_rule::SafetyRule;

/// A point on the engine's clock: monotonic, counting the time the machine was
/// suspended, in nanoseconds since an origin that means nothing by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin: before everything.
    pub const ORIGIN: Self = Self(0);
    /// After everything.
    pub const LAST: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The point `span` later; the last one there is where that would overflow
    /// (584 years after the origin).
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(span)))
    }

    pub(super) const fn after_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The point `span` earlier; the origin where that would be before it.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(span)))
    }

    /// The time from `earlier` to here; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The same, in nanoseconds.
    pub(super) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// So many are a millisecond.
const NANOS: u64 = 1_000_000;

/// As many as there are; the most there can be where they are more.
pub(super) const fn saturating_nanos(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(span.subsec_nanos() as u64)
}

/// How long a lock is asked for: whole milliseconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

/// A ttl that no lock can be taken for.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TtlError {
    /// Zero, negative, a fraction, or not a number at all.
    #[error("a ttl must be a positive whole number of milliseconds, not {given}")]
    NotWhole {
        /// What was asked for.
        given: f64,
    },
    /// Nothing of it would be left after the allowance for clock drift.
    #[error(
        "a ttl of {ttl} ms leaves no time to hold the lock: {drift} ms of it are the allowance for clock drift"
    )]
    NoValidity {
        /// What was asked for, in milliseconds.
        ttl: u64,
        /// The allowance, in milliseconds.
        drift: u64,
    },
}

impl Ttl {
    /// The longest ttl there is: as many milliseconds as a JavaScript number
    /// counts exactly.
    pub const MAX: Self = Self(1 << 53);

    /// A ttl of `millis` milliseconds under an allowance of `drift`.
    ///
    /// # Errors
    ///
    /// [`TtlError::NotWhole`] unless `millis` is a whole number from 1 to
    /// [`Ttl::MAX`]; [`TtlError::NoValidity`] where less than 1 ms of it could
    /// be believed.
    pub fn new(millis: f64, drift: Drift) -> Result<Self, TtlError> {
        #[expect(clippy::cast_precision_loss, reason = "MAX is 2^53, exact as f64")]
        let longest = Self::MAX.0 as f64;
        if !(millis.fract() == 0.0 && (1.0..=longest).contains(&millis)) {
            return Err(TtlError::NotWhole { given: millis });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 1 and 2^53, by the line above"
        )]
        let ttl = Self(millis as u64);
        let drift = ttl.drift_millis(drift);
        if ttl.0 < drift.saturating_add(1) {
            return Err(TtlError::NoValidity { ttl: ttl.0, drift });
        }
        Ok(ttl)
    }

    /// The same ttl, or, if more of that than `room` could be believed, the
    /// longest of which not more can; `None` where that is nothing.
    #[must_use]
    pub fn at_most(self, room: Duration, drift: Drift) -> Option<Self> {
        let fits = |millis| Self(millis).believable(drift) <= room;
        let (mut fitting, mut beyond) = (0, self.0 + 1);
        if fits(self.0) {
            fitting = self.0;
        }
        // What can be believed grows with the ttl.
        while beyond - fitting > 1 {
            let middle = fitting + (beyond - fitting) / 2;
            if fits(middle) {
                fitting = middle;
            } else {
                beyond = middle;
            }
        }
        let ttl = Self(fitting);
        (!ttl.believable(drift).is_zero()).then_some(ttl)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// In nanoseconds; as many as there are where they are more.
    pub(super) const fn nanos(self) -> u64 {
        self.0.saturating_mul(NANOS)
    }

    /// As a span of time.
    #[must_use]
    pub const fn span(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// How much of the ttl can be believed: ttl − drift.
    #[must_use]
    pub fn believable(self, drift: Drift) -> Duration {
        Duration::from_millis(self.believable_millis(drift))
    }

    fn believable_millis(self, drift: Drift) -> u64 {
        self.0.saturating_sub(self.drift_millis(drift))
    }

    /// round(factor · ttl) + 2: the share the servers' clocks may run apart,
    /// 1 ms because Redis expires by the millisecond, and 1 ms to spare.
    fn drift_millis(self, drift: Drift) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a ttl is below 2^53, a factor is finite and not negative, and `as` saturates"
        )]
        let share = (drift.0 * self.0 as f64).round() as u64;
        share.saturating_add(2)
    }
}

/// The share of a ttl by which clocks may run apart, from 0 (none) upwards, unless
/// the caller says otherwise: one percent, as in the algorithm's reference
/// implementation.
pub const DEFAULT_DRIFT_FACTOR: f64 = 0.01;

/// The share of a ttl by which clocks may run apart: finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Drift(f64);

impl Drift {
    /// `None` unless `factor` is finite and not negative.
    #[must_use]
    pub fn new(factor: f64) -> Option<Self> {
        (factor.is_finite() && factor >= 0.0).then_some(Self(factor))
    }
}

impl Default for Drift {
    /// [`DEFAULT_DRIFT_FACTOR`].
    fn default() -> Self {
        Self(DEFAULT_DRIFT_FACTOR)
    }
}

/// The time in which a holder may believe in its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When the first request for it was about to be sent: no instance can have
    /// set the key earlier.
    pub since: Instant,
    /// The moment from which the lock may belong to somebody else.
    pub until: Instant,
}

impl Validity {
    /// The validity of a lock whose requests went out at `since`:
    /// until = since + ttl − drift.
    #[must_use]
    pub fn starting(since: Instant, ttl: Ttl, drift: Drift) -> Self {
        Self {
            since,
            until: since.after_nanos(ttl.believable_millis(drift).saturating_mul(NANOS)),
        }
    }

    /// What is left of it at `now`: zero once it is over.
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        self.until.since(now)
    }

    /// Whether there is time left at `now`, so that a grant counts (rule 3).
    pub(super) fn is_believable(self, now: Instant) -> bool {
        !SafetyRule::Validity.is_kept() || self.holds(now)
    }

    /// Whether a holder may still act on it at `now`.
    #[must_use]
    pub fn holds(self, now: Instant) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drift_is_one_percent_rounded_plus_two_milliseconds() {
        let believable = |ttl| Ttl(ttl).believable(Drift::default()).as_millis();
        assert_eq!(believable(1000), 988);
        assert_eq!(believable(149), 146);
        assert_eq!(believable(150), 146);
        assert_eq!(believable(2), 0);
    }

    #[test]
    fn a_ttl_must_be_a_whole_positive_number() {
        for given in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY, 1e300] {
            let refused = Ttl::new(given, Drift::default());
            assert!(
                matches!(refused, Err(TtlError::NotWhole { .. })),
                "{given}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_ttl_that_is_all_drift_is_refused() {
        for given in [1.0, 2.0] {
            let refused = Ttl::new(given, Drift::default());
            assert!(matches!(refused, Err(TtlError::NoValidity { .. })));
        }
        assert_eq!(Ttl::new(3.0, Drift::default()), Ok(Ttl(3)));
        assert!(Ttl::new(1000.0, Drift(1.0)).is_err());
    }

    #[test]
    fn a_far_deadline_saturates_instead_of_wrapping() {
        let validity = Validity::starting(Instant(u64::MAX - 5), Ttl::MAX, Drift::default());
        assert_eq!(validity.until, Instant(u64::MAX));
        assert!(validity.holds(Instant(u64::MAX - 1)));
    }
}
