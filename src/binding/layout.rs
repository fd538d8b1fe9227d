//! How requests and answers are laid out as numbers, as docs/hand-over.md has it.
//!
//! Nothing else in Rust knows a row's places or its codes, and JavaScript asks for
//! them once (`constants()`): neither side can drift from the other.

/// Where the numbers of a request are. The length of each of its resources
/// follows them.
pub mod request {
    use std::ops::RangeFrom;

    pub const SLOT: usize = 0;
    /// An [`Operation`](super::Operation).
    pub const OPERATION: usize = 1;
    pub const TTL: usize = 2;
    /// A point on the engine's clock or a span, by the operation.
    pub const TIME: usize = 3;
    pub const VALUE_LENGTH: usize = 4;
    /// How many resources follow.
    pub const COUNT: usize = 5;
    pub const HANDLE: usize = 6;
    /// Of [`flags`](super::flags).
    pub const FLAGS: usize = 7;
    /// [`UNLIMITED`](super::UNLIMITED) is without end.
    pub const RETRY_COUNT: usize = 8;
    pub const RETRY_DELAY: usize = 9;
    pub const RETRY_JITTER: usize = 10;
    pub const DRIFT_FACTOR: usize = 11;
    /// Of the caller's own; 0 = ours.
    pub const SCRIPTS: usize = 12;
    /// Under which all votes are told; 0 = they aren't.
    pub const VOTE_REPORT: usize = 13;
    /// [`UNLIMITED`](super::UNLIMITED) is however long it takes.
    pub const MAX_WAIT: usize = 14;
    /// Of the caller; 0 = none.
    pub const CONTEXT: usize = 15;
    /// Whom each vote is told to as it comes, by a number of the contexts'; 0 = nobody.
    pub const TRACE: usize = 16;
    /// How many numbers there are before the resources' lengths.
    pub const NUMBERS: usize = 17;
    /// Those that are the same in nearly all requests of a tick: who is asked, and how.
    pub const TERMS: RangeFrom<usize> = HANDLE..;
}

/// Stands for a number of retries, or a time to wait, that has no end.
pub const UNLIMITED: f64 = -1.0;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Lock = 0,
    Extend = 1,
    Unlock = 2,
    Inspect = 3,
    /// Nothing but time.
    Wait = 4,
    /// Everything that the engine has handed over and that is held.
    UnlockAll = 5,
    /// Nothing: what the engine has counted.
    Stats = 6,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Lock,
        Self::Extend,
        Self::Unlock,
        Self::Inspect,
        Self::Wait,
        Self::UnlockAll,
        Self::Stats,
    ];

    /// What JavaScript knows it by.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// That of this number, if there is one.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }
}

/// What else is wanted of a request; they are added up.
pub mod flags {
    /// Instances' failures are wanted as events.
    pub const REPORT: u32 = 1;
    /// Extend: the time is a span from when the request is looked at.
    pub const RELATIVE: u32 = 2;
    /// Lock: if the last attempt finds it held, look what the key has.
    pub const INSPECT_IF_HELD: u32 = 4;
    /// Lock: there were requests for the same lock before.
    pub const IS_REPEATED: u32 = 8;
    /// Lock: it may line up behind others of this process.
    pub const QUEUES: u32 = 16;
    /// Lock, and a lock that is kept: what instances tell of changes to keys is made use of.
    pub const WAKEUPS: u32 = 32;
    /// Lock: it lines up behind all that wait for its one resource, in whatever process.
    pub const FAIR: u32 = 64;
}

/// Where the numbers of an answer are. How many answers there are comes before
/// the first of them.
pub mod answer {
    /// [`NO_SLOT`](super::NO_SLOT) where it answers no request. Client request: the
    /// ticket.
    pub const SLOT: usize = 0;
    /// An [`AnswerKind`](super::AnswerKind).
    pub const KIND: usize = 1;
    /// Client request: the handle.
    pub const ATTEMPTS: usize = 2;
    /// The validity that is left. Client request: the instance.
    pub const LEFT: usize = 3;
    /// The same as a point on the engine's clock.
    pub const UNTIL: usize = 4;
    /// Locked: since when. Where there are details: their index. Client request:
    /// which of the drain's questions.
    pub const LAST: usize = 5;
    pub const NUMBERS: usize = 6;
}

/// The slot of what answers no request.
pub const NO_SLOT: f64 = -1.0;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    Unlocked = 0,
    Locked = 1,
    Extended = 2,
    Failed = 3,
    /// Of no request: something has happened.
    Event = 4,
    /// Of no request: a caller's client is to be asked something.
    ClientRequest = 5,
    Inspected = 6,
    /// Of no request: a time has come that was waited for.
    Time = 7,
    /// Of no request: nothing will be asked for in a context any more.
    ContextEnded = 8,
}

impl AnswerKind {
    const ALL: [Self; 9] = [
        Self::Unlocked,
        Self::Locked,
        Self::Extended,
        Self::Failed,
        Self::Event,
        Self::ClientRequest,
        Self::Inspected,
        Self::Time,
        Self::ContextEnded,
    ];

    /// What JavaScript knows it by.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// That of this number, if there is one.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }
}

/// Where the numbers of a question for callers' clients are. The length of each of
/// its resources follows them.
pub mod question {
    /// An [`Operation`](super::Operation).
    pub const OPERATION: usize = 0;
    /// 1 where neither taking nor releasing has a text of the caller's, else 0.
    pub const PLAIN: usize = 1;
    /// [`ABSENT`](super::ABSENT) where there is none.
    pub const TTL: usize = 2;
    /// Of the caller; 0 = none.
    pub const CONTEXT: usize = 3;
    /// Of the caller's own text; [`ABSENT`](super::ABSENT) where there is none.
    pub const SCRIPT_LENGTH: usize = 4;
    pub const VALUE_LENGTH: usize = 5;
    /// How many resources follow.
    pub const COUNT: usize = 6;
    /// How many numbers there are before the resources' lengths.
    pub const NUMBERS: usize = 7;
}

/// Stands for a number that there is not.
pub const ABSENT: f64 = -1.0;

/// The length of a lock's value of ours: 16 bytes in hexadecimal.
pub const VALUE_LENGTH: usize = 32;

/// How many numbers each answer of a caller's client has that a script has given:
/// handle, instance, ticket, keys.
pub const APPLIED_NUMBERS: usize = 4;

/// How many numbers say how a lock is kept: until when it is valid, the ttl of each
/// extension, how long before the end it begins, the cap, the drift factor, the
/// retry delay, the retry jitter, and [`flags`].
pub const KEEP_NUMBERS: usize = 8;

/// What stands for "without end" where a span is wanted, in ms: a hundred years,
/// which the engine's clock can count beyond any point that it will reach.
pub const FOR_EVER: f64 = 3.2e12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_found_by_its_number() {
        for operation in Operation::ALL {
            assert_eq!(Operation::numbered(operation.number()), Some(operation));
        }
        assert_eq!(Operation::numbered(7), None);
    }

    #[test]
    fn each_kind_of_answer_is_found_by_its_number() {
        for kind in AnswerKind::ALL {
            assert_eq!(AnswerKind::numbered(kind.number()), Some(kind));
        }
        assert_eq!(AnswerKind::numbered(9), None);
    }
}
