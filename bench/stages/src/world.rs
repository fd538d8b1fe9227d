//! The outside world: a clock that is set by hand, chance that is none, and tasks
//! that run when they are told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use redlock_native::engine::{Environment, Instant, Task};

/// Clones are the same world.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    now: Cell<Instant>,
    number: Cell<u64>,
    tasks: RefCell<Vec<Option<Task>>>,
    wakers: RefCell<Vec<Waker>>,
    /// The places of those that have ended.
    free: RefCell<Vec<usize>>,
    woken: Arc<Mutex<Vec<usize>>>,
    /// By when they are due, in the order in which they fell asleep.
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
}

/// Has its task's turn come.
struct Turn {
    task: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        if !woken.contains(&self.task) {
            woken.push(self.task);
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self(Rc::new(Inner {
            // Nothing has expired yet.
            now: Cell::new(Instant::ORIGIN.after(Duration::from_secs(1000))),
            number: Cell::default(),
            tasks: RefCell::default(),
            wakers: RefCell::default(),
            free: RefCell::default(),
            woken: Arc::default(),
            sleepers: RefCell::default(),
        }))
    }
}

impl World {
    /// The engine's view of it.
    #[must_use]
    pub fn environment(&self) -> Rc<dyn Environment> {
        Rc::new(self.clone())
    }

    /// Runs tasks until all of them wait for something.
    pub fn run(&self) {
        loop {
            let turns = {
                let mut woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *woken)
            };
            if turns.is_empty() {
                return;
            }
            for index in turns {
                let task = self.0.tasks.borrow_mut()[index].take();
                let Some(mut task) = task else { continue };
                let waker = self.0.wakers.borrow()[index].clone();
                match task.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => self.0.tasks.borrow_mut()[index] = Some(task),
                    Poll::Ready(()) => self.0.free.borrow_mut().push(index),
                }
            }
        }
    }

    /// Lets so much time pass, and what is due by then run.
    pub fn pass(&self, span: Duration) {
        let now = self.0.now.get().after(span);
        self.0.now.set(now);
        loop {
            let first = {
                let mut sleepers = self.0.sleepers.borrow_mut();
                let first = sleepers.first_entry();
                first
                    .filter(|first| first.key().0 <= now)
                    .map(std::collections::btree_map::OccupiedEntry::remove)
            };
            let Some(sleeper) = first else { break };
            sleeper.wake();
        }
        self.run();
    }

    fn number(&self) -> u64 {
        let number = self.0.number.get();
        self.0.number.set(number + 1);
        number
    }
}

impl Environment for World {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wall_clock(&self) -> Duration {
        self.now().since(Instant::ORIGIN)
    }

    fn sleep_until(&self, at: Instant) -> Task {
        Box::pin(Sleep {
            world: self.clone(),
            key: (at, self.number()),
        })
    }

    /// Never twice the same, and spread over all bits, as keys of maps want it.
    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
            let mut mixed = (self.number() + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }

    fn spawn(&self, task: Task) {
        let mut tasks = self.0.tasks.borrow_mut();
        let index = self.0.free.borrow_mut().pop().unwrap_or(tasks.len());
        let waker = Waker::from(Arc::new(Turn {
            task: index,
            woken: Arc::clone(&self.0.woken),
        }));
        waker.wake_by_ref();
        let mut wakers = self.0.wakers.borrow_mut();
        if index == tasks.len() {
            tasks.push(Some(task));
            wakers.push(waker);
        } else {
            tasks[index] = Some(task);
            wakers[index] = waker;
        }
    }
}

struct Sleep {
    world: World,
    key: (Instant, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.key.0 {
            return Poll::Ready(());
        }
        let mut sleepers = self.world.0.sleepers.borrow_mut();
        sleepers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.world.0.sleepers.borrow_mut().remove(&self.key);
    }
}
