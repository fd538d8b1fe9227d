//! How one request is to be carried out.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Trace};
use super::deadline_bounds::DeadlineBounds;
use super::question::{Question, Scripts};
use super::retry::Retry;
use super::ticket::Ticket;
use super::token::Token;
use super::validity::Drift;

/// How one request is to be carried out.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a matter of its own")]
pub struct Settings {
    /// How often to try again, and after how long.
    pub retry: Retry,
    /// The allowance for clock drift.
    pub drift: Drift,
    /// How long one instance may take.
    pub deadlines: DeadlineBounds,
    /// Whether an instance's failures are to be reported as events.
    pub report: bool,
    /// The caller's own texts for the operations, if there are any.
    pub scripts: Option<Arc<Scripts>>,
    /// The caller's context, if its instances run code of the caller's.
    pub context: Option<Arc<dyn Context>>,
    /// Under which number all votes of each attempt are to be told as events.
    pub reports_votes_as: Option<u64>,
    /// Whom each vote is told to as it comes, by its number: it goes with every question that
    /// the request brings about, and is dropped with the last of them.
    pub trace: Option<Arc<Trace>>,
    /// Acquire only: how long the caller waits for the lock altogether.
    pub max_wait: Option<Duration>,
    /// Acquire only: whether to find out, once the last attempt has found a resource
    /// held, if a lock holds it ([`Reason::Occupied`](super::failure::Reason::Occupied)).
    pub inspects_if_held: bool,
    /// Acquire only: the caller has made attempts for the same lock before, so that
    /// this is not the first one, which may take longer.
    pub is_repeated: bool,
    /// Acquire only: whether it may line up behind others of this process that wait for
    /// the same resource, instead of asking beside them.
    pub queues: bool,
    /// Whether what instances tell of changes to keys is made use of.
    pub wakeups: bool,
    /// Acquire of one resource only, without a value or a script of the caller's: its place
    /// among all that wait for the resource, in whatever process, and among those that come
    /// later.
    pub ticket: Option<Arc<Ticket>>,
    /// Acquire only: a value of the caller's own. There is one attempt with it,
    /// since a second would need another (rule 1).
    pub value: Option<Token>,
}

impl Settings {
    /// The same question, asked as these settings have it by the `attempt`-th attempt.
    pub(super) fn apply(&self, question: Question, attempt: u32) -> Question {
        question
            .reported(self.report)
            .with_scripts(self.scripts.clone())
            .in_context(self.context.clone())
            .traced(self.trace.clone(), attempt)
    }

    /// Under what the votes of the `attempt`-th attempt are told, if they are.
    pub(super) fn vote_report(&self, attempt: u32) -> Option<VoteReport> {
        self.reports_votes_as
            .map(|number| VoteReport { number, attempt })
    }
}

/// Under what an attempt's votes are told, by
/// [`Event::Votes`](super::event::Event::Votes).
#[derive(Clone, Copy)]
pub(super) struct VoteReport {
    pub(super) number: u64,
    pub(super) attempt: u32,
}
