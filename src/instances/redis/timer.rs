//! One timer for a limit that is put off again and again.

use std::task::{Context, Poll};

use crate::engine::{Environment, Instant, Task};

/// One timer for a limit that is put off again and again.
#[derive(Default)]
pub(super) struct Timer(Option<(Instant, Task)>);

impl Timer {
    /// Ready once it is `limit`.
    pub(super) fn poll(
        &mut self,
        environment: &dyn Environment,
        limit: Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        while environment.now() < limit {
            // An earlier timer is as good as the right one, and cheaper than
            // setting it anew each time.
            let (armed, mut timer) = self
                .0
                .take_if(|(armed, _)| *armed <= limit)
                .unwrap_or_else(|| (limit, environment.sleep_until(limit)));
            if timer.as_mut().poll(context).is_pending() {
                self.0 = Some((armed, timer));
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}
