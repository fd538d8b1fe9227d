//! A task that can be given up from outside it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::environment::Task;

/// Something under way that can be given up.
pub trait Underway {
    /// Ends it early. Nothing happens if it is over.
    fn give_up(&self);

    /// Whether it has ended.
    fn is_over(&self) -> bool;
}

/// `future` as a task that ends early, dropping it, once it is given up: at once, or, if it
/// does so in a turn of its own, after that.
pub fn abortable(future: impl Future<Output = ()> + 'static) -> (Task, Rc<dyn Underway>) {
    let abortable = Rc::new(Abortable {
        future: RefCell::new(Some(Box::pin(future))),
        is_over: Cell::new(false),
        waker: RefCell::default(),
    });
    let known = Rc::clone(&abortable);
    let task = Box::pin(poll_fn(move |context| abortable.poll(context)));
    (task, known)
}

struct Abortable {
    /// While it has no turn, and is not over.
    future: RefCell<Option<Task>>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Abortable {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut future) = self.future.take() else {
            return Poll::Ready(());
        };
        // It may give itself up, or panic.
        self.is_over
            .set(future.as_mut().poll(context).is_ready() || self.is_over.get());
        if self.is_over.get() {
            return Poll::Ready(());
        }
        self.future.replace(Some(future));
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Underway for Abortable {
    fn give_up(&self) {
        self.is_over.set(true);
        let future = self.future.take();
        drop(future);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.get()
    }
}
