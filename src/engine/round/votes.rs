//! The votes of one round: cast, missed or still open.

use std::task::{Context, Poll, Waker};

use super::super::cause::Cause;
use super::super::deadline_bounds::Wait;
use super::super::quorum::Tally;
use super::super::validity::Instant;
use super::super::vote::Vote;

/// What a round knows of its votes, and the waker of whoever waits for them.
pub(super) struct State {
    pub(super) tally: Tally,
    /// By instance.
    pub(super) votes: Box<[MemberVote]>,
    /// The attempt has failed: grants that come now are to be released.
    pub(super) grants_are_unwanted: bool,
    /// Whether the waiter wants to hear of every vote or of the verdict only.
    pub(super) every_vote: bool,
    pub(super) waker: Option<Waker>,
}

/// One instance's vote, also while there is none.
#[derive(Clone)]
pub(super) enum MemberVote {
    NotAsked,
    Open(Wait),
    /// Votes as the first does: all of them are one server (rule 16).
    WithFirst,
    /// The deadline passed; what comes now is late.
    Missed(Cause),
    Cast(Vote),
}

impl State {
    /// No vote is cast yet; `members` of these are to come.
    pub(super) fn new(votes: Box<[MemberVote]>, members: usize) -> Self {
        Self {
            tally: Tally::new(members),
            votes,
            grants_are_unwanted: false,
            every_vote: false,
            waker: None,
        }
    }

    /// Whether instances that were never measured may take longer than the others.
    pub(super) fn may_be_long(&self) -> bool {
        !self.grants_are_unwanted && !self.tally.has_majority_answered()
    }

    /// When the next deadline is over.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let may_be_long = self.may_be_long();
        let ends = self.votes.iter().filter_map(|vote| match vote {
            MemberVote::Open(wait) => Some(wait.end(may_be_long)),
            _ => None,
        });
        ends.min()
    }

    /// Counts the vote of the instance numbered `index`, also for those that vote as
    /// it does. Returns whose votes were counted: none if it comes too late.
    pub(super) fn cast(&mut self, index: usize, vote: &Vote) -> Vec<usize> {
        let mut voters = Vec::new();
        if matches!(self.votes[index], MemberVote::Open(_)) {
            for voter in 0..self.votes.len() {
                if voter == index || matches!(self.votes[voter], MemberVote::WithFirst) {
                    self.tally.count(vote);
                    self.votes[voter] = MemberVote::Cast(vote.clone());
                    voters.push(voter);
                }
            }
        }
        voters
    }

    /// Has the waiter woken, by every vote or by the verdict.
    pub(super) fn wait<T>(&mut self, context: &Context<'_>, every_vote: bool) -> Poll<T> {
        self.every_vote = every_vote;
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl MemberVote {
    pub(super) fn vote(&self) -> Option<Vote> {
        match self {
            Self::NotAsked | Self::Open(_) | Self::WithFirst => None,
            Self::Missed(cause) => Some(Vote::Failed(cause.clone())),
            Self::Cast(vote) => Some(vote.clone()),
        }
    }

    pub(super) const fn is_cast(&self) -> bool {
        matches!(self, Self::Cast(_))
    }

    /// Whether it is waited for beyond its deadline, until a majority has answered.
    pub(super) fn is_longer(&self) -> bool {
        matches!(self, Self::Open(wait) if wait.due < wait.at_most)
    }

    /// Whether the key was there, with whatever value.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Cast(Vote::Held { .. } | Vote::Failed(Cause::AskedTwice))
        )
    }

    /// Whether it was carried out or not, and that is known.
    pub(super) fn is_answered(&self) -> bool {
        matches!(
            self,
            Self::NotAsked | Self::Cast(Vote::Granted | Vote::Held { .. })
        )
    }

    /// The same; or an error of the server's, which has not carried it out.
    pub(super) fn is_final(&self) -> bool {
        let refused = matches!(
            self,
            Self::Cast(Vote::Failed(Cause::Refused { .. } | Cause::AskedTwice))
        );
        refused || self.is_answered()
    }
}
