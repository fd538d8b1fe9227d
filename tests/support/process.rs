//! A client's process: its clock, its event loop, and its being paused.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use redlock_native::engine::{Environment, Instant, Task};

use crate::world::{Clock, Moment, World};

/// How late the event loop gets round to a thing, at most.
const LAG: Duration = Duration::from_micros(50);
/// How late a timer fires, at most.
const LATE: Duration = Duration::from_millis(2);
/// After a pause, in what time the things missed are seen to.
const CATCH_UP: Duration = Duration::from_micros(500);

/// The engine's environment in the simulation. Clones are the same process.
#[derive(Clone)]
pub struct Process(Rc<Inner>);

struct Inner {
    index: usize,
    world: Rc<World>,
    clock: Clock,
    alive: Cell<bool>,
    tasks: RefCell<Vec<Slot>>,
    woken: Woken,
    pause: Cell<Option<Pause>>,
    /// How long it stood still in pauses that are over.
    paused: Cell<Duration>,
    backlog: RefCell<Vec<Box<dyn FnOnce()>>>,
}

struct Slot {
    task: Option<Task>,
    waker: Waker,
    /// Its turn is arranged already.
    due: Rc<Cell<bool>>,
}

#[derive(Clone, Copy)]
struct Pause {
    from: Moment,
    until: Moment,
}

type Woken = Arc<Mutex<Vec<usize>>>;

impl Process {
    pub fn new(world: &Rc<World>, index: usize, clock: Clock) -> Self {
        Self(Rc::new(Inner {
            index,
            world: Rc::clone(world),
            clock,
            alive: Cell::new(true),
            tasks: RefCell::default(),
            woken: Woken::default(),
            pause: Cell::default(),
            paused: Cell::default(),
            backlog: RefCell::default(),
        }))
    }

    pub fn index(&self) -> usize {
        self.0.index
    }

    pub fn world(&self) -> &Rc<World> {
        &self.0.world
    }

    pub fn is_alive(&self) -> bool {
        self.0.alive.get()
    }

    /// The first true moment at which its clock shows `at`.
    pub fn reaches(&self, at: Instant) -> Moment {
        self.0.clock.reaches(at)
    }

    /// Lets the process do something at a moment, or later if it is paused
    /// then, or never if it is dead.
    pub fn at(&self, at: Moment, act: impl FnOnce() + 'static) {
        let process = self.clone();
        self.0.world.at(at, move || process.handle(Box::new(act)));
    }

    pub fn after(&self, span: Duration, act: impl FnOnce() + 'static) {
        self.at(self.0.world.now().after(span), act);
    }

    fn handle(&self, act: Box<dyn FnOnce()>) {
        if !self.is_alive() {
            return;
        }
        if self.0.pause.get().is_some() {
            self.0.backlog.borrow_mut().push(act);
            return;
        }
        act();
        self.arrange_turns();
    }

    /// A poll for every task that was woken, each after a lag of its own.
    fn arrange_turns(&self) {
        let woken =
            std::mem::take(&mut *self.0.woken.lock().unwrap_or_else(PoisonError::into_inner));
        for index in woken {
            let due = {
                let tasks = self.0.tasks.borrow();
                let Some(slot) = tasks.get(index) else {
                    continue;
                };
                Rc::clone(&slot.due)
            };
            if due.replace(true) {
                continue;
            }
            let lag = self.0.world.chance.span(LAG);
            let process = self.clone();
            self.after(lag, move || {
                due.set(false);
                process.poll(index);
            });
        }
    }

    fn poll(&self, index: usize) {
        let (mut task, waker) = {
            let mut tasks = self.0.tasks.borrow_mut();
            let slot = &mut tasks[index];
            let Some(task) = slot.task.take() else {
                return;
            };
            (task, slot.waker.clone())
        };
        let done = task
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        if !done && self.is_alive() {
            self.0.tasks.borrow_mut()[index].task = Some(task);
        }
    }

    /// Stands still: nothing is handled until the pause is over, however long
    /// ago it came. Time goes on, on its own clock too.
    pub fn pause(&self, span: Duration) {
        let world = &self.0.world;
        world.note(format_args!("p{} stands still for {span:?}", self.index()));
        let now = world.now();
        let until = now.after(span);
        let pause = self
            .0
            .pause
            .get()
            .map_or(Pause { from: now, until }, |pause| Pause {
                until: pause.until.max(until),
                ..pause
            });
        self.0.pause.set(Some(pause));
        let process = self.clone();
        world.at(until, move || process.resume());
    }

    fn resume(&self) {
        let world = &self.0.world;
        let over = self
            .0
            .pause
            .get()
            .filter(|pause| pause.until <= world.now());
        let Some(pause) = over else {
            return;
        };
        self.0.pause.set(None);
        let stood = world.now().since(pause.from);
        self.0.paused.set(self.0.paused.get() + stood);
        if self.is_alive() {
            world.note(format_args!("p{} goes on", self.index()));
        }
        // An event loop that wakes up finds messages and timers together, and
        // it is anybody's guess which it looks at first.
        for act in self.0.backlog.take() {
            self.after(world.chance.span(CATCH_UP), act);
        }
    }

    /// For how long it has stood still so far.
    pub fn paused(&self) -> Duration {
        let under_way = self
            .0
            .pause
            .get()
            .map(|pause| self.0.world.now().since(pause.from));
        self.0.paused.get() + under_way.unwrap_or_default()
    }

    /// Ends the process where it stands.
    pub fn kill(&self) {
        self.0.alive.set(false);
        let mut tasks = Vec::new();
        for slot in self.0.tasks.borrow_mut().iter_mut() {
            tasks.extend(slot.task.take());
        }
        // Dropping a task runs code of the engine's, which may spawn or wake.
        drop(tasks);
        drop(self.0.backlog.take());
    }
    /// Runs `future` for at most `span`, if there is one, then drops it.
    pub async fn within<T>(
        &self,
        span: Option<Duration>,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(span) = span else {
            return Some(future.await);
        };

        let mut future = Box::pin(future);
        let mut sleep = self.sleep_until(self.now().after(span));
        // Where both are ready at once, either may win.
        let strict = self.0.world.chance.percent(50);
        poll_fn(|context| {
            if strict && sleep.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            sleep.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now().after(span)).await;
    }
}

impl Environment for Process {
    fn now(&self) -> Instant {
        self.0.clock.read(self.0.world.now())
    }

    fn wall_clock(&self) -> Duration {
        // Those of two processes differ.
        let ahead = Duration::from_micros(1700) * u32::try_from(self.0.index).unwrap_or(0);
        self.0.world.now().since(Moment::default()) + ahead
    }

    fn sleep_until(&self, at: Instant) -> Task {
        let process = self.clone();
        let waiting: Rc<RefCell<Option<Waker>>> = Rc::default();
        let mut armed = false;
        Box::pin(poll_fn(move |context| {
            if process.now() >= at {
                return Poll::Ready(());
            }
            *waiting.borrow_mut() = Some(context.waker().clone());
            if !armed {
                armed = true;
                let late = process.0.world.chance.span(LATE);
                let waiting = Rc::clone(&waiting);
                process.at(process.reaches(at).after(late), move || {
                    if let Some(waker) = waiting.take() {
                        waker.wake();
                    }
                });
            }
            Poll::Pending
        }))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.world.chance.fill(bytes);
    }

    fn spawn(&self, task: Task) {
        if !self.is_alive() {
            return;
        }
        let mut tasks = self.0.tasks.borrow_mut();
        let alarm = Arc::new(Alarm {
            index: tasks.len(),
            woken: Arc::clone(&self.0.woken),
        });
        alarm.wake_by_ref();
        tasks.push(Slot {
            task: Some(task),
            waker: alarm.into(),
            due: Rc::default(),
        });
        drop(tasks);
        self.arrange_turns();
    }
}

struct Alarm {
    index: usize,
    woken: Woken,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push(self.index);
    }
}
