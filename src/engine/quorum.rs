//! Counting votes: a vote in, a verdict out as soon as it is certain.
//!
//! Source: the Redlock algorithm's step 3 (a majority of the instances), and
//! safety rule 6: decided when grants ≥ quorum, or grants + pending < quorum.

use super::safety_rule::SafetyRule;
use super::vote::Vote;

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A majority granted.
    Granted,
    /// A majority can no longer grant.
    Refused,
}

/// The votes counted so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    quorum: usize,
    pending: usize,
    granted: usize,
    held: usize,
}

/// The majority of `members`: ⌊members / 2⌋ + 1.
#[must_use]
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// Whether so many of all members' votes failed for good that no attempt can get a
/// majority.
pub(super) fn is_out_of_reach(votes: &[Option<Vote>]) -> bool {
    let lost = votes
        .iter()
        .filter(|vote| matches!(vote, Some(Vote::Failed(cause)) if cause.is_permanent()));
    votes.len() - lost.count() < majority(votes.len())
}

impl Tally {
    /// No vote yet, of `members` that are asked, with a majority needed.
    #[must_use]
    pub fn new(members: usize) -> Self {
        let quorum = if SafetyRule::Majority.is_kept() {
            majority(members)
        } else {
            1
        };
        Self {
            quorum,
            pending: members,
            granted: 0,
            held: 0,
        }
    }

    /// Counts one more member's vote.
    pub fn count(&mut self, vote: &Vote) {
        self.pending = self.pending.saturating_sub(1);
        match vote {
            Vote::Granted => self.granted += 1,
            Vote::Held { .. } | Vote::Waiting { .. } => self.held += 1,
            Vote::Inspected { .. } | Vote::Failed(_) => {}
        }
    }

    /// The verdict, once no vote to come can change it.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        if self.granted >= self.quorum {
            Some(Verdict::Granted)
        } else if self.granted + self.pending < self.quorum {
            Some(Verdict::Refused)
        } else {
            None
        }
    }

    /// The verdict on an extension or a release, once it is certain not only
    /// that it was refused but also whether a majority says that the lock is
    /// gone: a holder does different things then.
    #[must_use]
    pub const fn verdict_on_held(&self) -> Option<Verdict> {
        let undecided = self.held < self.quorum && self.held + self.pending >= self.quorum;
        match self.verdict() {
            Some(Verdict::Refused) if undecided => None,
            verdict => verdict,
        }
    }

    /// How many have not voted.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// Whether a majority said anything: no other member's silence matters then.
    #[must_use]
    pub const fn has_majority_answered(&self) -> bool {
        self.granted + self.held >= self.quorum
    }

    /// Whether a majority said that the key is not the asker's.
    #[must_use]
    pub const fn majority_held(&self) -> bool {
        self.held >= self.quorum
    }

    /// Whether, of `members`, so many said "held" that a quorum was out of
    /// reach even if every instance that failed or did not answer had granted.
    #[must_use]
    pub const fn refused_by_holders(&self, members: usize) -> bool {
        members.saturating_sub(self.held) < self.quorum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cause;

    fn tally(members: usize, votes: &[Vote]) -> Tally {
        let mut tally = Tally::new(members);
        for vote in votes {
            tally.count(vote);
        }
        tally
    }

    const HELD: Vote = Vote::Held { applied: 0 };
    const FAILED: Vote = Vote::Failed(Cause::Dropped);

    #[test]
    fn two_of_three_grants_decide_without_the_third() {
        let votes = [Vote::Granted, Vote::Granted];
        assert_eq!(tally(3, &votes[..1]).verdict(), None);
        assert_eq!(tally(3, &votes).verdict(), Some(Verdict::Granted));
    }

    #[test]
    fn two_of_three_against_decide_without_the_third() {
        assert_eq!(tally(3, &[HELD]).verdict(), None);
        assert_eq!(tally(3, &[HELD, FAILED]).verdict(), Some(Verdict::Refused));
    }

    #[test]
    fn an_even_split_is_a_refusal() {
        let split = tally(2, &[Vote::Granted, HELD]);
        assert_eq!(split.verdict(), Some(Verdict::Refused));
        assert!(split.refused_by_holders(2));
        assert!(!split.majority_held());
    }

    #[test]
    fn a_refused_extension_waits_for_the_votes_that_say_whether_the_lock_is_lost() {
        assert_eq!(tally(2, &[HELD]).verdict_on_held(), None);
        assert_eq!(
            tally(2, &[HELD, HELD]).verdict_on_held(),
            Some(Verdict::Refused)
        );
        assert_eq!(tally(3, &[HELD, FAILED]).verdict_on_held(), None);
        assert_eq!(
            tally(3, &[FAILED, FAILED]).verdict_on_held(),
            Some(Verdict::Refused)
        );
    }

    #[test]
    fn failures_that_could_have_made_the_quorum_are_not_blamed_on_holders() {
        assert!(!tally(3, &[Vote::Granted, HELD, FAILED]).refused_by_holders(3));
        assert!(tally(3, &[HELD, HELD, FAILED]).refused_by_holders(3));
    }
}
