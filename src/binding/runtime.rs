//! The engine's thread: one for the whole process, shared by all environments,
//! started for the first and joined when the last has gone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::inbox::{Inbox, Message, SessionId};
use super::outbox::Outbox;
use super::serve::serve;
use super::shared::Shared;
use crate::engine::System;
use crate::instances::redis::Sockets;

static PROCESS: Mutex<Process> = Mutex::new(Process {
    thread: None,
    environments: 0,
    sessions: 0,
});

struct Process {
    thread: Option<Thread>,
    environments: usize,
    sessions: SessionId,
}

struct Thread {
    inbox: Arc<Inbox>,
    handle: JoinHandle<()>,
}

/// An environment's place at the engine's thread, given up by [`Seat::leave`].
pub(super) struct Seat {
    pub(super) inbox: Arc<Inbox>,
    sessions: RefCell<BTreeSet<SessionId>>,
    left: Cell<bool>,
}

impl Seat {
    /// Takes a place for an environment.
    ///
    /// # Errors
    ///
    /// When the system has no thread or no event queue left.
    pub(super) fn take() -> io::Result<Self> {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let inbox = if let Some(thread) = &process.thread {
            Arc::clone(&thread.inbox)
        } else {
            let thread = start()?;
            let inbox = Arc::clone(&thread.inbox);
            process.thread = Some(thread);
            inbox
        };
        process.environments += 1;
        Ok(Self {
            inbox,
            sessions: RefCell::default(),
            left: Cell::new(false),
        })
    }

    /// Somebody in the environment comes, whose answers go to `outbox`.
    pub(super) fn enter(&self, outbox: Arc<Outbox>) -> SessionId {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        process.sessions = process.sessions.wrapping_add(1);
        let session = process.sessions;
        drop(process);
        self.sessions.borrow_mut().insert(session);
        self.inbox.push(Message::Enter(session, outbox));
        session
    }

    /// He goes, if he is still there.
    pub(super) fn part(&self, session: SessionId) {
        if self.sessions.borrow_mut().remove(&session) {
            self.inbox.push(Message::Leave(session));
        }
    }

    /// Gives the place up, once. The last one waits for the thread's end, which is
    /// not longer away than the last deadline of the clean-up under way.
    pub(super) fn leave(&self) {
        if self.left.replace(true) {
            return;
        }
        for session in self.sessions.take() {
            self.inbox.push(Message::Leave(session));
        }
        let last = {
            let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
            process.environments -= 1;
            if process.environments == 0 {
                process.thread.take()
            } else {
                None
            }
        };
        if let Some(thread) = last {
            thread.inbox.push(Message::End);
            // A panic of that thread has been reported already.
            let _ = thread.handle.join();
        }
    }
}

fn start() -> io::Result<Thread> {
    let inbox = Arc::new(Inbox::new());
    let messages = Arc::clone(&inbox);
    let (started, starting) = mpsc::channel();
    let handle = thread::Builder::new()
        .name("redlock".into())
        .spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    run(runtime, &messages);
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        })?;
    let started = starting.recv();
    started.unwrap_or_else(|_| Err(io::Error::other("the engine's thread ended at once")))?;
    Ok(Thread { inbox, handle })
}

fn run(runtime: LocalRuntime, inbox: &Inbox) {
    let shared = Shared::new(Rc::new(System), Rc::new(Sockets::default()));
    runtime.block_on(serve(inbox, &shared));
    // A name's resolution that hangs must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
}
