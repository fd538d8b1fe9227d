//! Deadlines by when they are, in constant time each however many there are.
//!
//! Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels",
//! scheme 6: a slot for each span of time modulo the wheel's length, each a list.

use super::super::validity::Instant;

/// So many nanoseconds, as a power of two, is a slot long: about 4 ms.
const SLOT_BITS: u32 = 22;

/// How many slots there are: about 4 s, beyond nearly all deadlines.
const SLOTS: usize = 1024;

/// When, and what orders those of the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    pub at: Instant,
    pub number: u64,
}

/// Where something is kept. It is not given again to the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    entry: usize,
    number: u64,
}

/// The index of no entry.
const NONE: usize = usize::MAX;

/// What is kept, by deadline.
pub(super) struct Wheel<T> {
    entries: Vec<Entry<T>>,
    /// The first of the entries that are free; they form a list by `next`.
    free: usize,
    /// The first of each slot's entries.
    slots: Box<[usize; SLOTS]>,
    /// One bit for each slot that has an entry.
    occupied: [u64; SLOTS / 64],
    /// Nothing is due before this slot, as time goes on; `None` where there is nothing.
    earliest: Option<u64>,
    /// How many are kept.
    length: usize,
}

struct Entry<T> {
    deadline: Deadline,
    /// `None` if it is free.
    kept: Option<T>,
    previous: usize,
    next: usize,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            slots: Box::new([NONE; SLOTS]),
            occupied: [0; SLOTS / 64],
            earliest: None,
            length: 0,
        }
    }
}

impl<T> Wheel<T> {
    pub(super) fn add(&mut self, deadline: Deadline, kept: T) -> Place {
        let time = slot_time(deadline.at);
        let slot = index(time);
        let next = self.slots[slot];
        let new = Entry {
            deadline,
            kept: Some(kept),
            previous: NONE,
            next,
        };
        let entry = if let Some(free) = self.entries.get_mut(self.free) {
            let entry = self.free;
            self.free = free.next;
            *free = new;
            entry
        } else {
            self.entries.push(new);
            self.entries.len() - 1
        };
        if let Some(next) = self.entries.get_mut(next) {
            next.previous = entry;
        }
        self.slots[slot] = entry;
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.earliest = Some(self.earliest.map_or(time, |earliest| earliest.min(time)));
        self.length += 1;
        Place {
            entry,
            number: deadline.number,
        }
    }

    /// Takes out what is there, unless that was done before.
    pub(super) fn remove(&mut self, place: Place) -> Option<T> {
        let entry = self.entries.get_mut(place.entry)?;
        if entry.deadline.number != place.number {
            return None;
        }
        let kept = entry.kept.take()?;
        let (previous, next) = (entry.previous, entry.next);
        let slot = index(slot_time(entry.deadline.at));
        entry.next = self.free;
        self.free = place.entry;
        if let Some(next) = self.entries.get_mut(next) {
            next.previous = previous;
        }
        if let Some(previous) = self.entries.get_mut(previous) {
            previous.next = next;
        } else {
            self.slots[slot] = next;
            if next == NONE {
                self.occupied[slot / 64] &= !(1 << (slot % 64));
            }
        }
        self.length -= 1;
        if self.length == 0 {
            self.earliest = None;
        }
        Some(kept)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is due at `now`, in order.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Place> {
        let (Some(earliest), last) = (self.earliest, slot_time(now)) else {
            return Vec::new();
        };
        let mut due = Vec::new();
        // Beyond a lap the slots are the same again.
        for time in earliest..=last.min(earliest + SLOTS as u64 - 1) {
            let entries = self.entries_of(index(time));
            due.extend(entries.filter(|(_, deadline)| deadline.at <= now));
        }
        // What is left of the last slot is due later.
        self.earliest = Some(earliest.max(last));
        due.sort_unstable_by_key(|(_, deadline)| *deadline);
        let due = due.into_iter().map(|(entry, deadline)| Place {
            entry,
            number: deadline.number,
        });
        due.collect()
    }

    /// When the first one is due.
    pub(super) fn first(&self) -> Option<Instant> {
        let earliest = self.earliest?;
        let lap = (earliest..earliest + SLOTS as u64).filter(|time| self.is_occupied(index(*time)));
        for time in lap {
            let deadlines = self
                .entries_of(index(time))
                .map(|(_, deadline)| deadline.at);
            // Others in the slot are a lap further.
            let first = deadlines.filter(|at| slot_time(*at) == time).min();
            if first.is_some() {
                return first;
            }
        }
        let kept = self.entries.iter().filter(|entry| entry.kept.is_some());
        kept.map(|entry| entry.deadline.at).min()
    }

    const fn is_occupied(&self, slot: usize) -> bool {
        self.occupied[slot / 64] & 1 << (slot % 64) != 0
    }

    fn entries_of(&self, slot: usize) -> impl Iterator<Item = (usize, Deadline)> {
        let mut next = self.slots[slot];
        std::iter::from_fn(move || {
            let entry = self.entries.get(next)?;
            let at = std::mem::replace(&mut next, entry.next);
            Some((at, entry.deadline))
        })
    }
}

const fn slot_time(at: Instant) -> u64 {
    at.nanos() >> SLOT_BITS
}

/// Where the slot of this time is.
const fn index(time: u64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "less than the wheel's length"
    )]
    let index = (time % SLOTS as u64) as usize;
    index
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What happens to a wheel: something is added so many ns from now, one that is
    /// there is removed, or so much time passes.
    #[derive(Clone, Debug)]
    enum Step {
        Add(u64),
        Remove(usize),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let span = prop_oneof![0..10_000_000_u64, 0..100_000_000_000_u64];
        let step = prop_oneof![
            4 => span.clone().prop_map(Step::Add),
            2 => any::<usize>().prop_map(Step::Remove),
            2 => span.prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn it_tells_the_same_as_an_ordered_map(steps in steps(), start in 0..u64::MAX / 4) {
            let (mut now, mut number) = (start, 0);
            let mut wheel = Wheel::default();
            let mut map = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Add(span) => {
                        number += 1;
                        let at = Instant::from_nanos(now + span);
                        let deadline = Deadline { at, number };
                        map.insert(deadline, wheel.add(deadline, number));
                    }
                    Step::Remove(which) if !map.is_empty() => {
                        let (deadline, place) = map.iter().nth(which % map.len()).expect("there");
                        let (deadline, place) = (*deadline, *place);
                        map.remove(&deadline);
                        prop_assert_eq!(wheel.remove(place), Some(deadline.number));
                        prop_assert_eq!(wheel.remove(place), None);
                    }
                    Step::Remove(_) => {}
                    Step::Pass(span) => {
                        now += span;
                        let due: Vec<_> = wheel.due(Instant::from_nanos(now));
                        let expected = map.iter().filter(|(deadline, _)| deadline.at.nanos() <= now);
                        let expected: Vec<_> = expected.map(|(_, place)| *place).collect();
                        prop_assert_eq!(&due, &expected);
                        for place in due {
                            let number = wheel.remove(place).expect("due");
                            map.retain(|deadline, _| deadline.number != number);
                        }
                    }
                }
                prop_assert_eq!(wheel.first(), map.keys().next().map(|deadline| deadline.at));
                prop_assert_eq!(wheel.is_empty(), map.is_empty());
            }
        }
    }
}
