//! Futures that run beside each other inside the task that awaits them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// A handful of futures, each of which is polled whenever one of them is woken.
/// They make progress only while [`FutureSet::next`] is awaited, and are
/// dropped with the set.
pub(super) struct FutureSet<T> {
    futures: Vec<Pin<Box<dyn Future<Output = T>>>>,
}

impl<T> FutureSet<T> {
    pub(super) fn new() -> Self {
        Self {
            futures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, future: impl Future<Output = T> + 'static) {
        self.futures.push(Box::pin(future));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// What the next of them comes to; `None` if there is none left. Giving
    /// up the wait loses nothing.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|context| {
            for at in 0..self.futures.len() {
                if let Poll::Ready(output) = self.futures[at].as_mut().poll(context) {
                    drop(self.futures.remove(at));
                    return Poll::Ready(Some(output));
                }
            }
            if self.futures.is_empty() {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}
