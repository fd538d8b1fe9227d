//! What the watchdog is asked to do.

use std::time::Duration;

use super::super::lock_id::LockId;
use super::super::question::Resources;
use super::super::settings::Settings;
use super::super::token::Token;
use super::super::validity::{Instant, Ttl};
use super::shared_validity::{Loss, SharedValidity};

/// A lock that is to be watched.
#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// What is locked.
    pub resources: Resources,
    /// The value it is stored under.
    pub value: Token,
    /// Until when it may be believed in.
    pub until: Instant,
    /// How it is extended; `None` if it is only to be watched.
    pub renewal: Option<Renewal>,
    /// How its extensions are carried out. They are retried for as long as the
    /// lock is valid, whatever the settings say of the number.
    pub settings: Settings,
    /// What its loss is told under.
    pub number: u64,
}

impl WatchRequest {
    /// What the lock's holder reads, also before the engine has heard of it.
    #[must_use]
    pub fn watch(&self) -> SharedValidity {
        let watch = SharedValidity::default();
        watch.set(self.until, Some(Loss::at(self.until, self.cap())));
        watch
    }

    pub(super) fn lock(&self) -> LockId {
        LockId::new(&self.value, &self.resources)
    }

    pub(super) fn cap(&self) -> Option<Instant> {
        self.renewal.and_then(|renewal| renewal.cap)
    }
}

/// How a watched lock is extended.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// For how long, each time.
    pub ttl: Ttl,
    /// How long before its validity ends an extension begins. One that leaves
    /// no time for it, or none until the next, is brought within bounds.
    pub lead: Duration,
    /// Beyond this its validity is not extended by itself (rule 10); its holder
    /// may still do so by hand.
    pub cap: Option<Instant>,
}
