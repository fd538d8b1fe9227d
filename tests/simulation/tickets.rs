//! Who waits for what on one server, by their tickets. That they still do shows in the
//! server's keys, as an instance keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use redlock_native::engine::{SafetyRule, Ticket};

use crate::world::Moment;

#[derive(Default)]
pub struct Tickets {
    /// By the queue's name, the earliest first.
    queues: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// By the waiter's key: since when it has been there without a break.
    since: BTreeMap<Box<str>, Moment>,
}

impl Tickets {
    /// One waits on, whose key `is_there` already or not; says whose is right before it, of
    /// those that live.
    pub fn line_up(
        &mut self,
        ticket: &Ticket,
        now: Moment,
        lives: impl Fn(&str) -> bool,
    ) -> Option<Rc<str>> {
        if !lives(ticket.waiter()) {
            self.since.insert(ticket.waiter().into(), now);
        }
        let queue = self.queues.entry(ticket.queue().into()).or_default();
        queue.retain(|other| lives(&ticket.waiter_of(other)));
        let before = queue.iter().rev().find(|other| &***other < ticket.text());
        let before = before.map(|before| Rc::from(&**before));
        queue.insert(ticket.text().into());
        before.filter(|_| SafetyRule::InTurn.is_kept())
    }

    /// Since when that waiter's key has been there, if it still is.
    pub fn since(&self, waiter: &str) -> Option<Moment> {
        self.since.get(waiter).copied()
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
