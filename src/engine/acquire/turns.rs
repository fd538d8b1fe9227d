//! When a request that waits may ask, beside its own schedule: by its place in the queue, and
//! by what tells it that asking is worth while.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::super::core::Core;
use super::super::environment::until;
use super::super::fair_wait::FairWait;
use super::super::question::Resources;
use super::super::queue::{Called, Place, QueuesOfMembers, Turn};
use super::super::settings::Settings;
use super::super::stats::WokenBy;
use super::super::ticket::Ticket;
use super::super::validity::Instant;
use super::super::vote::Vote;
use super::super::wake_ups::{Outlook, WakeUps};

pub(super) struct Turns<'request> {
    core: &'request Core,
    resources: &'request Resources,
    settings: &'request Settings,
    line: Line<'request>,
    /// Of the first in a queue, once it was refused by others than this process, or twice: who
    /// unlocks here calls it.
    wake_ups: Option<WakeUps>,
    was_refused: bool,
    /// When it asks since the resources seem to be free.
    asks_at: Option<Instant>,
    /// It has asked only so that it keeps its place on the instances.
    keeps_place: bool,
}

/// Where it waits.
enum Line<'request> {
    /// In this process, of which the first asks for all.
    Here(Place),
    /// On the instances, where each asks for itself.
    Everywhere(FairWait<'request>),
}

impl<'request> Turns<'request> {
    /// Waits by its ticket.
    pub(super) fn by_ticket(
        core: &'request Rc<Core>,
        resources: &'request Resources,
        settings: &'request Settings,
        ticket: &'request Arc<Ticket>,
    ) -> Self {
        let wait = FairWait::begin(core, resources, settings, ticket);
        Self::in_line(core, resources, settings, Line::Everywhere(wait))
    }

    /// Lines up, as [`Place::line_up`] has it.
    pub(super) fn line_up(
        core: &'request Core,
        queues: &Rc<QueuesOfMembers>,
        resources: &'request Resources,
        settings: &'request Settings,
        is_first: bool,
    ) -> Self {
        let place = Place::line_up(queues, resources, settings.retry, is_first);
        Self::in_line(core, resources, settings, Line::Here(place))
    }

    fn in_line(
        core: &'request Core,
        resources: &'request Resources,
        settings: &'request Settings,
        line: Line<'request>,
    ) -> Self {
        Self {
            core,
            resources,
            settings,
            line,
            wake_ups: None,
            was_refused: false,
            asks_at: None,
            keeps_place: false,
        }
    }

    /// Whether it asks now, as its own schedule has it: nobody is before it, and it would not
    /// be told.
    pub(super) fn asks_by_schedule(&self) -> bool {
        let may_ask = match &self.line {
            Line::Here(place) => place.may_ask_again(self.core.environment.now()),
            Line::Everywhere(_) => true,
        };
        may_ask && !self.is_told()
    }

    /// It asks now.
    pub(super) fn asks(&mut self) {
        let now = self.core.environment.now();
        let seems_free = self.asks_at.take().is_some_and(|at| at <= now);
        match &self.line {
            Line::Here(place) => place.asks(now),
            Line::Everywhere(wait) => {
                self.keeps_place = !seems_free;
                wait.asks(now);
            }
        }
    }

    /// It was refused with these votes, since the resources are held or for another reason.
    pub(super) fn refused(&mut self, as_held: bool, votes: &[Option<Vote>]) {
        let by_others = match &self.line {
            Line::Here(place) => place.refused(self.core.environment.now()),
            Line::Everywhere(wait) => {
                if wait.refused(votes) {
                    self.wake_ups = None;
                }
                true
            }
        };
        let watches = by_others || self.was_refused;
        self.was_refused = true;
        match &self.wake_ups {
            Some(wake_ups) => wake_ups.refused(as_held, !self.keeps_place),
            None if self.settings.wakeups && as_held && watches && self.line.may_ask() => {
                let awaited = match &self.line {
                    Line::Here(_) => Resources::clone(self.resources),
                    Line::Everywhere(wait) => wait.awaited(),
                };
                self.wake_ups = WakeUps::begin(self.core, &awaited, self.settings.retry);
            }
            None => {}
        }
    }

    /// Its next turn before `due`, beside those that its own schedule has.
    pub(super) async fn next(&mut self, due: Instant) -> Option<Turn> {
        let environment = self.core.environment.as_ref();
        loop {
            let now = environment.now();
            if due <= now {
                return None;
            }
            if !self.line.may_ask() {
                // Whoever is first is told.
                (self.wake_ups, self.asks_at) = (None, None);
            }
            let polled = match &self.line {
                Line::Here(place) => place.next_poll(environment).filter(|_| !self.is_told()),
                Line::Everywhere(wait) => wait.next_ask(),
            };
            let (seen, next) = self.outlook(now);
            if polled.into_iter().chain(seen).any(|at| at <= now) {
                self.count_turn(seen.is_some_and(|at| at <= now));
                return Some(Turn::Now);
            }
            let at = polled.into_iter().chain(next).fold(due, Instant::min);
            if let Some(Called::Turn(turn)) = until(environment, at, self.called()).await.flatten()
            {
                return Some(turn);
            }
        }
    }

    /// It asks beside its schedule: because of what is known of its resources, or since nothing is.
    fn count_turn(&self, is_seen: bool) {
        let known = self.wake_ups.as_ref().filter(|_| is_seen);
        let by = known.map_or(WokenBy::Poll, WakeUps::ask_because);
        self.core.counters.woken(by);
    }

    /// When it asks because of what it was told, if so, and when there is more to be done.
    fn outlook(&mut self, now: Instant) -> (Option<Instant>, Option<Instant>) {
        let Some(wake_ups) = &self.wake_ups else {
            return (None, None);
        };
        match wake_ups.outlook(self.core) {
            Outlook::Ask => {
                let pause = || match &self.line {
                    // Nobody else is told that it is its turn.
                    Line::Everywhere(_) if !wake_ups.are_contended() => Duration::ZERO,
                    _ => wake_ups.pause(self.core, self.settings.retry),
                };
                let at = *self.asks_at.get_or_insert_with(|| now.after(pause()));
                (Some(at), Some(at))
            }
            Outlook::After(next) => {
                // Another was faster.
                self.asks_at = None;
                (None, Some(next))
            }
        }
    }

    fn is_told(&self) -> bool {
        self.wake_ups.as_ref().is_some_and(WakeUps::are_enough)
    }

    /// What it is called for, or nothing if something else is known of its resources.
    async fn called(&self) -> Option<Called> {
        poll_fn(|context| {
            if let Line::Here(place) = &self.line
                && let Poll::Ready(called) = place.poll_called(context)
            {
                return Poll::Ready(Some(called));
            }
            match &self.wake_ups {
                Some(wake_ups) => wake_ups.poll_change(context).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Line<'_> {
    fn may_ask(&self) -> bool {
        match self {
            Self::Here(place) => place.may_ask(),
            Self::Everywhere(_) => true,
        }
    }
}
