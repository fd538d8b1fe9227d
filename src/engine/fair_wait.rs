//! A fair request while it waits in the queues that all instances keep.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::deadline_bounds::Limits;
use super::question::{Question, Resources};
use super::round::Round;
use super::settings::Settings;
use super::ticket::Ticket;
use super::validity::Instant;
use super::vote::Vote;

/// Who waits asks as often as this at least, so that a lost question costs it no place.
const ASK_AFTER: Duration = Ticket::LEASE.checked_div(3).expect("not by zero");

/// A ticket in the queues, which is taken out of them when this is dropped: whoever is behind
/// it has its turn then, whether the lock was granted or nobody waits for it any more.
pub(super) struct FairWait<'request> {
    core: &'request Rc<Core>,
    resources: &'request Resources,
    settings: &'request Settings,
    ticket: &'request Arc<Ticket>,
    since: Instant,
    /// When it asked last.
    asked: Cell<Option<Instant>>,
    /// Whom it waits for: the ticket before it, or whoever has the lock.
    behind: RefCell<Option<Rc<str>>>,
}

impl<'request> FairWait<'request> {
    pub(super) fn begin(
        core: &'request Rc<Core>,
        resources: &'request Resources,
        settings: &'request Settings,
        ticket: &'request Arc<Ticket>,
    ) -> Self {
        Self {
            core,
            resources,
            settings,
            ticket,
            since: core.environment.now(),
            asked: Cell::default(),
            behind: RefCell::default(),
        }
    }

    /// It asks now.
    pub(super) fn asks(&self, now: Instant) {
        self.asked.set(Some(now));
    }

    /// When it asks next if nothing is told.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        self.asked.get().map(|asked| asked.after(ASK_AFTER))
    }

    /// It was refused with these votes. Says whether it waits for somebody else than before.
    pub(super) fn refused(&self, votes: &[Option<Vote>]) -> bool {
        let behind = usual(votes);
        let before = self.behind.replace(behind);
        *self.behind.borrow() != before
    }

    /// The key that it waits for.
    pub(super) fn awaited(&self) -> Resources {
        match &*self.behind.borrow() {
            Some(ticket) => Arc::new([self.ticket.waiter_of(ticket).into()]),
            None => Resources::clone(self.resources),
        }
    }
}

impl Drop for FairWait<'_> {
    fn drop(&mut self) {
        if self.asked.get().is_none() {
            return;
        }
        let now = self.core.environment.now();
        let limits = Limits::of_release(self.settings.deadlines, now);
        self.ticket.leave();
        let leaves = Question::leave(self.ticket, self.since, now, limits.last());
        let leaves = leaves.in_context(self.settings.context.clone());
        Round::ask_all(self.core, leaves, limits, now, None);
    }
}

/// Whom most instances name as the one before; nobody where most name nobody.
fn usual(votes: &[Option<Vote>]) -> Option<Rc<str>> {
    let named = || {
        votes.iter().flatten().filter_map(|vote| match vote {
            Vote::Waiting { behind } => Some(behind),
            _ => None,
        })
    };
    let count = |one: &Option<Rc<str>>| named().filter(|other| *other == one).count();
    named().max_by_key(|one| count(one)).cloned().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(ticket: &str) -> Vote {
        let behind = (!ticket.is_empty()).then(|| ticket.into());
        Vote::Waiting { behind }
    }

    #[test]
    fn it_waits_for_whom_most_instances_name() {
        let granted = Some(Vote::Granted);
        let [a, b, nobody] = ["a", "b", ""].map(|ticket| Some(behind(ticket)));
        let a = || a.clone();
        assert_eq!(usual(&[a(), b, a()]).as_deref(), Some("a"));
        assert_eq!(usual(&[None, granted.clone(), a()]).as_deref(), Some("a"));
        assert_eq!(usual(&[nobody.clone(), nobody, a()]), None);
        assert_eq!(usual(&[None, granted]), None);
    }
}
