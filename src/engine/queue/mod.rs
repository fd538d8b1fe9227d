//! Who waits in this process for the same resource: they line up, first come, first
//! served. The first of them asks the instances, the others wait without a command, and
//! a lock that this process lets go of passes to the first at once.
//!
//! Safety never rests on it: it says who asks when, and a lock is granted by votes alone.
//! Nor does anybody wait longer than without it: who would have given up by then asks once
//! more by itself.
//!
//! - `call`: what one waiter is told.
//! - `of_members`: the queues over the same members.
//! - `place`: one waiter's place.

mod call;
mod of_members;
mod place;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use smallvec::SmallVec;

pub(super) use call::{Called, Turn};
pub(super) use of_members::QueuesOfMembers;
pub(super) use place::Place;

use super::instance::Instance;

/// The queues of all engines of one thread, by the members that they are over.
#[derive(Default)]
pub struct Queues(RefCell<BTreeMap<Members, Weak<QueuesOfMembers>>>);

/// What each member's keys are told from others' by, in order.
type Members = SmallVec<[usize; 7]>;

impl Queues {
    fn of(&self, members: &Members) -> Rc<QueuesOfMembers> {
        let mut all = self.0.borrow_mut();
        if let Some(known) = all.get(members).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, known| known.strong_count() > 0);
        let new = Rc::default();
        all.insert(members.clone(), Rc::downgrade(&new));
        new
    }
}

/// The queues that one engine's waiters are in.
pub(super) struct EngineQueues {
    shared: Rc<Queues>,
    known: RefCell<Option<(Members, Rc<QueuesOfMembers>)>>,
}

impl EngineQueues {
    pub(super) fn new(shared: Rc<Queues>) -> Self {
        Self {
            shared,
            known: RefCell::default(),
        }
    }

    /// Those over these instances; `None` where it isn't known which keys one of them has.
    pub(super) fn over(&self, instances: &[Rc<dyn Instance>]) -> Option<Rc<QueuesOfMembers>> {
        let mut known = self.known.borrow_mut();
        if let Some((members, queues)) = &*known
            && are_same(members, instances)
        {
            return Some(Rc::clone(queues));
        }
        let members = instances
            .iter()
            .map(|instance| instance.keys_are_those_of());
        let members: Option<Members> = members.collect();
        let Some(members) = members else {
            // What is waited for there goes on by its own schedule; what was locked before is
            // still released to those who wait for it.
            return None;
        };
        let queues = self.shared.of(&members);
        *known = Some((members, Rc::clone(&queues)));
        Some(queues)
    }

    /// Those that were last found, if any were.
    pub(super) fn known(&self) -> Option<Rc<QueuesOfMembers>> {
        let known = self.known.borrow();
        known.as_ref().map(|(_, queues)| Rc::clone(queues))
    }
}

fn are_same(members: &Members, instances: &[Rc<dyn Instance>]) -> bool {
    let now = instances
        .iter()
        .map(|instance| instance.keys_are_those_of());
    members.iter().map(|member| Some(*member)).eq(now)
}
