//! Asking every instance what a key has.

use std::rc::Rc;

use super::core::Core;
use super::deadline_bounds::Limits;
use super::question::Question;
use super::round::Round;
use super::settings::Settings;
use super::vote::Vote;

/// As [`Engine::inspect`](super::Engine::inspect).
pub(super) async fn inspect(
    core: &Rc<Core>,
    resource: Box<str>,
    settings: &Settings,
) -> Vec<Option<Vote>> {
    let round = ask(core, resource, settings);
    round.verdict().await;
    round.votes()
}

pub(super) fn ask(core: &Rc<Core>, resource: Box<str>, settings: &Settings) -> Rc<Round> {
    let now = core.environment.now();
    let limits = Limits::of_release(settings.deadlines, now);
    let question = Question::inspect(resource, limits.last())
        .reported(settings.report)
        .in_context(settings.context.clone());
    Round::ask_all(core, question, limits, now, None)
}
