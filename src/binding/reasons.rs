//! Why a request was refused that the algorithm has no reason for, as JavaScript is
//! told: a code that never changes, and a text.

/// Why a request was refused that never reached the algorithm, or was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such engine any more.
    Closed,
    /// JavaScript has given it up.
    Cancelled,
    /// The engine has failed: a defect.
    Internal,
    /// JavaScript should not have let it through: a defect.
    Invalid,
}

impl Refusal {
    /// The stable code that JavaScript sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Closed => "ERR_REDLOCK_CLOSED",
            Self::Cancelled => "ERR_REDLOCK_CANCELLED",
            Self::Internal => "ERR_REDLOCK_INTERNAL",
            Self::Invalid => "ERR_REDLOCK_INVALID",
        }
    }

    /// The same in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Closed => "this Redlock was closed with quit()",
            Self::Cancelled => "it was cancelled",
            Self::Internal => "the engine failed; please report this as a defect",
            Self::Invalid => "a request that makes no sense; please report this as a defect",
        }
    }
}
