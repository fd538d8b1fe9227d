//! What is on its way on one connection: commands in the order in which they are
//! written, and who waits for their replies.

use std::collections::VecDeque;
use std::rc::Rc;

use super::gathered::Gathered;
use super::pending::{ExpectedReply, PendingCommand};
use crate::engine::{Instant, Operation, Question, Responder, SafetyRule};

/// So many acquires are on their way at most, and of so many bytes: an extension
/// is not behind more of them. A server does that in some 20 ms.
pub(super) const MOST_ACQUIRES: usize = 2000;
const MOST_ACQUIRES_BYTES: usize = 256 * 1024;

/// How long a reply may be, in bytes: to a command of ours, to a script of the
/// caller's, to CLUSTER SLOTS.
const LONGEST_REPLY: usize = 64 * 1024;
const LONGEST_REPLY_TO_OTHERS: usize = 1024 * 1024;
const LONGEST_MAP: usize = 8 * 1024 * 1024;

/// One connection's commands.
#[derive(Default)]
pub(super) struct Pipeline {
    /// Commands that are not yet written, from `written` on.
    pub(super) out: Vec<u8>,
    pub(super) written: usize,
    /// Questions whose command is in `out` or on its way, in order.
    pub(super) unanswered: VecDeque<PendingCommand>,
    /// How many of them, the newest, have come since the buffer was written: the server
    /// can't have answered those.
    pub(super) fresh: usize,
    /// Where the releases are, in `out` and `unanswered`, that go in one call when `out`
    /// is written; their commands are not in it yet.
    pub(super) gathered: Option<Gathered>,
    /// How many questions all of them are: a call can be several.
    pub(super) questions: usize,
    /// About how many bytes all of them keep.
    pub(super) weight: usize,
    /// How many of them are acquires, and about how many bytes those keep.
    acquires: usize,
    acquires_weight: usize,
    /// Bytes of an incomplete reply.
    pub(super) heard: usize,
    /// When the server last said anything.
    pub(super) heard_at: Instant,
}

/// Which of a link's connections: while a silent one has been replaced and may still
/// answer there are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    Present,
    Former,
}

impl Pipeline {
    /// A command was appended to `out` from `before` on, whose answer is expected.
    #[inline]
    pub(super) fn expect(&mut self, before: usize, expected: ExpectedReply) {
        self.fresh += 1;
        self.questions += expected.questions();
        if let Some(gathered) = &mut self.gathered {
            gathered.put_behind(&expected);
        }
        let pending = PendingCommand::unwritten(self.out.len() - before, expected);
        self.weight += pending.weight;
        if pending.expected.is_acquire() {
            self.acquires += 1;
            self.acquires_weight += pending.weight;
        }
        self.unanswered.push_back(pending);
    }

    /// The oldest question, which has been answered, and when it was written; `None`
    /// if none was.
    pub(super) fn answered(&mut self) -> Option<(Instant, ExpectedReply)> {
        if self.owes_nothing() && SafetyRule::ReplyKind.is_kept() {
            return None;
        }
        let pending = self.unanswered.pop_front()?;
        self.fresh = self.fresh.min(self.unanswered.len());
        self.weight -= pending.weight;
        self.questions -= pending.expected.questions();
        if pending.expected.is_acquire() {
            self.acquires -= 1;
            self.acquires_weight -= pending.weight;
        }
        Some((pending.at, pending.expected))
    }

    /// Whether the server has no question that it could answer.
    pub(super) fn owes_nothing(&self) -> bool {
        self.unanswered.len() == self.fresh
    }

    /// Since when the oldest answer has been owed.
    pub(super) fn owing_since(&self) -> Option<Instant> {
        let owes = self.unanswered.len() > self.fresh;
        self.unanswered
            .front()
            .filter(|_| owes)
            .map(|pending| pending.at)
    }

    /// Since when it has said nothing, although it owes an answer.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        self.owing_since().map(|since| since.max(self.heard_at))
    }

    /// From now on the server owes what was written.
    pub(super) fn mark_written(&mut self, now: Instant) {
        for pending in self.unanswered.iter_mut().rev().take(self.fresh) {
            pending.at = now;
        }
        self.fresh = 0;
    }

    /// Whether another acquire may be on its way, if so many times [`MOST_ACQUIRES`]
    /// may.
    pub(super) fn has_room(&self, windows: usize) -> bool {
        let most = (MOST_ACQUIRES * windows, MOST_ACQUIRES_BYTES * windows);
        self.acquires == 0 || self.acquires < most.0 && self.acquires_weight < most.1
    }

    /// Whether less is on its way, of whatever kind, than what acquires may be of it.
    pub(super) fn is_short(&self) -> bool {
        self.questions < MOST_ACQUIRES && self.weight < MOST_ACQUIRES_BYTES
    }

    /// Whether at most half of them are on their way: as many as are worth a system
    /// call may be written then.
    pub(super) fn is_half_empty(&self, windows: usize) -> bool {
        let half = (
            MOST_ACQUIRES * windows / 2,
            MOST_ACQUIRES_BYTES * windows / 2,
        );
        self.acquires == 0 || self.acquires <= half.0 && self.acquires_weight <= half.1
    }

    /// How long the reply to the oldest question may be.
    pub(super) fn longest_reply(&self) -> usize {
        match self.unanswered.front().map(|pending| &pending.expected) {
            Some(ExpectedReply::Vote { question, .. }) if question.script().is_some() => {
                LONGEST_REPLY_TO_OTHERS
            }
            Some(ExpectedReply::Array(_)) => LONGEST_MAP,
            _ => LONGEST_REPLY,
        }
    }

    /// Whether a release of what `acquire` asks for was written. Whoever waits for the
    /// acquire need not know of it: it may be another engine's.
    pub(super) fn has_release_of(&self, acquire: &Question) -> bool {
        let mut all = self.unanswered.iter();
        all.any(|pending| match &pending.expected {
            ExpectedReply::Vote { question, .. } => {
                is_release(question) && is_about(question, acquire)
            }
            ExpectedReply::Releases { releases, .. } => releases
                .iter()
                .any(|release| is_about(&release.question, acquire)),
            ExpectedReply::Array(_) | ExpectedReply::Asking => false,
        })
    }

    /// Whether an acquire of what `release` is to delete was written.
    pub(super) fn has_acquire_of(&self, release: &Question) -> bool {
        let mut all = self.unanswered.iter();
        self.acquires > 0
            && all.any(|pending| match &pending.expected {
                ExpectedReply::Vote { question, .. } => {
                    is_acquire(question) && is_about(question, release)
                }
                _ => false,
            })
    }

    /// The releases that are not answered, and who waits for them.
    pub(super) fn releases(
        &mut self,
    ) -> impl Iterator<Item = (&Rc<Question>, &mut Option<Responder>)> {
        self.unanswered.iter_mut().flat_map(|pending| {
            let (one, several) = match &mut pending.expected {
                ExpectedReply::Vote {
                    question,
                    responder,
                    ..
                } if is_release(question) => (Some((&*question, responder)), [].iter_mut()),
                ExpectedReply::Releases { releases, .. } => (None, releases.iter_mut()),
                _ => (None, [].iter_mut()),
            };
            let several = several.map(|release| (&release.question, &mut release.responder));
            one.into_iter().chain(several)
        })
    }

    /// About how many bytes it keeps.
    #[cfg(any(test, feature = "sabotage"))]
    pub(super) fn bytes(&self) -> usize {
        self.weight + self.out.len() - self.written + self.heard
    }
}

pub(super) fn is_acquire(question: &Question) -> bool {
    matches!(question.operation, Operation::Acquire { .. })
}

pub(super) fn is_release(question: &Question) -> bool {
    matches!(question.operation, Operation::Release { .. })
}

/// Whether two questions are about the same value on one of their keys.
fn is_about(one: &Question, other: &Question) -> bool {
    one.value == other.value && one.shares_a_resource(other)
}
