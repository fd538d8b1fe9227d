//! A task that can be given up from outside it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::engine::Task;

/// Gives up the task it was made with.
pub struct Abort(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    aborted: bool,
    waker: Option<Waker>,
}

/// `future` as a task that ends early, dropping it, once it is aborted.
pub fn abortable(future: impl Future<Output = ()> + 'static) -> (Task, Abort) {
    let state = Rc::new(RefCell::new(State::default()));
    let abort = Abort(Rc::clone(&state));
    let mut future = Box::pin(future);
    let task = Box::pin(poll_fn(move |context| {
        {
            let mut state = state.borrow_mut();
            if state.aborted {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
        }
        future.as_mut().poll(context)
    }));
    (task, abort)
}

impl Abort {
    /// The task's next turn is its last; one that is over stays so.
    pub fn abort(&self) {
        let waker = {
            let mut state = self.0.borrow_mut();
            state.aborted = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
