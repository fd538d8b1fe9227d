//! A release that is written on two connections, and whose answer to it counts.

use std::cell::Cell;
use std::rc::Rc;

use super::pipeline::Generation;
use crate::engine::{Instant, Operation, Question, Responder, Vote, VoteSink};

/// Who waits for a release that is written on two connections. The former one's
/// answer counts, before which its acquire is carried out; or that it is done on
/// the present one, unless the value may be given again: nothing of it may be on
/// its way then (`claims.rs`).
pub(super) fn answer_of_both(
    release: &Question,
    responder: Responder,
) -> (Responder, Option<Responder>) {
    match release.operation {
        Operation::Release { expires, .. } if expires == Instant::LAST => {
            let both: Rc<dyn VoteSink> = Rc::new(BothAnswers(Cell::new(Some(responder))));
            let of = |generation| Responder::new(Rc::clone(&both), generation as usize);
            (of(Generation::Former), Some(of(Generation::Present)))
        }
        _ => (responder, None),
    }
}

struct BothAnswers(Cell<Option<Responder>>);

impl VoteSink for BothAnswers {
    fn cast(self: Rc<Self>, from: usize, vote: Vote) {
        let counts = from == Generation::Former as usize || matches!(vote, Vote::Granted);
        if let Some(responder) = self.0.take() {
            if counts {
                responder.vote(vote);
            } else {
                self.0.set(Some(responder));
            }
        }
    }
}
