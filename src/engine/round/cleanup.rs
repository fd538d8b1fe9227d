//! What a failed attempt takes back: whatever it may have set (safety rule 5). What it
//! is granted late is in `late_grants.rs`.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::super::deadline_bounds::Wait;
use super::super::instance::Instance;
use super::super::question::Question;
use super::super::safety_rule::SafetyRule;
use super::super::validity::Instant;
use super::Round;
use super::votes::{Member, MemberVote};

impl Round {
    /// Gives the attempt up: everything it may have set is released, at once and on every
    /// instance but those that have certainly set nothing, and so is what it is granted from
    /// now on.
    pub fn abandon(self: &Rc<Self>) -> Option<Rc<Self>> {
        self.state.borrow_mut().grants_are_unwanted = true;
        let now = self.core.environment.now();
        let cleanup = self.clean_up(now);
        // No instance is waited for beyond its usual deadline any more.
        self.close(now);
        cleanup
    }

    fn clean_up(&self, now: Instant) -> Option<Rc<Self>> {
        if !self.may_clean_up(now) {
            return None;
        }
        let limits = self.asked.limits.of_cleanup(now);
        let whom: Vec<Option<Wait>> = {
            let state = self.state.borrow();
            let whom = state.members.iter().zip(&self.core.instances);
            let whom = whom.map(|(Member { vote, .. }, instance)| {
                // A value of the caller's may stand where it was refused as another's:
                // of another process, or another quorum.
                let is_another_s = self.asked.claim.is_some() && vote.is_refusal();
                let may_be_set = !is_another_s && !self.has_set_nothing(vote, instance.as_ref());
                may_be_set.then(|| limits.cleanup(now, self.asked.at, instance.round_trip()))
            });
            whom.collect()
        };
        let latest = whom.iter().flatten().map(|wait| wait.due).max()?;
        let whom = |index: usize| whom[index];
        let question = self.release_by(latest);
        Some(Self::ask(&self.core, question, limits, now, whom, None))
    }

    /// Whether it is certain that the attempt has set nothing there, so that there is
    /// nothing to release.
    fn has_set_nothing(&self, vote: &MemberVote, instance: &dyn Instance) -> bool {
        if !SafetyRule::Refusals.is_kept() {
            return !vote.is_grant();
        }
        let is_one_of_ours = self.question.is_plain() && self.question.resources.len() == 1;
        vote.is_held() && is_one_of_ours && instance.is_refusal_final()
    }

    /// Whether what stands with this value can't be another lock's of this process.
    pub(super) fn may_clean_up(&self, now: Instant) -> bool {
        let Question {
            resources, value, ..
        } = &*self.question;
        let is_another = self
            .core
            .is_another_locks(resources, value, self.asked.at, now);
        SafetyRule::Cleanup.is_kept() && !is_another
    }

    /// What takes back whatever this round may have set.
    pub(super) fn release_by(&self, deadline: Instant) -> Question {
        let Question {
            resources, value, ..
        } = &*self.question;
        let (resources, value) = (Arc::clone(resources), value.clone());
        Question::release(
            self.asked.at,
            self.asked.expires,
            resources,
            value,
            deadline,
        )
        .reported(self.question.report)
        .with_scripts(self.question.scripts.clone())
        .in_context(self.question.context.clone())
        .traced(self.question.trace.clone(), self.question.attempt)
    }

    /// Resolves when every instance that has not missed this round's deadline
    /// has answered both this round and its `release`.
    pub async fn settled_with(&self, release: &Self) {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            let mut cleanup = release.state.borrow_mut();
            let mut both = state.members.iter().zip(&cleanup.members);
            let open = both.any(|(one, other)| match (&one.vote, &other.vote) {
                (MemberVote::Missed(_), _) => false,
                (MemberVote::Open, _) => true,
                (_, released) => matches!(released, MemberVote::Open),
            });
            if !open {
                return Poll::Ready(());
            }
            let _: Poll<()> = cleanup.wait(context, true);
            state.wait(context, true)
        })
        .await;
    }
}
