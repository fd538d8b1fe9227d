//! Questions put to a server over a connection that is a piece of memory.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redlock_native::engine::{
    Environment as _, Instance as _, Instant, Question, Resources, Responder, Token, Vote, VoteSink,
};
use redlock_native::instances::redis::{
    Config, Connecting, Dialler, Endpoint, Network, Server, Stream,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::calls::{Counts, add, ttl};
use crate::names::{HELD, batches, resources};
use crate::world::World;

/// A link to a server of the run's own.
pub struct Line {
    world: World,
    server: Server,
    wire: Wire,
    votes: Rc<Votes>,
    /// Those of the batch before, whose memory the next ones take, as the engine's do.
    questions: RefCell<Vec<Rc<Question>>>,
}

impl Default for Line {
    fn default() -> Self {
        let world = World::default();
        let wire = Wire::default();
        let network = Network::new(world.environment(), Rc::new(wire.clone()));
        let endpoint = Endpoint::Tcp {
            host: "server".into(),
            port: 6379,
        };
        let line = Self {
            server: Server::open(Config::new(endpoint), &network),
            world,
            wire,
            votes: Rc::default(),
            questions: RefCell::default(),
        };
        line.settle();
        line
    }
}

impl Line {
    /// Takes all of these, and releases what was granted.
    pub fn cycle(&self, names: &[Resources]) {
        let now = self.world.now();
        let deadline = now.after(Duration::from_secs(1));
        let mut values = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let value = Token::random(&self.world);
            values.push(value.clone());
            let name = Resources::clone(name);
            self.ask(
                Question::acquire(ttl(10_000.0), name, value, deadline),
                index,
            );
        }
        self.settle();
        self.votes.releases.set(true);
        for index in self.votes.granted.take() {
            let (name, value) = (Resources::clone(&names[index]), values[index].clone());
            self.ask(
                Question::release(now, Instant::LAST, name, value, deadline),
                index,
            );
        }
        self.settle();
        self.votes.releases.set(false);
    }

    fn ask(&self, question: Question, index: usize) {
        let votes = Rc::clone(&self.votes);
        let mut known = self.questions.borrow_mut();
        if known.len() <= index {
            known.push(Rc::new(question));
        } else if let Some(spent) = Rc::get_mut(&mut known[index]) {
            *spent = question;
        } else {
            known[index] = Rc::new(question);
        }
        self.server.ask(&known[index], Responder::new(votes, index));
    }

    /// Until nothing is on its way any more.
    fn settle(&self) {
        self.world.pass(Duration::from_millis(1));
        while self.wire.serve() {
            self.world.run();
        }
    }
}

/// Who counts the votes.
#[derive(Default)]
struct Votes {
    counts: Counts,
    releases: Cell<bool>,
    granted: RefCell<Vec<usize>>,
}

impl VoteSink for Votes {
    fn cast(self: Rc<Self>, index: usize, vote: Vote) {
        match vote {
            Vote::Granted if self.releases.get() => add(&self.counts.released),
            Vote::Granted => {
                add(&self.counts.granted);
                self.granted.borrow_mut().push(index);
            }
            _ => add(&self.counts.refused),
        }
    }
}

/// Both ends of a connection. Clones are the same one.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Bytes>>);

#[derive(Default)]
struct Bytes {
    commands: Vec<u8>,
    replies: Vec<u8>,
    reader: Option<Waker>,
}

impl Wire {
    /// Has the server answer what it was sent; whether that was anything.
    fn serve(&self) -> bool {
        let mut bytes = self.0.borrow_mut();
        let Bytes {
            commands, replies, ..
        } = &mut *bytes;
        if commands.is_empty() {
            return false;
        }
        let mut rest = &commands[..];
        while !rest.is_empty() {
            answer(&mut rest, replies);
        }
        commands.clear();
        let reader = bytes.reader.take();
        drop(bytes);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }
}

/// Answers the first of these commands, as a server would that has what it is asked
/// to delete.
fn answer(commands: &mut &[u8], replies: &mut Vec<u8>) {
    let count = number(commands);
    let mut words = (0..count).map(|_| word(commands));
    let mut next = || words.next().unwrap_or_default();
    match next() {
        b"SET" => replies.extend(if next().starts_with(HELD.as_bytes()) {
            b"$-1\r\n"
        } else {
            &b"+OK\r\n"[..]
        }),
        b"EVALSHA" | b"EVAL" => {
            next();
            let keys = String::from_utf8_lossy(next()).parse().unwrap_or(0);
            if keys > 1 && count == 3 + 2 * keys {
                // Releases in one call: a letter for each.
                replies.extend(format!("${keys}\r\n").bytes());
                replies.extend((0..keys).map(|_| b'1'));
                replies.extend(b"\r\n");
            } else {
                replies.extend(b":1\r\n");
            }
        }
        b"PING" => replies.extend(b"+PONG\r\n"),
        b"INFO" => replies.extend(b"$0\r\n\r\n"),
        _ => replies.extend(b"+OK\r\n"),
    }
    words.for_each(drop);
}

/// What follows `*` or `$`.
fn number(bytes: &mut &[u8]) -> usize {
    let mut number = 0;
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        match byte {
            b'0'..=b'9' => number = number * 10 + usize::from(byte - b'0'),
            b'\n' => break,
            _ => {}
        }
    }
    number
}

fn word<'bytes>(bytes: &mut &'bytes [u8]) -> &'bytes [u8] {
    let length = number(bytes);
    let (word, rest) = bytes.split_at(length);
    *bytes = &rest[2..];
    word
}

impl Dialler for Wire {
    fn connect<'a>(&'a self, _: &'a Config) -> Connecting<'a> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Stream>) })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = self.0.borrow_mut();
        if bytes.replies.is_empty() {
            bytes.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let most = buffer.remaining().min(bytes.replies.len());
        buffer.put_slice(&bytes.replies[..most]);
        bytes.replies.drain(..most);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().commands.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Wire {
    fn discard_unsent(&self) {}
}

/// Questions over one link: what a lock and its unlock cost for each server.
pub fn to_a_server(cycles: u32) {
    let line = Line::default();
    // The first on a connection is a script.
    line.cycle(&resources(0, 1));
    line.votes.counts.reset();
    for names in batches(cycles, resources) {
        line.cycle(&names);
    }
    line.votes.counts.expect(cycles);
}
