//! One connection to one server: questions are written in batches, replies are
//! matched in order, and when it breaks it is dialled again.
//!
//! - While the first dial runs, questions wait for it within their deadlines.
//!   After a failed dial they fail at once until a dial in the background
//!   succeeds.
//! - An acquire or extend is written at most once. A release that was not
//!   answered when the connection broke is written again on the next one.
//! - A server that owes an answer for [`SILENCE`] is given up and dialled anew.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::command::{Answer, Form, Writer, answer, unexpected};
use super::config::Config;
use super::dial::{self, CLOSED, Dialled, dial};
use super::frame;
use super::network::{Network, Stream};
use super::owed::Owed;
use super::sentinel::Watch;
use super::standing::Standing;
use crate::engine::{
    Cause, Connection, Environment, Instant, Observer, Operation, Question, Reply, Task, Vote,
};

/// How long a server may owe an answer before its connection is given up.
const SILENCE: Duration = Duration::from_secs(2);

/// Beyond so many unanswered questions, a server that owes the oldest of them
/// for [`HESITATION`] gets no more: what waits for it is bounded. The releases
/// it is owed go out once it has caught up.
const BACKLOG: usize = 10_000;
const HESITATION: Duration = Duration::from_millis(200);

/// The wait before a dial, after a failed one: from the shortest, doubled each
/// time, to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A connection that keeps itself up for as long as somebody holds the link.
pub(super) struct Link {
    environment: Rc<dyn Environment>,
    encrypts: bool,
    state: RefCell<State>,
    standing: Standing,
    /// Whether the server has said that it is a master, when it was dialled.
    master: Cell<Option<bool>>,
}

struct State {
    phase: Phase,
    writer: Writer,
    /// Commands that are not yet written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// Questions whose command is in `out` or on its way, in order.
    unanswered: VecDeque<Asked>,
    /// How many of them, from the last, are new since the buffer was written.
    fresh: usize,
    owed: Owed,
    waker: Option<Waker>,
}

enum Phase {
    /// The first dial is under way; these wait for it.
    Dialling(VecDeque<Waiting>),
    Up,
    /// Out of reach since then, for this reason.
    Down(Instant, Cause),
}

enum Waiting {
    Question(Rc<Question>, Reply, Slot),
    Command(Vec<u8>, Done),
}

/// Whether the slot that a question's keys are in belongs to the server, if it
/// is one of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Own,
    /// It is just being moved there, and served only if that is asked for.
    Importing,
}

struct Asked {
    /// When its command was written, or found the way blocked; nothing before.
    at: Instant,
    wanted: Wanted,
}

/// What an answer is wanted for.
enum Wanted {
    Vote {
        question: Rc<Question>,
        form: Form,
        /// Nobody waits for the answer to an owed release.
        reply: Option<Reply>,
    },
    /// Something beside the votes.
    Answer(Done),
}

/// Who is told what came of a command.
pub(super) type Done = Box<dyn FnOnce(Result<Value, Cause>)>;

impl Link {
    /// Begins to dial at once.
    pub(super) fn open(config: Config, network: &Rc<Network>) -> Rc<Self> {
        let environment = &network.environment;
        let link = Rc::new(Self {
            encrypts: config.tls.is_some(),
            state: RefCell::new(State {
                phase: Phase::Dialling(VecDeque::new()),
                writer: Writer::new(&config.key_prefix),
                out: Vec::new(),
                written: 0,
                unanswered: VecDeque::new(),
                fresh: 0,
                owed: Owed::default(),
                waker: None,
            }),
            environment: Rc::clone(environment),
            standing: Standing::connecting(),
            master: Cell::new(None),
        });
        environment.spawn(keep_up(Rc::downgrade(&link), config, Rc::clone(network)));
        link
    }

    /// Puts `question` to the server.
    pub(super) fn ask(&self, question: &Rc<Question>, reply: Reply, slot: Slot) {
        let refused = {
            let mut state = self.state.borrow_mut();
            let overloaded = state.overloaded(self.environment.as_ref());
            match &mut state.phase {
                Phase::Dialling(waiting) if waiting.len() < BACKLOG => {
                    waiting.push_back(Waiting::Question(Rc::clone(question), reply, slot));
                    return;
                }
                Phase::Up if !overloaded => {
                    state.write(Rc::clone(question), Some(reply), slot);
                    state.wake();
                    return;
                }
                Phase::Up | Phase::Dialling(_) => {
                    state.owe(question, self.environment.now());
                    Cause::Overloaded {
                        waiting: state.unanswered.len().max(BACKLOG),
                    }
                }
                Phase::Down(since, cause) => {
                    let (since, cause) = (*since, cause.clone());
                    state.owe(question, since);
                    cause
                }
            }
        };
        // Only now: casting a vote may ask the next question of this link.
        reply.fail(refused);
    }

    /// Whether the server has said that it is a master, when it was dialled.
    pub(super) fn is_master(&self) -> Option<bool> {
        self.master.get()
    }

    /// Since when it has been out of reach.
    pub(super) fn down_since(&self) -> Option<Instant> {
        match &self.state.borrow().phase {
            Phase::Down(since, _) => Some(*since),
            Phase::Up | Phase::Dialling(_) => None,
        }
    }

    /// Whether commands can be sent.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Up)
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.borrow();
        let waits = matches!(&state.phase, Phase::Dialling(waiting) if !waiting.is_empty());
        state.unanswered.is_empty() && !waits
    }

    /// Sends a command beside the votes, at most once, on the connection that is
    /// there or being made for the first time; `done` is told the reply, be it the
    /// server's error.
    pub(super) fn call(&self, command: &Cmd, done: Done) {
        let refused = {
            let mut state = self.state.borrow_mut();
            let overloaded = state.overloaded(self.environment.as_ref());
            match &mut state.phase {
                Phase::Dialling(waiting) => {
                    waiting.push_back(Waiting::Command(command.get_packed_command(), done));
                    return;
                }
                Phase::Up if !overloaded => {
                    command.write_packed_command(&mut state.out);
                    state.expect(Wanted::Answer(done));
                    state.wake();
                    return;
                }
                Phase::Down(_, cause) => cause.clone(),
                Phase::Up => Cause::Overloaded {
                    waiting: state.unanswered.len(),
                },
            }
        };
        done(Err(refused));
    }

    /// What is known to be wrong with it.
    pub(super) fn trouble(&self) -> Option<Rc<str>> {
        let state = self.state.borrow();
        let Phase::Dialling(_) = state.phase else {
            return None;
        };
        Some(if self.encrypts {
            "its TLS connection is not made yet: it is hung, overloaded or cut off from here, or does not speak TLS on this port".into()
        } else {
            "its connection is not made yet: the server is hung, overloaded or cut off from here"
                .into()
        })
    }

    /// Tells `observer` how the connection is, now and whenever that changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.standing.observe(index, observer);
    }

    /// The first dial is done, or a later one: what waits may go.
    fn go_up(&self, keyspace: Option<Rc<str>>) {
        self.standing.tell(&Connection::Ready { keyspace });
        let mut late = Vec::new();
        let mut state = self.state.borrow_mut();
        state.pay();
        if let Phase::Dialling(waiting) = std::mem::replace(&mut state.phase, Phase::Up) {
            for waiting in waiting {
                match waiting {
                    Waiting::Question(question, reply, slot) if self.is_wanted(&question) => {
                        state.write(question, Some(reply), slot);
                    }
                    Waiting::Question(_, reply, _) => late.push(reply),
                    Waiting::Command(command, done) => {
                        state.out.extend(command);
                        state.expect(Wanted::Answer(done));
                    }
                }
            }
        }
        drop(state);
        // Nobody waits for these any more; their votes are missed already.
        drop(late);
    }

    /// Nobody can be asked until the next dial succeeds.
    fn go_down(&self, cause: &Cause) {
        let now = self.environment.now();
        let mut failed = Vec::new();
        let mut state = self.state.borrow_mut();
        state.out = Vec::new();
        state.written = 0;
        state.fresh = 0;
        let mut unanswered = Vec::new();
        for asked in std::mem::take(&mut state.unanswered) {
            match asked.wanted {
                Wanted::Vote {
                    question, reply, ..
                } => {
                    state.owe(&question, now);
                    failed.extend(reply.map(|reply| (reply, lost(cause))));
                }
                Wanted::Answer(done) => unanswered.push((done, lost(cause))),
            }
        }
        let down = Phase::Down(now, cause.clone());
        match std::mem::replace(&mut state.phase, down) {
            Phase::Dialling(waiting) => {
                for waiting in waiting {
                    match waiting {
                        Waiting::Question(question, reply, _) => {
                            state.owe(&question, now);
                            failed.push((reply, cause.clone()));
                        }
                        Waiting::Command(_, done) => unanswered.push((done, cause.clone())),
                    }
                }
            }
            Phase::Up => {}
            // It has been out of reach for longer.
            Phase::Down(since, _) => state.phase = Phase::Down(since, cause.clone()),
        }
        drop(state);
        // First of all: who has another way takes it from now on.
        self.standing.tell_down(cause);
        for (reply, cause) in failed {
            reply.fail(cause);
        }
        for (done, cause) in unanswered {
            done(Err(cause));
        }
    }
}

impl State {
    fn write(&mut self, question: Rc<Question>, reply: Option<Reply>, slot: Slot) {
        let form = match slot {
            Slot::Own => self.writer.write(&mut self.out, &question),
            Slot::Importing => {
                cmd("ASKING").write_packed_command(&mut self.out);
                self.expect(Wanted::Answer(Box::new(drop)));
                // That holds for one command: a script that turns out to be
                // unknown could not be sent again.
                self.writer.write_in_full(&mut self.out, &question)
            }
        };
        self.expect(Wanted::Vote {
            question,
            form,
            reply,
        });
    }

    /// The server did not know the script, and did nothing.
    fn write_in_full(&mut self, question: Rc<Question>, reply: Option<Reply>) {
        let form = Form::Text;
        self.writer.write_script(&mut self.out, &question, form);
        self.expect(Wanted::Vote {
            question,
            form,
            reply,
        });
    }

    /// A command was appended to `out`, whose answer is wanted.
    fn expect(&mut self, wanted: Wanted) {
        self.fresh += 1;
        self.unanswered.push_back(Asked {
            at: Instant::ORIGIN,
            wanted,
        });
    }

    /// Remembers a release for a key that may have been set before the server
    /// went out of reach at `since`.
    fn owe(&mut self, question: &Rc<Question>, since: Instant) {
        match question.operation {
            Operation::Release { since: held, .. } if held < since => {
                self.owed.add(Rc::clone(question));
            }
            _ => {}
        }
    }

    fn overloaded(&self, environment: &dyn Environment) -> bool {
        self.unanswered.len() >= BACKLOG
            && self
                .owing_since()
                .is_some_and(|since| environment.now().since(since) > HESITATION)
    }

    /// Since when the oldest answer has been owed.
    fn owing_since(&self) -> Option<Instant> {
        let owes = self.unanswered.len() > self.fresh;
        self.unanswered
            .front()
            .filter(|_| owes)
            .map(|asked| asked.at)
    }

    /// From now on the server owes what was written.
    fn mark_written(&mut self, now: Instant) {
        for asked in self.unanswered.iter_mut().rev().take(self.fresh) {
            asked.at = now;
        }
        self.fresh = 0;
    }

    /// Writes the releases that are owed, if the server isn't behind.
    fn pay(&mut self) {
        if self.owed.is_empty() || self.unanswered.len() >= BACKLOG / 2 {
            return;
        }
        for release in self.owed.take() {
            self.write(release, None, Slot::Own);
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Its task ends when it finds the link gone.
        self.state.get_mut().wake();
    }
}

/// Dials, serves the connection until it breaks, and dials again, for as long
/// as somebody holds the link.
fn keep_up(link: Weak<Link>, config: Config, network: Rc<Network>) -> Task {
    Box::pin(async move {
        let _mourner = Mourner(Weak::clone(&link));
        let mut backoff = Duration::ZERO;
        loop {
            match dial(&network, &config).await {
                Ok(Dialled {
                    stream,
                    greeting,
                    watch,
                }) => {
                    // The same server, database and prefix are the same keys.
                    let keyspace = greeting
                        .run_id
                        .map(|id| format!("{id}/{}/{}", config.db, config.key_prefix))
                        .map(Rc::from);
                    let Some((since, environment)) = link.upgrade().map(|link| {
                        link.master.set(greeting.master);
                        link.go_up(keyspace);
                        (link.environment.now(), Rc::clone(&link.environment))
                    }) else {
                        return;
                    };
                    let Some(cause) = serve(&link, stream, watch).await else {
                        return;
                    };
                    if let Some(link) = link.upgrade() {
                        link.go_down(&cause);
                    }
                    // A server that hangs up at once is not dialled in a loop.
                    if environment.now().since(since) > BACKOFF.1 {
                        backoff = Duration::ZERO;
                    }
                }
                Err(cause) => {
                    if let Some(link) = link.upgrade() {
                        link.go_down(&cause);
                    }
                }
            }
            let Some(pause) = link.upgrade().map(|link| link.pause(backoff)) else {
                return;
            };
            pause.await;
            backoff = (backoff * 2).clamp(BACKOFF.0, BACKOFF.1);
        }
    })
}

/// Should the link's task end by a panic, nobody serves the link any more: its
/// votes must then fail, and not wait for their deadlines.
struct Mourner(Weak<Link>);

impl Drop for Mourner {
    fn drop(&mut self) {
        if let Some(link) = self.0.upgrade() {
            link.go_down(&Cause::Dropped);
        }
    }
}

/// Resolves when the connection is over: with the reason, or with `None` when
/// nobody needs the link any more.
async fn serve(
    link: &Weak<Link>,
    stream: Box<dyn Stream>,
    mut watch: Option<Watch>,
) -> Option<Cause> {
    let mut pump = Pump {
        stream,
        heard: Vec::new(),
        alarm: None,
    };
    let end = poll_fn(|context| match link.upgrade() {
        None => Poll::Ready(None),
        Some(link) => {
            let moved = watch.as_mut().map(|watch| watch.as_mut().poll(context));
            match moved {
                Some(Poll::Ready(cause)) => Poll::Ready(Some(cause)),
                _ => pump.poll(&link, context).map(Some),
            }
        }
    })
    .await;
    if end.is_some() {
        pump.stream.discard_unsent();
    }
    end
}

/// What a link has while it is up.
struct Pump {
    stream: Box<dyn Stream>,
    /// Bytes that are not yet a whole reply.
    heard: Vec<u8>,
    /// When to look whether the server has been silent for too long.
    alarm: Option<Task>,
}

impl Pump {
    /// Writes and reads as much as there is; ready when the connection is over.
    fn poll(&mut self, link: &Link, context: &mut Context<'_>) -> Poll<Cause> {
        loop {
            if let Err(cause) = self.poll_write(link, context) {
                return Poll::Ready(cause);
            }
            // The waker first: an answer may bring the next question, whose
            // command is then written without another turn.
            link.state.borrow_mut().waker = Some(context.waker().clone());
            match self.poll_read(link, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(cause)) => return Poll::Ready(cause),
                Poll::Pending => break,
            }
        }
        self.poll_silence(link, context)
    }

    fn poll_write(&mut self, link: &Link, context: &mut Context<'_>) -> Result<(), Cause> {
        let mut state = link.state.borrow_mut();
        let state = &mut *state;
        while state.written < state.out.len() {
            let rest = &state.out[state.written..];
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(broken(CLOSED)),
                Poll::Ready(Ok(length)) => state.written += length,
                Poll::Ready(Err(error)) => return Err(broken(&error.to_string())),
            }
        }
        if state.fresh > 0 {
            state.mark_written(link.environment.now());
        }
        if state.written == state.out.len() {
            // TLS keeps what it has encrypted until it is flushed.
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(context) {
                return Err(broken(&error.to_string()));
            }
            state.written = 0;
            state.out.clear();
            state.out.shrink_to(LARGEST_KEPT);
        }
        Ok(())
    }

    fn poll_read(&mut self, link: &Link, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.heard.reserve(READ_AT_ONCE);
        let read = pin!(self.stream.read_buf(&mut self.heard)).poll(context);
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
        let mut at = 0;
        let outcome = loop {
            match frame::first(&self.heard[at..]) {
                Ok(None) => break Ok(()),
                Err(frame::NotARedisReply) => break Err(dial::not_redis()),
                Ok(Some((reply, length))) => {
                    at += length;
                    if let Err(cause) = link.take(reply) {
                        break Err(cause);
                    }
                }
            }
        };
        self.heard.drain(..at);
        self.heard.shrink_to(LARGEST_KEPT);
        link.state.borrow_mut().pay();
        Poll::Ready(outcome)
    }

    /// Ready when the server has owed an answer for too long.
    fn poll_silence(&mut self, link: &Link, context: &mut Context<'_>) -> Poll<Cause> {
        loop {
            let Some(since) = link.state.borrow().owing_since() else {
                return Poll::Pending;
            };
            let limit = since.after(SILENCE);
            if link.environment.now() >= limit {
                return Poll::Ready(Cause::Silent {
                    waited: SILENCE,
                    because: None,
                });
            }
            let alarm = self
                .alarm
                .get_or_insert_with(|| link.environment.sleep_until(limit));
            match alarm.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.alarm = None,
            }
        }
    }
}

impl Link {
    /// Matches a reply to the oldest question.
    fn take(&self, answered: Value) -> Result<(), Cause> {
        let mut state = self.state.borrow_mut();
        let Some(asked) = state.unanswered.pop_front() else {
            return Err(unexpected(&answered));
        };
        let (question, form, reply) = match asked.wanted {
            Wanted::Vote {
                question,
                form,
                reply,
            } => (question, form, reply),
            Wanted::Answer(done) => {
                drop(state);
                done(Ok(answered));
                return Ok(());
            }
        };
        let vote = match answer(answered, form, &question) {
            Answer::Vote(vote) => vote,
            Answer::UnknownScript(_) if self.is_wanted(&question) => {
                state.write_in_full(question, reply);
                return Ok(());
            }
            Answer::UnknownScript(cause) => Vote::Failed(cause),
        };
        drop(state);
        let demoted = matches!(
            &vote,
            Vote::Failed(cause @ Cause::Refused { .. }) if cause.reply() == Some("READONLY")
        );
        let end = demoted.then(|| vote.clone());
        if let Some(reply) = reply {
            reply.vote(vote);
        }
        match end {
            // The master has become a replica: its name may lead elsewhere now.
            Some(Vote::Failed(cause)) => Err(cause),
            _ => Ok(()),
        }
    }

    /// Whether somebody still waits for it, or it is owed.
    fn is_wanted(&self, question: &Question) -> bool {
        matches!(question.operation, Operation::Release { .. })
            || self.environment.now() < question.deadline
    }

    /// The wait before the next dial: never twice the same, so that a server
    /// that comes back is not dialled by everybody at once.
    fn pause(&self, backoff: Duration) -> Task {
        let wait = backoff.mul_f64(0.5 + self.environment.chance() / 2.0);
        self.environment
            .sleep_until(self.environment.now().after(wait))
    }
}

/// Buffers that a burst has blown up beyond this are given back.
const LARGEST_KEPT: usize = 256 * 1024;
const READ_AT_ONCE: usize = 16 * 1024;

/// Why a connection is gone, for the questions that come after.
fn broken(what: &str) -> Cause {
    Cause::Unreachable {
        what: format!("the connection was lost: {what}").into(),
    }
}

/// The same for questions that were on their way.
fn lost(cause: &Cause) -> Cause {
    match cause {
        Cause::Unreachable { what } => Cause::Lost {
            what: Rc::clone(what),
        },
        other => other.clone(),
    }
}
