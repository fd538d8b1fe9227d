//! After a failed attempt: how long to wait for the next, or that there is none.
//! Where JavaScript makes the attempts, `lib/retry.js` says the same.

use std::time::Duration;

/// How many attempts follow the first, unless the caller says otherwise.
pub const DEFAULT_RETRY_COUNT: u32 = 10;

/// The wait between two attempts, in milliseconds, unless the caller says otherwise.
pub const DEFAULT_RETRY_DELAY: f64 = 200.0;

/// By how much that wait is changed at random, either way, in milliseconds, unless
/// the caller says otherwise.
pub const DEFAULT_RETRY_JITTER: f64 = 100.0;

/// How often to try again, and after how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts after the first; `None` is without end.
    pub count: Option<u32>,
    /// The wait between two attempts, in milliseconds.
    pub delay: f64,
    /// The wait is changed at random by up to this much either way, in
    /// milliseconds, so that contenders who collided don't collide again.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            count: Some(DEFAULT_RETRY_COUNT),
            delay: DEFAULT_RETRY_DELAY,
            jitter: DEFAULT_RETRY_JITTER,
        }
    }
}

impl Retry {
    /// The shortest wait: unlimited retries without a delay would otherwise
    /// spin against instances that fail at once.
    pub const SHORTEST: Duration = Duration::from_millis(1);

    /// One attempt, no retry.
    #[must_use]
    pub fn never() -> Self {
        Self {
            count: Some(0),
            ..Self::default()
        }
    }

    /// The wait after the `attempt`-th attempt (the first is 1) has failed, or
    /// `None` if it was the last. `chance` is from 0 to 1.
    ///
    /// delay + ⌊(2 · chance − 1) · jitter⌋, and never below
    /// [`Retry::SHORTEST`].
    #[must_use]
    pub fn after(&self, attempt: u32, chance: f64) -> Option<Duration> {
        if self.count.is_some_and(|count| attempt > count) {
            return None;
        }
        Some(self.wait(chance))
    }

    /// The wait between two attempts, as [`Retry::after`] has it.
    pub(super) fn wait(&self, chance: f64) -> Duration {
        let shift = ((chance * 2.0 - 1.0) * self.jitter).floor();
        let millis = (self.delay + shift).max(0.0);
        let wait = Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(Duration::MAX);
        wait.max(Self::SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_attempt_more_than_retries() {
        let retry = Retry {
            count: Some(2),
            ..Retry::default()
        };
        assert!(retry.after(2, 0.5).is_some());
        assert!(retry.after(3, 0.5).is_none());
        assert!(Retry::never().after(1, 0.5).is_none());
    }

    #[test]
    fn unlimited_retries_never_end() {
        let retry = Retry {
            count: None,
            ..Retry::default()
        };
        assert!(retry.after(u32::MAX, 0.0).is_some());
    }

    #[test]
    fn the_jitter_goes_both_ways_and_the_wait_is_never_negative() {
        let retry = Retry::default();
        assert_eq!(retry.after(1, 0.0), Some(Duration::from_millis(100)));
        assert_eq!(retry.after(1, 0.5), Some(Duration::from_millis(200)));
        assert_eq!(retry.after(1, 0.999), Some(Duration::from_millis(299)));
        let wild = Retry {
            delay: 10.0,
            jitter: 100.0,
            ..retry
        };
        assert_eq!(wild.after(1, 0.0), Some(Retry::SHORTEST));
    }

    #[test]
    fn a_delay_that_is_no_number_waits_the_shortest_time() {
        let retry = Retry {
            delay: f64::NAN,
            ..Retry::default()
        };
        assert_eq!(retry.after(1, 0.5), Some(Retry::SHORTEST));
    }
}
