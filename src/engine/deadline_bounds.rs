//! Until when an instance's vote is waited for.
//!
//! A deadline is there so that a minority delays nobody. The algorithm asks for a
//! time "small compared to the lock's ttl"; a far server must not be shut out by
//! that, so no deadline is below what the instance was measured to take.

use std::time::Duration;

use super::round_trip::RoundTrip;
use super::validity::{Instant, Ttl, saturating_nanos};

/// How long one instance may take for its vote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadlineBounds {
    /// Never less than this for an acquire or an extension, nor than a measured
    /// round trip and this on top of it.
    pub floor: Duration,
    /// Never more than this, unless the instance was measured to take longer; and
    /// what a release or an inspection may take, which have no ttl.
    pub ceiling: Duration,
}

impl Default for DeadlineBounds {
    fn default() -> Self {
        Self {
            floor: Duration::from_millis(100),
            ceiling: Duration::from_secs(1),
        }
    }
}

impl DeadlineBounds {
    /// How long an acquire or an extension may take at an instance that was not
    /// measured to need more.
    #[must_use]
    pub fn usual(&self, ttl: Ttl) -> Duration {
        let (floor, ceiling) = self.nanos();
        Duration::from_nanos(share(ttl).min(ceiling).max(floor))
    }

    const fn nanos(&self) -> (u64, u64) {
        (saturating_nanos(self.floor), saturating_nanos(self.ceiling))
    }
}

/// A tenth of the ttl, which is the algorithm's "small compared to the ttl", in nanoseconds.
fn share(ttl: Ttl) -> u64 {
    ttl.nanos() / 10
}

/// So many round trips as they were measured may an answer take beyond the
/// ceiling.
const TRIPS: u64 = 4;

/// So many times the ceiling may an instance take of which nothing is measured, if
/// nobody else can make the majority: it is being dialled, or its client is.
const CEILINGS: u64 = 5;

/// For how long a failed attempt waits for its clean-up at most.
pub(super) const LONGEST_CLEANUP: Duration = Duration::from_secs(1);

/// How long JavaScript may take to put a release or an inspection to the caller's
/// own client. Acquires and extensions end with the validity.
const LONGEST_HAND_OVER: Duration = Duration::from_secs(60);

/// Until when the votes of one round are waited for. In nanoseconds, which are quicker to
/// reckon with: each instance is looked at for each round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    floor: u64,
    ceiling: u64,
    /// How long each may take at least, and the option that says so.
    span: u64,
    option: Longer,
    /// What comes after it is worth nothing.
    last: Instant,
    /// Whether this is the first that a lock asks.
    is_first: bool,
}

/// Until when one instance's vote is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// From when on it counts: when it was asked, or its client was.
    pub(super) since: Instant,
    /// Until then, whoever else has answered.
    pub(super) due: Instant,
    /// Until then if no majority has answered.
    pub(super) at_most: Instant,
    /// The option that one would raise.
    pub(super) option: Longer,
}

/// What one would raise for a vote to be waited for longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Longer {
    #[default]
    Ceiling,
    Floor,
    Ttl,
}

impl Longer {
    /// The option's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ceiling => "deadlineCeiling",
            Self::Floor => "deadlineFloor",
            Self::Ttl => "ttl",
        }
    }
}

impl Limits {
    /// Those of an acquire or an extension whose answer is worth nothing after
    /// `last`.
    pub(super) fn within(deadlines: DeadlineBounds, ttl: Ttl, last: Instant) -> Self {
        let (floor, ceiling) = deadlines.nanos();
        let span = share(ttl).min(ceiling).max(floor);
        let is_cut = span > floor && span < share(ttl);
        Self {
            floor,
            ceiling,
            span,
            // Where it is a share of the ttl, a floor above that allows for more.
            option: if is_cut {
                Longer::Ceiling
            } else {
                Longer::Floor
            },
            last,
            is_first: false,
        }
    }

    /// Those of what is asked without a ttl, at `now`.
    pub(super) fn of_release(deadlines: DeadlineBounds, now: Instant) -> Self {
        let (floor, ceiling) = deadlines.nanos();
        Self {
            floor,
            ceiling,
            span: ceiling,
            option: Longer::Ceiling,
            last: now.after(LONGEST_HAND_OVER),
            is_first: false,
        }
    }

    /// The same for a lock's first attempt, if it is one.
    pub(super) fn first(self, is_first: bool) -> Self {
        Self { is_first, ..self }
    }

    /// After which no vote is waited for.
    pub(super) const fn last(&self) -> Instant {
        self.last
    }

    /// Those of the clean-up at `now`, whenever the attempt's own end.
    pub(super) fn of_cleanup(self, now: Instant) -> Self {
        Self {
            last: now.after(LONGEST_HAND_OVER),
            is_first: false,
            ..self
        }
    }

    /// Of one that is asked at `now` and was measured like that.
    pub(super) fn wait(&self, now: Instant, measured: Option<RoundTrip>) -> Wait {
        let span = self.span.max(self.needed(measured));
        let due = now.after_nanos(span).min(self.last);
        let at_most = if self.is_first && measured.is_none() {
            let long = now.after_nanos(self.ceiling.saturating_mul(CEILINGS));
            long.min(self.last).max(due)
        } else {
            due
        };
        Wait {
            since: now,
            due,
            at_most,
            option: if due == self.last {
                Longer::Ttl
            } else {
                self.option
            },
        }
    }

    /// How long who was measured like that must be waited for.
    fn needed(&self, measured: Option<RoundTrip>) -> u64 {
        measured.map_or(0, |trip| {
            let varying = trip.variation.saturating_mul(4).max(self.floor);
            let most = trip.smoothed.saturating_mul(TRIPS).max(self.ceiling);
            trip.smoothed.saturating_add(varying).min(most)
        })
    }

    /// Of one whose command JavaScript has not put to its client yet.
    pub(super) const fn unbegun(&self, wait: Wait) -> Wait {
        Wait {
            due: self.last,
            at_most: self.last,
            ..wait
        }
    }

    /// Of the release, at `now`, by an attempt that was begun at `asked` and has
    /// failed. They share one deadline; what is left of it may be nothing, through
    /// no fault of the instances that answered in time: they get a fresh span.
    pub(super) fn cleanup(
        &self,
        now: Instant,
        asked: Instant,
        measured: Option<RoundTrip>,
    ) -> Wait {
        const FRESH: u64 = 100_000_000;
        let end = asked.after_nanos(self.span);
        let rest = end
            .nanos()
            .saturating_sub(now.nanos())
            .max(self.span.min(FRESH));
        let due = now.after_nanos(rest.max(self.needed(measured)));
        Wait {
            since: now,
            due,
            at_most: due,
            option: self.option,
        }
    }
}

impl Wait {
    /// When it ends, for who knows whether a majority has answered.
    pub(super) const fn end(&self, may_be_long: bool) -> Instant {
        if may_be_long { self.at_most } else { self.due }
    }

    /// Whether it is longer until a majority has answered.
    pub(super) fn is_longer(&self) -> bool {
        self.due < self.at_most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Drift;

    const NOW: Instant = Instant::from_nanos(1);
    const FAR: Instant = Instant::LAST;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn ttl(millis: f64) -> Ttl {
        Ttl::new(millis, Drift::default()).expect("long enough")
    }

    fn limits(millis: f64, last: Instant) -> Limits {
        Limits::within(DeadlineBounds::default(), ttl(millis), last)
    }

    fn trip(smoothed: u64, variation: u64) -> RoundTrip {
        RoundTrip::new(ms(smoothed), ms(variation))
    }

    /// How long who was measured like that may take, in ms.
    fn takes(limits: Limits, measured: impl Into<Option<RoundTrip>>) -> u128 {
        limits.wait(NOW, measured.into()).due.since(NOW).as_millis()
    }

    #[test]
    fn a_deadline_is_a_share_of_the_ttl_within_its_bounds_and_the_validity() {
        assert_eq!(takes(limits(100.0, FAR), None), 100);
        assert_eq!(takes(limits(5000.0, FAR), None), 500);
        assert_eq!(takes(limits(60_000.0, FAR), None), 1000);
        assert_eq!(takes(limits(5000.0, NOW.after(ms(50))), None), 50);
    }

    #[test]
    fn it_is_never_below_what_was_measured() {
        assert_eq!(takes(limits(1000.0, FAR), trip(250, 0)), 350);
        assert_eq!(takes(limits(1000.0, FAR), trip(250, 100)), 650);
        assert_eq!(takes(limits(1000.0, FAR), trip(1, 0)), 101);
        assert_eq!(takes(limits(60_000.0, FAR), trip(250, 0)), 1000);
        assert_eq!(takes(limits(1000.0, NOW.after(ms(300))), trip(250, 0)), 300);
    }

    #[test]
    fn beyond_the_ceiling_it_is_four_round_trips_at_most() {
        assert_eq!(takes(limits(60_000.0, FAR), trip(100, 2000)), 1000);
        assert_eq!(takes(limits(60_000.0, FAR), trip(400, 2000)), 1600);
    }

    #[test]
    fn who_was_never_measured_may_take_longer_in_the_first_attempt_only() {
        let first = limits(8000.0, FAR).first(true);
        let wait = first.wait(NOW, None);
        assert_eq!(wait.end(false), NOW.after(ms(800)));
        assert_eq!(wait.end(true), NOW.after(ms(5000)));
        let measured = first.wait(NOW, Some(trip(1, 0)));
        assert_eq!(measured.end(true), NOW.after(ms(800)));
        let later = limits(8000.0, FAR).wait(NOW, None);
        assert_eq!(later.end(true), NOW.after(ms(800)));
    }

    #[test]
    fn a_clean_up_has_what_is_left_of_the_deadline_or_what_it_takes() {
        let limits = limits(8000.0, FAR);
        let left = |after, measured: Option<RoundTrip>| {
            let now = NOW.after(ms(after));
            limits
                .cleanup(now, NOW, measured)
                .due
                .since(now)
                .as_millis()
        };
        assert_eq!(left(200, None), 600);
        assert_eq!(left(790, None), 100);
        assert_eq!(left(790, Some(trip(250, 0))), 350);
    }

    #[test]
    fn the_option_that_ended_the_wait_is_named() {
        let of = |limits: Limits| limits.wait(NOW, None).option.name();
        assert_eq!(of(limits(500.0, FAR)), "deadlineFloor");
        assert_eq!(of(limits(5000.0, FAR)), "deadlineFloor");
        assert_eq!(of(limits(60_000.0, FAR)), "deadlineCeiling");
        assert_eq!(of(limits(60_000.0, NOW.after(ms(5)))), "ttl");
        assert_eq!(
            of(Limits::of_release(DeadlineBounds::default(), NOW)),
            "deadlineCeiling"
        );
    }

    #[test]
    fn the_option_that_is_named_allows_for_more() {
        for millis in [20.0, 500.0, 5000.0, 10_000.0, 60_000.0] {
            let usual = Limits::within(DeadlineBounds::default(), ttl(millis), FAR);
            let mut raised = DeadlineBounds::default();
            match usual.wait(NOW, None).option.name() {
                "deadlineFloor" => raised.floor = ms(10_000),
                "deadlineCeiling" => raised.ceiling = ms(10_000),
                other => panic!("{other} is no option"),
            }
            let more = Limits::within(raised, ttl(millis), FAR);
            assert!(takes(more, None) > takes(usual, None), "{millis}");
        }
    }

    proptest! {
        #[test]
        fn a_deadline_is_within_its_bounds_unless_more_was_measured_and_never_after_the_end(
            now in 0..u64::MAX,
            millis in 3..1_000_000_u32,
            bounds in (0..10_000_u64, 0..10_000_u64),
            measured in prop::option::of((0..10_000_u64, 0..10_000_u64)),
            last in 0..u64::MAX,
        ) {
            let (now, last) = (Instant::from_nanos(now), Instant::from_nanos(last));
            let (floor, ceiling) = (ms(bounds.0.min(bounds.1)), ms(bounds.0.max(bounds.1)));
            let deadlines = DeadlineBounds { floor, ceiling };
            let measured = measured.map(|(smoothed, variation)| trip(smoothed, variation));
            let limits = Limits::within(deadlines, ttl(millis.into()), last);
            let wait = limits.first(true).wait(now, measured);
            let most = measured.map_or(ceiling, |trip| ceiling.max(trip.smoothed() * 4));
            prop_assert!(wait.due <= last && wait.at_most <= last);
            prop_assert!(wait.due <= now.after(most));
            prop_assert!(wait.due >= now.after(floor).min(last));
            prop_assert!(wait.due <= wait.at_most);
            if let Some(trip) = measured {
                prop_assert!(wait.due >= now.after(trip.smoothed()).min(last));
            } else {
                let share = Duration::from_micros(u64::from(millis) * 100);
                prop_assert_eq!(wait.due, now.after(share.clamp(floor, ceiling)).min(last));
            }
        }
    }
}
