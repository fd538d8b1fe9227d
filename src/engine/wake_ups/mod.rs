//! What tells a waiter that its resources may be free: the instances that tell of changes
//! to keys ([`watched_key`](super::watched_key)). The waiter asks for a vote then; nothing
//! else comes of it, and who is told nothing asks now and then all the same.
//!
//! - `watched_resource`: what is known of one resource.
//! - `bell`: wakes whoever waits when more is known.

mod bell;
mod watched_resource;

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

pub(super) use self::bell::Bell;
pub(super) use self::watched_resource::Outlook;
use self::watched_resource::WatchedResource;
use super::core::Core;
use super::question::Resources;
use super::retry::Retry;
use super::safety_rule::SafetyRule;
use super::stats::WokenBy;
use super::validity::Instant;

/// Who waits for more resources than this is told of none.
pub(super) const MOST_RESOURCES: usize = 8;

/// After this span, and up to so much more by chance, they are looked at even if nothing was
/// told: less than two seconds after a release that nobody was told of, somebody asks.
const POLL: (Duration, Duration) = (Duration::from_millis(1700), Duration::from_millis(200));

/// After so many looks without a vote one is asked for, whatever they show.
const MOST_POLLS: u32 = 8;

/// Those who are told at the same time ask within this span, and no two at once: a lone one
/// loses half of it.
const SPREAD: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// What tells one waiter.
pub(super) struct WakeUps {
    resources: Vec<Rc<WatchedResource>>,
    bell: Rc<Bell>,
    /// How many attempts in a row were refused though the resources seemed to be free: as
    /// many as that contend for them.
    refusals: Cell<u32>,
    /// The last attempt failed for another reason: what is told is of no use until the
    /// next poll.
    rests: Cell<bool>,
    poll_at: Cell<Instant>,
    /// How often they were looked at since somebody asked for a vote.
    polls: Cell<u32>,
}

impl WakeUps {
    /// Begins to watch; `None` if that can't be done here. Who waits like `retry` asks no more
    /// often than that if it is told without end.
    pub(super) fn begin(core: &Core, resources: &Resources, retry: Retry) -> Option<Self> {
        if resources.len() > MOST_RESOURCES {
            return None;
        }
        let bell = Rc::<Bell>::default();
        let longest = retry.wait(0.5);
        let instances = core.watched_instances();
        let resources: Vec<_> = resources
            .iter()
            .map(|name| {
                let environment = Rc::clone(&core.environment);
                WatchedResource::new(environment, name, instances, longest, &bell)
            })
            .collect();
        if !resources.iter().all(|resource| resource.is_watched()) {
            return None;
        }
        let wake_ups = Self {
            resources,
            bell,
            refusals: Cell::default(),
            rests: Cell::default(),
            poll_at: Cell::default(),
            polls: Cell::default(),
        };
        wake_ups.poll(core);
        Some(wake_ups)
    }

    /// Whether they take the place of asking now and then: changes are told by a majority, as
    /// far as is known, and the last attempt did not fail for another reason than that the
    /// resources are held.
    pub(super) fn are_enough(&self) -> bool {
        !self.rests.get() && self.resources.iter().all(|resource| resource.is_live())
    }

    /// An attempt was refused, `as_held` or for another reason. Where it was made though
    /// nothing `seemed_free`, that says nothing of how many contend for them.
    pub(super) fn refused(&self, as_held: bool, seemed_free: bool) {
        self.rests.set(!as_held);
        self.polls.set(0);
        if seemed_free {
            self.refusals.set(self.refusals.get().saturating_add(1));
        }
        for resource in &self.resources {
            resource.refused();
        }
    }

    /// Looks where that is due, and says what is to be done: ask, or nothing before that time.
    pub(super) fn outlook(&self, core: &Core) -> Outlook {
        let now = core.environment.now();
        if self.poll_at.get() <= now {
            self.poll(core);
        }
        let mut all = Outlook::Ask;
        for resource in &self.resources {
            let (one, is_held) = resource.outlook(now);
            if is_held {
                // Whoever contended for it is served.
                self.refusals.set(0);
            }
            all = all.and(one);
        }
        match all {
            _ if self.polls.get() > MOST_POLLS => Outlook::Ask,
            Outlook::Ask if !self.rests.get() => Outlook::Ask,
            all => all.and(Outlook::After(self.poll_at.get())),
        }
    }

    /// Why the outlook is to ask.
    pub(super) fn ask_because(&self) -> WokenBy {
        if self.resources.iter().all(|resource| resource.is_free()) {
            WokenBy::Told
        } else if self.polls.get() > MOST_POLLS {
            WokenBy::Poll
        } else {
            WokenBy::Expiry
        }
    }

    /// Ready when more is known than at the last outlook.
    pub(super) fn poll_change(&self, context: &Context<'_>) -> Poll<()> {
        self.bell.poll(context)
    }

    /// Whether the last attempt was refused though they seemed to be free.
    pub(super) fn are_contended(&self) -> bool {
        self.refusals.get() > 0
    }

    /// How long to wait before asking, so that those who are told at once don't ask at once.
    pub(super) fn pause(&self, core: &Core, retry: Retry) -> Duration {
        let doubled = 1 << self.refusals.get().min(16);
        spread(core, doubled).min(retry.wait(0.5))
    }

    fn poll(&self, core: &Core) {
        self.rests.set(false);
        self.polls.set(self.polls.get() + 1);
        for resource in &self.resources {
            resource.look_at_all();
        }
        let (least, more) = POLL;
        let wait = least + more.mul_f64(core.environment.chance());
        let next = core.environment.now().after(wait);
        let is_kept = SafetyRule::AskedAnyway.is_kept();
        self.poll_at.set(if is_kept { next } else { Instant::LAST });
    }
}

/// By chance some part of the span within which those who are told at once ask, `times` over.
pub(super) fn spread(core: &Core, times: u32) -> Duration {
    let (least, most) = SPREAD;
    // What comes to far servers is scattered by more on its way.
    let trip = core.round_trip().unwrap_or_default();
    let span = (trip / 4).clamp(least, most).saturating_mul(times);
    span.mul_f64(core.environment.chance())
}
