//! What has come of everything that one engine was asked, as counters and histograms. They
//! are kept all the time, on the engine's thread and in memory of their own, and nothing
//! is decided by them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::cause::Cause;
use super::failure::Reason;
use super::histogram::{Distribution, Histogram, bounds};
use super::validity::Instant;
use super::vote::Vote;
use super::watchdog::Loss;

/// The unit of times, in nanoseconds: 10 µs.
const UNIT: u64 = 10_000;

/// So many bounds reach from 10 µs to an hour and a half.
const TIMES: usize = 112;

/// So many reach from 1 to 1024 attempts.
const ATTEMPTS: usize = 36;

/// Of the rounds that begin within so many nanoseconds one is measured: to look at the clock for each vote
/// would cost more than all the counting.
const MEASURED_EVERY: u64 = 1_000_000;

/// An extension that is said to have more nanoseconds than this left, of a lock from elsewhere whose end
/// isn't known, says nothing.
const LONGEST_SLACK: u64 = 366 * 24 * 3600 * 1_000_000_000;

/// How long things took.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Histogram<TIMES>);

impl Times {
    /// So many nanoseconds.
    pub(super) fn add(&self, nanos: u64) {
        self.0.add(nanos.div_ceil(UNIT), nanos);
    }

    pub(super) fn look(&self) -> Distribution {
        self.0.look()
    }
}

/// The bounds of the buckets of all times, in seconds.
pub fn time_bounds() -> impl Iterator<Item = f64> {
    let per_second = 1_000_000_000 / UNIT;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    bounds(TIMES).map(move |units| units as f64 / per_second as f64)
}

/// The bounds of the buckets of numbers of attempts.
pub fn attempt_bounds() -> impl Iterator<Item = u64> {
    bounds(ATTEMPTS)
}

/// What came of a request for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// It was granted.
    Granted,
    /// It was held by another.
    Held,
    /// Its asker's time was over.
    TimedOut,
    /// Too few instances answered.
    Unavailable,
    /// Nothing was left of its validity.
    TooSlow,
    /// It was given up.
    Aborted,
}

impl AcquireOutcome {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Granted,
        Self::Held,
        Self::TimedOut,
        Self::Unavailable,
        Self::TooSlow,
        Self::Aborted,
    ];

    pub(super) const fn of(reason: Reason) -> Self {
        match reason {
            Reason::Held | Reason::Occupied(_) => Self::Held,
            Reason::TimedOut => Self::TimedOut,
            Reason::TooSlow => Self::TooSlow,
            // The others are no acquire's.
            Reason::Unavailable | Reason::Expired | Reason::NotHeld | Reason::MaxHold => {
                Self::Unavailable
            }
        }
    }

    /// What JavaScript knows it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Held => "held",
            Self::TimedOut => "timeout",
            Self::Unavailable => "unavailable",
            Self::TooSlow => "too_slow",
            Self::Aborted => "aborted",
        }
    }
}

/// The counters of one engine.
#[derive(Debug)]
pub(super) struct Counters {
    acquires: [OfOutcome; AcquireOutcome::ALL.len()],
    waiting: Cell<u64>,
    lost: [Cell<u64>; Loss::ALL.len()],
    slack: Times,
    failed_extensions: Cell<u64>,
    endangered: Cell<u64>,
    members: Box<[OfMember]>,
    /// By member: granted, held, seen and failed. Apart from what else is counted of them, as each
    /// vote is counted.
    votes: Box<[[Cell<u64>; 4]]>,
    wake_ups: OfWakeUps,
    /// When a round was measured last.
    measured: Cell<Instant>,
}

#[derive(Debug, Default)]
struct OfOutcome {
    duration: Times,
    attempts: Histogram<ATTEMPTS>,
}

#[derive(Debug, Default)]
struct OfMember {
    duration: Times,
    /// By [`Cause::code`].
    failures: RefCell<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, Default)]
struct OfWakeUps {
    told: Cell<u64>,
    expiry: Cell<u64>,
    poll: Cell<u64>,
}

/// What had who waits for a lock ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WokenBy {
    /// Instances have told that it may be free.
    Told,
    /// Its holder's time was over.
    Expiry,
    /// Nothing was told for long.
    Poll,
}

impl Counters {
    /// Those of an engine with so many members.
    pub(super) fn of(members: usize) -> Self {
        Self {
            acquires: Default::default(),
            waiting: Cell::default(),
            lost: Default::default(),
            slack: Times::default(),
            failed_extensions: Cell::default(),
            endangered: Cell::default(),
            members: (0..members).map(|_| OfMember::default()).collect(),
            votes: (0..members).map(|_| Default::default()).collect(),
            wake_ups: OfWakeUps::default(),
            measured: Cell::default(),
        }
    }

    /// A lock was asked for.
    pub(super) fn asked(&self) {
        increase(&self.waiting);
    }

    /// That is how it ended, after so many nanoseconds.
    pub(super) fn acquired(&self, outcome: AcquireOutcome, nanos: u64, attempts: u32) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
        let of_outcome = &self.acquires[outcome as usize];
        of_outcome.duration.add(nanos);
        of_outcome.attempts.add(attempts.into(), attempts.into());
    }

    /// A watched lock was lost.
    pub(super) fn lost(&self, loss: Loss) {
        for (count, one) in self.lost.iter().zip(Loss::ALL) {
            if one == loss {
                increase(count);
            }
        }
    }

    /// An extension was confirmed when so many nanoseconds of the validity before it were left.
    pub(super) fn extended(&self, slack: u64) {
        if slack <= LONGEST_SLACK {
            self.slack.add(slack);
        }
    }

    /// An attempt to extend a lock has failed.
    pub(super) fn not_extended(&self) {
        increase(&self.failed_extensions);
    }

    /// A lock is about to be lost.
    pub(super) fn endangered(&self) {
        increase(&self.endangered);
    }

    /// Whether a round that begins at `now` is measured.
    pub(super) fn measures(&self, now: Instant) -> bool {
        let is_due = now.nanos_since(self.measured.get()) >= MEASURED_EVERY;
        if is_due {
            self.measured.set(now);
        }
        is_due
    }

    /// How many nanoseconds a member has taken to answer.
    pub(super) fn took(&self, member: usize, nanos: u64) {
        self.members[member].duration.add(nanos);
    }

    /// A member's vote was counted.
    #[inline]
    pub(super) fn voted(&self, member: usize, vote: &Vote) {
        let [granted, held, seen, _] = &self.votes[member];
        match vote {
            Vote::Granted => increase(granted),
            Vote::Held { .. } | Vote::Waiting { .. } => increase(held),
            Vote::Inspected { .. } => increase(seen),
            Vote::Failed(cause) => self.failed(member, cause),
        }
    }

    /// A member's vote has failed, or it has said nothing in time. Apart from where all votes are
    /// counted.
    #[cold]
    #[inline(never)]
    pub(super) fn failed(&self, member: usize, cause: &Cause) {
        // It was never asked, so that there is nothing wrong with it.
        if matches!(cause, Cause::Withdrawn) {
            return;
        }
        let [.., failed] = &self.votes[member];
        increase(failed);
        let mut failures = self.members[member].failures.borrow_mut();
        *failures.entry(cause.code()).or_default() += 1;
    }

    /// Who waits for a lock asks because of that.
    pub(super) fn woken(&self, by: WokenBy) {
        increase(match by {
            WokenBy::Told => &self.wake_ups.told,
            WokenBy::Expiry => &self.wake_ups.expiry,
            WokenBy::Poll => &self.wake_ups.poll,
        });
    }

    /// All of them, with what is known of held locks.
    pub(super) fn look(&self, holds: HoldStats) -> Stats {
        let acquires = self.acquires.iter().zip(AcquireOutcome::ALL);
        let lost = self.lost.iter().zip(Loss::ALL);
        let members = self.members.iter().zip(&self.votes);
        Stats {
            acquires: acquires
                .map(|(of_outcome, outcome)| AcquireStats {
                    outcome,
                    duration: of_outcome.duration.look(),
                    attempts: of_outcome.attempts.look(),
                })
                .collect(),
            waiting: self.waiting.get(),
            holds,
            lost: lost.map(|(count, loss)| (loss, count.get())).collect(),
            slack: self.slack.look(),
            failed_extensions: self.failed_extensions.get(),
            endangered: self.endangered.get(),
            members: members.map(|(member, votes)| member.look(votes)).collect(),
            told: self.wake_ups.told.get(),
            expiry: self.wake_ups.expiry.get(),
            poll: self.wake_ups.poll.get(),
        }
    }
}

impl OfMember {
    fn look(&self, votes: &[Cell<u64>; 4]) -> MemberStats {
        let [granted, held, seen, failed] = votes.each_ref().map(Cell::get);
        MemberStats {
            duration: self.duration.look(),
            granted,
            held,
            seen,
            failed,
            failures: self.failures.borrow().clone().into_iter().collect(),
        }
    }
}

fn increase(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// What an engine has counted. Sums of times are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Stats {
    /// By outcome.
    pub acquires: Vec<AcquireStats>,
    /// How many locks are being asked for.
    pub waiting: u64,
    /// Of the locks that were handed over.
    pub holds: HoldStats,
    /// How many watched locks were lost, by why.
    pub lost: Vec<(Loss, u64)>,
    /// What was left of the validity when extensions were confirmed.
    pub slack: Distribution,
    /// How many attempts to extend a lock have failed.
    pub failed_extensions: u64,
    /// How many times a lock was about to be lost.
    pub endangered: u64,
    /// By instance.
    pub members: Vec<MemberStats>,
    /// How often who waited asked because instances had told something.
    pub told: u64,
    /// … or because the holder's time was over.
    pub expiry: u64,
    /// … or because nothing was told for long.
    pub poll: u64,
}

/// The requests for locks that have come to one outcome.
#[derive(Clone, Debug)]
pub struct AcquireStats {
    /// Which.
    pub outcome: AcquireOutcome,
    /// How long they took.
    pub duration: Distribution,
    /// How many attempts they made.
    pub attempts: Distribution,
}

/// The locks that were handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldStats {
    /// How many may be believed in.
    pub held: u64,
    /// For how long those were held that were released in time.
    pub released: Distribution,
    /// For how long the others were.
    pub lost: Distribution,
}

/// What one instance has answered.
#[derive(Clone, Debug)]
pub struct MemberStats {
    /// How long its answers took, of rounds that were measured.
    pub duration: Distribution,
    /// How many votes granted.
    pub granted: u64,
    /// How many refused.
    pub held: u64,
    /// How many said what a key has.
    pub seen: u64,
    /// How many failed, or were not cast in time.
    pub failed: u64,
    /// The same by [`Cause::code`].
    pub failures: Vec<(&'static str, u64)>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_reach_from_ten_microseconds_to_beyond_an_hour() {
        let bounds: Vec<_> = time_bounds().collect();
        assert!((bounds[0] - 0.000_01).abs() < f64::EPSILON, "{bounds:?}");
        assert!(bounds[TIMES - 1] > 3600.0, "{bounds:?}");
        assert_eq!(attempt_bounds().last(), Some(1024));
    }

    #[test]
    fn a_time_is_in_the_bucket_that_it_is_not_above() {
        let bounds: Vec<_> = time_bounds().collect();
        for nanos in [0, 1, 10_000, 10_001, 1_000_000, 123_456_789] {
            let times = Times::default();
            times.add(nanos);
            let span = Duration::from_nanos(nanos);
            let at = times.look().counts.len() - 1;
            assert!(span.as_secs_f64() <= bounds[at], "{span:?}");
            assert!(at == 0 || span.as_secs_f64() > bounds[at - 1], "{span:?}");
        }
    }

    #[test]
    fn of_the_rounds_of_a_millisecond_one_is_measured() {
        let counters = Counters::of(1);
        let at = |micros| Instant::from_nanos(5_000_000).after(Duration::from_micros(micros));
        let measured = [0, 1, 999, 1000, 1500, 2600].map(|micros| counters.measures(at(micros)));
        assert_eq!(measured, [true, false, false, true, false, true]);
    }

    #[test]
    fn an_extension_whose_end_is_unknown_says_nothing_of_what_was_left() {
        let counters = Counters::of(1);
        counters.extended(20 * LONGEST_SLACK);
        counters.extended(1_000_000_000);
        let stats = counters.look(HoldStats::default());
        assert_eq!(stats.slack.sum, 1_000_000_000);
    }
}
