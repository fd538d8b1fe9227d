//! One module's exchange with the engine's thread, as that thread sees it: it takes
//! the commands, and has what it was asked for end when JavaScript is gone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::command::Command;
use super::context::{context, trace};
use super::decode::{self, Batch, Request, Terms, Verb};
use super::ids::{Handle, ScriptsId, TimerId};
use super::outbox::{Outbox, Outcome, Response};
use super::quorums::Quorums;
use super::reasons::Refusal;
use super::requests::{Asked, Requests};
use super::responses::{Responses, flush};
use super::shared::Shared;
use crate::engine::{
    Engine, Environment, Resources, Scripts, Settings, SharedValidity, Ticket, Token, WatchRequest,
    supervised,
};

/// The engine's side of one mailbox.
pub struct Session {
    shared: Shared,
    responses: Rc<Responses>,
    quorums: Rc<Quorums>,
    requests: Rc<Requests>,
    /// The caller's own.
    scripts: RefCell<BTreeMap<ScriptsId, Arc<Scripts>>>,
}

/// What requests with the same terms have in common.
struct Known<'batch> {
    terms: Terms<'batch>,
    engine: Engine,
    settings: Arc<Settings>,
    /// Nothing of it is one request's own.
    is_shared: bool,
}

impl Known<'_> {
    fn are_those_of(&self, terms: Terms) -> bool {
        self.is_shared && self.terms == terms
    }
}

impl Session {
    pub fn new(outbox: Arc<Outbox>, shared: Shared) -> Rc<Self> {
        let responses = Rc::new(Responses::new(outbox));
        let environment = Rc::clone(&shared.environment);
        let session = Rc::new(Self {
            quorums: Quorums::new(shared.clone(), Rc::clone(&responses)),
            requests: Requests::new(environment, Rc::clone(&responses)),
            responses,
            scripts: RefCell::default(),
            shared,
        });
        let (responses, quorums) = (
            Rc::downgrade(&session.responses),
            Rc::downgrade(&session.quorums),
        );
        let begin = move || {
            let quorums = quorums.clone();
            flush(responses.clone(), move |undelivered| {
                if let Some(quorums) = quorums.upgrade() {
                    rollback(&quorums, undelivered);
                }
            })
        };
        // Nobody else would tell that it has failed.
        let flushing = supervised(Rc::clone(&session.shared.environment), begin, |_| {});
        session.shared.environment.spawn(Box::pin(flushing));
        session
    }

    pub fn run(&self, command: Command) {
        match command {
            Command::Open { handle, config } => self.quorums.open(handle, config),
            Command::Close(handle) => self.quorums.close(handle),
            Command::AddScripts { number, scripts } => {
                self.scripts.borrow_mut().insert(number, scripts);
            }
            Command::RemoveScripts(number) => {
                self.scripts.borrow_mut().remove(&number);
            }
            Command::UpdateClient {
                handle,
                index,
                update,
            } => self.quorums.update_client(handle, index, update),
            Command::ClientsApplied(rows) => {
                for applied in decode::applied(&rows) {
                    self.quorums.applied(&applied);
                }
            }
            Command::ClientReplied {
                handle,
                index,
                ticket,
                reply,
            } => self.quorums.replied(handle, index, ticket, reply),
            Command::CameRound { handle, index } => self.quorums.came_round(handle, index),
            Command::Submit(batch) => self.submit(&batch),
            Command::Cancel(slot) => self.requests.cancel(slot),
            Command::Watch {
                handle,
                scripts,
                request,
                watch,
            } => self.watch(handle, scripts, *request, watch),
            Command::LetGo {
                handle,
                number,
                resources,
                value,
            } => {
                if let Some(engine) = self.quorums.engine_to_its_end(handle) {
                    engine.unwatch(&resources, &value, number.0.into());
                }
            }
            Command::TellVotes(are_told) => self.quorums.tell_votes(are_told),
            Command::Wait { timer, span } => self.wait(timer, span),
            Command::TakeBack(locked) => self.quorums.rollback(*locked),
        }
    }

    /// JavaScript is gone: what it waits for is given up, what it can no longer be
    /// told of is released. Returns what must still come to an end.
    pub fn leave(&self) -> Vec<Engine> {
        let undelivered = self.responses.close();
        self.requests.abort_all();
        for response in undelivered {
            rollback(&self.quorums, response);
        }
        self.quorums.end()
    }

    /// Resolves when all that JavaScript has left behind is done: requests that were
    /// given up have released what they took, and these releases were answered or
    /// have passed their deadlines.
    pub async fn end(self: Rc<Self>, engines: Rc<[Engine]>) {
        self.requests.idle().await;
        for engine in &*engines {
            engine.quiet().await;
        }
    }

    fn submit(&self, batch: &Batch) {
        // Nearly all of a tick's requests have the same terms, but for locks and the others.
        let mut known: [Option<Known>; 2] = [None, None];
        for request in batch.requests() {
            let Request {
                slot,
                verb,
                resources,
                own_value,
                terms,
            } = request;
            let known = &mut known[usize::from(matches!(verb, Verb::Lock(_)))];
            let are_known = known
                .as_ref()
                .is_some_and(|known| known.are_those_of(terms));
            if !are_known || own_value.is_some() {
                *known = match self.look_up(terms, own_value) {
                    Ok(found) => Some(found),
                    Err(refusal) => {
                        self.requests.refuse(slot, refusal);
                        None
                    }
                };
            }
            let Some(Known {
                engine, settings, ..
            }) = known
            else {
                continue;
            };
            let settings = if terms.wants_turn() && matches!(verb, Verb::Lock(_)) {
                let environment = self.shared.environment.as_ref();
                let Some(settings) = with_ticket(settings, &resources, environment) else {
                    self.requests.refuse(slot, Refusal::Invalid);
                    continue;
                };
                Arc::new(settings)
            } else {
                Arc::clone(settings)
            };
            let asked = Asked {
                slot,
                handle: terms.handle(),
                verb,
                resources,
                settings,
            };
            self.requests.start(engine.clone(), asked);
        }
    }

    fn look_up<'batch>(
        &self,
        terms: Terms<'batch>,
        own_value: Option<Token>,
    ) -> Result<Known<'batch>, Refusal> {
        // First of all: JavaScript keeps them until it is told that they have ended.
        let outbox = self.responses.outbox();
        let trace = trace(terms.trace(), outbox);
        let context = context(terms.context(), outbox);
        let found = self.quorums.engine(terms.handle());
        let (engine, deadlines) = found.ok_or(Refusal::Closed)?;
        if !terms.make_sense() {
            return Err(Refusal::Invalid);
        }
        let is_shared = context.is_none() && trace.is_none() && own_value.is_none();
        let settings = Settings {
            deadlines,
            scripts: self.scripts(terms.scripts()),
            context,
            trace,
            value: own_value,
            ..terms.settings()
        };
        Ok(Known {
            terms,
            engine,
            settings: Arc::new(settings),
            is_shared,
        })
    }

    fn watch(
        &self,
        handle: Handle,
        scripts: ScriptsId,
        mut request: WatchRequest,
        watch: SharedValidity,
    ) {
        request.settings.scripts = self.scripts(scripts);
        match self.quorums.engine(handle) {
            Some((engine, deadlines)) => {
                request.settings.deadlines = deadlines;
                engine.watch(request, watch);
            }
            // It is being closed: a lock that is extended would keep it open.
            None => {
                if let Some(engine) = self.quorums.engine_to_its_end(handle) {
                    request.renewal = None;
                    request.settings.wakeups = false;
                    engine.watch(request, watch);
                }
            }
        }
    }

    fn scripts(&self, number: ScriptsId) -> Option<Arc<Scripts>> {
        self.scripts.borrow().get(&number).cloned()
    }

    /// Tells JavaScript that so much time has passed.
    fn wait(&self, timer: TimerId, span: Duration) {
        let responses = Rc::downgrade(&self.responses);
        let environment = Rc::clone(&self.shared.environment);
        self.shared.environment.spawn(Box::pin(async move {
            environment.sleep_until(environment.now().after(span)).await;
            if let Some(responses) = responses.upgrade() {
                responses.tell(Outcome::Time(timer));
            }
        }));
    }
}

/// The settings of a request that waits by a ticket of its own from now on; `None` for what
/// can't wait by one.
fn with_ticket(
    settings: &Settings,
    resources: &Resources,
    environment: &dyn Environment,
) -> Option<Settings> {
    let [resource] = &**resources else {
        return None;
    };
    let is_ours = settings.value.is_none() && settings.scripts.is_none();
    is_ours.then(|| Settings {
        ticket: Some(Arc::new(Ticket::new(environment, resource))),
        ..settings.clone()
    })
}

/// Releases the lock in a response that nobody has taken, if there is one.
fn rollback(quorums: &Quorums, undelivered: Response) {
    if let Outcome::Locked(locked) = undelivered.outcome {
        quorums.rollback(locked);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::ContextId;
    use super::super::layout::request;
    use super::*;
    use crate::engine::System;
    use crate::instances::redis::Sockets;

    #[test]
    fn the_context_of_a_request_that_is_refused_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime");
        runtime.block_on(async {
            let outbox = Arc::new(Outbox::new(|| {}));
            let shared = Shared::new(Rc::new(System), Rc::new(Sockets::default()));
            let session = Session::new(Arc::clone(&outbox), shared);
            // Of an engine that was never opened.
            let mut numbers = vec![0.0; request::NUMBERS];
            numbers[request::CONTEXT] = 7.0;
            numbers[request::TRACE] = 8.0;
            numbers[request::COUNT] = 1.0;
            numbers.push(1.0);
            session.run(Command::Submit(Batch::new(numbers, &[u16::from(b'r')])));
            tokio::task::yield_now().await;
            let told = outbox.take(usize::MAX);
            let mut ended = told.iter().filter_map(|told| match told.outcome {
                Outcome::ContextEnded(context) => Some(context),
                _ => None,
            });
            assert_eq!(ended.next(), Some(ContextId(7)));
            assert_eq!(ended.next(), Some(ContextId(8)));
            let is_refused = |told: &Response| matches!(told.outcome, Outcome::Failed(..));
            assert!(told.iter().any(is_refused));
        });
    }
}
