//! The queues over the same members, by resource.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::time::Duration;

use super::super::question::Resources;
use super::super::retry::Retry;
use super::super::token::Token;
use super::super::validity::Instant;
use super::call::{Call, Called, Turn};

/// After so many locks in a row have passed from one to the next in this process, others
/// must find the resource free.
const MOST_IN_A_ROW: u32 = 8;

/// For so long after a refusal by another process it may be in the way still.
const RIVALRY: Duration = Duration::from_secs(10);

/// The queues over the same members.
#[derive(Default)]
pub(in crate::engine) struct QueuesOfMembers {
    queues: RefCell<Map>,
    /// The last number of who lined up behind, and of who did before all others.
    last: Cell<i64>,
    first: Cell<i64>,
    /// How many queues there are when those that are over are looked for next.
    sweep_at: Cell<usize>,
}

type Map = HashMap<Name, Queue, BuildHasherDefault<NameHasher>>;

/// Who has a resource, and who waits for it.
#[derive(Default)]
struct Queue {
    /// The lock of this process that has it, or that is being asked for, and until when it
    /// may be held.
    holder: Option<(Token, Instant)>,
    /// By when they came.
    waiting: BTreeMap<i64, Rc<Call>>,
    /// Those who wait for several resources, this one among them. They keep nobody waiting.
    others: BTreeMap<i64, Rc<Call>>,
    /// How many locks have passed from one to the next, or were asked for while rivals
    /// were.
    in_a_row: u32,
    /// Since another process has refused somebody here.
    has_rivals_until: Option<Instant>,
    /// When the first who waits, or one before it, has asked last.
    asked: Option<Instant>,
    /// The one of those who wait that waits least between two attempts.
    shortest: Option<Retry>,
}

impl QueuesOfMembers {
    /// An attempt with `value`, which may hold the resource until then, is begun at `now`
    /// unless another of this process has the resource or is waiting for it. Returns whether it
    /// is.
    pub(in crate::engine) fn enter(
        &self,
        resources: &Resources,
        value: &Token,
        now: Instant,
        until: Instant,
    ) -> bool {
        let mut queues = self.queues.borrow_mut();
        self.sweep(&mut queues, now);
        match queues.entry(Name::of(resources)) {
            Entry::Vacant(new) => {
                new.insert(Queue {
                    holder: Some((value.clone(), until)),
                    ..Queue::default()
                });
                true
            }
            Entry::Occupied(mut known) => known.get_mut().enter(value, now, until),
        }
    }

    /// Forgets what is over each time there are twice as many.
    fn sweep(&self, queues: &mut Map, now: Instant) {
        if queues.len() >= self.sweep_at.get().max(1024) {
            queues.retain(|_, queue| queue.is_needed(now));
            self.sweep_at.set(queues.len() * 2);
        }
    }

    /// Whether whoever comes at `now` is called in its turn, without asking first: others of
    /// this process wait, or have just had the resource from one another. Where one has it,
    /// and no more is known, that may be over without a word to us: whoever comes asks once.
    pub(in crate::engine) fn must_wait(&self, resources: &Resources, now: Instant) -> bool {
        let queues = self.queues.borrow();
        let queue = queues.get(&Name::of(resources));
        queue.is_some_and(|queue| {
            !queue.waiting.is_empty() || queue.is_held(now) && queue.in_a_row > 0
        })
    }

    /// Another attempt of who waits is begun at `now`. Returns whether it is known as the
    /// holder from then on: not if another of this process may still have the resource.
    pub(in crate::engine) fn hold_if_free(
        &self,
        resources: &Resources,
        value: &Token,
        now: Instant,
        until: Instant,
    ) -> bool {
        let mut queues = self.queues.borrow_mut();
        self.sweep(&mut queues, now);
        let queue = queues.entry(Name::of(resources)).or_default();
        if queue.is_held(now) {
            return false;
        }
        queue.holder = Some((value.clone(), until));
        true
    }

    /// The lock with `value` was granted at `now` and may be held until then, whoever was known
    /// to have had one of the resources.
    pub(in crate::engine) fn hold(
        &self,
        resources: &Resources,
        value: &Token,
        now: Instant,
        until: Instant,
    ) {
        let mut queues = self.queues.borrow_mut();
        self.sweep(&mut queues, now);
        for at in 0..resources.len() {
            let queue = queues.entry(Name::one_of(resources, at)).or_default();
            queue.holder = Some((value.clone(), until));
        }
    }

    /// The lock with `value` was extended until then.
    pub(in crate::engine) fn extended(&self, resources: &Resources, value: &Token, until: Instant) {
        let mut queues = self.queues.borrow_mut();
        for at in 0..resources.len() {
            let queue = queues.get_mut(&Name::one_of(resources, at));
            if let Some((held, end)) = queue.and_then(|queue| queue.holder.as_mut())
                && held == value
            {
                *end = until.max(*end);
            }
        }
    }

    /// The attempt with `value` has failed.
    pub(in crate::engine) fn failed(&self, resources: &Resources, value: &Token) {
        self.let_go(resources, value, false);
    }

    /// The lock with `value` is being released: who waits may ask behind that.
    pub(in crate::engine) fn released(&self, resources: &Resources, value: &Token) {
        self.let_go(resources, value, true);
    }

    fn let_go(&self, resources: &Resources, value: &Token, passes_on: bool) {
        let mut queues = self.queues.borrow_mut();
        for at in 0..resources.len() {
            let Entry::Occupied(mut known) = queues.entry(Name::one_of(resources, at)) else {
                continue;
            };
            let queue = known.get_mut();
            if queue.holder.as_ref().is_none_or(|(held, _)| held != value) {
                continue;
            }
            queue.holder = None;
            if queue.is_over() {
                known.remove();
            } else if passes_on {
                queue.pass_on();
            }
        }
    }

    /// Lines up: before all others, for who has asked when nobody waited; or behind them.
    pub(super) fn line_up(
        &self,
        resources: &Resources,
        retry: Retry,
        is_first: bool,
        call: &Rc<Call>,
    ) -> i64 {
        let (counter, step) = if is_first {
            (&self.first, -1)
        } else {
            (&self.last, 1)
        };
        let number = counter.get() + step;
        counter.set(number);
        let mut queues = self.queues.borrow_mut();
        if resources.len() > 1 {
            for at in 0..resources.len() {
                let queue = queues.entry(Name::one_of(resources, at)).or_default();
                queue.others.insert(number, Rc::clone(call));
            }
            return number;
        }
        let queue = queues.entry(Name::of(resources)).or_default();
        if is_first && let Some((_, before)) = queue.waiting.first_key_value() {
            before.call(Called::Moved);
        }
        queue.waiting.insert(number, Rc::clone(call));
        if queue
            .shortest
            .is_none_or(|shortest| retry.delay < shortest.delay)
        {
            queue.shortest = Some(retry);
            // Whoever asks does so more often from now on.
            if let Some((_, first)) = queue.waiting.first_key_value() {
                first.call(Called::Moved);
            }
        }
        number
    }

    /// Waits no longer. If it leaves with a lock, that is known to be held by then; if it
    /// leaves in its turn without one, the turn is the next one's.
    pub(super) fn leave(&self, resources: &Resources, number: i64, has_turn: bool) {
        let mut queues = self.queues.borrow_mut();
        for at in 0..resources.len() {
            let Entry::Occupied(mut known) = queues.entry(Name::one_of(resources, at)) else {
                continue;
            };
            let queue = known.get_mut();
            let was_first = queue.is_first(number);
            if queue.waiting.remove(&number).is_none() {
                queue.others.remove(&number);
            }
            if queue.waiting.is_empty() {
                (queue.shortest, queue.asked) = (None, None);
            }
            if queue.is_over() {
                known.remove();
            } else if was_first && let Some((_, next)) = queue.waiting.first_key_value() {
                next.call(if has_turn && queue.holder.is_none() {
                    Called::Turn(Turn::Now)
                } else {
                    Called::Moved
                });
            }
        }
    }

    /// Whether who lined up with that number is the first.
    pub(super) fn is_first(&self, resources: &Resources, number: i64) -> bool {
        let queues = self.queues.borrow();
        let queue = queues.get(&Name::of(resources));
        queue.is_some_and(|queue| queue.is_first(number))
    }

    /// The first who waits asks at `now`.
    pub(super) fn asks(&self, resources: &Resources, now: Instant) {
        if let Some(queue) = self.queues.borrow_mut().get_mut(&Name::of(resources)) {
            queue.asked = Some(now);
        }
    }

    /// Whether whoever asks next at `now` is to let others find the resource free first, as
    /// this process has had it again and again. That is said once.
    pub(in crate::engine) fn must_yield(&self, resources: &Resources, now: Instant) -> bool {
        let mut queues = self.queues.borrow_mut();
        let queue = queues.get_mut(&Name::of(resources));
        let Some(queue) = queue.filter(|queue| queue.must_yield(now)) else {
            return false;
        };
        queue.in_a_row = 0;
        true
    }

    /// The first who waits was refused at `now`. Returns whether others than this process
    /// were the reason.
    pub(super) fn refused(&self, resources: &Resources, now: Instant) -> bool {
        let mut queues = self.queues.borrow_mut();
        let queue = queues.get_mut(&Name::of(resources));
        let Some(queue) = queue.filter(|queue| !queue.is_held(now)) else {
            return false;
        };
        queue.in_a_row = 0;
        queue.has_rivals_until = Some(now.after(RIVALRY));
        true
    }

    /// When the first who waits has asked last, and who of all waits least between two
    /// attempts.
    pub(super) fn pace(&self, resources: &Resources) -> (Option<Instant>, Option<Retry>) {
        let queues = self.queues.borrow();
        let queue = queues.get(&Name::of(resources));
        queue.map_or((None, None), |queue| (queue.asked, queue.shortest))
    }

    /// When the lock of this process ends that has the resource, as far as is known.
    pub(super) fn end(&self, resources: &Resources) -> Option<Instant> {
        let queues = self.queues.borrow();
        let holder = queues.get(&Name::of(resources))?.holder.as_ref();
        holder.map(|(_, until)| *until)
    }
}

impl Queue {
    fn enter(&mut self, value: &Token, now: Instant, until: Instant) -> bool {
        if self.is_held(now) || !self.waiting.is_empty() || self.must_yield(now) {
            return false;
        }
        self.holder = Some((value.clone(), until));
        self.in_a_row += u32::from(self.has_rivals(now));
        true
    }

    fn has_rivals(&self, now: Instant) -> bool {
        self.has_rivals_until.is_some_and(|until| now < until)
    }

    fn must_yield(&self, now: Instant) -> bool {
        self.in_a_row >= MOST_IN_A_ROW && self.has_rivals(now)
    }

    /// Whether nothing need be known of it any more, as far as can be said at any time.
    fn is_over(&self) -> bool {
        let is_waited_for = !self.waiting.is_empty() || !self.others.is_empty();
        self.holder.is_none() && !is_waited_for && self.has_rivals_until.is_none()
    }

    fn is_held(&self, now: Instant) -> bool {
        self.holder.as_ref().is_some_and(|(_, until)| now < *until)
    }

    fn is_needed(&self, now: Instant) -> bool {
        let is_waited_for = !self.waiting.is_empty() || !self.others.is_empty();
        self.is_held(now) || is_waited_for || self.has_rivals(now)
    }

    fn is_first(&self, number: i64) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(first, _)| *first == number)
    }

    /// Calls who is next. Now and then others than those who wait in this queue come first.
    fn pass_on(&mut self) {
        let next = self.waiting.first_key_value().map(|(_, next)| next);
        let pauses = self.in_a_row >= MOST_IN_A_ROW;
        if pauses || next.is_none() {
            for other in self.others.values() {
                other.call(Called::Turn(Turn::Now));
            }
        }
        if let Some(next) = next {
            next.call(Called::Turn(if pauses {
                Turn::AfterOthers {
                    contend: self.has_rivals_until.is_some(),
                }
            } else {
                Turn::Now
            }));
            self.in_a_row = if pauses { 0 } else { self.in_a_row + 1 };
        }
    }
}

/// One resource's name, in the list it is given in.
struct Name(Resources, usize);

impl Name {
    fn of(resources: &Resources) -> Self {
        Self::one_of(resources, 0)
    }

    fn one_of(resources: &Resources, at: usize) -> Self {
        Self(Resources::clone(resources), at)
    }

    fn text(&self) -> &str {
        &self.0[self.1]
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.text().as_bytes());
    }
}

/// For names: short, the same in every run, and spread by its last step. Who chooses names
/// so that they collide delays nobody but themselves, as one engine's thread does all.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let (words, rest) = bytes.as_chunks::<8>();
        let mut sum = bytes.len() as u64;
        for word in words {
            sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
            sum ^= sum >> 32;
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        sum = (sum ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
        self.0 = sum ^ sum >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;

    const RETRY: Retry = Retry {
        count: None,
        delay: 100.0,
        jitter: 0.0,
    };

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN.after(Duration::from_secs(seconds))
    }

    fn on(names: &[&str]) -> Resources {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    /// Queues in which the lock "held" has the resource "a" until 10.
    fn held() -> (Rc<QueuesOfMembers>, Resources) {
        let (queues, a) = (Rc::<QueuesOfMembers>::default(), on(&["a"]));
        assert!(queues.enter(&a, &"held".into(), at(0), at(10)));
        (queues, a)
    }

    fn behind(queues: &Rc<QueuesOfMembers>, resources: &Resources) -> Place {
        Place::line_up(queues, resources, RETRY, false)
    }

    #[test]
    fn nothing_is_known_of_who_was_alone_and_has_unlocked() {
        let (queues, a) = held();
        queues.released(&a, &"another's".into());
        assert!(!queues.enter(&a, &"failed".into(), at(1), at(10)));
        queues.released(&a, &"held".into());
        assert!(queues.queues.borrow().is_empty());
        assert!(queues.enter(&a, &"failed".into(), at(1), at(10)));
        queues.failed(&a, &"failed".into());
        assert!(queues.queues.borrow().is_empty());
    }

    #[test]
    fn who_is_known_to_have_it_has_it_until_its_end() {
        let (queues, a) = held();
        assert!(!queues.enter(&a, &"next".into(), at(9), at(20)));
        assert!(queues.enter(&a, &"next".into(), at(10), at(20)));
        // Too late for the one before.
        queues.released(&a, &"held".into());
        assert!(!queues.enter(&a, &"third".into(), at(11), at(20)));
    }

    #[test]
    fn the_first_who_waits_is_called_at_a_release_and_who_had_asked_was_before_all() {
        let (queues, a) = held();
        let second = behind(&queues, &a);
        let first = Place::line_up(&queues, &a, RETRY, true);
        assert!(first.may_ask() && !second.may_ask());
        assert_eq!(second.take_call(), Some(Called::Moved));
        queues.released(&a, &"held".into());
        assert_eq!(first.take_call(), Some(Called::Turn(Turn::Now)));
        assert_eq!(second.take_call(), None);
        // Whoever comes now does not come before them.
        assert!(!queues.enter(&a, &"new".into(), at(1), at(20)));
    }

    #[test]
    fn who_leaves_in_its_turn_hands_it_on() {
        let (queues, a) = held();
        let (first, second) = (behind(&queues, &a), behind(&queues, &a));
        let third = behind(&queues, &a);
        queues.released(&a, &"held".into());
        drop(first);
        assert_eq!(second.take_call(), Some(Called::Turn(Turn::Now)));
        second.asks(at(1));
        second.refused(at(1));
        // It was refused, so that the next one would be, too.
        drop(second);
        assert_eq!(third.take_call(), Some(Called::Moved));
    }

    #[test]
    fn who_comes_asks_once_unless_others_wait_or_have_it_from_one_another() {
        let (queues, a) = held();
        assert!(!queues.must_wait(&a, at(1)));
        let first = behind(&queues, &a);
        assert!(queues.must_wait(&a, at(1)));
        queues.released(&a, &"held".into());
        queues.hold(&a, &"next".into(), at(1), at(10));
        drop(first);
        assert!(queues.must_wait(&a, at(1)));
        assert!(!queues.must_wait(&a, at(10)));
    }

    #[test]
    fn after_eight_locks_in_a_row_the_next_one_pauses() {
        let (queues, a) = held();
        let several = Place::line_up(&queues, &on(&["b", "a"]), RETRY, false);
        let first = behind(&queues, &a);
        let mut pauses = Vec::new();
        for turn in 0..18 {
            queues.hold(&a, &"held".into(), at(1), at(10));
            queues.released(&a, &"held".into());
            let Some(Called::Turn(called)) = first.take_call() else {
                panic!("it is not called");
            };
            let is_late = called != Turn::Now;
            // Those who wait for this name and others may ask then.
            assert_eq!(several.take_call().is_some(), is_late, "{turn}");
            if is_late {
                pauses.push(turn);
            }
        }
        assert_eq!(pauses, [8, 17]);
    }

    #[test]
    fn who_locks_again_and_again_lets_a_rival_find_it_free() {
        let (queues, a) = held();
        queues.released(&a, &"held".into());
        let waits = behind(&queues, &a);
        // Nobody here has it.
        assert!(waits.refused(at(1)));
        drop(waits);
        let asks = |turn: u64| {
            let now = at(1).after(Duration::from_millis(turn));
            let enters = queues.enter(&a, &"again".into(), now, at(10));
            queues.released(&a, &"again".into());
            enters
        };
        let turns: Vec<_> = (0..20).filter(|turn| !asks(*turn)).collect();
        assert_eq!(turns, (8..20).collect::<Vec<_>>());
        assert!(queues.must_yield(&a, at(2)) && !queues.must_yield(&a, at(2)));
        assert!(asks(1100));
        // The rival has gone.
        (0..30).for_each(|turn| assert!(asks(11_000 + turn)));
    }

    #[test]
    fn who_waits_for_several_names_is_in_nobodys_way_and_is_called_if_nobody_else_is() {
        let (queues, a) = held();
        let several = Place::line_up(&queues, &on(&["a", "b"]), RETRY, false);
        assert!(several.may_ask());
        assert!(!queues.must_wait(&on(&["b"]), at(1)));
        queues.released(&a, &"held".into());
        assert_eq!(several.take_call(), Some(Called::Turn(Turn::Now)));
        drop(several);
        assert!(queues.queues.borrow().is_empty());
    }

    #[test]
    fn locks_that_are_never_unlocked_are_forgotten_once_they_are_over() {
        let queues = QueuesOfMembers::default();
        for number in 0..10_000_u64 {
            let name = on(&[&format!("r{number}")]);
            let now = at(number);
            assert!(queues.enter(&name, &"v".into(), now, at(number + 5)));
        }
        assert!(queues.queues.borrow().len() < 3000);
    }
}
