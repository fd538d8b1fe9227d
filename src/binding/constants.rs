//! What both sides of the hand-over must agree on, for JavaScript: it has no
//! numbers or texts of its own for what is decided here.

use napi_derive::napi;

use super::layout::{
    self, AnswerKind, FOR_EVER, Operation, UNLIMITED, answer, flags, question, request,
};
use super::reasons::Refusal;
use crate::engine::{
    DEFAULT_DRIFT_FACTOR, DEFAULT_RETRY_COUNT, DEFAULT_RETRY_DELAY, DEFAULT_RETRY_JITTER,
    DeadlineBounds, Loss, Reason,
};

/// What both sides of the hand-over must agree on.
#[napi(object)]
pub struct Constants {
    pub request: RequestLayout,
    pub operations: Operations,
    pub flags: Flags,
    pub answer: AnswerLayout,
    pub answers: AnswerKinds,
    pub applied: AppliedLayout,
    pub question: QuestionLayout,
    pub defaults: Defaults,
    pub reasons: Reasons,
    /// Stands for a retryCount or a maxWait that has no end.
    pub unlimited: f64,
    /// Stands for "without end" where a span is wanted, in ms: a hundred years.
    pub for_ever: f64,
}

/// Where the numbers of a request are.
#[napi(object)]
pub struct RequestLayout {
    pub slot_at: u32,
    pub handle_at: u32,
    pub operation_at: u32,
    pub flags_at: u32,
    pub ttl_at: u32,
    pub retry_count_at: u32,
    pub retry_delay_at: u32,
    pub retry_jitter_at: u32,
    pub drift_factor_at: u32,
    pub time_at: u32,
    pub value_length_at: u32,
    pub scripts_at: u32,
    pub vote_report_at: u32,
    pub max_wait_at: u32,
    pub context_at: u32,
    pub trace_at: u32,
    pub count_at: u32,
    /// How many there are before the resources' lengths.
    pub numbers: u32,
}

/// What is asked for.
#[napi(object)]
pub struct Operations {
    pub lock: u32,
    pub extend: u32,
    pub unlock: u32,
    pub inspect: u32,
    pub wait: u32,
    pub unlock_all: u32,
    pub stats: u32,
}

/// What else is wanted of a request.
#[napi(object)]
pub struct Flags {
    pub report: u32,
    pub relative: u32,
    pub inspect_if_held: u32,
    pub is_repeated: u32,
    pub queues: u32,
    pub wakeups: u32,
    pub fair: u32,
}

/// Where the numbers of an answer are.
#[napi(object)]
pub struct AnswerLayout {
    pub slot_at: u32,
    pub kind_at: u32,
    pub attempts_at: u32,
    pub left_at: u32,
    pub until_at: u32,
    pub last_at: u32,
    /// How many there are.
    pub numbers: u32,
    /// How many characters the value of a lock has.
    pub value_length: u32,
}

/// What an answer is.
#[napi(object)]
pub struct AnswerKinds {
    pub unlocked: u32,
    pub locked: u32,
    pub extended: u32,
    pub failed: u32,
    pub event: u32,
    pub client_request: u32,
    pub inspected: u32,
    pub time: u32,
    pub context_ended: u32,
}

/// What clients come back with: handle, instance, ticket, keys.
#[napi(object)]
pub struct AppliedLayout {
    /// How many numbers each has.
    pub numbers: u32,
}

/// Where the numbers of a question for callers' clients are.
#[napi(object)]
pub struct QuestionLayout {
    pub operation_at: u32,
    pub plain_at: u32,
    pub ttl_at: u32,
    pub context_at: u32,
    pub script_length_at: u32,
    pub value_length_at: u32,
    pub count_at: u32,
    /// How many numbers there are before the lengths of the resources.
    pub numbers: u32,
}

/// The settings of whoever gives none.
#[napi(object)]
pub struct Defaults {
    pub drift_factor: f64,
    pub retry_count: u32,
    /// In ms.
    pub retry_delay: f64,
    /// In ms.
    pub retry_jitter: f64,
    pub deadlines: Deadlines,
}

/// How long one instance may take.
#[napi(object)]
pub struct Deadlines {
    /// In ms.
    pub floor: f64,
    /// In ms.
    pub ceiling: f64,
}

/// Why a request was refused, or a lock is over.
#[napi(object)]
pub struct Reasons {
    pub held: Explanation,
    pub unavailable: Explanation,
    pub too_slow: Explanation,
    pub expired: Explanation,
    pub not_held: Explanation,
    pub timed_out: Explanation,
    pub max_hold: Explanation,
    pub closed: Explanation,
    pub cancelled: Explanation,
    pub internal: Explanation,
    pub invalid: Explanation,
}

/// One of these reasons.
#[napi(object)]
pub struct Explanation {
    /// What `endedBy` names it by; 0 for one that it never gives.
    pub number: u32,
    /// What errors have as their `code`.
    pub code: String,
    pub reason: String,
}

/// What both sides of the hand-over must agree on.
#[napi(catch_unwind)]
#[must_use]
pub fn constants() -> Constants {
    Constants {
        request: request_layout(),
        operations: Operations {
            lock: Operation::Lock.number(),
            extend: Operation::Extend.number(),
            unlock: Operation::Unlock.number(),
            inspect: Operation::Inspect.number(),
            wait: Operation::Wait.number(),
            unlock_all: Operation::UnlockAll.number(),
            stats: Operation::Stats.number(),
        },
        flags: Flags {
            report: flags::REPORT,
            relative: flags::RELATIVE,
            inspect_if_held: flags::INSPECT_IF_HELD,
            is_repeated: flags::IS_REPEATED,
            queues: flags::QUEUES,
            wakeups: flags::WAKEUPS,
            fair: flags::FAIR,
        },
        answer: AnswerLayout {
            slot_at: small(answer::SLOT),
            kind_at: small(answer::KIND),
            attempts_at: small(answer::ATTEMPTS),
            left_at: small(answer::LEFT),
            until_at: small(answer::UNTIL),
            last_at: small(answer::LAST),
            numbers: small(answer::NUMBERS),
            value_length: small(layout::VALUE_LENGTH),
        },
        answers: AnswerKinds {
            unlocked: AnswerKind::Unlocked.number(),
            locked: AnswerKind::Locked.number(),
            extended: AnswerKind::Extended.number(),
            failed: AnswerKind::Failed.number(),
            event: AnswerKind::Event.number(),
            client_request: AnswerKind::ClientRequest.number(),
            inspected: AnswerKind::Inspected.number(),
            time: AnswerKind::Time.number(),
            context_ended: AnswerKind::ContextEnded.number(),
        },
        applied: AppliedLayout {
            numbers: small(layout::APPLIED_NUMBERS),
        },
        question: question_layout(),
        defaults: defaults(),
        reasons: reasons(),
        unlimited: UNLIMITED,
        for_ever: FOR_EVER,
    }
}

fn request_layout() -> RequestLayout {
    RequestLayout {
        slot_at: small(request::SLOT),
        handle_at: small(request::HANDLE),
        operation_at: small(request::OPERATION),
        flags_at: small(request::FLAGS),
        ttl_at: small(request::TTL),
        retry_count_at: small(request::RETRY_COUNT),
        retry_delay_at: small(request::RETRY_DELAY),
        retry_jitter_at: small(request::RETRY_JITTER),
        drift_factor_at: small(request::DRIFT_FACTOR),
        time_at: small(request::TIME),
        value_length_at: small(request::VALUE_LENGTH),
        scripts_at: small(request::SCRIPTS),
        vote_report_at: small(request::VOTE_REPORT),
        max_wait_at: small(request::MAX_WAIT),
        context_at: small(request::CONTEXT),
        trace_at: small(request::TRACE),
        count_at: small(request::COUNT),
        numbers: small(request::NUMBERS),
    }
}

fn question_layout() -> QuestionLayout {
    QuestionLayout {
        operation_at: small(question::OPERATION),
        plain_at: small(question::PLAIN),
        ttl_at: small(question::TTL),
        context_at: small(question::CONTEXT),
        script_length_at: small(question::SCRIPT_LENGTH),
        value_length_at: small(question::VALUE_LENGTH),
        count_at: small(question::COUNT),
        numbers: small(question::NUMBERS),
    }
}

fn defaults() -> Defaults {
    let deadlines = DeadlineBounds::default();
    Defaults {
        drift_factor: DEFAULT_DRIFT_FACTOR,
        retry_count: DEFAULT_RETRY_COUNT,
        retry_delay: DEFAULT_RETRY_DELAY,
        retry_jitter: DEFAULT_RETRY_JITTER,
        deadlines: Deadlines {
            floor: deadlines.floor.as_secs_f64() * 1000.0,
            ceiling: deadlines.ceiling.as_secs_f64() * 1000.0,
        },
    }
}

fn reasons() -> Reasons {
    Reasons {
        held: of_algorithm(Reason::Held),
        unavailable: of_algorithm(Reason::Unavailable),
        too_slow: of_algorithm(Reason::TooSlow),
        expired: of_loss(Loss::Expired),
        not_held: of_loss(Loss::NotHeld),
        timed_out: of_algorithm(Reason::TimedOut),
        max_hold: of_loss(Loss::MaxHold),
        closed: of_hand_over(Refusal::Closed),
        cancelled: of_hand_over(Refusal::Cancelled),
        internal: of_hand_over(Refusal::Internal),
        invalid: of_hand_over(Refusal::Invalid),
    }
}

fn of_loss(loss: Loss) -> Explanation {
    Explanation {
        number: loss.number().into(),
        ..of_algorithm(loss.reason())
    }
}

fn of_algorithm(reason: Reason) -> Explanation {
    Explanation {
        number: 0,
        code: reason.code().to_owned(),
        reason: reason.to_string(),
    }
}

fn of_hand_over(refusal: Refusal) -> Explanation {
    Explanation {
        number: 0,
        code: refusal.code().to_owned(),
        reason: refusal.text().to_owned(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "places and lengths of a row"
)]
const fn small(number: usize) -> u32 {
    number as u32
}
