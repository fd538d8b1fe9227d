//! The engine's thread at work: it takes the messages of all sessions, and each goes
//! to its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tokio::sync::mpsc;

use super::ids::SessionId;
use super::inbox::{Inbox, Message};
use super::session::Session;
use super::shared::Shared;
use crate::engine::supervised;

/// Resolves when nobody can begin a session any more, and those there were have left
/// nothing undone.
pub async fn serve(inbox: &Inbox, shared: &Shared) {
    let sessions = RefCell::default();
    // Each session's end holds one sender, and drops it.
    let (ending, mut ended) = mpsc::channel::<Infallible>(1);
    let begin = || receive(inbox, shared, &sessions, &ending);
    supervised(Rc::clone(&shared.environment), begin, |_| {}).await;
    drop(ending);
    ended.recv().await;
}

type Sessions = RefCell<BTreeMap<SessionId, Rc<Session>>>;

async fn receive(
    inbox: &Inbox,
    shared: &Shared,
    sessions: &Sessions,
    ending: &mpsc::Sender<Infallible>,
) {
    loop {
        let mut messages = poll_fn(|context| inbox.poll_take(context)).await;
        while let Some(message) = messages.pop_front() {
            if let Message::Stop = message {
                return;
            }
            // A defect that one message brings out must not stop the others; the
            // panic's own report says where it is.
            let handling = || handle(message, shared, sessions, ending);
            let _ = catch_unwind(AssertUnwindSafe(handling));
        }
        inbox.give_back(messages);
    }
}

fn handle(
    message: Message,
    shared: &Shared,
    sessions: &Sessions,
    ending: &mpsc::Sender<Infallible>,
) {
    match message {
        Message::Begin(id, outbox) => {
            let session = Session::new(outbox, shared.clone());
            sessions.borrow_mut().insert(id, session);
        }
        Message::Command(id, command) => {
            let session = sessions.borrow().get(&id).cloned();
            if let Some(session) = session {
                session.run(command);
            }
        }
        Message::End(id) => {
            let session = sessions.borrow_mut().remove(&id);
            if let Some(session) = session {
                let engines = catch_unwind(AssertUnwindSafe(|| session.leave()));
                let engines: Rc<[_]> = engines.unwrap_or_default().into();
                let begin = move || Rc::clone(&session).end(Rc::clone(&engines));
                let life = supervised(Rc::clone(&shared.environment), begin, |_| {});
                let ending = ending.clone();
                shared.environment.spawn(Box::pin(async move {
                    life.await;
                    drop(ending);
                }));
            }
        }
        Message::Stop => {}
    }
}
