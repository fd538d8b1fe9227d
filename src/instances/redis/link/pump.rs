//! What moves the bytes of one connection between its stream and its pipeline.

use std::future::Future as _;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::Link;
use super::pipeline::Generation;
use super::replies::out_of_step;
use crate::engine::{Cause, Instant};
use crate::instances::redis::config::Config;
use crate::instances::redis::dial::{CLOSED, Dialled, MasterChange, Stream, unasked};
use crate::instances::redis::protocol::frame::{LONGEST_USUAL, Replies};
use crate::instances::redis::timer::Timer;

/// A buffer that a burst has blown up beyond this is given back.
const LARGEST_KEPT: usize = 256 * 1024;

/// A dial under way.
pub(super) type Dialling = Pin<Box<dyn Future<Output = Result<Pump, Cause>>>>;

/// One connection: its stream, and what its server has said of itself.
pub(super) struct Pump {
    stream: Box<dyn Stream>,
    heard: Replies,
    /// Resolves when the server is no longer the one that is meant.
    master_change: Option<MasterChange>,
    master: Option<bool>,
    keyspace: Option<Rc<str>>,
    /// When it was greeted, and when it had answered.
    greeted: (Instant, Instant),
    /// Whether it has answered anything since it was greeted.
    useful: bool,
    /// When to look whether the server has been silent for too long.
    timer: Timer,
}

impl Pump {
    pub(super) fn new(dialled: Dialled, config: &Config) -> Self {
        let Dialled {
            stream,
            greeting,
            greeted,
            master_change,
        } = dialled;
        // The same server, database and prefix are the same keys.
        let keyspace = greeting
            .run_id
            .map(|id| format!("{id}/{}/{}", config.db, config.key_prefix));
        Self {
            stream,
            heard: Replies::default(),
            master_change,
            master: greeting.master,
            greeted,
            keyspace: keyspace.map(Rc::from),
            useful: false,
            timer: Timer::default(),
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

    /// Whether the server has answered anything.
    pub(super) const fn is_useful(&self) -> bool {
        self.useful
    }

    /// Ready once it is `limit`: the server has been silent for too long.
    pub(super) fn poll_silence(
        &mut self,
        link: &Link,
        limit: Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.timer.poll(link.environment(), limit, context)
    }

    /// What was not sent is not to arrive any more, once this is dropped.
    pub(super) fn discard_unsent(&self) {
        self.stream.discard_unsent();
    }

    /// Writes and reads as much as there is; ready when the connection is over.
    pub(super) fn poll(
        &mut self,
        link: &Link,
        generation: Generation,
        context: &mut Context<'_>,
    ) -> Poll<Cause> {
        if let Some(master_change) = &mut self.master_change
            && let Poll::Ready(cause) = master_change.as_mut().poll(context)
        {
            return Poll::Ready(cause);
        }
        loop {
            if let Err(cause) = self.poll_write(link, generation, context) {
                return Poll::Ready(cause);
            }
            // The waker first: an answer may bring the next question, whose
            // command is then written without another turn.
            link.wake_by(context.waker());
            match self.poll_read(link, generation, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(cause)) => return Poll::Ready(cause),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_write(
        &mut self,
        link: &Link,
        generation: Generation,
        context: &mut Context<'_>,
    ) -> Result<(), Cause> {
        link.encode_gathered(generation);
        link.with_pipeline(generation, |pipeline| {
            while pipeline.written < pipeline.out.len() {
                let rest = &pipeline.out[pipeline.written..];
                match Pin::new(&mut self.stream).poll_write(context, rest) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => return Err(broken(CLOSED)),
                    Poll::Ready(Ok(length)) => pipeline.written += length,
                    Poll::Ready(Err(error)) => return Err(broken(&error.to_string())),
                }
            }
            if pipeline.fresh > 0 {
                pipeline.mark_written(link.environment().now());
            }
            if pipeline.written == pipeline.out.len() {
                // TLS keeps what it has encrypted until it is flushed.
                if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(context) {
                    return Err(broken(&error.to_string()));
                }
                pipeline.written = 0;
                pipeline.out.clear();
                pipeline.out.shrink_to(LARGEST_KEPT);
            }
            Ok(())
        })
    }

    fn poll_read(
        &mut self,
        link: &Link,
        generation: Generation,
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
        link.with_pipeline(generation, |pipeline| pipeline.heard_at = now);
        let outcome = loop {
            let mut state = link.state.borrow_mut();
            let pipeline = state.pipeline_of(generation);
            // How long it may be need not be looked up for what is short enough for any.
            let next = match self.heard.next_usual(LONGEST_USUAL) {
                Some(reply) => Ok(Some(reply)),
                None => self.heard.next(pipeline.longest_reply()),
            };
            match next {
                Ok(None) => {
                    if self.heard.waiting() > 0 && pipeline.owes_nothing() {
                        break out_of_step(unasked());
                    }
                    break Ok(());
                }
                Err(unreadable) => break Err(unreadable.into()),
                Ok(Some(reply)) => {
                    self.useful = true;
                    if let Err(cause) = link.receive(state, generation, reply) {
                        break Err(cause);
                    }
                }
            }
        };
        link.with_pipeline(generation, |pipeline| pipeline.heard = self.heard.waiting());
        if outcome.is_ok() {
            link.write_waiting();
        }
        Poll::Ready(outcome)
    }
}

/// Why a connection is gone, for the questions that come after.
pub(super) fn broken(what: &str) -> Cause {
    Cause::Unreachable {
        what: format!("the connection was lost: {what}").into(),
    }
}
