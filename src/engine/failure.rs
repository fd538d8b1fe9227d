//! Why a request failed as a whole.

use thiserror::Error;

use super::validity::Instant;
use super::vote::Vote;

/// Why a request failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// So many instances said that somebody else holds a resource that there
    /// could be no majority.
    #[error("held by another")]
    Held,
    /// The same, and what holds it is no lock.
    #[error("held by {0}, which is no lock")]
    Occupied(Occupant),
    /// Too few instances answered, or answered without an error.
    #[error("too few instances answered")]
    Unavailable,
    /// A majority granted, but so late that nothing of the validity was left.
    #[error("the answers came too late: the lock's validity had passed")]
    TooSlow,
    /// The lock's validity was over before its extension was asked for, or
    /// ended while it was.
    #[error("the lock's validity had passed")]
    Expired,
    /// A majority said that the lock's key is gone or somebody else's.
    #[error("the lock is no longer held")]
    NotHeld,
    /// The lock was not granted within the time its asker would wait.
    #[error("it was not granted within maxWait")]
    TimedOut,
    /// The lock was held for as long as it may be.
    #[error("it was held for as long as maxHold allows")]
    MaxHold,
}

impl Reason {
    /// The stable code that JavaScript sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Held | Self::Occupied(_) => "ERR_REDLOCK_HELD",
            Self::Unavailable => "ERR_REDLOCK_UNAVAILABLE",
            Self::TooSlow => "ERR_REDLOCK_TOO_SLOW",
            Self::Expired => "ERR_REDLOCK_EXPIRED",
            Self::NotHeld => "ERR_REDLOCK_NOT_HELD",
            Self::TimedOut => "ERR_REDLOCK_TIMEOUT",
            Self::MaxHold => "ERR_REDLOCK_MAX_HOLD",
        }
    }
}

/// What a key has that no lock's has: another application uses its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Occupant {
    /// A hash, a list or the like: locks are strings.
    #[error("data of another type than a lock's, as a hash or a list")]
    OtherType,
    /// A value without an end: each lock's has one.
    #[error("a value that never expires")]
    Endless,
    /// A value as no locker makes them: empty, long, or a document.
    #[error("a value that is no lock's")]
    Strange,
}

impl Occupant {
    /// What a member's answer says of it, be it to a question or to a release.
    #[must_use]
    pub fn seen_in(vote: &Vote) -> Option<Self> {
        match vote {
            Vote::Failed(cause) if cause.is_of_another_type() => Some(Self::OtherType),
            Vote::Inspected {
                value: Some(_),
                ttl: None,
            } => Some(Self::Endless),
            Vote::Inspected {
                value: Some(value), ..
            } if !may_be_a_lock(value) => Some(Self::Strange),
            _ => None,
        }
    }
}

/// Lockers' values are words: digits, UUIDs, base64, names of hosts and tasks.
fn may_be_a_lock(value: &str) -> bool {
    const LONGEST: usize = 256;
    let is_word = |letter: char| letter.is_ascii_graphic() && !"{}[]\"<>".contains(letter);
    (1..=LONGEST).contains(&value.len()) && value.chars().all(is_word)
}

/// A request that failed: why, after how many attempts, and what each instance said
/// in the last of them.
#[derive(Clone, Debug, Error)]
#[error("{reason} (after {attempts} attempts)")]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// How many attempts were made.
    pub attempts: u32,
    /// The last attempt's votes, by instance; `None` where there was none yet
    /// when the verdict was certain. Empty if nothing was sent.
    pub votes: Vec<Option<Vote>>,
    /// Extend only: until when the lock may still be believed in. The earlier
    /// of its old end and the one asked for, since the extension may have been
    /// applied somewhere; `None` if the lock is lost.
    pub until: Option<Instant>,
}

impl Failure {
    /// Nothing was asked.
    pub(super) const fn before_any_attempt(reason: Reason) -> Self {
        Self {
            reason,
            attempts: 0,
            votes: Vec::new(),
            until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cause;

    fn seen(value: &str, ttl: Option<u64>) -> Option<Occupant> {
        Occupant::seen_in(&Vote::Inspected {
            value: Some(value.into()),
            ttl,
        })
    }

    fn refused(message: &str) -> Option<Occupant> {
        Occupant::seen_in(&Vote::Failed(Cause::Refused {
            code: "ERR".into(),
            message: message.into(),
        }))
    }

    #[test]
    fn lockers_values_are_no_other_data() {
        let hostname = "worker-3.eu:4711/refresh#2";
        for value in ["b0f2ad5a", "0b6a5d4c-3e8f", "m5eZ1+/p0w==", hostname] {
            assert_eq!(seen(value, Some(5000)), None, "{value}");
        }
        assert_eq!(Occupant::seen_in(&Vote::Granted), None);
        let free = Vote::Inspected {
            value: None,
            ttl: None,
        };
        assert_eq!(Occupant::seen_in(&free), None);
    }

    #[test]
    fn what_no_locker_sets_is_other_data() {
        assert_eq!(seen("12", None), Some(Occupant::Endless));
        let long = "a".repeat(300);
        for value in ["", "two words", "{\"a\":1}", "[1]", "<a>", "é", &long] {
            assert_eq!(seen(value, Some(5000)), Some(Occupant::Strange), "{value}");
        }
    }

    #[test]
    fn another_type_is_seen_wherever_the_server_says_so() {
        let plain = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(refused(plain), Some(Occupant::OtherType));
        let inside = format!("ERR Error running script (call to f_1): @user_script:5: {plain}");
        assert_eq!(refused(&inside), Some(Occupant::OtherType));
        assert_eq!(refused("NOPERM this user has no permissions"), None);
    }
}
