//! Rounds that are over, whose memory the next ones take. Many are under way at once and
//! end in another order than they began in: what they would take of the allocator is a
//! quarter of all that a lock takes of the engine.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::core::Core;
use super::super::question::Question;
use super::Round;

/// So many are kept at most, each less than [`HEAVIEST`] and what it has itself: a
/// megabyte.
const MOST: usize = 1024;

/// In bytes, of a question.
const HEAVIEST: usize = 512;

/// The rounds of one engine that are over.
#[derive(Default)]
pub struct SpentRounds(RefCell<Vec<Rc<Round>>>);

impl SpentRounds {
    /// A round for `question`, which `begin` begins.
    pub(super) fn round(
        core: &Rc<Core>,
        question: Question,
        begin: impl FnOnce(&mut Round),
    ) -> Rc<Round> {
        let spent = core.spent_rounds.upgrade();
        let spent = spent.and_then(|spent| spent.0.borrow_mut().pop());
        if let Some(mut round) = spent
            && let Some(spent) = Rc::get_mut(&mut round)
        {
            match Rc::get_mut(&mut spent.question) {
                Some(before) => *before = question,
                None => spent.question = Rc::new(question),
            }
            begin(spent);
            return round;
        }
        let mut round = Round::unasked(core, question);
        begin(&mut round);
        Rc::new(round)
    }

    /// Keeps `round`, whose last vote was cast, unless somebody else has it still.
    pub(super) fn keep(mut round: Rc<Round>) {
        if let Some(spent) = Rc::get_mut(&mut round)
            && let Some(all) = spent.core.spent_rounds.upgrade()
            // A caller's context goes with the last question (rule 21).
            && spent.question.is_light(HEAVIEST)
        {
            spent.is_noted.set(false);
            spent.state.get_mut().clear();
            let mut all = all.0.borrow_mut();
            if all.len() < MOST {
                all.push(round);
            }
        }
    }
}
