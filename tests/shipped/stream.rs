//! One connection's bytes: a stream for a link of the crate's at one end, a
//! server of ours at the other.
//!
//! Bytes go in order, with delays, cut anywhere. The way may be held up, may
//! swallow everything without a word, may break; and what was written may arrive
//! long after its connection was given up.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redlock_native::instances::redis::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::process::Process;
use crate::redis::{Server, ServerSide};
use crate::scenario::Network;
use crate::world::{Moment, World};

/// A connection, seen by who sees both ends.
pub struct Wire {
    pub number: u64,
    pub process: Process,
    /// What the dialler was told to connect to.
    pub address: Rc<str>,
    network: Network,
    server: Weak<Server>,
    state: RefCell<State>,
    /// What the server knows of it.
    pub server_side: RefCell<ServerSide>,
}

struct State {
    /// On its way to the server: when it arrives.
    up: VecDeque<(Moment, Vec<u8>)>,
    waiting_up: usize,
    last_up: Moment,
    /// On its way to the client.
    down: VecDeque<(Moment, Vec<u8>)>,
    last_down: Moment,
    /// Has reached the client, and was not read.
    arrived: VecDeque<u8>,
    /// The client's end is over, for this reason.
    end: Option<End>,
    /// The client has given it up.
    closed: bool,
    /// Nothing passes till then.
    held: Moment,
    /// Nothing ever passes any more, and nobody is told.
    dead: bool,
    /// The same of what the server says.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Reset,
}

/// The client's end.
pub struct Socket {
    wire: Rc<Wire>,
    discards: Cell<bool>,
}

impl Wire {
    pub fn open(
        process: &Process,
        address: Rc<str>,
        server: &Rc<Server>,
        network: Network,
    ) -> Socket {
        let wire = Rc::new(Self {
            number: process.world().number(),
            process: process.clone(),
            address,
            network,
            server: Rc::downgrade(server),
            state: RefCell::new(State {
                up: VecDeque::new(),
                waiting_up: 0,
                last_up: Moment::default(),
                down: VecDeque::new(),
                last_down: Moment::default(),
                arrived: VecDeque::new(),
                end: None,
                closed: false,
                held: Moment::default(),
                dead: false,
                deaf: false,
                reader: None,
                writer: None,
            }),
            server_side: RefCell::default(),
        });
        server.admit(&wire);
        Socket {
            wire,
            discards: Cell::new(false),
        }
    }

    fn world(&self) -> &Rc<World> {
        self.process.world()
    }

    /// Whether the client still has it.
    pub fn is_open(&self) -> bool {
        let state = self.state.borrow();
        !state.closed && state.end.is_none()
    }

    /// Sends the client something, in pieces.
    pub fn reply(self: &Rc<Self>, bytes: &[u8]) {
        let world = self.world();
        let mut rest = bytes;
        let mut state = self.state.borrow_mut();
        if state.closed || state.dead || state.end.is_some() {
            return;
        }
        while !rest.is_empty() {
            let cut = if rest.len() > 1 && world.chance.percent(self.network.cut) {
                1 + world.chance.index(rest.len() - 1)
            } else {
                rest.len()
            };
            let (piece, others) = rest.split_at(cut);
            rest = others;
            let at = world.now().after(self.network.delay(world));
            let at = at.max(state.last_down);
            state.last_down = at;
            state.down.push_back((at, piece.to_vec()));
            let wire = Rc::clone(self);
            world.at(at, move || wire.pass_down());
        }
    }

    fn pass_down(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let now = self.world().now();
        if state.closed || state.dead || state.deaf || state.end.is_some() || now < state.held {
            return;
        }
        let mut any = false;
        while state.down.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, piece)) = state.down.pop_front() {
                state.arrived.extend(piece);
                any = true;
            }
        }
        let reader = state.reader.take().filter(|_| any);
        drop(state);
        self.wake(reader);
    }

    /// The process handles it when it can.
    fn wake(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.process.at(self.world().now(), move || waker.wake());
        }
    }

    fn pass_up(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let now = self.world().now();
        if state.dead || now < state.held {
            return;
        }
        let mut bytes = Vec::new();
        while state.up.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, piece)) = state.up.pop_front() {
                state.waiting_up -= piece.len();
                bytes.extend(piece);
            }
        }
        let writer = state.writer.take();
        drop(state);
        self.wake(writer);
        if let (false, Some(server)) = (bytes.is_empty(), self.server.upgrade()) {
            server.hear(self, &bytes);
        }
    }

    /// Keeps what is under way, both ways, for a while.
    pub fn hold(self: &Rc<Self>, span: Duration) {
        let until = self.world().now().after(span);
        let mut state = self.state.borrow_mut();
        state.held = state.held.max(until);
        let wire = Rc::clone(self);
        self.world().at(until, move || {
            wire.pass_up();
            wire.pass_down();
        });
    }

    /// Half open: nothing comes back any more, nothing gets there, no error.
    pub fn go_dead(&self) {
        self.state.borrow_mut().dead = true;
    }

    /// The client hears nothing more, and its commands arrive.
    pub fn go_deaf(&self) {
        self.state.borrow_mut().deaf = true;
    }

    /// The server, or something in between, ends it. Half of the time what was on
    /// its way to the server gets there.
    pub fn cut(self: &Rc<Self>, politely: bool) {
        let mut state = self.state.borrow_mut();
        if state.closed || state.end.is_some() {
            return;
        }
        state.end = Some(if politely { End::Closed } else { End::Reset });
        if !politely {
            state.arrived.clear();
        }
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        for waker in wakers {
            self.wake(waker);
        }
    }

    /// Nothing of it reaches the server any more.
    pub fn forget(&self) {
        let mut state = self.state.borrow_mut();
        state.dead = true;
        state.up.clear();
    }

    /// The client gives it up. What it wrote may still arrive; if it discards
    /// that, a part of it only.
    fn give_up(&self, discards: bool) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.reader = None;
        state.writer = None;
        if discards {
            let mut kept = self.world().chance.index(state.waiting_up + 1);
            for (_, piece) in &mut state.up {
                piece.truncate(kept);
                kept -= piece.len();
            }
            state.waiting_up = state.up.iter().map(|(_, piece)| piece.len()).sum();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.wire.state.borrow_mut();
        if !state.arrived.is_empty() {
            let most = buffer.remaining().min(state.arrived.len());
            let taken: Vec<u8> = state.arrived.drain(..most).collect();
            buffer.put_slice(&taken);
            return Poll::Ready(Ok(()));
        }
        match state.end {
            Some(End::Closed) => Poll::Ready(Ok(())),
            Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &self.wire;
        let world = wire.world();
        let mut state = wire.state.borrow_mut();
        if state.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = wire.network.window.saturating_sub(state.waiting_up);
        if room == 0 {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let length = bytes.len().min(room);
        let at = world.now().after(wire.network.delay(world));
        let at = at.max(state.last_up);
        state.last_up = at;
        state.waiting_up += length;
        state.up.push_back((at, bytes[..length].to_vec()));
        let arriving = Rc::clone(wire);
        world.at(at, move || arriving.pass_up());
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Socket {
    fn discard_unsent(&self) {
        self.discards.set(true);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.wire.give_up(self.discards.get());
    }
}
