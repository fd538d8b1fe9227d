//! Rounds in the memory of those that are over.

use std::rc::Rc;

use super::super::core::Core;
use super::super::question::Question;
use super::Round;

/// What a question may weigh to be kept, in bytes.
const HEAVIEST: usize = 512;

impl Round {
    /// One for `question`, which `begin` begins.
    pub(super) fn anew(
        core: &Rc<Core>,
        question: Question,
        begin: impl FnOnce(&mut Self),
    ) -> Rc<Self> {
        let spent = core.spent_rounds.upgrade();
        if let Some(mut round) = spent.and_then(|spent| spent.take::<Self>())
            && let Some(spent) = Rc::get_mut(&mut round)
        {
            match Rc::get_mut(&mut spent.question) {
                Some(before) => *before = question,
                None => spent.question = Rc::new(question),
            }
            begin(spent);
            return round;
        }
        let mut round = Self::unasked(core, question);
        begin(&mut round);
        Rc::new(round)
    }

    /// Another round may have its memory, if the last vote was cast and nobody else looks at
    /// it any more.
    pub(in crate::engine) fn spend(self: Rc<Self>) {
        if self.votes_to_come.get() > 0 {
            return;
        }
        if let Some(all) = self.core.spent_rounds.upgrade() {
            all.keep(self, |spent: &mut Self| {
                spent.is_noted.set(false);
                spent.state.get_mut().clear();
                // A caller's context goes with the last question (rule 21).
                spent.question.is_light(HEAVIEST)
            });
        }
    }
}
