//! The locks that JavaScript has had kept.

use std::collections::HashMap;
use std::sync::Arc;

use super::ids::{Handle, KeptId};
use crate::engine::{Instant, Loss, Resources, SharedValidity, Token, WatchRequest};

/// Those of one mailbox.
#[derive(Default)]
pub struct KeptLocks(HashMap<KeptId, KeptLock>);

/// A lock that is kept.
pub struct KeptLock {
    pub handle: Handle,
    pub resources: Resources,
    pub value: Token,
    watch: SharedValidity,
}

impl KeptLocks {
    /// Adds a lock; returns what the engine is to say of it with.
    pub fn add(
        &mut self,
        number: KeptId,
        handle: Handle,
        request: &WatchRequest,
    ) -> SharedValidity {
        let watch = request.watch();
        let kept = KeptLock {
            handle,
            resources: Arc::clone(&request.resources),
            value: request.value.clone(),
            watch: watch.clone(),
        };
        self.0.insert(number, kept);
        watch
    }

    /// Until when a lock may be believed in; `None` if it isn't kept.
    pub fn until(&self, number: KeptId) -> Option<Instant> {
        self.0.get(&number).map(|kept| kept.watch.until())
    }

    /// Why a lock may not be believed in any more at `now`; `None` while it may.
    pub fn ended_by(&self, number: KeptId, now: Instant) -> Option<Loss> {
        let Some(kept) = self.0.get(&number) else {
            return Some(Loss::NotHeld);
        };
        let (until, loss) = kept.watch.state();
        // One without a reason was released.
        (now >= until).then_some(loss.unwrap_or(Loss::NotHeld))
    }

    /// It is kept no longer.
    pub fn remove(&mut self, number: KeptId) -> Option<KeptLock> {
        self.0.remove(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Settings;

    const LOCK: KeptId = KeptId(1);

    fn locks(until: Instant) -> KeptLocks {
        let mut locks = KeptLocks::default();
        let request = WatchRequest {
            resources: [Box::from("r")].into(),
            value: Token::from("v"),
            until,
            renewal: None,
            settings: Settings::default(),
            number: 1,
        };
        locks.add(LOCK, Handle(0), &request);
        locks
    }

    #[test]
    fn a_lock_is_over_at_the_end_of_its_validity_and_not_before() {
        let until = Instant::from_nanos(10);
        let locks = locks(until);
        assert_eq!(locks.until(LOCK), Some(until));
        assert_eq!(locks.ended_by(LOCK, Instant::from_nanos(9)), None);
        assert_eq!(locks.ended_by(LOCK, until), Some(Loss::Expired));
    }

    #[test]
    fn a_lock_that_is_not_kept_is_not_held() {
        let mut locks = locks(Instant::LAST);
        assert!(locks.remove(LOCK).is_some());
        let ended = locks.ended_by(LOCK, Instant::ORIGIN);
        assert_eq!(ended, Some(Loss::NotHeld));
    }
}
