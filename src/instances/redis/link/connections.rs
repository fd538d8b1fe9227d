//! A link's connections while it is up: the present one, beside it the former one for
//! as long as that may still answer, and a dial where the server has fallen silent.
//!
//! A network that has forgotten a connection says so to nobody: what is written
//! there is lost, while a new connection would work. So a server that says nothing
//! for a while is dialled again, beside the connection there is. If
//! that still says nothing when the new one is there, questions go by the new one.
//! The former is listened to until it has answered all that it was asked, or has
//! been silent for [`UNRESPONSIVE_AFTER`].

use std::future::poll_fn;
use std::rc::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Link;
use super::pipeline::Generation;
use super::pump::{Dialling, Pump, broken};
use crate::engine::{Cause, Instant, RoundTrip};

/// How long a server may owe an answer before its connection is given up.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);

/// How long a server may say nothing before another connection is dialled beside the
/// one there is, unless that was in vain before.
const REPLACE_AFTER: Duration = Duration::from_millis(150);

/// After a replacement in vain the next one is dialled after twice as long, unless so
/// much time has passed: a server that stands still now and then isn't dialled each time.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// How the present connection ended.
pub(super) struct End {
    pub(super) cause: Cause,
    /// Whether it has answered anything.
    pub(super) useful: bool,
    /// The next one, if it is being dialled already.
    pub(super) next: Option<Dialling>,
}

/// Resolves when the connection is over, or with `None` when nobody needs the link
/// any more.
pub(super) async fn serve(
    link: &Weak<Link>,
    pump: Pump,
    dial: &dyn Fn() -> Dialling,
) -> Option<End> {
    let mut connections = Connections {
        present: pump,
        former: None,
        replacement: None,
        replace_after: REPLACE_AFTER,
        in_vain: Instant::ORIGIN,
    };
    let cause = poll_fn(|context| match link.upgrade() {
        None => Poll::Ready(None),
        Some(link) => connections.poll(&link, dial, context).map(Some),
    })
    .await?;
    for pump in connections.former.iter().chain([&connections.present]) {
        pump.discard_unsent();
    }
    Some(End {
        cause,
        useful: connections.present.is_useful(),
        next: connections
            .replacement
            .and_then(|replacement| replacement.dial),
    })
}

/// A link's connections while it is up.
struct Connections {
    present: Pump,
    former: Option<Pump>,
    replacement: Option<Replacement>,
    /// How long the server may say nothing before a replacement is dialled.
    replace_after: Duration,
    /// When one was last dialled for nothing: the server answered first.
    in_vain: Instant,
}

/// Another connection, dialled beside one that is silent.
struct Replacement {
    /// Since when the server has said nothing.
    silent_since: Instant,
    /// Until it has succeeded or failed. A failed dial is not made again for the same
    /// silence.
    dial: Option<Dialling>,
}

impl Connections {
    /// Ready when the present connection is over.
    fn poll(
        &mut self,
        link: &Link,
        dial: &dyn Fn() -> Dialling,
        context: &mut Context<'_>,
    ) -> Poll<Cause> {
        loop {
            self.poll_former(link, context);
            if let Poll::Ready(cause) = self.present.poll(link, Generation::Present, context) {
                return Poll::Ready(cause);
            }
            if let Poll::Ready(cause) = self.poll_limits(link, dial, context) {
                return Poll::Ready(cause);
            }
            let Some((next, silent)) = self.poll_next(link, context) else {
                return Poll::Pending;
            };
            let former = std::mem::replace(&mut self.present, next);
            if link.replace_connection(&self.present, &former, silent) {
                self.former = Some(former);
            } else {
                former.discard_unsent();
            }
            self.replace_after = REPLACE_AFTER;
        }
    }

    /// Listens to the former connection until it has nothing more to say.
    fn poll_former(&mut self, link: &Link, context: &mut Context<'_>) {
        let Some(former) = &mut self.former else {
            return;
        };
        let io = former.poll(link, Generation::Former, context);
        let (owing, is_done) = link.with_pipeline(Generation::Former, |pipeline| {
            (pipeline.owing_since(), pipeline.unanswered.is_empty())
        });
        let cause = match (io, owing.map(|since| since.after(UNRESPONSIVE_AFTER))) {
            (Poll::Ready(cause), _) => cause,
            (Poll::Pending, Some(limit)) => match former.poll_silence(link, limit, context) {
                Poll::Ready(()) => silent_for(UNRESPONSIVE_AFTER),
                Poll::Pending => return,
            },
            (Poll::Pending, None) if is_done => broken("it was replaced"),
            (Poll::Pending, None) => return,
        };
        if !is_done {
            former.discard_unsent();
        }
        self.former = None;
        link.end_former(&cause);
    }

    /// Ready when the server has owed an answer for too long. One that says nothing
    /// for less than that is dialled beside the connection.
    fn poll_limits(
        &mut self,
        link: &Link,
        dial: &dyn Fn() -> Dialling,
        context: &mut Context<'_>,
    ) -> Poll<Cause> {
        let (owing, silent) = link.with_pipeline(Generation::Present, |pipeline| {
            (pipeline.owing_since(), pipeline.silent_since())
        });
        if self
            .replacement
            .as_ref()
            .map(|replacement| replacement.silent_since)
            != silent
            && self.replacement.take().is_some()
        {
            // It is slow, and not gone.
            self.in_vain = link.environment().now();
            self.replace_after = (self.replace_after * 2).min(UNRESPONSIVE_AFTER);
        }
        let (Some(owing), Some(silent)) = (owing, silent) else {
            return Poll::Pending;
        };
        let mut limit = owing.after(UNRESPONSIVE_AFTER);
        if self.replacement.is_none() && self.former.is_none() {
            if silent.since(self.in_vain) > FORGET_AFTER {
                self.replace_after = REPLACE_AFTER;
            }
            let usual = link.round_trip().map_or(Duration::ZERO, RoundTrip::at_most);
            let replace_at = silent.after(self.replace_after.max(usual));
            if replace_at <= link.environment().now() && replace_at < limit {
                self.replacement = Some(Replacement {
                    silent_since: silent,
                    dial: Some(dial()),
                });
            } else {
                limit = limit.min(replace_at);
            }
        }
        if self.present.poll_silence(link, limit, context).is_pending() {
            return Poll::Pending;
        }
        if limit == owing.after(UNRESPONSIVE_AFTER) {
            return Poll::Ready(silent_for(UNRESPONSIVE_AFTER));
        }
        self.poll_limits(link, dial, context)
    }

    /// The connection that was made beside a silent one, and how long that has been
    /// silent.
    fn poll_next(&mut self, link: &Link, context: &mut Context<'_>) -> Option<(Pump, Duration)> {
        let replacement = self.replacement.as_mut()?;
        let Poll::Ready(dialled) = replacement.dial.as_mut()?.as_mut().poll(context) else {
            return None;
        };
        replacement.dial = None;
        let silent = link.environment().now().since(replacement.silent_since);
        let pump = dialled.ok()?;
        self.replacement = None;
        Some((pump, silent))
    }
}

fn silent_for(waited: Duration) -> Cause {
    Cause::Silent {
        waited,
        option: None,
        because: None,
    }
}
