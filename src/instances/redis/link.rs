//! One connection to one server: questions are written in batches, replies are
//! matched in order, and when it breaks it is dialled again.
//!
//! - While the first dial runs, questions wait for it within their deadlines.
//!   After a failed dial they fail at once until a dial in the background
//!   succeeds.
//! - An acquire or extend is written at most once. A release that was not
//!   answered when the connection broke is written again on the next one.
//! - A server that owes an answer for [`SILENCE`] is given up and dialled anew;
//!   so is one whose reply is none to the oldest question.
//! - Extensions and releases go before acquires: only so many acquires are on
//!   their way at a time, and the others wait, for as long as somebody waits for
//!   them. A release withdraws its own acquire if that is still unwritten.

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

use super::command::{Answer, Form, Writer, unexpected};
use super::config::Config;
use super::dial::{CLOSED, Dialled, dial, unasked};
use super::frame::Replies;
use super::network::{Network, Stream};
use super::owed::Owed;
use super::queue::{Queue, Queued, weight_of};
use super::redact::Redactor;
use super::sentinel::Watch;
use super::standing::Standing;
use crate::engine::{
    Cause, Connection, Environment, Instant, Observer, Operation, Question, Reply, Rule, Task, Vote,
};

/// How long a server may owe an answer before its connection is given up.
const SILENCE: Duration = Duration::from_secs(2);

/// Beyond so many unanswered questions, a server that owes the oldest of them
/// for [`HESITATION`] gets no more: what waits for it is bounded. The releases
/// it is owed go out once it has caught up.
const BACKLOG: usize = 10_000;
const HESITATION: Duration = Duration::from_millis(200);

/// What waits for a server is bounded in bytes too. Extensions and releases may
/// fill a reserve beyond what acquires may.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;
const RESERVE: usize = MOST_BYTES / 4;

/// So many acquires are on their way at most, and of so many bytes: an extension
/// is not behind more of them. A server does that in some 20 ms.
const MOST_ACQUIRES: usize = 2000;
const MOST_ACQUIRES_BYTES: usize = 256 * 1024;

/// Beyond so many questions on their way releases wait too, which come by the
/// hundred thousand where so many contend: only extensions never do.
const MOST_BEFORE_EXTENSIONS: usize = 2 * MOST_ACQUIRES;

/// How long a reply may be, in bytes: to a command of ours, to a script of the
/// caller's, to CLUSTER SLOTS.
const LONGEST_REPLY: usize = 64 * 1024;
const LONGEST_REPLY_TO_OTHERS: usize = 1024 * 1024;
const LONGEST_MAP: usize = 8 * 1024 * 1024;

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
    redactor: Redactor,
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
    /// What all of them weigh.
    weight: usize,
    /// The acquires among them, and what those weigh.
    under_way: (usize, usize),
    /// Releases that are not to be written yet.
    releases: VecDeque<Queued>,
    /// Acquires that are not to be written yet, nor before those.
    acquires: Queue,
    /// Bytes of an incomplete reply.
    heard: usize,
    owed: Owed,
    waker: Option<Waker>,
}

enum Phase {
    /// The first dial is under way; these wait for it, and acquires.
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
    /// About how many bytes it keeps.
    weight: usize,
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
    /// Something beside the votes: an array, or an error.
    Array(Done),
    /// Leave to ask for a key that is just being moved: OK, or an error.
    Leave,
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
                weight: 0,
                under_way: (0, 0),
                releases: VecDeque::new(),
                acquires: Queue::default(),
                heard: 0,
                owed: Owed::default(),
                waker: None,
            }),
            redactor: Redactor::new(&config),
            environment: Rc::clone(environment),
            standing: Standing::connecting(),
            master: Cell::new(None),
        });
        environment.spawn(keep_up(Rc::downgrade(&link), config, Rc::clone(network)));
        link
    }

    /// Puts `question` to the server.
    pub(super) fn ask(&self, question: &Rc<Question>, reply: Reply, slot: Slot) {
        let (withdrawn, refused) = {
            let mut state = self.state.borrow_mut();
            let withdrawn = state.withdraw(question);
            let refused = state.take_on(question, reply, slot, self.environment.as_ref());
            if refused.is_err() && withdrawn.is_empty() {
                state.owe(question, self.environment.now());
            }
            (withdrawn, refused)
        };
        // Only now: casting a vote may ask the next question of this link.
        for acquire in withdrawn {
            acquire.fail(Cause::Withdrawn);
        }
        if let Err((reply, cause)) = refused {
            reply.fail(cause);
        }
    }

    /// About how many bytes it keeps for what is not answered yet.
    #[cfg(any(test, feature = "sabotage"))]
    pub(super) fn weight(&self) -> usize {
        let state = self.state.borrow();
        let unwritten = state.out.len() - state.written;
        state.waiting_bytes() + unwritten + state.heard + state.owed.weight()
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
        let queued = !state.releases.is_empty() || !state.acquires.is_empty();
        state.unanswered.is_empty() && !queued && !waits
    }

    /// Sends a command beside the votes, at most once, on the connection that is
    /// there or being made for the first time; `done` is told the reply, which is
    /// an array or the server's error.
    pub(super) fn call(&self, command: &Cmd, done: Done) {
        let refused = {
            let mut state = self.state.borrow_mut();
            let overloaded = state.is_overloaded(false, false, self.environment.as_ref());
            match &mut state.phase {
                Phase::Dialling(waiting) => {
                    waiting.push_back(Waiting::Command(command.get_packed_command(), done));
                    return;
                }
                Phase::Up if !overloaded => {
                    let before = state.out.len();
                    command.write_packed_command(&mut state.out);
                    state.expect(before, Wanted::Array(done));
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
        state.writer.begin();
        state.pay(self.environment.as_ref());
        if let Phase::Dialling(waiting) = std::mem::replace(&mut state.phase, Phase::Up) {
            for waiting in waiting {
                match waiting {
                    Waiting::Question(question, reply, slot) => {
                        state.weight -= weight_of(&question);
                        if question.is_wanted(self.environment.now()) {
                            state.write(question, Some(reply), slot);
                        } else {
                            late.push(reply);
                        }
                    }
                    Waiting::Command(command, done) => {
                        let before = state.out.len();
                        state.out.extend(command);
                        state.expect(before, Wanted::Array(done));
                    }
                }
            }
        }
        state.write_waiting(self.environment.as_ref(), &mut late);
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
        state.weight = 0;
        state.under_way = (0, 0);
        state.heard = 0;
        let mut unanswered = Vec::new();
        for asked in std::mem::take(&mut state.unanswered) {
            match asked.wanted {
                Wanted::Vote {
                    question, reply, ..
                } => {
                    state.owe(&question, now);
                    failed.extend(reply.map(|reply| (reply, lost(cause))));
                }
                Wanted::Array(done) => unanswered.push((done, lost(cause))),
                Wanted::Leave => {}
            }
        }
        for release in std::mem::take(&mut state.releases) {
            state.owe(&release.question, now);
            failed.push((release.reply, cause.clone()));
        }
        while let Some(acquire) = state.acquires.pop() {
            failed.push((acquire.reply, cause.clone()));
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
    /// Writes `question`, or has it wait; or refuses it.
    fn take_on(
        &mut self,
        question: &Rc<Question>,
        reply: Reply,
        slot: Slot,
        environment: &dyn Environment,
    ) -> Result<(), (Reply, Cause)> {
        let acquires = is_acquire(question);
        if let Phase::Down(_, cause) = &self.phase {
            return Err((reply, cause.clone()));
        }
        let releases = matches!(question.operation, Operation::Release { .. });
        if self.is_overloaded(acquires, releases, environment) {
            let waiting = self.unanswered.len() + self.releases.len() + self.acquires.len();
            return Err((reply, Cause::Overloaded { waiting }));
        }
        let waits = acquires && Rule::Order.is_kept() && !self.can_write_waiting();
        let releases_wait = releases && !self.can_write_releases();
        let question = Rc::clone(question);
        match &mut self.phase {
            _ if waits => self.acquires.push(Queued {
                question,
                reply,
                slot,
            }),
            Phase::Dialling(waiting) => {
                self.weight += weight_of(&question);
                waiting.push_back(Waiting::Question(question, reply, slot));
            }
            Phase::Up if releases_wait => {
                self.weight += weight_of(&question);
                self.releases.push_back(Queued {
                    question,
                    reply,
                    slot,
                });
            }
            Phase::Up | Phase::Down(..) => {
                self.write(question, Some(reply), slot);
                self.wake();
            }
        }
        Ok(())
    }

    /// Whether a new release need not wait.
    fn can_write_releases(&self) -> bool {
        let has_room = self.unanswered.len() < MOST_BEFORE_EXTENSIONS;
        !Rule::Order.is_kept() || self.releases.is_empty() && has_room
    }

    /// Takes the acquires that `question` is to release and that are not written
    /// yet: on the server they must not come after it.
    fn withdraw(&mut self, question: &Question) -> Vec<Reply> {
        if matches!(question.operation, Operation::Release { .. }) && Rule::Order.is_kept() {
            self.acquires.withdraw(question)
        } else {
            Vec::new()
        }
    }

    /// Whether a new acquire need not wait.
    fn can_write_waiting(&self) -> bool {
        let none_waits = self.releases.is_empty() && self.acquires.is_empty();
        matches!(self.phase, Phase::Up) && none_waits && self.has_room()
    }

    /// Whether another acquire may be on its way.
    fn has_room(&self) -> bool {
        let (number, weight) = self.under_way;
        number == 0 || (number < MOST_ACQUIRES && weight < MOST_ACQUIRES_BYTES)
    }

    /// Writes as many of the releases, and then of the acquires, that wait as may
    /// be on their way. Acquires that nobody waits for any more are `late`.
    fn write_waiting(&mut self, environment: &dyn Environment, late: &mut Vec<Reply>) {
        if !self.releases.is_empty() && self.unanswered.len() <= MOST_BEFORE_EXTENSIONS / 2 {
            while self.unanswered.len() < MOST_BEFORE_EXTENSIONS
                && let Some(release) = self.releases.pop_front()
            {
                self.weight -= weight_of(&release.question);
                self.write(release.question, Some(release.reply), release.slot);
            }
        }
        if !self.releases.is_empty() {
            return;
        }
        // Not one at a time as the answers come: that would cost a system call each.
        let (number, weight) = self.under_way;
        let is_half = number <= MOST_ACQUIRES / 2 && weight <= MOST_ACQUIRES_BYTES / 2;
        if self.acquires.is_empty() || !(is_half || number == 0) {
            return;
        }
        let now = environment.now();
        while self.has_room() {
            let Some(acquire) = self.acquires.pop() else {
                return;
            };
            if now < acquire.question.deadline {
                self.write(acquire.question, Some(acquire.reply), acquire.slot);
            } else {
                late.push(acquire.reply);
            }
        }
    }

    fn write(&mut self, question: Rc<Question>, reply: Option<Reply>, slot: Slot) {
        let mut before = self.out.len();
        let form = match slot {
            Slot::Own => self.writer.write(&mut self.out, &question),
            Slot::Importing => {
                cmd("ASKING").write_packed_command(&mut self.out);
                self.expect(before, Wanted::Leave);
                before = self.out.len();
                // That holds for one command: a script that turns out to be
                // unknown could not be sent again.
                self.writer.write_in_full(&mut self.out, &question)
            }
        };
        let vote = Wanted::Vote {
            question,
            form,
            reply,
        };
        self.expect(before, vote);
    }

    /// The server did not know the script, and did nothing. Returns who asked if
    /// it is not to be written again: an acquire's release is on its way already.
    fn write_in_full(
        &mut self,
        question: Rc<Question>,
        reply: Option<Reply>,
    ) -> Result<(), Option<Reply>> {
        if is_acquire(&question) && Rule::Order.is_kept() && self.is_being_released(&question) {
            return Err(reply);
        }
        let form = Form::Text;
        let before = self.out.len();
        self.writer.write_script(&mut self.out, &question, form);
        let vote = Wanted::Vote {
            question,
            form,
            reply,
        };
        self.expect(before, vote);
        Ok(())
    }

    /// Whether a release of what `acquire` asks for was written.
    fn is_being_released(&self, acquire: &Question) -> bool {
        self.unanswered.iter().any(|asked| match &asked.wanted {
            Wanted::Vote { question, .. } => {
                matches!(question.operation, Operation::Release { .. })
                    && question.value == acquire.value
                    && question.shares_a_resource(acquire)
            }
            Wanted::Array(_) | Wanted::Leave => false,
        })
    }

    /// A command was appended to `out` from `before` on, whose answer is wanted.
    fn expect(&mut self, before: usize, wanted: Wanted) {
        self.fresh += 1;
        let asked = Asked {
            at: Instant::ORIGIN,
            weight: self.out.len() - before,
            wanted,
        };
        self.weight += asked.weight;
        if asked.wanted.is_acquire() {
            self.under_way.0 += 1;
            self.under_way.1 += asked.weight;
        }
        self.unanswered.push_back(asked);
    }

    /// The oldest question, which has been answered; `None` if none was written.
    fn answered(&mut self) -> Option<Wanted> {
        if self.owes_nothing() && Rule::ReplyKind.is_kept() {
            return None;
        }
        let asked = self.unanswered.pop_front()?;
        self.fresh = self.fresh.min(self.unanswered.len());
        self.weight -= asked.weight;
        if asked.wanted.is_acquire() {
            self.under_way.0 -= 1;
            self.under_way.1 -= asked.weight;
        }
        Some(asked.wanted)
    }

    /// Whether the server has no question that it could answer.
    fn owes_nothing(&self) -> bool {
        self.unanswered.len() == self.fresh
    }

    /// How long the reply to the oldest question may be.
    fn longest_reply(&self) -> usize {
        match self.unanswered.front().map(|asked| &asked.wanted) {
            Some(Wanted::Vote { question, .. }) if question.script().is_some() => {
                LONGEST_REPLY_TO_OTHERS
            }
            Some(Wanted::Array(_)) => LONGEST_MAP,
            Some(Wanted::Vote { .. } | Wanted::Leave) | None => LONGEST_REPLY,
        }
    }

    /// Remembers a release for a key that may have been set before `now`, or before
    /// the server went out of reach.
    fn owe(&mut self, question: &Rc<Question>, now: Instant) {
        let since = match self.phase {
            Phase::Down(since, _) => since,
            Phase::Dialling(_) | Phase::Up => now,
        };
        match question.operation {
            Operation::Release { since: held, .. } if held < since => {
                self.owed.add(Rc::clone(question));
            }
            Operation::Acquire { .. } | Operation::Extend { .. } if !Rule::WriteOnce.is_kept() => {
                self.owed.add(Rc::clone(question));
            }
            _ => {}
        }
    }

    /// Whether so much waits for the server that one more acquire, or another
    /// question, is refused. Acquires that wait don't count against the others.
    fn is_overloaded(&self, acquires: bool, releases: bool, environment: &dyn Environment) -> bool {
        if !Rule::Bounded.is_kept() {
            return false;
        }
        let most_bytes = MOST_BYTES + if acquires { 0 } else { RESERVE };
        if self.waiting_bytes() > most_bytes {
            return true;
        }
        let queued = match (acquires, releases) {
            (true, _) => self.acquires.len(),
            (_, true) => self.releases.len(),
            _ => 0,
        };
        if let Phase::Dialling(waiting) = &self.phase {
            return waiting.len() + queued >= BACKLOG;
        }
        if self.unanswered.len() + queued < BACKLOG {
            return false;
        }
        self.owing_since()
            .is_some_and(|since| environment.now().since(since) > HESITATION)
    }

    /// About how many bytes wait for an answer or to be written.
    fn waiting_bytes(&self) -> usize {
        self.weight + self.acquires.weight()
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

    /// Writes the releases that are owed, as far as the server isn't behind.
    fn pay(&mut self, environment: &dyn Environment) {
        if self.owed.is_empty() {
            return;
        }
        let now = environment.now();
        while self.unanswered.len() < BACKLOG / 2 {
            let Some(release) = self.owed.pop(now) else {
                return;
            };
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

impl Wanted {
    fn is_acquire(&self) -> bool {
        matches!(self, Self::Vote { question, .. } if is_acquire(question))
    }
}

fn is_acquire(question: &Question) -> bool {
    matches!(question.operation, Operation::Acquire { .. })
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
        heard: Replies::default(),
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
    heard: Replies,
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
        let outcome = loop {
            let longest = link.state.borrow().longest_reply();
            match self.heard.next(longest) {
                Ok(None) if self.heard.waiting() > 0 && link.state.borrow().owes_nothing() => {
                    break out_of_step(unasked());
                }
                Ok(None) => break Ok(()),
                Err(unreadable) => break Err(unreadable.into()),
                Ok(Some(reply)) => {
                    if let Err(cause) = link.take(reply) {
                        break Err(cause);
                    }
                }
            }
        };
        let mut late = Vec::new();
        let mut state = link.state.borrow_mut();
        state.heard = self.heard.waiting();
        if outcome.is_ok() {
            state.pay(link.environment.as_ref());
            state.write_waiting(link.environment.as_ref(), &mut late);
        }
        drop(state);
        // Nobody waits for these any more; their votes are missed already.
        drop(late);
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
        let Some(wanted) = state.answered() else {
            return Err(unexpected(&answered));
        };
        let (question, form, reply) = match wanted {
            Wanted::Vote {
                question,
                form,
                reply,
            } => (question, form, reply),
            Wanted::Array(done) => {
                drop(state);
                let end = match &answered {
                    Value::Array(_) | Value::ServerError(_) => Ok(()),
                    other => out_of_step(unexpected(other)),
                };
                done(Ok(answered));
                return end;
            }
            Wanted::Leave => {
                return match &answered {
                    Value::Okay | Value::ServerError(_) => Ok(()),
                    other => out_of_step(unexpected(other)),
                };
            }
        };
        let answer = state
            .writer
            .answer(answered, form, &question, &self.redactor);
        let (vote, end) = match answer {
            Answer::Vote(Vote::Failed(cause)) if cause.reply() == Some("READONLY") => {
                // The master has become a replica: its name may lead elsewhere now.
                (Vote::Failed(cause.clone()), Err(cause))
            }
            Answer::Vote(vote) => (vote, Ok(())),
            Answer::UnknownScript(_) if question.is_wanted(self.environment.now()) => {
                let written = state.write_in_full(question, reply);
                drop(state);
                if let Err(Some(reply)) = written {
                    reply.fail(Cause::Withdrawn);
                }
                return Ok(());
            }
            Answer::UnknownScript(cause) => (Vote::Failed(cause), Ok(())),
            Answer::Impossible(cause) => {
                // Nobody knows whether it was carried out.
                state.owe(&question, self.environment.now());
                (Vote::Failed(cause.clone()), Err(cause))
            }
        };
        drop(state);
        if let Some(reply) = reply {
            reply.vote(vote);
        }
        end
    }

    /// The wait before the next dial: never twice the same, so that a server
    /// that comes back is not dialled by everybody at once.
    fn pause(&self, backoff: Duration) -> Task {
        let wait = backoff.mul_f64(0.5 + self.environment.chance() / 2.0);
        self.environment
            .sleep_until(self.environment.now().after(wait))
    }
}

/// A buffer that a burst has blown up beyond this is given back.
const LARGEST_KEPT: usize = 256 * 1024;

/// A reply that its command can't give ends the link: whose the next one is,
/// nobody knows.
fn out_of_step(cause: Cause) -> Result<(), Cause> {
    if Rule::ReplyKind.is_kept() {
        Err(cause)
    } else {
        Ok(())
    }
}

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
        Cause::Unexpected { .. } | Cause::Refused { .. } => Cause::Lost {
            what: format!("it was given up after {cause}").into(),
        },
        other => other.clone(),
    }
}
