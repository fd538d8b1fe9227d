//! The locks that JavaScript has had kept.

use std::collections::HashMap;
use std::sync::Arc;

use super::ids::{Handle, KeptId};
use crate::engine::{Hold, Instant, Resources, Token, Watch};

/// Those of one mailbox.
#[derive(Default)]
pub struct KeptLocks(HashMap<KeptId, KeptLock>);

/// A lock that is kept.
pub struct KeptLock {
    pub handle: Handle,
    pub resources: Resources,
    pub value: Token,
    watch: Watch,
}

impl KeptLocks {
    /// Adds a lock; returns what the engine is to say of it with.
    pub fn add(&mut self, number: KeptId, handle: Handle, hold: &Hold) -> Watch {
        let watch = Watch::default();
        watch.set(hold.until);
        let kept = KeptLock {
            handle,
            resources: Arc::clone(&hold.resources),
            value: hold.value.clone(),
            watch: watch.clone(),
        };
        self.0.insert(number, kept);
        watch
    }

    /// Until when a lock may be believed in; `None` if it isn't kept.
    pub fn until(&self, number: KeptId) -> Option<Instant> {
        self.0.get(&number).map(|kept| kept.watch.until())
    }

    /// It is kept no longer.
    pub fn remove(&mut self, number: KeptId) -> Option<KeptLock> {
        self.0.remove(&number)
    }
}
