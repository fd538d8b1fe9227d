//! How long an instance's answers take, as it is measured.
//!
//! Source: TCP's retransmission timer, RFC 6298, section 2: a smoothed round trip
//! and how much it varies.

use std::time::Duration;

use super::validity::{Instant, saturating_nanos};

/// What the answers so far say of how long the next one may take. In nanoseconds, which are
/// quicker to reckon with: each instance is looked at for each round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip {
    /// The smoothed round trip.
    pub(super) smoothed: u64,
    /// How far from it the answers were, smoothed too.
    pub(super) variation: u64,
}

impl RoundTrip {
    /// A smoothed round trip, and how far from it the answers were.
    #[must_use]
    pub const fn new(smoothed: Duration, variation: Duration) -> Self {
        Self {
            smoothed: saturating_nanos(smoothed),
            variation: saturating_nanos(variation),
        }
    }

    /// What is known after the first answer.
    fn first(sample: u64) -> Self {
        Self {
            smoothed: sample,
            variation: sample / 2,
        }
    }

    /// What is known after one more.
    fn after(self, sample: u64) -> Self {
        let off = self.smoothed.abs_diff(sample);
        Self {
            smoothed: self.smoothed.saturating_mul(7) / 8 + sample / 8,
            variation: self.variation.saturating_mul(3) / 4 + off / 4,
        }
    }

    /// The smoothed round trip.
    #[must_use]
    pub const fn smoothed(self) -> Duration {
        Duration::from_nanos(self.smoothed)
    }

    /// How far from it the answers were, smoothed too.
    #[must_use]
    pub const fn variation(self) -> Duration {
        Duration::from_nanos(self.variation)
    }

    /// The same where so many round trips are to be made: to connect, to log in.
    #[must_use]
    pub fn times(self, trips: u32) -> Self {
        Self {
            smoothed: self.smoothed.saturating_mul(trips.into()),
            variation: self.variation.saturating_mul(trips.into()),
        }
    }

    /// How long an answer may take that is not out of the ordinary.
    #[must_use]
    pub const fn at_most(self) -> Duration {
        let varying = self.variation.saturating_mul(4);
        Duration::from_nanos(self.smoothed.saturating_add(varying))
    }

    /// The longer one of two, for what may go by either.
    #[must_use]
    pub fn or_longer(self, other: Self) -> Self {
        Self {
            smoothed: self.smoothed.max(other.smoothed),
            variation: self.variation.max(other.variation),
        }
    }
}

/// Measures one instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    known: Option<RoundTrip>,
    /// The shortest: how far away it is, whatever waits before it.
    least: Option<Duration>,
    /// When the last answer came that was measured, and when it was asked for.
    last: Instant,
    last_asked: Option<Instant>,
}

impl Meter {
    /// Whether the answer to what was asked at `asked` says something new. Of those
    /// that were on their way together one does: a pause that hits a hundred of
    /// them is one.
    #[must_use]
    pub fn wants(&self, asked: Instant) -> bool {
        asked >= self.last && self.last_asked != Some(asked)
    }

    /// An answer, however late, to what was asked at `asked`.
    pub fn measure(&mut self, asked: Instant, now: Instant) {
        if !self.wants(asked) {
            return;
        }
        self.last = now;
        self.last_asked = Some(asked);
        let sample = now.since(asked);
        self.least = Some(self.least.map_or(sample, |least| least.min(sample)));
        let sample = saturating_nanos(sample);
        self.known = Some(match self.known {
            Some(known) => known.after(sample),
            None => RoundTrip::first(sample),
        });
    }

    /// How many times as many questions may be on their way as keep the instance busy
    /// for `span`: those to a far one are for the most part in the network.
    #[must_use]
    pub fn windows(&self, span: Duration) -> usize {
        let least = self.least.unwrap_or_default();
        if least < span {
            return 1;
        }
        let times = least.as_nanos() / span.as_nanos().max(1);
        usize::try_from(1 + times).unwrap_or(usize::MAX)
    }

    /// What is known by now; `None` before the first answer.
    #[must_use]
    pub const fn known(&self) -> Option<RoundTrip> {
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Of answers that took so long, one after the other.
    fn measured(samples: &[u64]) -> RoundTrip {
        let mut meter = Meter::default();
        let mut now = Instant::from_nanos(1);
        for sample in samples {
            let asked = now;
            now = now.after(ms(*sample));
            meter.measure(asked, now);
        }
        meter.known().expect("at least one sample")
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        assert_eq!(Meter::default().known(), None);
    }

    #[test]
    fn the_first_answer_varies_by_half_of_itself() {
        let first = measured(&[200]);
        assert_eq!(first, RoundTrip::new(ms(200), ms(100)));
    }

    #[test]
    fn steady_answers_vary_less_and_less() {
        let steady = measured(&[200; 20]);
        assert_eq!(steady.smoothed().as_millis(), 200);
        assert!(steady.variation() < ms(2), "{steady:?}");
    }

    #[test]
    fn more_may_be_on_their_way_to_who_is_far_away_but_not_to_who_is_slow() {
        let at = |millis| Instant::from_nanos(1).after(ms(millis));
        let mut meter = Meter::default();
        assert_eq!(meter.windows(ms(20)), 1);
        meter.measure(at(0), at(90));
        assert_eq!(meter.windows(ms(20)), 5);
        meter.measure(at(100), at(9000));
        assert_eq!(meter.windows(ms(20)), 5);
        meter.measure(at(9000), at(9001));
        assert_eq!(meter.windows(ms(20)), 1);
    }

    #[test]
    fn a_pause_that_hits_many_answers_is_measured_once() {
        let mut meter = Meter::default();
        let at = |millis| Instant::from_nanos(1).after(ms(millis));
        meter.measure(at(0), at(10));
        let before = meter.known().expect("measured");
        for _ in 0..100 {
            meter.measure(at(20), at(2020));
        }
        let after = meter.known().expect("measured");
        assert_eq!(after, before.after(saturating_nanos(ms(2000))));
    }
}
