//! The engine's thread: one for the whole process, shared by all environments,
//! started for the first and joined when the last has gone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use napi::bindgen_prelude::Env;
use napi::{Error, Result, Status};

use super::command::Command;
use super::decode::Batch;
use super::driver::{Driver, Movable};
use super::ids::SessionId;
use super::inbox::Message;
use super::node_loop::{NodeLoop, Readable};
use super::outbox::Outbox;
use super::serve::serve;
use super::shared::Shared;
use super::wake_up;

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
    driver: Arc<Driver>,
    readable: Readable,
    handle: JoinHandle<()>,
}

/// One environment's hold on the engine's thread, given up by
/// [`EngineThread::detach`].
pub(super) struct EngineThread {
    driver: Arc<Driver>,
    node_loop: NodeLoop,
    sessions: RefCell<BTreeSet<SessionId>>,
    is_detached: Cell<bool>,
}

thread_local! {
    /// That of this thread's environment, once it has had a mailbox.
    static OF_ENVIRONMENT: RefCell<Weak<EngineThread>> = RefCell::default();
}

impl EngineThread {
    /// The environment's own, which is given up when it ends. Modules that come and
    /// go, as with the realms of a test runner, share it. `is_node` says whether its
    /// event loop is Node.js' own.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub(super) fn of(env: Env, is_node: bool) -> Result<Rc<Self>> {
        if let Some(thread) = OF_ENVIRONMENT.with_borrow(Weak::upgrade) {
            return Ok(thread);
        }
        let thread = Self::attach(env, is_node).map_err(|error| {
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
    fn attach(env: Env, is_node: bool) -> io::Result<Self> {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if process.thread.is_none() {
            process.thread = Some(start()?);
        }
        process.environments += 1;
        let is_shared = process.environments > 1;
        let Some(Thread {
            driver, readable, ..
        }) = &process.thread
        else {
            return Err(io::Error::other("the engine's thread ended at once"));
        };
        driver.share(is_shared);
        Ok(Self {
            node_loop: NodeLoop::new(env, driver, readable, is_node),
            driver: Arc::clone(driver),
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
        self.hand_over(Message::Begin(session, outbox));
        session
    }

    /// Has the thread do something for a session.
    pub(super) fn send(&self, session: SessionId, command: Command) {
        self.hand_over(Message::Command(session, command));
    }

    /// Has the thread carry requests out, with which so many are under way.
    pub(super) fn submit(&self, session: SessionId, batch: Batch, under_way: u32) {
        self.node_loop.asks(&self.driver, under_way);
        self.send(session, Command::Submit(batch));
        self.node_loop.follow(&self.driver);
    }

    /// JavaScript has come for what it was told.
    pub(super) fn has_come(&self) {
        self.node_loop.follow(&self.driver);
    }

    /// Whether JavaScript runs the engine now.
    pub(super) fn has_engine(&self) -> bool {
        self.driver.is_lent()
    }

    /// What is to be done before JavaScript is told something.
    pub(super) fn telling(&self) -> impl Fn() + Send + Sync + use<> {
        let driver = Arc::clone(&self.driver);
        move || driver.is_telling()
    }

    /// Ends a session, unless it has ended already.
    pub(super) fn end(&self, session: SessionId) {
        if self.sessions.borrow_mut().remove(&session) {
            self.hand_over(Message::End(session));
        }
    }

    fn hand_over(&self, message: Message) {
        let ((), woken) = wake_up::collect(|| self.driver.send(message));
        woken.call_later();
    }

    /// The environment is going. The last one waits for the thread's end, which is
    /// no further away than the last deadline of the clean-up under way.
    fn detach(&self) {
        if self.is_detached.replace(true) {
            return;
        }
        self.driver.recall();
        for session in self.sessions.take() {
            self.hand_over(Message::End(session));
        }
        let last = {
            let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
            process.environments -= 1;
            match process.environments {
                0 => process.thread.take(),
                left => {
                    self.driver.share(left > 1);
                    None
                }
            }
        };
        if let Some(thread) = last {
            self.driver.inbox.push(Message::Stop);
            // A panic of that thread has been reported already.
            let _ = thread.handle.join();
        }
    }
}

fn start() -> io::Result<Thread> {
    let driver = Arc::new(Driver::new());
    let readable = Readable::new();
    let (started, starting) = mpsc::channel();
    let (own, sockets) = (Arc::clone(&driver), readable.sockets());
    let handle =
        thread::Builder::new()
            .name("redlock".into())
            .spawn(move || match Driver::runtime() {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    let served = Arc::clone(&own);
                    own.run(runtime, || {
                        let shared = Shared::new(Rc::new(Movable), Rc::new(sockets()));
                        Box::pin(async move {
                            serve(&served.inbox, &shared).await;
                        })
                    });
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })?;
    let started = starting.recv();
    started.unwrap_or_else(|_| Err(io::Error::other("the engine's thread ended at once")))?;
    Ok(Thread {
        driver,
        readable,
        handle,
    })
}
