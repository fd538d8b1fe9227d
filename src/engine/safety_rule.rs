//! The safety rules of docs/safety.md as switches. A test of a simulation takes
//! one out to see that it is missed; no build of the package can.

/// A rule, or a part of one, that a test can take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SafetyRule {
    /// Rule 1: a value per attempt.
    FreshValue,
    /// Rule 3: no success without a majority.
    Majority,
    /// Rule 3: no success without validity left.
    Validity,
    /// Rule 5: a failed attempt releases everywhere.
    Cleanup,
    /// Rule 5: none but who has certainly set nothing is left out of that.
    Refusals,
    /// Rule 5: what is granted after its unlock is released.
    Stragglers,
    /// Rule 9: an extension never shortens a key's life.
    NeverShorter,
    /// Rules 9 and 11: a kept lock is believed in for no longer than a majority
    /// has granted.
    Loss,
    /// Rule 11: the watchdog knows the end of a lock that it watches already better
    /// than the caller does.
    KnownEnd,
    /// Rule 10: no extension by itself beyond the cap.
    Cap,
    /// Rule 13: an acquire or extend is written at most once.
    WriteOnce,
    /// Rule 14: what waits for a silent instance is bounded.
    Bounded,
    /// Rule 16: each name votes for itself.
    NoLikeness,
    /// Rule 16: a key that has the attempt's own value already is no grant.
    OwnValue,
    /// Rule 16: a value that is given again is refused while it may be held.
    Claims,
    /// Rule 17: a former connection is good for releases only.
    PreviousConnection,
    /// Rule 17: an instance that had refused a lock doesn't count for its extension.
    Refusers,
    /// A connection of our own votes only once it is proven.
    Proof,
    /// Rule 18: a reply of a kind that its command can't give ends the link.
    ReplyKind,
    /// Rule 19: validity is looked at again when it is handed over.
    HandOver,
    /// Rule 22: a release doesn't overtake its own acquire.
    Order,
    /// Rule 18: that a key is not there, said of one of several releases in one call,
    /// is asked again of that one alone.
    AskedAlone,
    /// Rule 23: what instances tell of changes decides nothing: a lock is lost by votes.
    LostByVotes,
    /// Rule 23: who waits asks now and then, whatever it is told.
    AskedAnyway,
    /// Rule 24: who asks with a ticket is refused a free lock while an earlier one waits.
    InTurn,
    /// Rule 24: all attempts of one request have one ticket.
    OneTicket,
    /// A master that sentinels name without a majority must say that it is one.
    Role,
}

impl SafetyRule {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::FreshValue,
        Self::Majority,
        Self::Validity,
        Self::Cleanup,
        Self::Refusals,
        Self::Stragglers,
        Self::NeverShorter,
        Self::Loss,
        Self::KnownEnd,
        Self::Cap,
        Self::WriteOnce,
        Self::Bounded,
        Self::NoLikeness,
        Self::OwnValue,
        Self::Claims,
        Self::PreviousConnection,
        Self::Refusers,
        Self::Proof,
        Self::ReplyKind,
        Self::HandOver,
        Self::Order,
        Self::AskedAlone,
        Self::LostByVotes,
        Self::AskedAnyway,
        Self::InTurn,
        Self::OneTicket,
        Self::Role,
    ];

    /// Whether it is kept: always, but in a test that has called
    /// [`SafetyRule::take_out`] on this thread.
    #[cfg(not(feature = "sabotage"))]
    #[inline]
    #[must_use]
    pub const fn is_kept(self) -> bool {
        let _ = self;
        true
    }

    /// Whether it is kept on this thread.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn is_kept(self) -> bool {
        TAKEN_OUT.get() != Some(self)
    }

    /// From now on this thread keeps every rule but this one.
    #[cfg(feature = "sabotage")]
    pub fn take_out(rule: Option<Self>) {
        TAKEN_OUT.set(rule);
    }

    /// The rule of this name, as `WITHOUT=FreshValue` has it.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|rule| format!("{rule:?}") == name)
    }
}

#[cfg(feature = "sabotage")]
thread_local! {
    static TAKEN_OUT: std::cell::Cell<Option<SafetyRule>> = const { std::cell::Cell::new(None) };
}
