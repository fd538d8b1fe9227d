//! The votes of one round: cast, missed or still open; and who waits for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::super::cause::Cause;
use super::super::deadline_bounds::Wait;
use super::super::quorum::{Tally, Verdict};
use super::super::validity::Instant;
use super::super::vote::Vote;

/// What a round knows of its votes, and who waits for them.
#[derive(Default)]
pub(super) struct State {
    pub(super) tally: Tally,
    pub(super) members: Vec<Member>,
    /// Some vote as the first does.
    of_one: bool,
    /// Some may be waited for beyond their deadlines, until a majority has answered.
    has_longer: bool,
    /// The attempt has failed: grants that come now are to be released.
    pub(super) grants_are_unwanted: bool,
    waiter: Waiter,
}

/// What a round knows of one instance.
pub(super) struct Member {
    pub(super) vote: MemberVote,
    /// How long it is waited for, if it was asked.
    pub(super) wait: Wait,
}

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

/// One instance's vote, also while there is none.
#[derive(Clone)]
pub(super) enum MemberVote {
    NotAsked,
    Open,
    /// Votes as the first does: all of them are one server (rule 16).
    WithFirst,
    /// The deadline passed; what comes now is late.
    Missed(Box<Cause>),
    Granted,
    Held {
        applied: u32,
    },
    Waiting {
        behind: Option<Rc<str>>,
    },
    /// Any other that was cast.
    Other(Box<Vote>),
}

impl State {
    /// Nobody has voted yet: those that are waited for are asked. Returns how many are.
    pub(super) fn begin(&mut self, waits: impl Iterator<Item = Option<Wait>>) -> usize {
        let mut asked = 0;
        let mut has_longer = false;
        self.members.extend(waits.map(|wait| {
            let vote = match wait {
                Some(_) => MemberVote::Open,
                None => MemberVote::NotAsked,
            };
            asked += usize::from(wait.is_some());
            let wait = wait.unwrap_or_default();
            has_longer |= wait.is_longer();
            Member { vote, wait }
        }));
        self.has_longer = has_longer;
        self.tally = Tally::new(asked);
        asked
    }

    /// All of them vote as the first does.
    pub(super) fn vote_with_first(&mut self) {
        self.of_one = true;
        for member in &mut self.members[1..] {
            member.vote = MemberVote::WithFirst;
        }
    }

    /// As it was before anybody was asked.
    pub(super) fn clear(&mut self) {
        self.members.clear();
        self.of_one = false;
        self.grants_are_unwanted = false;
        self.waiter = Waiter::Nobody;
    }

    /// Whether an instance may still vote in time.
    pub(super) fn is_open(&self, index: usize) -> bool {
        matches!(self.members[index].vote, MemberVote::Open)
    }

    /// How long an instance is waited for that may still vote in time.
    pub(super) fn wait_of(&self, index: usize) -> Option<Wait> {
        self.is_open(index).then(|| self.members[index].wait)
    }

    /// An instance is waited for like that from now on.
    pub(super) fn set_wait(&mut self, index: usize, wait: Wait) {
        self.has_longer |= wait.is_longer();
        self.members[index].wait = wait;
    }

    /// Whether instances that were never measured may take longer than the others.
    pub(super) fn may_be_long(&self) -> bool {
        self.has_longer && !self.grants_are_unwanted && !self.tally.has_majority_answered()
    }

    /// When the next deadline is over.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let may_be_long = self.may_be_long();
        let open = |member: &&Member| matches!(member.vote, MemberVote::Open);
        let open = self.members.iter().filter(open);
        open.map(|member| member.wait.end(may_be_long)).min()
    }

    /// Counts the vote of the instance numbered `index`, also for those that vote as
    /// it does.
    pub(super) fn cast(&mut self, index: usize, vote: &Vote) -> Counted {
        if !self.is_open(index) {
            return Counted::TooLate;
        }
        self.tally.count(vote);
        self.members[index].vote = MemberVote::cast(vote);
        if !self.of_one {
            return Counted::Alone;
        }
        for member in &mut self.members {
            if matches!(member.vote, MemberVote::WithFirst) {
                self.tally.count(vote);
                member.vote = MemberVote::cast(vote);
            }
        }
        Counted::ForAll
    }

    /// An instance has missed its deadline.
    pub(super) fn miss(&mut self, index: usize, cause: Cause) {
        self.members[index].vote = MemberVote::Missed(Box::new(cause.clone()));
        self.tally.count(&Vote::Failed(cause));
    }

    /// The votes so far, by instance.
    pub(super) fn votes(&self) -> Vec<Option<Vote>> {
        self.members.iter().map(|one| one.vote.vote()).collect()
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
    pub(super) fn told(&mut self, decided: impl FnOnce(&Tally) -> Option<Verdict>) -> Told {
        let verdict = match self.waiter {
            Waiter::Nobody => return Told::Nobody,
            Waiter::Task { .. } | Waiter::Asker(_) => decided(&self.tally),
        };
        match (std::mem::take(&mut self.waiter), verdict) {
            (Waiter::Asker(asker), Some(verdict)) => Told::Asker(asker, verdict),
            (Waiter::Task { waker, every_vote }, verdict) if every_vote || verdict.is_some() => {
                Told::Task(waker)
            }
            (waiter, _) => {
                self.waiter = waiter;
                Told::Nobody
            }
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
    #[inline]
    fn cast(vote: &Vote) -> Self {
        match vote {
            Vote::Granted => Self::Granted,
            Vote::Held { applied } => Self::Held { applied: *applied },
            Vote::Waiting { behind } => Self::Waiting {
                behind: behind.clone(),
            },
            other => Self::Other(Box::new(other.clone())),
        }
    }

    fn vote(&self) -> Option<Vote> {
        match self {
            Self::NotAsked | Self::Open | Self::WithFirst => None,
            Self::Missed(cause) => Some(Vote::Failed(Cause::clone(cause))),
            Self::Granted => Some(Vote::Granted),
            Self::Held { applied } => Some(Vote::Held { applied: *applied }),
            Self::Waiting { behind } => Some(Vote::Waiting {
                behind: behind.clone(),
            }),
            Self::Other(vote) => Some(Vote::clone(vote)),
        }
    }

    pub(super) const fn is_grant(&self) -> bool {
        matches!(self, Self::Granted)
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Waiting { .. })
    }

    /// Whether the key was there, with whatever value.
    pub(super) fn is_refusal(&self) -> bool {
        self.is_held() || matches!(self.failure(), Some(Cause::AskedTwice))
    }

    /// Whether it was carried out or not, and that is known.
    pub(super) const fn is_answered(&self) -> bool {
        matches!(self, Self::NotAsked | Self::Granted) || self.is_held()
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
