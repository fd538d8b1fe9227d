//! Tasks of low priority: there may be a hundred thousand of them, and nothing else
//! on the thread may have to wait until all of them have run. A kept lock must be
//! extended in time however many contend for another.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::environment::{Environment, Task, supervised};

/// Runs a few of its tasks at each of its turns; whatever else is ready on the thread
/// runs between two turns.
#[derive(Clone)]
pub struct LowPriority(Rc<Inner>);

struct Inner {
    environment: Rc<dyn Environment>,
    tasks: RefCell<Vec<Option<Entry>>>,
    free: RefCell<Vec<usize>>,
    ready: Arc<Ready>,
    /// Those whose turn it is; kept for its room.
    turns: RefCell<Vec<usize>>,
    /// Whether the task that runs the others is there; it ends when none of them is
    /// left.
    runs: Cell<bool>,
}

struct Entry {
    task: Task,
    waker: Waker,
}

/// The tasks that were woken, in order.
#[derive(Default)]
struct Ready(Mutex<Woken>);

#[derive(Default)]
struct Woken {
    tasks: VecDeque<usize>,
    /// Wakes the task that runs them.
    runner: Option<Waker>,
}

/// How many tasks run at one turn: some hundred microseconds of work.
const TASKS_PER_TURN: usize = 64;

impl LowPriority {
    pub fn new(environment: Rc<dyn Environment>) -> Self {
        Self(Rc::new(Inner {
            environment,
            tasks: RefCell::default(),
            free: RefCell::default(),
            ready: Arc::default(),
            turns: RefCell::default(),
            runs: Cell::new(false),
        }))
    }

    /// Runs `task` when its turn comes.
    pub fn spawn(&self, task: Task) {
        let mut tasks = self.0.tasks.borrow_mut();
        let at = self.0.free.borrow_mut().pop().unwrap_or_else(|| {
            tasks.push(None);
            tasks.len() - 1
        });
        let task_waker = Arc::new(TaskWaker {
            at,
            ready: Arc::clone(&self.0.ready),
        });
        tasks[at] = Some(Entry {
            task,
            waker: Waker::from(Arc::clone(&task_waker)),
        });
        drop(tasks);
        task_waker.wake_by_ref();
        if !self.0.runs.replace(true) {
            let (tasks, fallen) = (self.clone(), self.clone());
            let begin = move || {
                let tasks = tasks.clone();
                poll_fn(move |context| tasks.poll(context))
            };
            let fell = move |_: &str| fallen.0.wake_all();
            let life = supervised(Rc::clone(&self.0.environment), begin, fell);
            self.0.environment.spawn(Box::pin(life));
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut turns = self.0.turns.take();
        self.0.ready.take(&mut turns);
        for at in turns.drain(..) {
            self.run(at);
        }
        self.0.turns.replace(turns);
        if self.0.free.borrow().len() == self.0.tasks.borrow().len() {
            self.0.tasks.take();
            self.0.free.take();
            self.0.ready.clear();
            self.0.runs.set(false);
            return Poll::Ready(());
        }
        self.0.ready.wait(context);
        Poll::Pending
    }

    /// Runs one task until it waits again; one that has ended meanwhile has no turn.
    fn run(&self, at: usize) {
        let entry = self.0.tasks.borrow_mut().get_mut(at).and_then(Option::take);
        let Some(mut entry) = entry else {
            return;
        };
        let Entry { task, waker } = &mut entry;
        let turn = || task.as_mut().poll(&mut Context::from_waker(waker));
        // A panic ends this one task: dropping it tells who waits for it.
        if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(turn)) {
            self.0.tasks.borrow_mut()[at] = Some(entry);
        } else {
            self.0.free.borrow_mut().push(at);
            // What it had begun is given up then, which is more of its code.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(entry)));
        }
    }
}

impl Inner {
    /// Nobody knows whose turns were lost.
    fn wake_all(&self) {
        let all = 0..self.tasks.borrow().len();
        self.ready.lock().tasks.extend(all);
    }
}

impl Ready {
    fn lock(&self) -> std::sync::MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, turns: &mut Vec<usize>) {
        let mut woken = self.lock();
        let number = woken.tasks.len().min(TASKS_PER_TURN);
        turns.extend(woken.tasks.drain(..number));
    }

    fn clear(&self) {
        self.lock().tasks.clear();
    }

    /// Has the runner woken when a task is; at once if one was.
    fn wait(&self, context: &Context<'_>) {
        let mut woken = self.lock();
        if woken.tasks.is_empty() {
            woken.runner = Some(context.waker().clone());
        } else {
            drop(woken);
            context.waker().wake_by_ref();
        }
    }
}

struct TaskWaker {
    at: usize,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.ready.lock();
        woken.tasks.push_back(self.at);
        let runner = woken.runner.take();
        drop(woken);
        if let Some(runner) = runner {
            runner.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::System;

    /// Runs `body` as the engine's thread does.
    fn run(body: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime");
        runtime.block_on(body);
    }

    async fn yields() {
        let mut yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn another_task_runs_between_two_turns_of_tasks_of_low_priority() {
        run(async {
            let tasks = LowPriority::new(Rc::new(System));
            let done = Rc::new(Cell::new(0_usize));
            for _ in 0..10 * TASKS_PER_TURN {
                let done = Rc::clone(&done);
                tasks.spawn(Box::pin(async move {
                    yields().await;
                    done.set(done.get() + 1);
                }));
            }
            let witness = tokio::task::spawn_local(async move {
                let mut seen = Vec::new();
                while done.get() < 10 * TASKS_PER_TURN {
                    yields().await;
                    seen.push(done.get());
                }
                seen
            });
            let seen = witness.await.expect("no panic");
            assert!(
                seen.windows(2)
                    .all(|pair| pair[1] - pair[0] <= TASKS_PER_TURN)
            );
            assert!(seen.len() >= 10, "{seen:?}");
        });
    }

    #[test]
    fn a_panic_ends_its_own_task_alone() {
        run(async {
            let tasks = LowPriority::new(Rc::new(System));
            let done = Rc::new(Cell::new(0_usize));
            for number in 0..3 {
                let done = Rc::clone(&done);
                tasks.spawn(Box::pin(async move {
                    yields().await;
                    assert_ne!(number, 1, "on purpose");
                    done.set(done.get() + 1);
                }));
            }
            while done.get() < 2 {
                tokio::task::yield_now().await;
            }
            // Its place is another's, and it starts again when it is needed.
            let again = Rc::clone(&done);
            tasks.spawn(Box::pin(async move { again.set(10) }));
            while done.get() < 10 {
                tokio::task::yield_now().await;
            }
        });
    }
}
