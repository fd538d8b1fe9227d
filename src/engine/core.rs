//! What the rounds of one engine share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::claims::{Claims, Owner};
use super::deadlines::Deadlines;
use super::environment::Environment;
use super::error_reports::ErrorReports;
use super::event::Event;
use super::held_locks::HeldLocks;
use super::instance::{ConnectionState, Instance, Observer};
use super::lock_id::LockId;
use super::look_alikes::{LookAlikes, Pair, are_one, will_be_one};
use super::low_priority::LowPriority;
use super::question::Resources;
use super::queue::{EngineQueues, Queues};
use super::quorum::majority;
use super::round_trip::RoundTrip;
use super::safety_rule::SafetyRule;
use super::spent::Spent;
use super::stats::Counters;
use super::token::Token;
use super::validity::Instant;
use super::watchdog::watched_lock::WatchedLock;

/// What all rounds of one engine share.
pub(super) struct Core {
    pub(super) instances: Box<[Rc<dyn Instance>]>,
    pub(super) environment: Rc<dyn Environment>,
    pub(super) listener: Box<dyn Fn(Event)>,
    /// Of each instance.
    pub(super) error_reports: Box<[ErrorReports]>,
    pub(super) claims: Rc<Claims>,
    /// What its claims are known by.
    pub(super) owner: Owner,
    pub(super) queues: EngineQueues,
    look_alikes: LookAlikes,
    /// Why each instance tells of no changes, as that was told last.
    no_wakeups: Box<[RefCell<Option<Rc<str>>>]>,
    pub(super) held_locks: HeldLocks,
    /// The locks that the watchdog watches, in an order that is the same in every
    /// run of a simulation.
    pub(super) watched: RefCell<BTreeMap<LockId, Rc<WatchedLock>>>,
    pub(super) deadlines: Rc<Deadlines>,
    /// The engine's, since each of them has its core.
    pub(super) spent_rounds: Weak<Spent>,
    pub(super) spent_acquires: Spent,
    pub(super) spent_releases: Spent,
    /// The attempts after the first of each lock.
    pub(super) retries: LowPriority,
    /// Nothing is decided by them.
    pub(super) counters: Counters,
    /// Whether each vote is told as it comes, whoever has asked for it.
    pub(super) tells_votes: Cell<bool>,
}

impl Core {
    pub(super) fn new(
        instances: Vec<Rc<dyn Instance>>,
        environment: Rc<dyn Environment>,
        claims: Rc<Claims>,
        queues: Rc<Queues>,
        listener: Box<dyn Fn(Event)>,
        spent_rounds: Weak<Spent>,
    ) -> Rc<Self> {
        let core = Rc::new(Self {
            look_alikes: LookAlikes::of(instances.len()),
            tells_votes: Cell::new(false),
            counters: Counters::of(instances.len()),
            no_wakeups: instances.iter().map(|_| RefCell::default()).collect(),
            error_reports: instances.iter().map(|_| ErrorReports::default()).collect(),
            instances: instances.into(),
            deadlines: Deadlines::new(&environment),
            spent_rounds,
            spent_acquires: Spent::default(),
            spent_releases: Spent::default(),
            retries: LowPriority::new(Rc::clone(&environment)),
            environment,
            listener,
            owner: claims.owner(),
            claims,
            queues: EngineQueues::new(queues),
            held_locks: HeldLocks::default(),
            watched: RefCell::default(),
        });
        for (index, instance) in core.instances.iter().enumerate() {
            let observer: Weak<dyn Observer> = Rc::<Self>::downgrade(&core);
            instance.observe(index, observer);
        }
        core.tell_look_alikes();
        core
    }

    /// This lock is being released, at `now`: what is granted for it from now on is to be
    /// released too, and nobody watches it any more.
    pub(super) fn release(&self, value: &Token, resources: &Resources, now: Instant) {
        self.held_locks.release(value, resources, now);
        if let Some(queues) = self.queues.known() {
            queues.released(resources, value);
        }
        let mut all = self.watched.borrow_mut();
        if all.is_empty() {
            return;
        }
        let watched = all.remove(&LockId::new(value, resources));
        drop(all);
        if let Some(watched) = watched {
            watched.release();
        }
    }

    /// The watchdog's state of this lock, if it watches it.
    pub(super) fn watched(&self, lock: &LockId) -> Option<Rc<WatchedLock>> {
        self.watched.borrow().get(lock).cloned()
    }

    /// The watchdog lets go of this lock, unless it watches it anew by now.
    pub(super) fn forget(&self, lock: &LockId, known: &Rc<WatchedLock>) {
        let mut watched = self.watched.borrow_mut();
        if watched.get(lock).is_some_and(|now| Rc::ptr_eq(now, known)) {
            watched.remove(lock);
        }
    }

    /// Whether the value, one of the caller's own, was taken again after the lock
    /// that was asked for, or held until, `since`: that one's life is over then, and
    /// what stands with the value is another lock's (rule 16).
    #[inline]
    pub(super) fn is_another_locks(
        &self,
        resources: &Resources,
        value: &Token,
        since: Instant,
        now: Instant,
    ) -> bool {
        let claims = &self.claims;
        !claims.is_empty()
            && claims.is_taken_since(self.owner, resources, value, since, now)
            && SafetyRule::Claims.is_kept()
    }

    /// Those of which a majority says what becomes of a key: all of them say the same if they
    /// are one server.
    pub(super) fn watched_instances(&self) -> &[Rc<dyn Instance>] {
        if self.are_one() {
            &self.instances[..1]
        } else {
            &self.instances
        }
    }

    /// Within how long a majority answers, as far as that was measured: a slow minority
    /// delays nobody.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let trips = self.instances.iter();
        let trips = trips.filter_map(|instance| instance.round_trip());
        let mut trips: Vec<_> = trips.map(RoundTrip::smoothed).collect();
        trips.sort_unstable();
        trips.get(majority(self.instances.len()) - 1).copied()
    }

    fn tell_look_alikes(&self) {
        // Once they are proven to be one server, another warning is due.
        if self.will_be_one() {
            return;
        }
        for Pair {
            first,
            second,
            sole,
        } in self.look_alikes.new_pairs(&self.instances)
        {
            (self.listener)(Event::LookAlikes {
                instance: first,
                other: second,
                sole,
            });
        }
    }

    /// Whether all instances will be one server, as soon as that is proven.
    pub(super) fn will_be_one(&self) -> bool {
        !self.are_one() && will_be_one(&self.instances)
    }

    /// Whether all instances are one server, which is asked once.
    pub(super) fn are_one(&self) -> bool {
        if SafetyRule::NoLikeness.is_kept() {
            are_one(&self.instances)
        } else {
            self.look_alikes.are_alike()
        }
    }
}

impl Observer for Core {
    fn connection_changed(&self, instance: usize, state: &ConnectionState) {
        (self.listener)(Event::Connection {
            instance,
            state: state.clone(),
        });
        if let ConnectionState::Ready { keyspace } = state {
            self.look_alikes.named(instance, keyspace.clone());
            self.tell_look_alikes();
        }
        self.wakeups_changed(instance);
    }

    fn wakeups_changed(&self, instance: usize) {
        let trouble = self.instances[instance].no_wakeups();
        if self.no_wakeups[instance].replace(trouble.clone()) != trouble {
            (self.listener)(Event::Wakeups { instance, trouble });
        }
    }
}
