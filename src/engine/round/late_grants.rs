//! Grants that come when nobody wants them any more: after their attempt has failed,
//! or after their lock was unlocked. Each is released (safety rule 5).

use super::super::held_locks::GrantedRound;
use super::super::question::Question;
use super::super::safety_rule::SafetyRule;
use super::Round;

impl Round {
    /// Takes its ticket out of the queue of the instance numbered `index` once more, if it
    /// has left: what put it there may have been overtaken.
    pub(super) fn leave_queue(&self, index: usize) {
        let ticket = self.question.ticket.as_ref();
        let Some(ticket) = ticket.filter(|ticket| ticket.has_left()) else {
            return;
        };
        let now = self.core.environment.now();
        let limits = self.asked.limits.of_cleanup(now);
        let measured = self.core.instances[index].round_trip();
        let wait = limits.wait(now, measured);
        let leaves = Question::leave(ticket, self.asked.at, now, wait.due);
        let leaves = leaves.in_context(self.question.context.clone());
        let whom = |other: usize| (other == index).then_some(wait);
        Self::ask(&self.core, leaves, limits, now, whom, None);
    }

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
