//! A value that somebody waits for whom a callback brings it to.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::abortable_task::Underway;

/// What to call with a value, and a future that resolves with it. It never does if the
/// callback is dropped uncalled.
pub fn promised<T>() -> (impl FnOnce(T) + use<T>, Promised<T>) {
    let state = Rc::new(RefCell::new(State {
        value: None,
        waker: None,
    }));
    let promised = Promised(Rc::clone(&state));
    let bring = move |value| {
        let waker = {
            let mut state = state.borrow_mut();
            state.value = Some(value);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    (bring, promised)
}

/// A value that is to come.
pub struct Promised<T>(Rc<RefCell<State<T>>>);

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Promised<T> {
    /// The same, but `request`, which is to bring it, is given up if nobody waits any more;
    /// `unheard` is called with what it has brought already.
    pub async fn or_give_up(self, request: Rc<dyn Underway>, unheard: impl FnOnce(T)) -> T {
        let mut waited = Waited {
            promised: self,
            request,
            unheard: Some(unheard),
        };
        let value = (&mut waited.promised).await;
        waited.unheard = None;
        value
    }
}

impl<T> Future for Promised<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.borrow_mut();
        if let Some(value) = state.value.take() {
            return Poll::Ready(value);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// A request that is given up when nobody waits for it any more.
struct Waited<T, U: FnOnce(T)> {
    promised: Promised<T>,
    request: Rc<dyn Underway>,
    unheard: Option<U>,
}

impl<T, U: FnOnce(T)> Drop for Waited<T, U> {
    fn drop(&mut self) {
        self.request.give_up();
        let value = self.promised.0.borrow_mut().value.take();
        if let (Some(unheard), Some(value)) = (self.unheard.take(), value) {
            unheard(value);
        }
    }
}
