//! The engine's thread at work: it takes the messages of all environments, and
//! each goes to its session.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tokio::sync::mpsc;

use super::inbox::{Inbox, Message, SessionId};
use super::session::Session;
use super::shared::Shared;

/// Resolves when the last environment has gone and has left nothing undone.
pub async fn serve(inbox: &Inbox, shared: &Shared) {
    let mut sessions: BTreeMap<SessionId, Rc<Session>> = BTreeMap::new();
    // Each session's end holds one sender, and drops it, also in a panic.
    let (ending, mut ended) = mpsc::channel::<Infallible>(1);
    loop {
        for message in poll_fn(|context| inbox.poll_take(context)).await {
            match message {
                Message::Enter(id, outbox) => {
                    sessions.insert(id, Session::new(outbox, shared.clone()));
                }
                Message::Session(id, errand) => {
                    if let Some(session) = sessions.get(&id) {
                        // A defect that one errand brings out must not stop the
                        // others; the panic's own report says where it is.
                        let _ = catch_unwind(AssertUnwindSafe(|| session.run(errand)));
                    }
                }
                Message::Leave(id) => {
                    if let Some(session) = sessions.remove(&id) {
                        let engines = catch_unwind(AssertUnwindSafe(|| session.leave()));
                        let engines = engines.unwrap_or_default();
                        let ending = ending.clone();
                        shared.environment.spawn(Box::pin(async move {
                            session.end(engines).await;
                            drop(ending);
                        }));
                    }
                }
                Message::End => {
                    drop(ending);
                    ended.recv().await;
                    return;
                }
            }
        }
    }
}
