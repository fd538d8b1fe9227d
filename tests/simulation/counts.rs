//! How often each thing happened: a simulation in which nothing does shows nothing.

use std::cell::Cell;

use crate::seeds;

/// How often each thing happened.
#[derive(Default)]
pub struct Counts {
    pub granted: Cell<u64>,
    pub struck: Cell<u64>,
    pub contended: Cell<u64>,
    pub held: Cell<u64>,
    pub unavailable: Cell<u64>,
    pub too_slow: Cell<u64>,
    pub cancelled: Cell<u64>,
    pub extended: Cell<u64>,
    pub not_extended: Cell<u64>,
    pub lost: Cell<u64>,
    pub released: Cell<u64>,
    pub overtaken: Cell<u64>,
    pub refused: Cell<u64>,
    pub timed_out: Cell<u64>,
    pub votes_told: Cell<u64>,
    pub kept: Cell<u64>,
    pub extended_by_itself: Cell<u64>,
    pub kept_long: Cell<u64>,
    pub extended_by_hand: Cell<u64>,
    pub capped: Cell<u64>,
    pub gone: Cell<u64>,
    pub ended: Cell<u64>,
    pub trusted: Cell<u64>,
    pub in_order: Cell<u64>,
    pub left: Cell<u64>,
    pub looks: Cell<u64>,
    pub told: Cell<u64>,
    pub in_turn: Cell<u64>,
}

impl Counts {
    /// Every count by its name.
    pub fn all(&self) -> seeds::Counts {
        [
            ("granted", &self.granted),
            ("struck by a fault", &self.struck),
            ("contended", &self.contended),
            ("held by another", &self.held),
            ("unavailable", &self.unavailable),
            ("too slow", &self.too_slow),
            ("cancelled", &self.cancelled),
            ("extended", &self.extended),
            ("not extended", &self.not_extended),
            ("lost", &self.lost),
            ("released", &self.released),
            ("keys set after their release", &self.overtaken),
            ("refused at once", &self.refused),
            ("refused after the longest wait", &self.timed_out),
            ("told by vote", &self.votes_told),
            ("kept", &self.kept),
            ("extended by itself", &self.extended_by_itself),
            ("extended by itself several times", &self.kept_long),
            ("extended by hand while it was kept", &self.extended_by_hand),
            ("kept up to its cap", &self.capped),
            ("kept and found gone", &self.gone),
            ("kept and over", &self.ended),
            ("kept with nothing in its way", &self.trusted),
            ("granted in order", &self.in_order),
            ("granted once it was left", &self.left),
            ("looks", &self.looks),
            ("told of a change", &self.told),
            ("granted behind a ticket", &self.in_turn),
        ]
        .map(|(name, count)| (name, count.get()))
        .to_vec()
    }
}

pub fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}
