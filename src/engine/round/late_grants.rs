//! Grants that come when nobody wants them any more: after their attempt has failed,
//! or after their lock was unlocked. Each is released (safety rule 5).

use super::super::held_locks::GrantedRound;
use super::super::safety_rule::SafetyRule;
use super::Round;

impl Round {
    /// Releases what the instance numbered `index` has granted too late. The release
    /// that was sent to it before may have overtaken the acquire on another
    /// connection.
    pub(super) fn release_late_grant(&self, index: usize) {
        let now = self.core.environment.now();
        if !self.may_clean_up(now) {
            return;
        }
        let limits = self.asked.limits.of_cleanup(now);
        let measured = self.core.instances[index].round_trip();
        let wait = limits.wait(now, measured);
        let question = self.release_by(wait.due);
        let whom = |other: usize| (other == index).then_some(wait);
        Self::ask(&self.core, question, limits, now, whom, None);
    }
}

impl GrantedRound for Round {
    fn lock_was_released(&self) {
        self.state.borrow_mut().grants_are_unwanted = SafetyRule::Stragglers.is_kept();
    }
}
