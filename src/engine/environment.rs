//! What the engine needs of the outside world: a clock, sleep, chance, and
//! somewhere to run its housekeeping. The simulation brings its own.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::validity::Instant;

/// A future of the engine's thread.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The outside world, as far as the engine knows it.
pub trait Environment {
    /// The time on a monotonic clock that counts suspension.
    fn now(&self) -> Instant;

    /// The time since 1970 by the system's clock, which may be wrong and may be set: it
    /// orders those who wait, and decides nothing.
    fn wall_clock(&self) -> Duration;

    /// Resolves once [`Environment::now`] has reached `at`, never before.
    fn sleep_until(&self, at: Instant) -> Task;

    /// Fills `bytes` from a cryptographically secure source.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Runs `task` beside the caller, on the same thread.
    fn spawn(&self, task: Task);

    /// A number from 0 (included) to 1 (excluded), for jitter.
    fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill_random(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// What `future` comes to, unless the clock shows `at` first.
pub async fn until<T>(
    environment: &dyn Environment,
    at: Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep = environment.sleep_until(at);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// What `future` comes to, unless it takes longer than `span`.
pub async fn within<T>(
    environment: &dyn Environment,
    span: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    until(environment, environment.now().after(span), future).await
}

/// What `future` comes to, unless there is a limit and it comes first.
pub(super) async fn within_limit<T>(
    environment: &dyn Environment,
    limit: Option<Instant>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match limit {
        Some(limit) => until(environment, limit, future).await,
        None => Some(future.await),
    }
}

/// What the future that `begin` makes comes to, or what it panicked with.
///
/// # Errors
///
/// The panic's message. The panic's own report says where it was.
pub async fn guarded<F: Future>(begin: impl FnOnce() -> F) -> Result<F::Output, String> {
    // It may panic when it begins, in each of its turns, and when it is given up.
    let mut future = catch(|| Box::pin(begin()))?;
    let ended = poll_fn(|context| match catch(|| future.as_mut().poll(context)) {
        Ok(turn) => turn.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await;
    let _ = catch(|| drop(future));
    ended
}

/// The wait before a task that has panicked is begun anew.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the future that `begin` makes comes to; one that panics is made anew after a
/// pause, so that neither a defect nor a moment without threads or memory ends a task
/// for good. `on_panic` is told each time, in a sentence.
pub async fn supervised<F: Future>(
    environment: Rc<dyn Environment>,
    mut begin: impl FnMut() -> F,
    mut on_panic: impl FnMut(&str),
) -> F::Output {
    loop {
        match guarded(&mut begin).await {
            Ok(output) => return output,
            Err(panic) => {
                let what = format!("this process failed, and tries again soon: {panic}");
                // Telling of it may panic too.
                let _ = catch(|| on_panic(&what));
            }
        }
        let again = environment.now().after(RESTART_PAUSE);
        environment.sleep_until(again).await;
    }
}

/// What `act` comes to, or what it panicked with.
fn catch<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic").to_owned()
    })
}

/// The system's clock and random source, with tokio's timers.
///
/// It must be used inside a tokio `LocalRuntime` (or a `LocalSet`): tasks are
/// spawned on the current thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl System {
    /// The time on the system's clock, as [`Environment::now`].
    #[must_use]
    pub fn clock() -> Instant {
        clock::now()
    }
}

impl Environment for System {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn wall_clock(&self) -> Duration {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        since_1970.unwrap_or_default()
    }

    fn sleep_until(&self, at: Instant) -> Task {
        // tokio's timers stand still while the machine is suspended; a second
        // later at most the clock is looked at again.
        const LONGEST: Duration = Duration::from_secs(1);
        Box::pin(async move {
            loop {
                let left = at.since(clock::now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST)).await;
            }
        })
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        use rand::Rng as _;
        // ThreadRng is a ChaCha generator that the system's entropy seeds anew.
        rand::rng().fill_bytes(bytes);
    }

    fn spawn(&self, task: Task) {
        tokio::task::spawn_local(task);
    }
}

#[cfg(unix)]
mod clock {
    use rustix::time::{ClockId, clock_gettime};

    use super::Instant;

    // Apple's CLOCK_MONOTONIC goes on during sleep; Linux's stops.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;

    pub(super) fn now() -> Instant {
        let time = clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

#[cfg(not(unix))]
mod clock {
    use std::sync::LazyLock;

    use super::Instant;

    // Windows' performance counter, which std reads, counts suspension.
    static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

    pub(super) fn now() -> Instant {
        Instant::ORIGIN.after(ORIGIN.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Where a pause is over at once, and is counted.
    #[derive(Default)]
    struct Hasty(Cell<u32>);

    impl Environment for Hasty {
        fn now(&self) -> Instant {
            Instant::ORIGIN
        }

        fn wall_clock(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep_until(&self, at: Instant) -> Task {
            assert!(
                at.since(self.now()) >= RESTART_PAUSE,
                "no loop without a pause"
            );
            self.0.set(self.0.get() + 1);
            Box::pin(async {})
        }

        fn fill_random(&self, _: &mut [u8]) {}

        fn spawn(&self, _: Task) {}
    }

    /// Panics when it is dropped, if it is told to.
    struct Trap(bool);

    impl Drop for Trap {
        fn drop(&mut self) {
            assert!(!self.0, "given up");
        }
    }

    fn run<T>(task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            if let Poll::Ready(output) = task.as_mut().poll(&mut context) {
                return output;
            }
        }
    }

    #[test]
    fn a_task_that_panics_is_begun_anew_after_a_pause_and_that_is_told() {
        let environment = Rc::new(Hasty::default());
        let (turn, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let begin = || {
            turn.set(turn.get() + 1);
            let turn = turn.get();
            assert!(turn != 1, "at its beginning");
            async move {
                let _trap = Trap(turn == 3);
                let mut yielded = false;
                poll_fn(|_| {
                    assert!(turn != 2, "in its turn");
                    if std::mem::replace(&mut yielded, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                turn
            }
        };
        let fell = |what: &str| {
            told.borrow_mut().push(what.to_owned());
            assert!(turn.get() != 2, "to tell it, too");
        };
        let world: Rc<dyn Environment> = environment.clone();
        assert_eq!(run(supervised(world, begin, fell)), 4);
        assert_eq!(environment.0.get(), 3);
        let told = told.borrow();
        for (what, panic) in told
            .iter()
            .zip(["at its beginning", "in its turn", "given up"])
        {
            assert!(what.contains(panic), "{what}");
            assert!(what.contains("tries again soon"), "{what}");
        }
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn a_panic_of_what_is_guarded_is_an_error() {
        assert_eq!(run(guarded(|| async { 1 })), Ok(1));
        let outcome = run(guarded(|| async {
            assert!(std::hint::black_box(false), "why");
        }));
        assert_eq!(outcome, Err("why".to_owned()));
    }
}
