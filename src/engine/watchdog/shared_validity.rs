//! Until when a watched lock may be believed in, and why it is lost afterwards,
//! as any thread can read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::failure::Reason;
use super::super::validity::Instant;

/// Why a watched lock is lost. Only the watchdog decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Loss {
    /// Its validity has ended: nobody extended it, or too few instances answered.
    Expired = 1,
    /// It was held for as long as its cap allows.
    MaxHold = 2,
    /// A majority says that its keys are gone or somebody else's.
    NotHeld = 3,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Expired, Self::MaxHold, Self::NotHeld];

    /// How it is written in a word that threads share, and for JavaScript. 0 is
    /// none of them.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The same as the reason of a failure, with its code and its text.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Expired => Reason::Expired,
            Self::MaxHold => Reason::MaxHold,
            Self::NotHeld => Reason::NotHeld,
        }
    }

    /// Why a lock with this cap is lost if its validity ends at `until`.
    pub(super) fn at(until: Instant, cap: Option<Instant>) -> Self {
        /// An extension that would win less than this is not made, so that a
        /// capped lock ends a little before its cap.
        const TOLERANCE: Duration = Duration::from_millis(5);
        if cap.is_some_and(|cap| cap.before(TOLERANCE) <= until) {
            Self::MaxHold
        } else {
            Self::Expired
        }
    }

    /// Why a lock is lost that failed for `reason`. Of what an extension can fail
    /// for, only a majority's word that the lock is gone ends it; with anything
    /// else it was lost because its time was over.
    pub(super) const fn after(reason: Reason) -> Self {
        match reason {
            Reason::NotHeld => Self::NotHeld,
            Reason::MaxHold => Self::MaxHold,
            _ => Self::Expired,
        }
    }
}

/// Until when a watched lock may be believed in, and why it is lost afterwards, to
/// be read from any thread.
///
/// Both are in one word, so that no reader sees the one of an earlier state with
/// the other of a later one.
#[derive(Clone, Debug, Default)]
pub struct SharedValidity(Arc<AtomicU64>);

/// The loss is in the two bits above this many.
const TIME_BITS: u32 = 62;
/// The time that stands for [`Instant::LAST`]; 146 years after the origin.
const LAST_TIME: u64 = (1 << TIME_BITS) - 1;

impl SharedValidity {
    /// Until when; the clock's origin once it is released, or lost before its
    /// time.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.state().0
    }

    /// Until when, as [`SharedValidity::until`], and why the lock is lost from then on:
    /// `None` once its holder has released it.
    #[must_use]
    pub fn state(&self) -> (Instant, Option<Loss>) {
        let word = self.0.load(Ordering::Acquire);
        let until = match word & LAST_TIME {
            LAST_TIME => Instant::LAST,
            time => Instant::from_nanos(time),
        };
        let number = word >> TIME_BITS;
        let loss = Loss::ALL
            .into_iter()
            .find(|loss| u64::from(loss.number()) == number);
        (until, loss)
    }

    /// What it shows from now on.
    pub(super) fn set(&self, until: Instant, loss: Option<Loss>) {
        let time = match until {
            Instant::LAST => LAST_TIME,
            // Never later than it is.
            until => until.nanos().min(LAST_TIME - 1),
        };
        let number = loss.map_or(0, Loss::number);
        let word = u64::from(number) << TIME_BITS | time;
        self.0.store(word, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let watch = SharedValidity::default();
        assert_eq!(watch.state(), (Instant::ORIGIN, None));
        let losses = Loss::ALL.map(Some).into_iter().chain([None]);
        for loss in losses {
            for nanos in [0, 1, 7, 1 << 53, LAST_TIME - 1, u64::MAX] {
                let until = Instant::from_nanos(nanos);
                watch.set(until, loss);
                assert_eq!(watch.state(), (until, loss));
            }
        }
    }

    #[test]
    fn a_time_that_does_not_fit_is_read_as_an_earlier_one() {
        let watch = SharedValidity::default();
        for nanos in [LAST_TIME, LAST_TIME + 1, u64::MAX - 1] {
            let until = Instant::from_nanos(nanos);
            watch.set(until, Some(Loss::MaxHold));
            assert!(watch.until() < until);
            assert_eq!(watch.state().1, Some(Loss::MaxHold));
        }
    }
}
