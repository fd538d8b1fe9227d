//! Who runs the engine: its own thread, or, while requests come one at a time, the
//! JavaScript thread that makes them.
//!
//! A request that has the engine for itself takes next to no work: most of its time
//! goes into two threads that wake each other. So the engine's thread lends the engine
//! to JavaScript, which then runs it in the call that hands a request over, and whenever
//! its event loop finds that a server has answered (`node_loop`). Meanwhile the
//! engine's thread looks now and then ([`LOOK_EVERY`]) whether JavaScript still does so.
//! Where it did not, that thread runs what is due, and takes the engine back
//! when JavaScript has been away for [`MOST_AWAY`] looks: it is busy, or there is nothing
//! to do.
//!
//! Whoever runs the engine holds its mutex. JavaScript never waits for it: what it
//! can't run itself it leaves in the inbox, as ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::inbox::{Inbox, Message};
use crate::engine::{Environment, Instant, System, Task};

/// How often the engine's thread looks after the engine while JavaScript has it.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// After so many looks without JavaScript having run it, the engine is taken back.
const MOST_AWAY: u32 = 3;

/// The engine, and who runs it.
pub(super) struct Driver {
    pub(super) inbox: Inbox,
    /// What runs all of its tasks.
    runtime: Mutex<Option<Runtime>>,
    /// JavaScript has it.
    is_lent: AtomicBool,
    /// JavaScript would like to have it.
    is_wanted: AtomicBool,
    /// JavaScript has more to do than is good for its thread.
    is_recalled: AtomicBool,
    /// Several environments use it, of which none can have it for itself.
    is_shared: AtomicBool,
    /// Nobody needs it any more.
    is_over: AtomicBool,
    /// How often JavaScript has run it.
    turns: AtomicU32,
    /// Tells the engine's thread, while it runs the engine, to look at these.
    changed: Notify,
    thread: OnceLock<Thread>,
    /// [`LOOK_EVERY`], but for tests.
    look_every: Duration,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self {
            inbox: Inbox::new(),
            runtime: Mutex::default(),
            is_lent: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            is_recalled: AtomicBool::new(false),
            is_shared: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            changed: Notify::new(),
            thread: OnceLock::new(),
            look_every: LOOK_EVERY,
        }
    }

    /// What runs the engine's tasks.
    ///
    /// # Errors
    ///
    /// When the system has no event queue left.
    pub(super) fn runtime() -> io::Result<Runtime> {
        Builder::new_current_thread().enable_all().build()
    }

    /// Runs the engine, which is `main` and the tasks that it spawns in [`Movable`], on this
    /// thread, and lends it out in between, until `main` has ended.
    pub(super) fn run(self: &Arc<Self>, runtime: Runtime, main: impl FnOnce() -> Task) {
        let _ = self.thread.set(thread::current());
        let driver = Arc::clone(self);
        let guard = runtime.enter();
        let main = main();
        Movable.spawn(Box::pin(async move {
            main.await;
            driver.is_over.store(true, Ordering::Release);
            driver.changed.notify_one();
        }));
        drop(guard);
        *self.lock() = Some(runtime);
        loop {
            let mut locked = self.lock();
            self.is_lent.store(false, Ordering::Release);
            self.is_recalled.store(false, Ordering::Release);
            let Some(runtime) = &*locked else {
                return;
            };
            runtime.block_on(self.until_it_changes());
            if self.is_over.load(Ordering::Acquire) {
                let over = locked.take();
                drop(locked);
                if let Some(runtime) = over {
                    // A name's resolution that hangs must not hold the process.
                    runtime.shutdown_timeout(Duration::from_millis(100));
                }
                return;
            }
            self.is_lent.store(true, Ordering::Release);
            drop(locked);
            // What came before that could be seen is nobody else's.
            if self.inbox.is_empty() {
                self.look_after();
            }
        }
    }

    /// JavaScript is being told something, and is about to come: it may have the engine
    /// now, if it wants it.
    pub(super) fn is_telling(&self) {
        if self.is_wanted.load(Ordering::Acquire) {
            self.changed.notify_one();
        }
    }

    async fn until_it_changes(&self) {
        loop {
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            let is_wanted = self.is_wanted.swap(false, Ordering::AcqRel);
            if is_wanted && !self.is_shared.load(Ordering::Acquire) {
                return;
            }
            self.changed.notified().await;
        }
    }

    /// Returns when the engine's thread is to run the engine again.
    fn look_after(&self) {
        let mut seen = self.turns.load(Ordering::Acquire);
        let mut away = 0;
        while away < MOST_AWAY {
            thread::park_timeout(self.look_every);
            if !self.is_lent() || self.is_over.load(Ordering::Acquire) {
                return;
            }
            let turns = self.turns.load(Ordering::Acquire);
            if turns != seen {
                seen = turns;
                away = 0;
                continue;
            }
            away += 1;
            if let Some(runtime) = &*self.lock() {
                turn(runtime, 2, || {});
            }
            // What JavaScript handed over meanwhile it could not run.
            if !self.inbox.is_empty() {
                return;
            }
        }
    }

    /// Whether JavaScript has the engine, and may keep it.
    pub(super) fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::Acquire)
            && !self.is_recalled.load(Ordering::Acquire)
            && !self.is_shared.load(Ordering::Acquire)
    }

    /// JavaScript would like to have the engine when it is told something the next time.
    pub(super) fn want(&self) {
        self.is_wanted.store(true, Ordering::Release);
    }

    /// The engine's thread is to run it again.
    pub(super) fn recall(&self) {
        self.is_wanted.store(false, Ordering::Release);
        if self.is_lent()
            && !self.is_recalled.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Whether several environments use the engine from now on.
    pub(super) fn share(&self, is_shared: bool) {
        if is_shared {
            self.recall();
        }
        // What is lent at this very moment isn't recalled, but is of no use to anybody: it is
        // back at the next look.
        self.is_shared.store(is_shared, Ordering::Release);
    }

    /// Hands a message over. Where JavaScript has the engine, what comes of it comes at
    /// once.
    pub(super) fn send(&self, message: Message) {
        let mut message = Some(message);
        let push = || {
            if let Some(message) = message.take() {
                self.inbox.push(message);
            }
        };
        if !self.run_here(1, push)
            && let Some(message) = message
        {
            self.inbox.push(message);
            // It may have been lent just now.
            self.run_here(1, || {});
        }
    }

    /// Has all done that servers have answered; returns whether JavaScript has the
    /// engine.
    pub(super) fn answered(&self) -> bool {
        // Once to find out, and once for what has to be done.
        self.run_here(2, || {}) || self.is_lent()
    }

    /// Runs the engine on this thread, if JavaScript has it, and nobody is just looking after
    /// it.
    fn run_here(&self, times: u32, first: impl FnOnce()) -> bool {
        if !self.is_lent() {
            return false;
        }
        let locked = match self.runtime.try_lock() {
            Ok(locked) => locked,
            // A panic leaves it as it is between two tasks.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Some(runtime) = locked.as_ref().filter(|_| self.is_lent()) else {
            return false;
        };
        turn(runtime, times, first);
        self.turns.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `first`, and then so often all that is ready.
fn turn(runtime: &Runtime, times: u32, first: impl FnOnce()) {
    runtime.block_on(async {
        first();
        for _ in 0..times {
            yield_now().await;
        }
    });
}

/// The system, for tasks that are run by one thread after another.
///
/// It must be used inside the runtime of a [`Driver`].
pub(super) struct Movable;

impl Environment for Movable {
    fn now(&self) -> Instant {
        System.now()
    }

    fn wall_clock(&self) -> Duration {
        System.wall_clock()
    }

    fn sleep_until(&self, at: Instant) -> Task {
        System.sleep_until(at)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        System.fill_random(bytes);
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(Moved(task));
    }
}

/// A task of the engine, which goes with the engine from thread to thread.
struct Moved(Task);

// SAFETY: all of an engine's tasks, and all that they share, are behind one mutex: the
// runtime polls and drops them in `block_on` and at its end, which are only
// called by whoever has locked it. Nothing in them is bound to a
// thread.
unsafe impl Send for Moved {}

impl Future for Moved {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread::JoinHandle;

    use super::super::ids::SessionId;
    use super::*;

    /// An engine that counts the messages it gets, and tells JavaScript of each. It ends
    /// with [`Message::Stop`].
    struct Counting {
        driver: Arc<Driver>,
        counted: Arc<AtomicUsize>,
        thread: Option<JoinHandle<()>>,
    }

    impl Counting {
        /// Whose own thread looks after it so often.
        fn new(look_every: Duration) -> Self {
            let driver = Arc::new(Driver {
                look_every,
                ..Driver::new()
            });
            let counted = Arc::new(AtomicUsize::new(0));
            let (own, count_of) = (Arc::clone(&driver), Arc::clone(&counted));
            let thread = thread::spawn(move || {
                let runtime = Driver::runtime().expect("a runtime");
                let served = Arc::clone(&own);
                own.run(runtime, || Box::pin(count(served, count_of)));
            });
            Self {
                driver,
                counted,
                thread: Some(thread),
            }
        }

        /// Waits until so many have been counted.
        fn await_counted(&self, number: usize) {
            let begin = std::time::Instant::now();
            while self.counted.load(Ordering::SeqCst) < number {
                assert!(begin.elapsed() < GIVEN_UP, "a message is left behind");
                thread::yield_now();
            }
        }

        /// Has JavaScript have it, having handed over so many messages.
        fn lend(&self) -> usize {
            let mut sent = 0;
            while !self.driver.is_lent() {
                self.driver.want();
                self.driver.send(Message::End(SessionId(0)));
                sent += 1;
                self.await_counted(sent);
            }
            sent
        }
    }

    impl Drop for Counting {
        fn drop(&mut self) {
            self.driver.recall();
            self.driver.inbox.push(Message::Stop);
            let thread = self.thread.take().expect("it runs");
            assert!(thread.join().is_ok(), "the engine's thread has panicked");
        }
    }

    async fn count(driver: Arc<Driver>, counted: Arc<AtomicUsize>) {
        loop {
            let messages = poll_fn(|context| driver.inbox.poll_take(context)).await;
            for message in messages {
                if matches!(message, Message::Stop) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                driver.is_telling();
            }
        }
    }

    const NEVER: Duration = Duration::from_secs(3600);
    const GIVEN_UP: Duration = Duration::from_secs(60);

    #[test]
    fn who_has_the_engine_runs_it_at_once() {
        let engine = Counting::new(NEVER);
        let sent = engine.lend();
        for number in 1..=100 {
            engine.driver.send(Message::End(SessionId(0)));
            assert_eq!(engine.counted.load(Ordering::SeqCst), sent + number);
        }
    }

    #[test]
    fn what_comes_while_it_changes_hands_is_not_left_behind() {
        // Nobody looks after it: what is left behind once is so for ever.
        let engine = Counting::new(NEVER);
        let mut sent = 0;
        for turn in 0..20_000 {
            if turn % 3 == 0 {
                engine.driver.want();
            }
            engine.driver.send(Message::End(SessionId(0)));
            sent += 1;
            if turn % 7 == 0 {
                engine.driver.recall();
            }
            engine.await_counted(sent);
        }
    }

    #[test]
    fn the_engine_is_taken_back_from_who_does_not_run_it() {
        let engine = Counting::new(Duration::from_millis(1));
        engine.lend();
        while engine.driver.is_lent() {
            thread::yield_now();
        }
    }

    #[test]
    fn what_is_left_in_the_inbox_is_found_by_whoever_looks_after_the_engine() {
        let engine = Counting::new(Duration::from_millis(1));
        let sent = engine.lend();
        engine.driver.inbox.push(Message::End(SessionId(0)));
        engine.await_counted(sent + 1);
    }

    #[test]
    fn several_environments_leave_it_to_its_own_thread() {
        let engine = Counting::new(NEVER);
        let sent = engine.lend();
        engine.driver.share(true);
        for number in 1..=100 {
            engine.driver.want();
            engine.driver.send(Message::End(SessionId(0)));
            engine.await_counted(sent + number);
            assert!(!engine.driver.is_lent());
        }
    }

    #[test]
    fn what_is_lent_while_several_environments_come_is_nobodys_and_comes_back() {
        let engine = Counting::new(Duration::from_millis(1));
        let sent = engine.lend();
        // As if it had been lent just before: there was nothing to be recalled.
        engine.driver.is_shared.store(true, Ordering::Release);
        assert!(!engine.driver.is_lent());
        engine.driver.send(Message::End(SessionId(0)));
        engine.await_counted(sent + 1);
    }

    #[test]
    fn a_panic_while_the_engine_is_run_leaves_it_to_whoever_has_it() {
        let engine = Counting::new(NEVER);
        let sent = engine.lend();
        let panics = || engine.driver.run_here(1, || panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        engine.driver.send(Message::End(SessionId(0)));
        assert_eq!(engine.counted.load(Ordering::SeqCst), sent + 1);
    }

    #[test]
    fn a_panic_of_a_task_ends_neither_thread() {
        let engine = Counting::new(NEVER);
        let sent = engine.lend();
        let is_run = engine.driver.run_here(1, || {
            Movable.spawn(Box::pin(async { panic!("on purpose") }));
        });
        assert!(is_run);
        engine.driver.send(Message::End(SessionId(0)));
        assert_eq!(engine.counted.load(Ordering::SeqCst), sent + 1);
    }
}
