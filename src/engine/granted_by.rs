//! Which members granted a lock: they alone count for its extension (rule 17).
//!
//! A grant means that this member's own command has set the key. A member that
//! had refused, had the value already or never answered may lead to a server that
//! counts under another name; with its vote, fewer servers than a majority could
//! keep a lock alive beside a new holder's.

use std::collections::HashMap;

use super::lock_id::LockId;
use super::validity::Instant;

/// Of the locks that not all members have granted, so far or for good.
#[derive(Default)]
pub(super) struct GrantedBy {
    locks: HashMap<LockId, Lock>,
    /// The number at which those whose validity is over are looked for next.
    sweep_at: usize,
}

struct Lock {
    until: Instant,
    members: Members,
}

/// A set of members, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Members(u128);

impl Members {
    pub(super) fn add(&mut self, place: usize) {
        self.0 |= Self::bit(place);
    }

    pub(super) fn has(self, place: usize) -> bool {
        self.0 & Self::bit(place) != 0
    }

    pub(super) fn are_all_of(self, members: usize) -> bool {
        (0..members).all(|place| self.has(place))
    }

    /// More members than that are in no set.
    fn bit(place: usize) -> u128 {
        u32::try_from(place)
            .ok()
            .and_then(|place| 1_u128.checked_shl(place))
            .unwrap_or(0)
    }
}

impl GrantedBy {
    /// A lock was handed over that these have granted.
    pub(super) fn note(&mut self, lock: &LockId, until: Instant, members: Members, now: Instant) {
        if self.locks.len() >= self.sweep_at {
            self.locks.retain(|_, lock| now < lock.until);
            self.sweep_at = (self.locks.len() * 2).max(1024);
        }
        self.locks.insert(lock.clone(), Lock { until, members });
    }

    /// One more of the quorum's `members` has granted it, late.
    pub(super) fn add(&mut self, lock: &LockId, place: usize, members: usize) {
        if let Some(known) = self.locks.get_mut(lock) {
            known.members.add(place);
            if known.members.are_all_of(members) {
                self.locks.remove(lock);
            }
        }
    }

    /// It may be believed in until then now.
    pub(super) fn prolong(&mut self, lock: &LockId, until: Instant) {
        if let Some(known) = self.locks.get_mut(lock) {
            known.until = known.until.max(until);
        }
    }

    /// Nobody holds it any more.
    pub(super) fn forget(&mut self, lock: &LockId) {
        self.locks.remove(lock);
    }

    /// Whether the member's vote on an extension counts. Of a lock that came from
    /// elsewhere nothing is known, and every member counts.
    pub(super) fn counts(&self, lock: &LockId, place: usize) -> bool {
        self.locks
            .get(lock)
            .is_none_or(|known| known.members.has(place))
    }
}
