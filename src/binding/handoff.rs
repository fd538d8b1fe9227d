//! A queue between two threads whose reader is woken once per batch.
//!
//! Both directions of the hand-over are such a queue: only what wakes the
//! reader differs. tests/handoff.rs has a checker go through the interleavings.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::sync::{Mutex, MutexGuard};

/// Any number of writers, one reader, which comes when `wake` is called.
pub struct Handoff<T> {
    state: Mutex<State<T>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct State<T> {
    items: VecDeque<T>,
    /// The room of what was taken before, for what comes next.
    spare: VecDeque<T>,
    /// The reader was woken and has not yet come.
    woken: bool,
    /// The reader is sure to be woken before long, by what others add.
    expected: bool,
    /// The reader will never come again.
    closed: bool,
}

/// Room that a burst has blown up beyond so many items is not kept.
const MOST_SPARE: usize = 2048;

impl<T> State<T> {
    fn take(&mut self, most: usize) -> VecDeque<T> {
        let mut taken = std::mem::take(&mut self.spare);
        if self.items.len() <= most {
            std::mem::swap(&mut taken, &mut self.items);
        } else {
            taken.extend(self.items.drain(..most));
        }
        taken
    }
}

impl<T> Handoff<T> {
    /// An empty queue whose reader is told by `wake` to come.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                spare: VecDeque::new(),
                woken: false,
                expected: false,
                closed: false,
            }),
            wake: Box::new(wake),
        }
    }

    /// Adds `items` and wakes the reader, unless it is about to come anyway.
    /// Gives them back if it never comes again.
    pub fn push(&self, items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
        let wake = {
            let mut state = self.lock();
            if state.closed {
                return Some(items.into_iter().collect());
            }
            state.items.extend(items);
            !state.items.is_empty() && !std::mem::replace(&mut state.woken, true)
        };
        // Without the lock: waking may run code of others.
        if wake {
            (self.wake)();
        }
        None
    }

    /// Adds an item that is in no hurry: the reader is woken for it only if nobody
    /// else is going to. Gives it back if it never comes again.
    pub fn push_beside(&self, item: T) -> Option<T> {
        let wake = {
            let mut state = self.lock();
            if state.closed {
                return Some(item);
            }
            state.items.push_back(item);
            !state.expected && !std::mem::replace(&mut state.woken, true)
        };
        if wake {
            (self.wake)();
        }
        None
    }

    /// The reader says whether it is sure to be woken by others.
    pub fn expect(&self, expected: bool) {
        let wake = {
            let mut state = self.lock();
            state.expected = expected;
            let waits = !expected && !state.items.is_empty();
            waits && !std::mem::replace(&mut state.woken, true)
        };
        if wake {
            (self.wake)();
        }
    }

    /// Takes up to `most` items. The reader must come again by itself if it got
    /// as many as that.
    pub fn take(&self, most: usize) -> VecDeque<T> {
        let mut state = self.lock();
        state.woken = false;
        state.take(most)
    }

    /// The same for a reader that is about to come again by itself: until it has,
    /// nobody wakes it.
    pub fn take_first(&self, most: usize) -> VecDeque<T> {
        self.lock().take(most)
    }

    /// Whether all items were taken.
    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Gives the room of what was taken back, once it is empty: what comes next need not
    /// grow into room of its own.
    pub fn give_back(&self, mut taken: VecDeque<T>) {
        taken.clear();
        if taken.capacity() <= MOST_SPARE {
            self.lock().spare = taken;
        }
    }

    /// No reader comes any more; what it did not take is given back.
    pub fn close(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.items)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
