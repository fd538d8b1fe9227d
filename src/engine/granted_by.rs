//! The locks that were handed over and not released yet, and which instances
//! granted each: they alone count for its extension (rule 17).
//!
//! A grant means that this instance's own command has set the key. An instance that
//! had refused, had the value already or never answered may lead to a server that
//! counts under another name; with its vote, fewer servers than a majority could
//! keep a lock alive beside a new holder's.

use std::collections::HashMap;
use std::sync::Arc;

use super::context::Context;
use super::lock_id::LockId;
use super::question::Resources;
use super::validity::Instant;

/// The locks that are held, until they are released or over.
#[derive(Default)]
pub(super) struct GrantedBy {
    locks: HashMap<LockId, Lock>,
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

impl GrantedBy {
    /// A lock was handed over that `granted_by` have granted.
    pub(super) fn note(
        &mut self,
        held: Held,
        until: Instant,
        granted_by: InstanceSet,
        now: Instant,
    ) {
        if self.locks.len() >= self.sweep_at {
            self.locks.retain(|_, lock| now < lock.until);
            self.sweep_at = (self.locks.len() * 2).max(1024);
        }
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
        };
        self.locks.insert(lock, noted);
    }

    /// One more instance has granted it, late.
    pub(super) fn add(&mut self, lock: &LockId, index: usize) {
        if let Some(known) = self.locks.get_mut(lock) {
            known.granted_by.add(index);
        }
    }

    /// The locks that may be believed in at `now`, in an order that is the same in
    /// every run.
    pub(super) fn held(&self, now: Instant) -> Vec<Held> {
        let held = self.locks.iter().filter(|(_, known)| now < known.until);
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
    pub(super) fn extend(&mut self, lock: &LockId, until: Instant) {
        if let Some(known) = self.locks.get_mut(lock) {
            known.until = known.until.max(until);
        }
    }

    /// The lock was released.
    pub(super) fn forget(&mut self, lock: &LockId) {
        self.locks.remove(lock);
    }

    /// Whether an instance's vote on an extension counts. Of a lock that came from
    /// elsewhere nothing is known, and every instance counts.
    pub(super) fn counts(&self, lock: &LockId, index: usize) -> bool {
        self.locks
            .get(lock)
            .is_none_or(|known| known.granted_by.has(index))
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

    fn names(locks: &GrantedBy, now: Instant) -> Vec<String> {
        let held = locks.held(now);
        held.iter()
            .map(|held| held.resources[0].to_string())
            .collect()
    }

    #[test]
    fn what_was_handed_over_is_held_until_it_is_released_or_over() {
        let mut locks = GrantedBy::default();
        for (name, until) in [("c", 10), ("a", 10), ("b", 5)] {
            locks.note(held(name), at(until), InstanceSet::default(), at(0));
        }
        assert_eq!(names(&locks, at(1)), ["a", "b", "c"]);
        assert_eq!(names(&locks, at(5)), ["a", "c"]);
        locks.extend(&held("b").lock, at(20));
        locks.forget(&held("a").lock);
        assert_eq!(names(&locks, at(5)), ["b", "c"]);
        assert_eq!(names(&locks, at(20)), Vec::<String>::new());
    }

    #[test]
    fn what_is_over_is_forgotten_in_time() {
        let mut locks = GrantedBy::default();
        for second in 0..10_000 {
            let name = second.to_string();
            locks.note(
                held(&name),
                at(second + 2),
                InstanceSet::default(),
                at(second),
            );
        }
        assert!(locks.locks.len() <= 1024, "{}", locks.locks.len());
    }

    #[test]
    fn a_member_counts_where_it_has_granted_however_late() {
        let mut locks = GrantedBy::default();
        let mut members = InstanceSet::default();
        members.add(0);
        let lock = held("a").lock;
        locks.note(held("a"), at(10), members, at(0));
        assert!(locks.counts(&lock, 0) && !locks.counts(&lock, 1));
        locks.add(&lock, 1);
        assert!(locks.counts(&lock, 1) && !locks.counts(&lock, 2));
        assert!(locks.counts(&held("elsewhere").lock, 2));
    }
}
