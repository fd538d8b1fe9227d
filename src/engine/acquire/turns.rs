//! When a request that waits may ask, beside its own schedule: by its place in the queue, and
//! by what tells it that asking is worth while.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::super::core::Core;
use super::super::environment::until;
use super::super::question::Resources;
use super::super::queue::{Called, Place, QueuesOfMembers, Turn};
use super::super::settings::Settings;
use super::super::validity::Instant;
use super::super::wake_ups::{Outlook, WakeUps};

pub(super) struct Turns<'request> {
    core: &'request Core,
    resources: &'request Resources,
    settings: &'request Settings,
    place: Place,
    /// Of the first in a queue, once it was refused.
    wake_ups: Option<WakeUps>,
    /// When it asks since the resources seem to be free.
    asks_at: Option<Instant>,
}

impl<'request> Turns<'request> {
    /// Lines up, as [`Place::line_up`] has it.
    pub(super) fn line_up(
        core: &'request Core,
        queues: &Rc<QueuesOfMembers>,
        resources: &'request Resources,
        settings: &'request Settings,
        is_first: bool,
    ) -> Self {
        Self {
            core,
            resources,
            settings,
            place: Place::line_up(queues, resources, settings.retry, is_first),
            wake_ups: None,
            asks_at: None,
        }
    }

    /// Whether it asks at the times of its own schedule: nobody is before it, and it would
    /// not be told.
    pub(super) fn asks_by_schedule(&self) -> bool {
        self.place.may_ask() && !self.is_told()
    }

    /// It asks now.
    pub(super) fn asks(&mut self) {
        self.asks_at = None;
        self.place.asks(self.core.environment.now());
    }

    /// It was refused, since the resources are held or for another reason.
    pub(super) fn refused(&mut self, as_held: bool) {
        self.place.refused(self.core.environment.now());
        match &self.wake_ups {
            Some(wake_ups) => wake_ups.refused(as_held),
            None if self.settings.wakeups && as_held && self.place.may_ask() => {
                self.wake_ups = WakeUps::begin(self.core, self.resources, self.settings.retry);
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
            if !self.place.may_ask() {
                // Whoever is first is told.
                (self.wake_ups, self.asks_at) = (None, None);
            }
            let polled = self
                .place
                .next_poll(environment)
                .filter(|_| !self.is_told());
            let (seen, next) = self.outlook(now);
            if polled.into_iter().chain(seen).any(|at| at <= now) {
                return Some(Turn::Now);
            }
            let at = polled.into_iter().chain(next).fold(due, Instant::min);
            if let Some(Called::Turn(turn)) = until(environment, at, self.called()).await.flatten()
            {
                return Some(turn);
            }
        }
    }

    /// When it asks because of what it was told, if so, and when there is more to be done.
    fn outlook(&mut self, now: Instant) -> (Option<Instant>, Option<Instant>) {
        let Some(wake_ups) = &self.wake_ups else {
            return (None, None);
        };
        match wake_ups.outlook(self.core) {
            Outlook::Ask => {
                let pause = || wake_ups.pause(self.core, self.settings.retry);
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
            if let Poll::Ready(called) = self.place.poll_called(context) {
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
