//! The votes of one round: cast, missed or still open; and who waits for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;

use super::super::cause::Cause;
use super::super::deadline_bounds::Wait;
use super::super::quorum::{Tally, Verdict};
use super::super::validity::Instant;
use super::super::vote::Vote;

/// What a round knows of its votes, and who waits for them.
#[derive(Default)]
pub(super) struct State {
    pub(super) tally: Tally,
    pub(super) votes: Votes,
    /// The attempt has failed: grants that come now are to be released.
    pub(super) grants_are_unwanted: bool,
    waiter: Waiter,
}

/// By instance. As many as a quorum usually has take no allocation of their own.
pub(super) type Votes = SmallVec<[MemberVote; 7]>;

/// For whom a vote was counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    TooLate,
    Alone,
    /// All instances are one server (rule 16).
    ForAll,
}

/// Who waits for a round's votes.
#[derive(Default)]
enum Waiter {
    #[default]
    Nobody,
    /// A task, which wants to hear of every vote or of the verdict only.
    Task {
        waker: Waker,
        every_vote: bool,
    },
    Asker(Rc<dyn Asker>),
}

/// Is told a round's verdict.
pub trait Asker {
    /// The votes are decided.
    fn decided(self: Rc<Self>, verdict: Verdict);
}

/// Whoever is to be told now that something has changed.
pub(super) enum Told {
    Nobody,
    Task(Waker),
    Asker(Rc<dyn Asker>, Verdict),
}

/// One instance's vote, also while there is none. Small where it is usual: a round is
/// made for each request, and many are under way.
#[derive(Clone)]
pub(super) enum MemberVote {
    NotAsked,
    Open(Wait),
    /// Votes as the first does: all of them are one server (rule 16).
    WithFirst,
    /// The deadline passed; what comes now is late.
    Missed(Box<Cause>),
    Granted,
    Held {
        applied: u32,
    },
    /// Any other that was cast.
    Other(Box<Vote>),
}

impl State {
    /// Nobody has voted yet: these are to come, or will not. Returns how many are.
    pub(super) fn begin(&mut self, votes: impl Iterator<Item = MemberVote>) -> usize {
        self.votes.extend(votes);
        let open = |vote: &&MemberVote| matches!(vote, MemberVote::Open(_));
        let members = self.votes.iter().filter(open).count();
        self.tally = Tally::new(members);
        members
    }

    /// All of them vote as the first does.
    pub(super) fn vote_with_first(&mut self) {
        self.votes[1..].fill(MemberVote::WithFirst);
    }

    /// As it was before anybody was asked.
    pub(super) fn clear(&mut self) {
        self.votes.clear();
        self.grants_are_unwanted = false;
        self.waiter = Waiter::Nobody;
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
    /// it does.
    pub(super) fn cast(&mut self, index: usize, vote: &Vote) -> Counted {
        if !matches!(self.votes[index], MemberVote::Open(_)) {
            return Counted::TooLate;
        }
        self.tally.count(vote);
        let mut counted = Counted::Alone;
        for voter in &mut self.votes {
            if matches!(voter, MemberVote::WithFirst) {
                self.tally.count(vote);
                *voter = MemberVote::cast(vote);
                counted = Counted::ForAll;
            }
        }
        self.votes[index] = MemberVote::cast(vote);
        counted
    }

    /// Has the waiting task woken, by every vote or by the verdict.
    pub(super) fn wait<T>(&mut self, context: &Context<'_>, every_vote: bool) -> Poll<T> {
        self.waiter = Waiter::Task {
            waker: context.waker().clone(),
            every_vote,
        };
        Poll::Pending
    }

    /// Has the verdict told to `asker`.
    pub(super) fn wait_by(&mut self, asker: Rc<dyn Asker>) {
        self.waiter = Waiter::Asker(asker);
    }

    /// Who is to be told that votes have come, or that deadlines have passed.
    pub(super) fn told(&mut self, verdict: Option<Verdict>) -> Told {
        let wants = match &self.waiter {
            Waiter::Task {
                every_vote: true, ..
            } => true,
            _ => verdict.is_some(),
        };
        let Some(waiter) = wants.then(|| std::mem::replace(&mut self.waiter, Waiter::Nobody))
        else {
            return Told::Nobody;
        };
        match (waiter, verdict) {
            (Waiter::Task { waker, .. }, _) => Told::Task(waker),
            (Waiter::Asker(asker), Some(verdict)) => Told::Asker(asker, verdict),
            _ => Told::Nobody,
        }
    }
}

impl Told {
    /// Without any borrow: the asker may ask for something else.
    pub(super) fn tell(self) {
        match self {
            Self::Nobody => {}
            Self::Task(waker) => waker.wake(),
            // A defect of one request must not cost another its vote; the panic's own
            // report says where it is.
            Self::Asker(asker, verdict) => {
                let _ = catch_unwind(AssertUnwindSafe(|| asker.decided(verdict)));
            }
        }
    }
}

impl MemberVote {
    fn cast(vote: &Vote) -> Self {
        match vote {
            Vote::Granted => Self::Granted,
            Vote::Held { applied } => Self::Held { applied: *applied },
            other => Self::Other(Box::new(other.clone())),
        }
    }

    pub(super) fn vote(&self) -> Option<Vote> {
        match self {
            Self::NotAsked | Self::Open(_) | Self::WithFirst => None,
            Self::Missed(cause) => Some(Vote::Failed(Cause::clone(cause))),
            Self::Granted => Some(Vote::Granted),
            Self::Held { applied } => Some(Vote::Held { applied: *applied }),
            Self::Other(vote) => Some(Vote::clone(vote)),
        }
    }

    /// Whether it is waited for beyond its deadline, until a majority has answered.
    pub(super) fn is_longer(&self) -> bool {
        matches!(self, Self::Open(wait) if wait.due < wait.at_most)
    }

    pub(super) const fn is_grant(&self) -> bool {
        matches!(self, Self::Granted)
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Whether the key was there, with whatever value.
    pub(super) fn is_refusal(&self) -> bool {
        self.is_held() || matches!(self.failure(), Some(Cause::AskedTwice))
    }

    /// Whether it was carried out or not, and that is known.
    pub(super) const fn is_answered(&self) -> bool {
        matches!(self, Self::NotAsked | Self::Granted | Self::Held { .. })
    }

    /// The same; or an error of the server's, which has not carried it out.
    pub(super) fn is_final(&self) -> bool {
        let refused = matches!(
            self.failure(),
            Some(Cause::Refused { .. } | Cause::AskedTwice)
        );
        refused || self.is_answered()
    }

    /// What was cast for a vote, if it is a failure.
    fn failure(&self) -> Option<&Cause> {
        match self {
            Self::Other(vote) => match &**vote {
                Vote::Failed(cause) => Some(cause),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Trap;

    impl Asker for Trap {
        fn decided(self: Rc<Self>, _: Verdict) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panic_of_who_is_told_does_not_reach_who_has_voted() {
        Told::Asker(Rc::new(Trap), Verdict::Granted).tell();
    }
}
