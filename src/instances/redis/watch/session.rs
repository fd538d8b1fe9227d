//! The watch connection while it is up: what moves its bytes, and sees that the server is
//! there.

use std::future::Future as _;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::WatchConnection;
use super::looks::Due;
use crate::engine::Cause;
use crate::instances::redis::dial::{CLOSED, Dialled, MasterChange, Stream, unreachable};
use crate::instances::redis::protocol::frame::Replies;
use crate::instances::redis::timer::Timer;

/// After so many reads in a row everybody else has a turn.
const MOST_READS: usize = 16;

/// A connection on which a server tells of changes.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    heard: Replies,
    /// Resolves when the server is no longer the one that is meant.
    master_change: Option<MasterChange>,
    timer: Timer,
}

impl Session {
    pub(super) fn new(dialled: Dialled, heard: Replies) -> Self {
        Self {
            stream: dialled.stream,
            heard,
            master_change: dialled.master_change,
            timer: Timer::default(),
        }
    }

    /// Writes and reads as much as there is; ready when the connection is over.
    pub(super) fn poll(
        &mut self,
        connection: &WatchConnection,
        context: &mut Context<'_>,
    ) -> Poll<Cause> {
        if let Some(master_change) = &mut self.master_change
            && let Poll::Ready(cause) = master_change.as_mut().poll(context)
        {
            return Poll::Ready(cause);
        }
        if let Err(cause) = self.read(connection, context) {
            return Poll::Ready(cause);
        }
        loop {
            if let Err(error) = self.write(connection, context) {
                return Poll::Ready(lost(&error));
            }
            let Some(due) = connection.state.borrow().due() else {
                return Poll::Pending;
            };
            if self
                .timer
                .poll(connection.environment(), due.at, context)
                .is_pending()
            {
                return Poll::Pending;
            }
            match due.what {
                Due::Answer { since } => {
                    return Poll::Ready(Cause::Silent {
                        waited: connection.environment().now().since(since),
                        option: None,
                        because: None,
                    });
                }
                Due::Ping => {
                    let now = connection.environment().now();
                    connection.state.borrow_mut().looks.write_ping(now);
                }
            }
        }
    }

    fn read(
        &mut self,
        connection: &WatchConnection,
        context: &mut Context<'_>,
    ) -> Result<(), Cause> {
        for _ in 0..MOST_READS {
            match pin!(self.stream.read_buf(self.heard.room())).poll(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(closed()),
                Poll::Ready(Ok(_)) => connection.receive(&mut self.heard)?,
                Poll::Ready(Err(error)) => return Err(lost(&error)),
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    fn write(&mut self, connection: &WatchConnection, context: &mut Context<'_>) -> io::Result<()> {
        let now = connection.environment().now();
        let mut state = connection.state.borrow_mut();
        let super::State { keys, looks, .. } = &mut *state;
        looks.encode(keys, now);
        while let bytes @ [_, ..] = looks.unsent() {
            match Pin::new(&mut self.stream).poll_write(context, bytes) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => looks.sent(length),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        // TLS keeps what it has encrypted until it is flushed.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

fn lost(error: &io::Error) -> Cause {
    // TLS calls it an error if the other end hangs up without a word.
    if error.kind() == ErrorKind::UnexpectedEof {
        return closed();
    }
    unreachable(format!("the connection was lost: {error}"))
}

fn closed() -> Cause {
    unreachable(format!("the connection was lost: {CLOSED}"))
}
