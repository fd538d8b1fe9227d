//! The locks that were handed over and not released yet: which instances granted each,
//! which alone count for its extension (rule 17), and whose acquire has votes to come,
//! whose grants are to be released after the lock's own release (rule 5).
//!
//! A grant means that this instance's own command has set the key. An instance that
//! had refused, had the value already or never answered may lead to a server that
//! counts under another name; with its vote, fewer servers than a majority could
//! keep a lock alive beside a new holder's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Weak;
use std::sync::Arc;

use super::context::Context;
use super::lock_id::{LockId, LockIdHasher};
use super::question::Resources;
use super::validity::Instant;

/// A round whose last votes are still to come.
pub(super) trait GrantedRound {
    /// Its lock was released: grants that come now are to be released.
    fn lock_was_released(&self);
}

/// The locks that are held, until they are released or over.
#[derive(Default)]
pub(super) struct HeldLocks(RefCell<Locks>);

#[derive(Default)]
struct Locks {
    by_id: HashMap<LockId, Lock, LockIdHasher>,
    /// How many locks there are when those that are over are looked for next.
    sweep_at: usize,
}

struct Lock {
    resources: Resources,
    /// Since when it may have been held.
    since: Instant,
    until: Instant,
    granted_by: InstanceSet,
    context: Option<Arc<dyn Context>>,
    /// Its acquire, while that has votes to come.
    round: Option<Weak<dyn GrantedRound>>,
}

/// A lock that is held: what it takes to release it.
pub(super) struct Held {
    pub(super) lock: LockId,
    /// As they were given.
    pub(super) resources: Resources,
    pub(super) since: Instant,
    /// Its holder's.
    pub(super) context: Option<Arc<dyn Context>>,
}

/// A set of instances, by their indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InstanceSet(u128);

impl InstanceSet {
    pub(super) fn add(&mut self, index: usize) {
        self.0 |= Self::bit(index);
    }

    pub(super) fn has(self, index: usize) -> bool {
        self.0 & Self::bit(index) != 0
    }

    /// Instances beyond the 128th are in no set.
    fn bit(index: usize) -> u128 {
        u32::try_from(index)
            .ok()
            .and_then(|index| 1_u128.checked_shl(index))
            .unwrap_or(0)
    }
}

impl HeldLocks {
    /// A lock was handed over that `granted_by` have granted; `round` is its acquire, if
    /// that has votes to come.
    pub(super) fn note(
        &self,
        held: Held,
        until: Instant,
        granted_by: InstanceSet,
        round: Option<Weak<dyn GrantedRound>>,
        now: Instant,
    ) {
        let mut locks = self.0.borrow_mut();
        locks.sweep(now);
        let Held {
            lock,
            resources,
            since,
            context,
        } = held;
        let noted = Lock {
            resources,
            since,
            until,
            granted_by,
            context,
            round,
        };
        locks.by_id.insert(lock, noted);
    }

    /// One more instance has granted it, late.
    pub(super) fn add(&self, lock: &LockId, index: usize) {
        if let Some(known) = self.0.borrow_mut().by_id.get_mut(lock) {
            known.granted_by.add(index);
        }
    }

    /// The locks that may be believed in at `now`, in an order that is the same in
    /// every run.
    pub(super) fn held(&self, now: Instant) -> Vec<Held> {
        let locks = self.0.borrow();
        let held = locks.by_id.iter().filter(|(_, known)| now < known.until);
        let held = held.map(|(lock, known)| Held {
            lock: lock.clone(),
            resources: Resources::clone(&known.resources),
            since: known.since,
            context: known.context.clone(),
        });
        let mut held: Vec<Held> = held.collect();
        held.sort_unstable_by(|one, other| one.lock.cmp(&other.lock));
        held
    }

    /// The lock was extended until then.
    pub(super) fn extend(&self, lock: &LockId, until: Instant) {
        if let Some(known) = self.0.borrow_mut().by_id.get_mut(lock) {
            known.until = known.until.max(until);
        }
    }

    /// The lock is being released.
    pub(super) fn release(&self, lock: &LockId) {
        let known = self.0.borrow_mut().by_id.remove(lock);
        let round = known.and_then(|known| known.round);
        if let Some(round) = round.and_then(|round| round.upgrade()) {
            round.lock_was_released();
        }
    }

    /// The round at `round` has no more votes to come. A newer one may have the same
    /// value, if that is the caller's own.
    pub(super) fn round_is_over<T>(&self, lock: &LockId, round: *const T) {
        if let Some(known) = self.0.borrow_mut().by_id.get_mut(lock) {
            known
                .round
                .take_if(|known| std::ptr::addr_eq(known.as_ptr(), round));
        }
    }

    /// Whether an instance's vote on an extension counts. Of a lock that came from
    /// elsewhere nothing is known, and every instance counts.
    pub(super) fn counts(&self, lock: &LockId, index: usize) -> bool {
        let locks = self.0.borrow();
        let known = locks.by_id.get(lock);
        known.is_none_or(|known| known.granted_by.has(index))
    }
}

impl Locks {
    /// Forgets those that are over and have no vote to come, each time their number has
    /// doubled.
    fn sweep(&mut self, now: Instant) {
        if self.by_id.len() < self.sweep_at {
            return;
        }
        self.by_id
            .retain(|_, lock| now < lock.until || lock.round.is_some());
        self.sweep_at = (self.by_id.len() * 2).max(1024);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::token::Token;

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN.after(Duration::from_secs(seconds))
    }

    fn held(name: &str) -> Held {
        let resources: Resources = [Box::from(name)].into();
        Held {
            lock: LockId::new(&Token::from(name), &resources),
            resources,
            since: at(0),
            context: None,
        }
    }

    fn names(locks: &HeldLocks, now: Instant) -> Vec<String> {
        let held = locks.held(now);
        held.iter()
            .map(|held| held.resources[0].to_string())
            .collect()
    }

    #[test]
    fn what_was_handed_over_is_held_until_it_is_released_or_over() {
        let locks = HeldLocks::default();
        for (name, until) in [("c", 10), ("a", 10), ("b", 5)] {
            locks.note(held(name), at(until), InstanceSet::default(), None, at(0));
        }
        assert_eq!(names(&locks, at(1)), ["a", "b", "c"]);
        assert_eq!(names(&locks, at(5)), ["a", "c"]);
        locks.extend(&held("b").lock, at(20));
        locks.release(&held("a").lock);
        assert_eq!(names(&locks, at(5)), ["b", "c"]);
        assert_eq!(names(&locks, at(20)), Vec::<String>::new());
    }

    #[test]
    fn what_is_over_is_forgotten_in_time() {
        let locks = HeldLocks::default();
        for second in 0..10_000 {
            let name = second.to_string();
            locks.note(
                held(&name),
                at(second + 2),
                InstanceSet::default(),
                None,
                at(second),
            );
        }
        let left = locks.0.borrow().by_id.len();
        assert!(left <= 1024, "{left}");
    }

    #[test]
    fn a_member_counts_where_it_has_granted_however_late() {
        let locks = HeldLocks::default();
        let mut members = InstanceSet::default();
        members.add(0);
        let lock = held("a").lock;
        locks.note(held("a"), at(10), members, None, at(0));
        assert!(locks.counts(&lock, 0) && !locks.counts(&lock, 1));
        locks.add(&lock, 1);
        assert!(locks.counts(&lock, 1) && !locks.counts(&lock, 2));
        assert!(locks.counts(&held("elsewhere").lock, 2));
    }
}
