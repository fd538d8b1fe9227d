//! Acquires that succeeded and still have votes to come: what one of these grants
//! after the lock's release is to be released too (rule 5).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Weak;

use super::lock_id::LockId;

/// A round whose last votes are still to come.
pub(super) trait GrantedRound {
    /// Its lock was released: grants that come now are to be released.
    fn lock_was_released(&self);
}

/// By the lock that they are about.
#[derive(Default)]
pub(super) struct GrantedRounds(RefCell<HashMap<LockId, Weak<dyn GrantedRound>>>);

impl GrantedRounds {
    pub(super) fn add(&self, lock: LockId, round: Weak<dyn GrantedRound>) {
        self.0.borrow_mut().insert(lock, round);
    }

    /// The lock is being released.
    pub(super) fn release(&self, lock: &LockId) {
        let round = self.0.borrow_mut().remove(lock);
        if let Some(round) = round.and_then(|round| round.upgrade()) {
            round.lock_was_released();
        }
    }

    /// The round at `round` is over. A newer one may have the same value, if that is
    /// the caller's own.
    pub(super) fn remove<T>(&self, lock: &LockId, round: *const T) {
        let mut rounds = self.0.borrow_mut();
        let known = rounds.get(lock).map(Weak::as_ptr);
        if known.is_some_and(|known| std::ptr::addr_eq(known, round)) {
            rounds.remove(lock);
        }
    }
}
