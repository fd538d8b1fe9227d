//! What moves a link's bytes while it is up: one connection, beside it the former
//! one for as long as that may still answer, and a dial where the server has
//! fallen silent.
//!
//! A network that has forgotten a connection says so to nobody: what is written
//! there is lost, while a new connection would work. So a server that says nothing
//! for a while is doubted and dialled again, beside the connection there is. If
//! that still says nothing when the new one is there, questions go by the new one.
//! The former is listened to until it has answered all that it was asked, or has
//! been silent for [`SILENCE`].

use std::future::{Future as _, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::config::Config;
use super::dial::{CLOSED, Dialled, unasked};
use super::frame::Replies;
use super::link::{Dialling, Link, SILENCE, Which, out_of_step};
use super::network::Stream;
use super::sentinel::Watch;
use crate::engine::{Cause, Environment, Instant, RoundTrip, Task};

/// How long a server may say nothing before it is doubted, on a connection that
/// was not doubted in vain.
const DOUBT: Duration = Duration::from_millis(150);

/// After a doubt in vain the next one takes twice as long, unless so much time has
/// passed: a server that stands still now and then isn't dialled each time.
const FORGIVEN: Duration = Duration::from_secs(60);

/// A buffer that a burst has blown up beyond this is given back.
const LARGEST_KEPT: usize = 256 * 1024;

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
        doubt: None,
        patience: DOUBT,
        in_vain: Instant::ORIGIN,
    };
    let cause = poll_fn(|context| match link.upgrade() {
        None => Poll::Ready(None),
        Some(link) => connections.poll(&link, dial, context).map(Some),
    })
    .await?;
    for pump in connections.former.iter().chain([&connections.present]) {
        pump.stream.discard_unsent();
    }
    Some(End {
        cause,
        useful: connections.present.useful,
        next: connections.doubt.and_then(|doubt| doubt.next),
    })
}

/// A link's connections while it is up.
struct Connections {
    present: Pump,
    former: Option<Pump>,
    doubt: Option<Doubt>,
    /// How long the server may say nothing before it is doubted.
    patience: Duration,
    /// When it was last doubted in vain.
    in_vain: Instant,
}

/// That the present connection is worth anything.
struct Doubt {
    /// Since when the server has said nothing.
    since: Instant,
    /// Another connection, until that is there or has failed.
    next: Option<Dialling>,
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
            if let Poll::Ready(cause) = self.present.poll(link, Which::Present, context) {
                return Poll::Ready(cause);
            }
            if let Poll::Ready(cause) = self.poll_limits(link, dial, context) {
                return Poll::Ready(cause);
            }
            let Some((next, silent)) = self.poll_next(link, context) else {
                return Poll::Pending;
            };
            let former = std::mem::replace(&mut self.present, next);
            if link.change_over(&self.present, &former, silent) {
                self.former = Some(former);
            } else {
                former.stream.discard_unsent();
            }
            self.patience = DOUBT;
        }
    }

    /// Listens to the former connection until it has nothing more to say.
    fn poll_former(&mut self, link: &Link, context: &mut Context<'_>) {
        let Some(former) = &mut self.former else {
            return;
        };
        let io = former.poll(link, Which::Former, context);
        let (owing, is_done) = link.with_line(Which::Former, |line| {
            (line.owing_since(), line.unanswered.is_empty())
        });
        let cause = match (io, owing.map(|since| since.after(SILENCE))) {
            (Poll::Ready(cause), _) => cause,
            (Poll::Pending, Some(limit)) => {
                match former.alarm.poll(link.environment(), limit, context) {
                    Poll::Ready(()) => silent_for(SILENCE),
                    Poll::Pending => return,
                }
            }
            (Poll::Pending, None) if is_done => broken("it was replaced"),
            (Poll::Pending, None) => return,
        };
        if !is_done {
            former.stream.discard_unsent();
        }
        self.former = None;
        link.end_former(&cause);
    }

    /// Ready when the server has owed an answer for too long. One that says nothing
    /// for less than that is doubted.
    fn poll_limits(
        &mut self,
        link: &Link,
        dial: &dyn Fn() -> Dialling,
        context: &mut Context<'_>,
    ) -> Poll<Cause> {
        let (owing, silent) = link.with_line(Which::Present, |line| {
            (line.owing_since(), line.silent_since())
        });
        if self.doubt.as_ref().map(|doubt| doubt.since) != silent && self.doubt.take().is_some() {
            // It is slow, and not gone.
            self.in_vain = link.environment().now();
            self.patience = (self.patience * 2).min(SILENCE);
        }
        let (Some(owing), Some(silent)) = (owing, silent) else {
            return Poll::Pending;
        };
        let mut limit = owing.after(SILENCE);
        if self.doubt.is_none() && self.former.is_none() {
            if silent.since(self.in_vain) > FORGIVEN {
                self.patience = DOUBT;
            }
            let usual = link.round_trip().map_or(Duration::ZERO, RoundTrip::at_most);
            let doubtful = silent.after(self.patience.max(usual));
            if doubtful <= link.environment().now() && doubtful < limit {
                self.doubt = Some(Doubt {
                    since: silent,
                    next: Some(dial()),
                });
            } else {
                limit = limit.min(doubtful);
            }
        }
        let alarm = &mut self.present.alarm;
        if alarm.poll(link.environment(), limit, context).is_pending() {
            return Poll::Pending;
        }
        if limit == owing.after(SILENCE) {
            return Poll::Ready(silent_for(SILENCE));
        }
        self.poll_limits(link, dial, context)
    }

    /// The connection that was made beside a silent one, and how long that has been
    /// silent.
    fn poll_next(&mut self, link: &Link, context: &mut Context<'_>) -> Option<(Pump, Duration)> {
        let doubt = self.doubt.as_mut()?;
        let Poll::Ready(dialled) = doubt.next.as_mut()?.as_mut().poll(context) else {
            return None;
        };
        doubt.next = None;
        let silent = link.environment().now().since(doubt.since);
        let pump = dialled.ok()?;
        self.doubt = None;
        Some((pump, silent))
    }
}

/// One connection.
pub(super) struct Pump {
    stream: Box<dyn Stream>,
    heard: Replies,
    /// Resolves when the server is no longer the one that is meant.
    watch: Option<Watch>,
    master: Option<bool>,
    keyspace: Option<Rc<str>>,
    /// When it was greeted, and when it had answered.
    greeted: (Instant, Instant),
    /// Whether it has answered anything.
    useful: bool,
    /// When to look whether the server has been silent for too long.
    alarm: Alarm,
}

impl Pump {
    pub(super) fn new(dialled: Dialled, config: &Config) -> Self {
        let Dialled {
            stream,
            greeting,
            greeted,
            watch,
        } = dialled;
        // The same server, database and prefix are the same keys.
        let keyspace = greeting
            .run_id
            .map(|id| format!("{id}/{}/{}", config.db, config.key_prefix));
        Self {
            stream,
            heard: Replies::default(),
            watch,
            master: greeting.master,
            greeted,
            keyspace: keyspace.map(Rc::from),
            useful: false,
            alarm: Alarm::default(),
        }
    }

    /// Whether the server has said that it is a master.
    pub(super) fn master(&self) -> Option<bool> {
        self.master
    }

    /// When it was greeted, and when it had answered.
    pub(super) const fn greeted(&self) -> (Instant, Instant) {
        self.greeted
    }

    /// What the keys that it leads to have in common, as far as that is known.
    pub(super) fn keyspace(&self) -> Option<Rc<str>> {
        self.keyspace.clone()
    }

    /// Writes and reads as much as there is; ready when the connection is over.
    fn poll(&mut self, link: &Link, which: Which, context: &mut Context<'_>) -> Poll<Cause> {
        if let Some(watch) = &mut self.watch
            && let Poll::Ready(cause) = watch.as_mut().poll(context)
        {
            return Poll::Ready(cause);
        }
        loop {
            if let Err(cause) = self.poll_write(link, which, context) {
                return Poll::Ready(cause);
            }
            // The waker first: an answer may bring the next question, whose
            // command is then written without another turn.
            link.wake_by(context.waker());
            match self.poll_read(link, which, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(cause)) => return Poll::Ready(cause),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_write(
        &mut self,
        link: &Link,
        which: Which,
        context: &mut Context<'_>,
    ) -> Result<(), Cause> {
        link.with_line(which, |line| {
            while line.written < line.out.len() {
                let rest = &line.out[line.written..];
                match Pin::new(&mut self.stream).poll_write(context, rest) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => return Err(broken(CLOSED)),
                    Poll::Ready(Ok(length)) => line.written += length,
                    Poll::Ready(Err(error)) => return Err(broken(&error.to_string())),
                }
            }
            if line.fresh > 0 {
                line.mark_written(link.environment().now());
            }
            if line.written == line.out.len() {
                // TLS keeps what it has encrypted until it is flushed.
                if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(context) {
                    return Err(broken(&error.to_string()));
                }
                line.written = 0;
                line.out.clear();
                line.out.shrink_to(LARGEST_KEPT);
            }
            Ok(())
        })
    }

    fn poll_read(
        &mut self,
        link: &Link,
        which: Which,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Cause>> {
        let read = pin!(self.stream.read_buf(self.heard.room())).poll(context);
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(broken(CLOSED))),
            Poll::Ready(Ok(_)) => {}
            // TLS calls it an error if the other end hangs up without a word.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                return Poll::Ready(Err(broken(CLOSED)));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error.to_string()))),
        }
        let now = link.environment().now();
        link.with_line(which, |line| line.heard_at = now);
        let outcome = loop {
            let longest = link.with_line(which, |line| line.longest_reply());
            match self.heard.next(longest) {
                Ok(None) => {
                    let owes_nothing = link.with_line(which, |line| line.owes_nothing());
                    if self.heard.waiting() > 0 && owes_nothing {
                        break out_of_step(unasked());
                    }
                    break Ok(());
                }
                Err(unreadable) => break Err(unreadable.into()),
                Ok(Some(reply)) => {
                    self.useful = true;
                    if let Err(cause) = link.take(which, reply) {
                        break Err(cause);
                    }
                }
            }
        };
        link.with_line(which, |line| line.heard = self.heard.waiting());
        if outcome.is_ok() {
            link.go_on();
        }
        Poll::Ready(outcome)
    }
}

/// One timer for a limit that is put off again and again.
#[derive(Default)]
struct Alarm(Option<(Instant, Task)>);

impl Alarm {
    /// Ready once it is `limit`.
    fn poll(
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

fn silent_for(waited: Duration) -> Cause {
    Cause::Silent {
        waited,
        option: None,
        because: None,
    }
}

/// Why a connection is gone, for the questions that come after.
fn broken(what: &str) -> Cause {
    Cause::Unreachable {
        what: format!("the connection was lost: {what}").into(),
    }
}
