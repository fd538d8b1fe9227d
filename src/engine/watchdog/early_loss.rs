//! Learning of a lock's loss before it is to be extended next: its keys are watched while
//! it is held, and when they seem to be gone a majority is asked.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::super::core::Core;
use super::super::environment::{Environment, until};
use super::super::failure::{Failure, Reason};
use super::super::inspect::votes_on_holding;
use super::super::safety_rule::SafetyRule;
use super::super::validity::Instant;
use super::super::wake_ups::MOST_RESOURCES;
use super::request::WatchRequest;
use super::watched_keys::WatchedKeys;

/// A lock that is held for less than this costs no look, and no connection to make it on.
const HELD_FOR: Duration = Duration::from_millis(100);

/// Of a longer value a look shows the beginning only.
const LONGEST_VALUE: usize = 4096;

/// What may tell of a lock's loss early.
pub(super) struct EarlyLoss<'lock> {
    core: Weak<Core>,
    environment: &'lock dyn Environment,
    request: &'lock WatchRequest,
    /// Its keys are watched from then on.
    from: Instant,
    /// They are to be watched, or what isn't yet is to be tried again.
    is_due: bool,
    keys: Option<WatchedKeys>,
    /// Until when it was valid when that was last looked at: it changes with each extension.
    valid_until: Instant,
}

impl<'lock> EarlyLoss<'lock> {
    pub(super) fn new(
        core: &Weak<Core>,
        environment: &'lock dyn Environment,
        request: &'lock WatchRequest,
    ) -> Self {
        // What a caller's own scripts store need not be the value.
        let may_be_watched = request.settings.wakeups
            && request.settings.scripts.is_none()
            && request.resources.len() <= MOST_RESOURCES
            && request.value.len() <= LONGEST_VALUE;
        let from = if may_be_watched {
            environment.now().after(HELD_FOR)
        } else {
            Instant::LAST
        };
        Self {
            core: Weak::clone(core),
            environment,
            request,
            from,
            is_due: true,
            keys: None,
            valid_until: request.until,
        }
    }

    /// Its keys are watched no longer.
    pub(super) fn end(&mut self) {
        self.from = Instant::LAST;
        self.keys = None;
    }

    /// Sleeps until `at`, with the lock valid until `valid_until`. If a majority says before
    /// that it is not held, that is why it is lost.
    pub(super) async fn sleep_until(
        &mut self,
        at: Instant,
        valid_until: Instant,
    ) -> Option<Failure> {
        self.is_due |= std::mem::replace(&mut self.valid_until, valid_until) != valid_until;
        loop {
            let now = self.environment.now();
            if now >= at {
                return None;
            }
            if self.is_due && now >= self.from {
                self.is_due = false;
                self.watch();
            }
            let Some(keys) = &self.keys else {
                let next = if self.is_due { self.from } else { at };
                self.environment.sleep_until(next.min(at)).await;
                continue;
            };
            let Some(suspect) = keys.suspected() else {
                let next = keys.look_if_due(now).min(at);
                until(self.environment, next, keys.changed()).await;
                continue;
            };
            let Some(core) = self.core.upgrade() else {
                self.end();
                continue;
            };
            let asked = self.is_lost(core, suspect.resource());
            match until(self.environment, at, asked).await {
                Some(None) => suspect.is_not_confirmed(self.environment.now()),
                // If it is not known by now: an extension is due, and is a vote as well.
                lost => return lost.flatten(),
            }
        }
    }

    /// Has the keys watched wherever they aren't yet.
    fn watch(&mut self) {
        let WatchRequest {
            resources, value, ..
        } = self.request;
        match (self.core.upgrade(), &self.keys) {
            (Some(core), Some(keys)) => keys.extended(&core),
            (Some(core), None) => self.keys = WatchedKeys::watch(&core, resources, value),
            (None, _) => self.end(),
        }
    }

    /// Why the lock is lost, if a majority says so of its key for `resource`.
    async fn is_lost(&self, core: Rc<Core>, resource: &str) -> Option<Failure> {
        let WatchRequest {
            value, settings, ..
        } = self.request;
        let failure = |votes| Failure {
            reason: Reason::NotHeld,
            attempts: 1,
            votes,
            until: None,
        };
        if !SafetyRule::LostByVotes.is_kept() {
            return Some(failure(Vec::new()));
        }
        let (tally, votes) = votes_on_holding(&core, resource.into(), value, settings).await;
        tally.majority_held().then(|| failure(votes))
    }
}
