//! Asking every instance what a key has.

use std::rc::Rc;

use super::core::Core;
use super::deadline_bounds::Limits;
use super::question::Question;
use super::quorum::Tally;
use super::round::Round;
use super::settings::Settings;
use super::token::Token;
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
        .in_context(settings.context.clone())
        .traced(settings.trace.clone(), 1);
    Round::ask_all(core, question, limits, now, None)
}

/// What each instance says of whether `resource`'s key has `value`, counted as of an
/// extension: granted where it has. Resolves as soon as no vote to come can change whether a
/// majority says that it hasn't.
pub(super) async fn votes_on_holding(
    core: &Rc<Core>,
    resource: Box<str>,
    value: &Token,
    settings: &Settings,
) -> (Tally, Vec<Option<Vote>>) {
    let round = ask(core, resource, settings);
    let count = |votes: Vec<Option<Vote>>| {
        let mut tally = Tally::new(votes.len());
        let votes = votes.into_iter().map(|vote| Some(on_holding(vote?, value)));
        let votes: Vec<_> = votes.collect();
        votes.iter().flatten().for_each(|vote| tally.count(vote));
        tally.verdict_on_held().map(|_| (tally, votes))
    };
    round.known(count).await
}

fn on_holding(vote: Vote, value: &Token) -> Vote {
    match vote {
        Vote::Inspected {
            value: Some(seen), ..
        } if *seen == *value.text() => Vote::Granted,
        Vote::Inspected { .. } => Vote::Held { applied: 0 },
        Vote::Failed(cause) if cause.is_of_another_type() => Vote::Held { applied: 0 },
        other => other,
    }
}
