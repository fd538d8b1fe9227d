//! Acquires that are not sent yet, in the order in which they were asked.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::engine::{Instant, Question, Responder, Token};

/// An acquire that waits.
pub(super) trait Acquire {
    fn question(&self) -> &Question;

    /// Whether somebody still waits for its answer.
    fn is_awaited(&self, now: Instant) -> bool;

    /// About how many bytes it keeps.
    fn weight(&self) -> usize;

    fn into_responder(self) -> Responder;
}

/// They wait until fewer are on their way. Each can be found by its value, since its
/// release withdraws it: sent after that, it would set a key that nobody deletes. Where
/// the engine that has asked gives up or releases, `Responder::is_awaited` says so too, but
/// engines share a link, and a lock may be released by another one.
pub(super) struct AcquireQueue<A> {
    waiting: BTreeMap<u64, (A, Earlier)>,
    /// The last one of each value.
    by_value: HashMap<Token, u64>,
    /// The number of the next one.
    next: u64,
    /// What all of them weigh.
    weight: usize,
}

/// The one before of the same value, if it still waits: a caller may give a value
/// again.
type Earlier = Option<u64>;

impl<A> Default for AcquireQueue<A> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            by_value: HashMap::new(),
            next: 0,
            weight: 0,
        }
    }
}

impl<A: Acquire> AcquireQueue<A> {
    pub(super) fn push(&mut self, acquire: A) {
        let number = self.next;
        self.next += 1;
        self.weight += acquire.weight();
        let value = acquire.question().value.clone();
        let earlier = self.by_value.insert(value, number);
        self.waiting.insert(number, (acquire, earlier));
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<A> {
        let (number, (acquire, _)) = self.waiting.pop_first()?;
        // Those that come after it are found without it.
        if let Entry::Occupied(last) = self.by_value.entry(acquire.question().value.clone())
            && *last.get() == number
        {
            last.remove();
        }
        self.weight -= acquire.weight();
        Some(acquire)
    }

    /// Takes one of the oldest that nobody waits for any more, or two: as long as a server
    /// takes none, no more wait than are still wanted.
    pub(super) fn pop_late(&mut self, now: Instant) -> impl Iterator<Item = Responder> {
        let late = std::iter::from_fn(move || {
            let (_, (oldest, _)) = self.waiting.first_key_value()?;
            (!oldest.is_awaited(now)).then(|| self.pop()).flatten()
        });
        late.take(2).map(Acquire::into_responder)
    }

    /// Takes those of the value of `release` that are for one of its resources.
    pub(super) fn withdraw(&mut self, release: &Question) -> Vec<Responder> {
        let mut taken = Vec::new();
        if self.waiting.is_empty() {
            return taken;
        }
        let mut next = self.by_value.remove(&release.value);
        let mut stay = Vec::new();
        while let Some((number, (acquire, earlier))) =
            next.and_then(|number| self.waiting.remove_entry(&number))
        {
            next = earlier;
            if acquire.question().shares_a_resource(release) {
                self.weight -= acquire.weight();
                taken.push(acquire.into_responder());
            } else {
                stay.push((number, acquire));
            }
        }
        for (number, acquire) in stay.into_iter().rev() {
            let value = acquire.question().value.clone();
            let earlier = self.by_value.insert(value, number);
            self.waiting.insert(number, (acquire, earlier));
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// About how many bytes they are.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::instances::redis::test_questions::{Nobody, acquire, release};

    struct Asked(Rc<Question>);

    impl Acquire for Asked {
        fn question(&self) -> &Question {
            &self.0
        }

        fn is_awaited(&self, now: Instant) -> bool {
            now < self.0.deadline
        }

        fn weight(&self) -> usize {
            self.0.weight()
        }

        fn into_responder(self) -> Responder {
            Responder::new(Rc::new(Nobody), 0)
        }
    }

    fn queue(acquires: &[(&str, &[&str])]) -> AcquireQueue<Asked> {
        let mut queue = AcquireQueue::default();
        for (value, resources) in acquires {
            queue.push(Asked(acquire(value, resources)));
        }
        queue
    }

    fn rest(mut queue: AcquireQueue<Asked>) -> Vec<String> {
        let popped = std::iter::from_fn(|| queue.pop());
        let rest = popped
            .map(|acquire| acquire.0.resources.join(","))
            .collect();
        assert_eq!((queue.weight(), queue.by_value.len()), (0, 0));
        rest
    }

    #[test]
    fn a_release_withdraws_its_own_acquires_only() {
        let acquires: [(&str, &[&str]); 6] = [
            ("v", &["0"]),
            ("v", &["a"]),
            ("w", &["a"]),
            ("v", &["b", "c"]),
            ("v", &["d"]),
            ("v", &["e"]),
        ];
        let mut queue = queue(&acquires);
        let oldest = queue.pop().expect("the oldest");
        assert_eq!(&*oldest.0.resources[0], "0");
        assert_eq!(queue.withdraw(&release("v", &["c", "a"])).len(), 2);
        assert_eq!(queue.withdraw(&release("x", &["d"])).len(), 0);
        assert_eq!(queue.withdraw(&release("v", &["e"])).len(), 1);
        assert_eq!(queue.len(), 2);
        assert_eq!(rest(queue), ["a", "d"]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_makes_room() {
        let mut queue = queue(&[("v", &["a"]), ("w", &["b"]), ("u", &["c"]), ("x", &["d"])]);
        assert_eq!(queue.pop_late(Instant::ORIGIN).count(), 0);
        assert_eq!(queue.pop_late(Instant::LAST).count(), 2);
        assert_eq!(rest(queue), ["c", "d"]);
    }

    #[test]
    fn the_oldest_goes_first() {
        let queue = queue(&[("v", &["a"]), ("w", &["b"]), ("u", &["c"])]);
        assert_eq!(rest(queue), ["a", "b", "c"]);
    }
}
