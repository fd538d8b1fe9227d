//! The locks that were handed over and not released yet: which instances granted each,
//! which alone count for its extension (rule 17), and whose acquire has votes to come,
//! whose grants are to be released after the lock's own release (rule 5).
//!
//! A grant means that this instance's own command has set the key. An instance that
//! had refused, had the value already or never answered may lead to a server that
//! counts under another name; with its vote, fewer servers than a majority could
//! keep a lock alive beside a new holder's.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::rc::Weak;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::context::Context;
use super::lock_id::{LockId, are_same};
use super::question::Resources;
use super::stats::{HoldStats, Times};
use super::token::Token;
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
    by_value: HashMap<Token, OfOneValue, BuildHasherDefault<ValueHasher>>,
    /// How many locks there are: all of them may have one value.
    length: usize,
    /// How many there are when those that are over are looked for next.
    sweep_at: usize,
    holds: Holds,
}

/// For how long locks were held.
#[derive(Default)]
struct Holds {
    released: Times,
    lost: Times,
    /// Those that are still known and were lost before their end, which count already.
    lost_early: BTreeSet<LockId>,
}

/// A value of the caller's own may stand on several resources at once.
type OfOneValue = SmallVec<[Held; 1]>;

/// A lock that was handed over.
pub(super) struct Held {
    /// As they were given.
    pub(super) resources: Resources,
    /// Since when it may have been held.
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) granted_by: InstanceSet,
    /// Its holder's.
    pub(super) context: Option<Arc<dyn Context>>,
    /// Its acquire, while that has votes to come.
    pub(super) round: Option<Weak<dyn GrantedRound>>,
}

/// What it takes to release a lock that is held.
pub(super) struct Releasable {
    pub(super) lock: LockId,
    /// As they were given.
    pub(super) resources: Resources,
    pub(super) since: Instant,
    /// Its holder's.
    pub(super) context: Option<Arc<dyn Context>>,
}

/// A set of instances, by their indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InstanceSet([u64; 2]);

impl InstanceSet {
    /// Instances beyond the 128th are in no set.
    pub(super) fn add(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(super) fn has(self, index: usize) -> bool {
        let word = self.0.get(index / 64);
        word.is_some_and(|word| word & 1 << (index % 64) != 0)
    }
}

impl HeldLocks {
    /// A lock with this value was handed over, at `now`.
    pub(super) fn note(&self, value: &Token, held: Held, now: Instant) {
        let mut locks = self.0.borrow_mut();
        locks.sweep(now);
        let Locks {
            by_value,
            length,
            holds,
            ..
        } = &mut *locks;
        *length += 1;
        match by_value.entry(value.clone()) {
            Entry::Vacant(new) => {
                new.insert(smallvec![held]);
            }
            Entry::Occupied(mut of_value) => {
                let of_value = of_value.get_mut();
                let before = of_value.len();
                of_value.retain(|known| {
                    let is_kept = !known.is_on(&held.resources);
                    if !is_kept {
                        holds.ended(value, known, known.until.min(now), false);
                    }
                    is_kept
                });
                *length -= before - of_value.len();
                of_value.push(held);
            }
        }
    }

    /// The acquire at `round` has one more vote: a grant, if it has a `voter`; or its last
    /// one. A newer acquire may have the same value, if that is the caller's own.
    pub(super) fn voted<T>(
        &self,
        value: &Token,
        round: *const T,
        voter: Option<usize>,
        is_last: bool,
    ) {
        let mut locks = self.0.borrow_mut();
        let of_value = locks.by_value.get_mut(value).into_iter().flatten();
        for known in of_value {
            let is_its = |known: &Weak<_>| std::ptr::addr_eq(known.as_ptr(), round);
            if !known.round.as_ref().is_some_and(is_its) {
                continue;
            }
            if let Some(index) = voter {
                known.granted_by.add(index);
            }
            if is_last {
                known.round = None;
            }
        }
    }

    /// The locks that may be believed in at `now`, in an order that is the same in
    /// every run.
    pub(super) fn held(&self, now: Instant) -> Vec<Releasable> {
        let locks = self.0.borrow();
        let all = locks.by_value.iter();
        let all = all.flat_map(|(value, held)| held.iter().map(move |held| (value, held)));
        let held = all.filter(|(_, held)| now < held.until);
        let held = held.map(|(value, held)| Releasable {
            lock: LockId::new(value, &held.resources),
            resources: Resources::clone(&held.resources),
            since: held.since,
            context: held.context.clone(),
        });
        let mut held: Vec<Releasable> = held.collect();
        held.sort_unstable_by(|one, other| one.lock.cmp(&other.lock));
        held
    }

    /// The lock was extended until then.
    pub(super) fn extend(&self, value: &Token, resources: &Resources, until: Instant) {
        if let Some(known) = self.0.borrow_mut().find(value, resources) {
            known.until = known.until.max(until);
        }
    }

    /// The lock is being released, at `now`.
    pub(super) fn release(&self, value: &Token, resources: &Resources, now: Instant) {
        let mut locks = self.0.borrow_mut();
        let known = locks.take(value, resources);
        if let Some(known) = &known {
            let in_time = now < known.until;
            locks
                .holds
                .ended(value, known, now.min(known.until), in_time);
        }
        drop(locks);
        let round = known.and_then(|known| known.round);
        if let Some(round) = round.and_then(|round| round.upgrade()) {
            round.lock_was_released();
        }
    }

    /// The lock counts as lost, at `now`; all else that is known of it stays.
    pub(super) fn lose(&self, value: &Token, resources: &Resources, now: Instant) {
        let mut locks = self.0.borrow_mut();
        let Locks {
            by_value, holds, ..
        } = &mut *locks;
        let of_value = by_value.get(value).into_iter().flatten();
        // One that is lost with its end is counted when it is forgotten.
        let is_early = |known: &&Held| now < known.until && known.is_on(resources);
        for known in of_value.filter(is_early) {
            if holds.lost_early.insert(LockId::new(value, resources)) {
                holds.lost.add(now.nanos_since(known.since));
            }
        }
    }

    /// How many are held at `now`, and for how long others were.
    pub(super) fn look(&self, now: Instant) -> HoldStats {
        let Locks {
            by_value, holds, ..
        } = &*self.0.borrow();
        let lost = holds.lost.clone();
        let mut held = 0;
        for (value, known) in by_value {
            for known in known {
                if holds.counts(value, known) {
                    continue;
                }
                if now < known.until {
                    held += 1;
                } else {
                    lost.add(known.until.nanos_since(known.since));
                }
            }
        }
        HoldStats {
            held,
            released: holds.released.look(),
            lost: lost.look(),
        }
    }

    /// Whether an instance's vote on an extension counts. Of a lock that came from
    /// elsewhere nothing is known, and every instance counts.
    pub(super) fn counts(&self, value: &Token, resources: &Resources, index: usize) -> bool {
        let mut locks = self.0.borrow_mut();
        let known = locks.find(value, resources);
        known.is_none_or(|known| known.granted_by.has(index))
    }
}

impl Locks {
    fn find(&mut self, value: &Token, resources: &Resources) -> Option<&mut Held> {
        let of_value = self.by_value.get_mut(value)?;
        of_value.iter_mut().find(|known| known.is_on(resources))
    }

    fn take(&mut self, value: &Token, resources: &Resources) -> Option<Held> {
        let Entry::Occupied(mut of_value) = self.by_value.entry(value.clone()) else {
            return None;
        };
        let place = of_value
            .get()
            .iter()
            .position(|known| known.is_on(resources))?;
        let taken = of_value.get_mut().swap_remove(place);
        if of_value.get().is_empty() {
            of_value.remove();
        }
        self.length -= 1;
        Some(taken)
    }

    /// Forgets those that are over and have no vote to come, each time their number has
    /// doubled.
    fn sweep(&mut self, now: Instant) {
        if self.length < self.sweep_at {
            return;
        }
        let mut left = 0;
        let holds = &mut self.holds;
        self.by_value.retain(|value, of_value| {
            of_value.retain(|held| {
                let is_kept = now < held.until || held.round.is_some();
                if !is_kept {
                    holds.ended(value, held, held.until, false);
                }
                is_kept
            });
            left += of_value.len();
            !of_value.is_empty()
        });
        self.length = left;
        self.sweep_at = (left * 2).max(1024);
    }
}

impl Holds {
    /// That lock is known no more: it was held until then, and was released in time or not.
    fn ended(&mut self, value: &Token, held: &Held, at: Instant, in_time: bool) {
        if !self.lost_early.is_empty() {
            let lock = LockId::new(value, &held.resources);
            if self.lost_early.remove(&lock) {
                return;
            }
        }
        let times = if in_time { &self.released } else { &self.lost };
        times.add(at.nanos_since(held.since));
    }

    /// Whether it counts as lost already.
    fn counts(&self, value: &Token, held: &Held) -> bool {
        let lost = &self.lost_early;
        !lost.is_empty() && lost.contains(&LockId::new(value, &held.resources))
    }
}

impl Held {
    fn is_on(&self, resources: &Resources) -> bool {
        are_same(&self.resources, resources)
    }
}

/// For values, each of which is written at once.
#[derive(Default)]
struct ValueHasher(u64);

impl Hasher for ValueHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        self.0 = hasher.finish();
    }

    /// A part of a value of ours, which is random already.
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN.after(Duration::from_secs(seconds))
    }

    fn on(names: &[&str]) -> Resources {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    fn note(locks: &HeldLocks, value: &str, names: &[&str], until: u64, now: u64) {
        let held = Held {
            resources: on(names),
            since: at(0),
            until: at(until),
            granted_by: InstanceSet::default(),
            context: None,
            round: None,
        };
        locks.note(&value.into(), held, at(now));
    }

    /// An acquire that has votes to come.
    struct Acquire(Cell<bool>);

    impl GrantedRound for Acquire {
        fn lock_was_released(&self) {
            self.0.set(true);
        }
    }

    /// Notes one that was granted by the first member, whose acquire is `round`.
    fn note_granted(locks: &HeldLocks, round: &Rc<Acquire>) {
        let mut granted_by = InstanceSet::default();
        granted_by.add(0);
        let held = Held {
            resources: on(&["a"]),
            since: at(0),
            until: at(10),
            granted_by,
            context: None,
            round: Some(Rc::<Acquire>::downgrade(round)),
        };
        locks.note(&"v".into(), held, at(0));
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
            note(&locks, name, &[name], until, 0);
        }
        assert_eq!(names(&locks, at(1)), ["a", "b", "c"]);
        assert_eq!(names(&locks, at(5)), ["a", "c"]);
        locks.extend(&"b".into(), &on(&["b"]), at(20));
        locks.release(&"a".into(), &on(&["a"]), at(1));
        assert_eq!(names(&locks, at(5)), ["b", "c"]);
        assert_eq!(names(&locks, at(20)), Vec::<String>::new());
    }

    #[test]
    fn locks_of_one_value_are_told_apart_by_their_names_in_whatever_order() {
        let locks = HeldLocks::default();
        for on in [&["a", "b"][..], &["c"], &["b", "a"], &["d", "e"]] {
            note(&locks, "v", on, 10, 0);
        }
        assert_eq!(names(&locks, at(1)), ["b", "c", "d"]);
        locks.release(&"v".into(), &on(&["a"]), at(1));
        locks.release(&"v".into(), &on(&["a", "b"]), at(1));
        locks.release(&"w".into(), &on(&["c"]), at(1));
        assert_eq!(names(&locks, at(1)), ["c", "d"]);
        locks.release(&"v".into(), &on(&["e", "d"]), at(1));
        locks.release(&"v".into(), &on(&["c"]), at(1));
        let locks = locks.0.borrow();
        assert_eq!((locks.by_value.len(), locks.length), (0, 0));
    }

    #[test]
    fn what_is_over_is_forgotten_in_time() {
        let locks = HeldLocks::default();
        for second in 0..10_000 {
            let name = second.to_string();
            note(&locks, &name, &[&name], second + 2, second);
        }
        let left = locks.0.borrow().by_value.len();
        assert!(left <= 1024, "{left}");
    }

    #[test]
    fn locks_of_one_value_that_are_over_are_forgotten_in_time_too() {
        let locks = HeldLocks::default();
        for second in 0..10_000 {
            let name = second.to_string();
            note(&locks, "v", &[&name], second + 2, second);
        }
        let left = locks.0.borrow().by_value[&"v".into()].len();
        assert!(left <= 1024, "{left}");
    }

    #[test]
    fn a_member_counts_where_it_has_granted_however_late() {
        let locks = HeldLocks::default();
        let acquire = Rc::new(Acquire(Cell::default()));
        let counts = |index| locks.counts(&"v".into(), &on(&["a"]), index);
        note_granted(&locks, &acquire);
        assert!(counts(0) && !counts(1));
        locks.voted(&"v".into(), Rc::as_ptr(&acquire), Some(1), false);
        assert!(counts(1) && !counts(2));
        let elsewhere = locks.counts(&"v".into(), &on(&["elsewhere"]), 2);
        assert!(elsewhere && locks.counts(&"w".into(), &on(&["a"]), 2));
    }

    #[test]
    fn an_acquire_whose_value_was_given_again_says_nothing_of_the_newer_lock() {
        let locks = HeldLocks::default();
        let [older, newer] = [false; 2].map(|never| Rc::new(Acquire(Cell::new(never))));
        note_granted(&locks, &older);
        note_granted(&locks, &newer);
        locks.voted(&"v".into(), Rc::as_ptr(&older), Some(1), true);
        assert!(!locks.counts(&"v".into(), &on(&["a"]), 1));
        locks.release(&"v".into(), &on(&["a"]), at(1));
        assert!(newer.0.get() && !older.0.get());
    }

    #[test]
    fn an_acquire_without_votes_to_come_is_not_told_of_the_release() {
        let locks = HeldLocks::default();
        let acquire = Rc::new(Acquire(Cell::default()));
        note_granted(&locks, &acquire);
        locks.voted(&"v".into(), Rc::as_ptr(&acquire), None, true);
        locks.release(&"v".into(), &on(&["a"]), at(1));
        assert!(!acquire.0.get());
    }

    #[test]
    fn a_lock_counts_once_as_released_in_time_or_as_lost() {
        let locks = HeldLocks::default();
        for (name, until) in [("released", 10), ("late", 10), ("left", 10), ("told", 50)] {
            note(&locks, name, &[name], until, 0);
        }
        let release = |name: &str, at| locks.release(&name.into(), &on(&[name]), at);
        release("released", at(4));
        assert_eq!(locks.look(at(5)).held, 3);
        locks.lose(&"told".into(), &on(&["told"]), at(6));
        release("late", at(30));
        release("told", at(40));
        for _ in 0..2 {
            let HoldStats {
                held,
                released,
                lost,
            } = locks.look(at(40));
            let count = |counts: Vec<u64>| counts.into_iter().sum::<u64>();
            assert_eq!(
                (held, count(released.counts), count(lost.counts)),
                (0, 1, 3)
            );
            let seconds = |sum: u64| sum / 1_000_000_000;
            assert_eq!((seconds(released.sum), seconds(lost.sum)), (4, 6 + 10 + 10));
        }
        // What is over is no longer extended, but nothing of it is forgotten by being looked at.
        assert_eq!(locks.0.borrow().length, 1);
    }
}
