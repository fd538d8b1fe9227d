//! The engine's thread: one for the whole process, shared by all environments,
//! started for the first and joined when the last has gone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use napi::bindgen_prelude::Env;
use napi::{Error, Result, Status};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::command::Command;
use super::ids::SessionId;
use super::inbox::{Inbox, Message};
use super::outbox::Outbox;
use super::serve::serve;
use super::shared::Shared;
use crate::engine::System;
use crate::instances::redis::Sockets;

static PROCESS: Mutex<Process> = Mutex::new(Process {
    thread: None,
    environments: 0,
    last_session: SessionId(0),
});

struct Process {
    thread: Option<Thread>,
    environments: usize,
    last_session: SessionId,
}

struct Thread {
    inbox: Arc<Inbox>,
    handle: JoinHandle<()>,
}

/// One environment's hold on the engine's thread, given up by
/// [`EngineThread::detach`].
pub(super) struct EngineThread {
    inbox: Arc<Inbox>,
    sessions: RefCell<BTreeSet<SessionId>>,
    is_detached: Cell<bool>,
}

thread_local! {
    /// That of this thread's environment, once it has had a mailbox.
    static OF_ENVIRONMENT: RefCell<Weak<EngineThread>> = RefCell::default();
}

impl EngineThread {
    /// The environment's own, which is given up when it ends. Modules that come and
    /// go, as with the realms of a test runner, share it.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub(super) fn of(env: Env) -> Result<Rc<Self>> {
        if let Some(thread) = OF_ENVIRONMENT.with_borrow(Weak::upgrade) {
            return Ok(thread);
        }
        let thread = Self::attach().map_err(|error| {
            let reason = format!("the engine's thread could not be started: {error}");
            Error::new(Status::GenericFailure, reason)
        })?;
        let thread = Rc::new(thread);
        env.add_env_cleanup_hook(Rc::clone(&thread), |thread| {
            OF_ENVIRONMENT.take();
            thread.detach();
        })?;
        OF_ENVIRONMENT.set(Rc::downgrade(&thread));
        Ok(thread)
    }

    /// Has the thread run for one environment more.
    ///
    /// # Errors
    ///
    /// When the system has no thread or no event queue left.
    fn attach() -> io::Result<Self> {
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
            is_detached: Cell::new(false),
        })
    }

    /// Begins a session, whose responses go to `outbox`.
    pub(super) fn begin(&self, outbox: Arc<Outbox>) -> SessionId {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let session = SessionId(process.last_session.0.wrapping_add(1));
        process.last_session = session;
        drop(process);
        self.sessions.borrow_mut().insert(session);
        self.inbox.push(Message::Begin(session, outbox));
        session
    }

    /// Has the thread do something for a session.
    pub(super) fn send(&self, session: SessionId, command: Command) {
        self.inbox.push(Message::Command(session, command));
    }

    /// Ends a session, unless it has ended already.
    pub(super) fn end(&self, session: SessionId) {
        if self.sessions.borrow_mut().remove(&session) {
            self.inbox.push(Message::End(session));
        }
    }

    /// The environment is going. The last one waits for the thread's end, which is
    /// no further away than the last deadline of the clean-up under way.
    fn detach(&self) {
        if self.is_detached.replace(true) {
            return;
        }
        for session in self.sessions.take() {
            self.inbox.push(Message::End(session));
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
            thread.inbox.push(Message::Stop);
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
