//! One connection to one server: questions are written in batches, replies are
//! matched in order, and when it breaks it is dialled again.
//!
//! - While the first dial runs, or the first after a loss, questions wait for it
//!   within their deadlines. After a failed dial they fail at once until a dial in
//!   the background succeeds.
//! - An acquire or extend is written at most once. A release that was not
//!   answered when the connection broke is written again on the next one.
//! - A server that owes an answer for [`SILENCE`] is given up and dialled anew;
//!   so is one whose reply is none to the oldest question.
//! - One that says nothing for less than that is dialled beside the connection
//!   there is (`pump.rs`). Where that succeeds, questions go by the new
//!   connection, and the former one is only listened to.
//! - Extensions and releases go before acquires: only so many acquires are on
//!   their way at a time, and the others wait, for as long as somebody waits for
//!   them. A release withdraws its own acquire if that is still unwritten.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use super::command::{Answer, Form, Writer, unexpected};
use super::config::Config;
use super::dial::{dial, unreachable};
use super::line::{Done, Line, MOST_ACQUIRES, MOST_ACQUIRES_BYTES, Wanted, is_acquire, is_release};
use super::network::Network;
use super::owed::Owed;
use super::pump::{End, Pump, serve};
use super::queue::{Queue, Queued, weight_of};
use super::redact::Redactor;
use super::standing::Standing;
use crate::engine::{
    Ballot, Cause, Connection, Environment, Instant, Meter, Observer, Operation, Question, Reply,
    RoundTrip, Rule, Vote, supervised,
};

/// How long a server may owe an answer before its connection is given up.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// Beyond so many unanswered questions, a server that owes the oldest of them
/// for [`HESITATION`] gets no more: what waits for it is bounded. The releases
/// it is owed go out once it has caught up.
const BACKLOG: usize = 10_000;
const HESITATION: Duration = Duration::from_millis(200);

/// What waits for a server is bounded in bytes too. Extensions and releases may
/// fill a reserve beyond what acquires may.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;
const RESERVE: usize = MOST_BYTES / 4;

/// How long a server takes for [`MOST_ACQUIRES`]. One that is further away may have
/// several times as many on their way.
const WINDOW: Duration = Duration::from_millis(20);
const MOST_WINDOWS: usize = 4;

/// Beyond so many questions on their way releases wait too, which come by the
/// hundred thousand where so many contend: only extensions never do.
const MOST_BEFORE_EXTENSIONS: usize = 2 * MOST_ACQUIRES;

/// How many round trips it takes to connect and log in.
pub(super) const TRIPS_OF_A_DIAL: u32 = 2;

/// The wait before a dial, after a failed one: from the shortest, doubled each
/// time, to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// No two dials begin sooner after each other.
const LEAST: Duration = Duration::from_millis(25);

/// A server that restarts refuses for a moment to be dialled. So long after a loss
/// it is tried again and again, and questions wait: no deadline is longer.
const RESTART: Duration = Duration::from_secs(1);

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
    /// The connection that there is.
    line: Line,
    /// The one before, for as long as it may still answer.
    former: Option<Line>,
    /// Releases that are not to be written yet.
    releases: VecDeque<Queued>,
    /// Acquires that are not to be written yet, nor before those.
    acquires: Queue,
    /// What waits for a dial and what `releases` are weigh.
    weight: usize,
    owed: Owed,
    /// From when a question was written until it was answered, on all of its
    /// connections.
    meter: Meter,
    waker: Option<Waker>,
}

enum Phase {
    /// The first dial is under way, or the first one after a loss; these wait for
    /// it, and acquires and releases that were not written before.
    Dialling(Option<Outage>, VecDeque<Waiting>),
    Up,
    Down(Outage),
}

/// Out of reach since then, for this reason.
#[derive(Clone)]
struct Outage {
    since: Instant,
    cause: Cause,
    /// A dial has failed since the loss.
    is_known: bool,
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

/// Which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Present,
    Former,
}

impl Link {
    /// Begins to dial at once.
    pub(super) fn open(config: Config, network: &Rc<Network>) -> Rc<Self> {
        let environment = &network.environment;
        let link = Rc::new(Self {
            encrypts: config.tls.is_some(),
            state: RefCell::new(State {
                phase: Phase::Dialling(None, VecDeque::new()),
                writer: Writer::new(&config.key_prefix),
                line: Line::default(),
                former: None,
                releases: VecDeque::new(),
                acquires: Queue::default(),
                weight: 0,
                owed: Owed::default(),
                meter: Meter::default(),
                waker: None,
            }),
            redactor: Redactor::new(&config),
            environment: Rc::clone(environment),
            standing: Standing::connecting(),
            master: Cell::new(None),
        });
        keep_up(&link, config, network);
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
        let lines = state.former.iter().chain([&state.line]);
        let lines: usize = lines.map(Line::bytes).sum();
        state.weight + state.acquires.weight() + lines + state.owed.weight()
    }

    /// Whether the server has said that it is a master, when it was dialled.
    pub(super) fn is_master(&self) -> Option<bool> {
        self.master.get()
    }

    /// Since when it has been out of reach.
    pub(super) fn down_since(&self) -> Option<Instant> {
        self.state.borrow().outage().map(|outage| outage.since)
    }

    /// Whether commands can be sent.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Up)
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.borrow();
        let waits = matches!(&state.phase, Phase::Dialling(_, waiting) if !waiting.is_empty());
        let queued = !state.releases.is_empty() || !state.acquires.is_empty();
        state.line.unanswered.is_empty() && state.former.is_none() && !queued && !waits
    }

    /// Sends a command beside the votes, at most once, on the connection that is
    /// there or that questions wait for; `done` is told the reply, which is
    /// an array or the server's error.
    pub(super) fn call(&self, command: &Cmd, done: Done) {
        let refused = {
            let mut state = self.state.borrow_mut();
            let overloaded = state.is_overloaded(false, false, self.environment.as_ref());
            match &mut state.phase {
                Phase::Dialling(_, waiting) => {
                    waiting.push_back(Waiting::Command(command.get_packed_command(), done));
                    return;
                }
                Phase::Up if !overloaded => {
                    let before = state.line.out.len();
                    command.write_packed_command(&mut state.line.out);
                    state.line.expect(before, Wanted::Array(done));
                    state.wake();
                    return;
                }
                Phase::Down(outage) => outage.cause.clone(),
                Phase::Up => Cause::Overloaded {
                    waiting: state.line.unanswered.len(),
                },
            }
        };
        done(Err(refused));
    }

    /// How long an answer takes, and before it, where there is no connection, to
    /// connect and to log in; `None` while nobody has ever answered.
    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        let state = self.state.borrow();
        let trips = match state.phase {
            Phase::Up => 1,
            Phase::Dialling(..) | Phase::Down(_) => TRIPS_OF_A_DIAL + 1,
        };
        state.meter.known().map(|trip| trip.times(trips))
    }

    /// What is known to be wrong with it.
    pub(super) fn trouble(&self) -> Option<Rc<str>> {
        let state = self.state.borrow();
        let Phase::Dialling(outage, _) = &state.phase else {
            return None;
        };
        if let Some(Outage { cause, .. }) = outage {
            let why = match cause {
                Cause::Unreachable { what } => what.to_string(),
                other => other.to_string(),
            };
            return Some(format!("it is being dialled again: {why}").into());
        }
        Some(if self.encrypts {
            "its TLS connection is not made yet: it is hung, overloaded or cut off from here, or does not speak TLS on this port".into()
        } else {
            "its connection is not made yet: the server is hung, overloaded or cut off from here"
                .into()
        })
    }

    /// Why the last dial after a loss has failed, if one has.
    pub(super) fn unreached(&self) -> Option<Cause> {
        let state = self.state.borrow();
        let outage = state.outage().filter(|outage| outage.is_known);
        outage.map(|outage| outage.cause.clone())
    }

    /// Its greeting was answered.
    fn measure(&self, greeted: &Pump) {
        let (asked, answered) = greeted.greeted();
        self.state.borrow_mut().meter.measure(asked, answered);
    }

    /// Tells `observer` how the connection is, now and whenever that changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        self.standing.observe(index, observer);
    }

    /// A dial is done: what waits may go.
    fn go_up(&self, greeted: &Pump) {
        self.master.set(greeted.master());
        self.measure(greeted);
        let keyspace = greeted.keyspace();
        self.standing.tell(&Connection::Ready { keyspace });
        let mut late = Vec::new();
        let mut state = self.state.borrow_mut();
        state.writer.begin();
        state.pay(self.environment.as_ref());
        if let Phase::Dialling(_, waiting) = std::mem::replace(&mut state.phase, Phase::Up) {
            for waiting in waiting {
                match waiting {
                    Waiting::Question(question, reply, slot) => {
                        state.weight -= weight_of(&question);
                        if question.is_wanted(self.environment.now(), Some(&reply)) {
                            state.write(question, Some(reply), slot);
                        } else {
                            late.push(reply);
                        }
                    }
                    Waiting::Command(command, done) => {
                        let before = state.line.out.len();
                        state.line.out.extend(command);
                        state.line.expect(before, Wanted::Array(done));
                    }
                }
            }
        }
        drop(state);
        for reply in late {
            reply.fail(Cause::Withdrawn);
        }
        self.go_on();
    }

    /// The connection is over. Questions wait for the next one if that is dialled
    /// at once.
    fn lose(&self, cause: &Cause, is_dialled: bool) {
        if !is_dialled {
            return self.go_down(cause);
        }
        let failed = {
            let mut state = self.state.borrow_mut();
            let failed = state.give_all_up(cause, self.environment.now());
            let outage = Outage {
                since: self.environment.now(),
                cause: cause.clone(),
                is_known: false,
            };
            state.phase = Phase::Dialling(Some(outage), VecDeque::new());
            failed
        };
        // First of all: who has another way takes it from now on.
        self.standing.tell_down(cause);
        failed.tell();
    }

    /// A dial has failed. Returns whether that may be over in a moment, so that
    /// questions wait for the next one.
    fn miss(&self, cause: &Cause) -> bool {
        let passes = matches!(cause, Cause::Unreachable { .. }) || cause.reply() == Some("LOADING");
        let now = self.environment.now();
        if let Phase::Dialling(Some(outage), _) = &mut self.state.borrow_mut().phase
            && passes
            && now.since(outage.since) < RESTART
        {
            outage.cause = cause.clone();
            outage.is_known = true;
            return true;
        }
        self.go_down(cause);
        false
    }

    /// Nobody can be asked until the next dial succeeds.
    fn go_down(&self, cause: &Cause) {
        let now = self.environment.now();
        let mut state = self.state.borrow_mut();
        let mut failed = state.give_all_up(cause, now);
        let since = state.outage().map_or(now, |outage| outage.since);
        let down = Phase::Down(Outage {
            since,
            cause: cause.clone(),
            is_known: true,
        });
        let before = std::mem::replace(&mut state.phase, down);
        for release in std::mem::take(&mut state.releases) {
            state.owe(&release.question, now);
            failed.votes.push((release.reply, cause.clone()));
        }
        while let Some(acquire) = state.acquires.pop() {
            failed.votes.push((acquire.reply, cause.clone()));
        }
        if let Phase::Dialling(_, waiting) = before {
            for waiting in waiting {
                match waiting {
                    Waiting::Question(question, reply, _) => {
                        state.owe(&question, now);
                        failed.votes.push((reply, cause.clone()));
                    }
                    Waiting::Command(_, done) => failed.commands.push((done, cause.clone())),
                }
            }
        }
        state.weight = 0;
        drop(state);
        // First of all: who has another way takes it from now on.
        self.standing.tell_down(cause);
        failed.tell();
    }

    /// A connection was made beside the one that has said nothing for so long, and
    /// takes its place. Returns whether the former one is still worth listening
    /// to: not if it leads to another server, whose votes are not this one's.
    pub(super) fn change_over(&self, greeted: &Pump, former: &Pump, silent: Duration) -> bool {
        let is_same = greeted.keyspace() == former.keyspace();
        let cause = Cause::Silent {
            waited: silent,
            option: None,
            because: Some("a new connection has taken its place".into()),
        };
        let failed = {
            let mut state = self.state.borrow_mut();
            state.writer.begin();
            let mut line = std::mem::take(&mut state.line);
            if is_same {
                // First of all: what these delete must not be in the way of what is
                // asked for next.
                let weight = line.weight;
                for (release, reply) in line.releases() {
                    if weight + state.waiting_bytes() > MOST_BYTES && Rule::Bounded.is_kept() {
                        // They are owed once the former connection is over.
                        break;
                    }
                    let copy = reply.take().and_then(|only| {
                        let (first, copy) = share(release, only);
                        *reply = Some(first);
                        copy
                    });
                    state.write(Rc::clone(release), copy, Slot::Own);
                }
                state.former = Some(line);
                Failed::default()
            } else {
                state.give_up(line, &cause, self.environment.now())
            }
        };
        self.master.set(greeted.master());
        self.measure(greeted);
        self.standing.tell_down(&cause);
        let keyspace = greeted.keyspace();
        self.standing.tell(&Connection::Ready { keyspace });
        failed.tell();
        self.go_on();
        is_same
    }

    /// The former connection is over. What it owes is owed by the one there is.
    pub(super) fn end_former(&self, cause: &Cause) {
        let failed = {
            let mut state = self.state.borrow_mut();
            let Some(former) = state.former.take() else {
                return;
            };
            let failed = state.give_up(former, cause, self.environment.now());
            state.pay(self.environment.as_ref());
            failed
        };
        failed.tell();
    }
}

/// What nothing came of, and why.
#[derive(Default)]
struct Failed {
    votes: Vec<(Reply, Cause)>,
    commands: Vec<(Done, Cause)>,
}

impl Failed {
    fn tell(self) {
        for (reply, cause) in self.votes {
            reply.fail(cause);
        }
        for (done, cause) in self.commands {
            done(Err(cause));
        }
    }
}

/// Who waits for a release that is written on two connections. The former one's
/// answer counts, before which its acquire is carried out; or that it is done on
/// the present one, unless the value may be given again: nothing of it may be on
/// its way then (`claims.rs`).
fn share(release: &Question, reply: Reply) -> (Reply, Option<Reply>) {
    match release.operation {
        Operation::Release { expires, .. } if expires == Instant::LAST => {
            let both: Rc<dyn Ballot> = Rc::new(Copies(Cell::new(Some(reply))));
            let of = |which| Reply::new(Rc::clone(&both), which as usize);
            (of(Which::Former), Some(of(Which::Present)))
        }
        _ => (reply, None),
    }
}

struct Copies(Cell<Option<Reply>>);

impl Ballot for Copies {
    fn cast(self: Rc<Self>, from: usize, vote: Vote) {
        let counts = from == Which::Former as usize || matches!(vote, Vote::Granted);
        if let Some(reply) = self.0.take() {
            if counts {
                reply.vote(vote);
            } else {
                self.0.set(Some(reply));
            }
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
        if let Phase::Down(outage) = &self.phase {
            return Err((reply, outage.cause.clone()));
        }
        let releases = is_release(question);
        if self.is_overloaded(acquires, releases, environment) {
            let waiting = self.line.unanswered.len() + self.releases.len() + self.acquires.len();
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
            Phase::Dialling(_, waiting) => {
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
            Phase::Up | Phase::Down(_) => {
                self.write(question, Some(reply), slot);
                self.wake();
            }
        }
        Ok(())
    }

    /// Whether a new release need not wait.
    fn can_write_releases(&self) -> bool {
        let has_room = self.line.unanswered.len() < self.most_before_extensions();
        !Rule::Order.is_kept() || self.releases.is_empty() && has_room
    }

    /// Takes the acquires that `question` is to release and that are not written
    /// yet: on the server they must not come after it.
    fn withdraw(&mut self, question: &Question) -> Vec<Reply> {
        if is_release(question) && Rule::Order.is_kept() {
            self.acquires.withdraw(question)
        } else {
            Vec::new()
        }
    }

    /// How many times [`MOST_ACQUIRES`] may be on their way.
    fn windows(&self) -> usize {
        self.meter.windows(WINDOW).min(MOST_WINDOWS)
    }

    /// How many questions may be on their way before releases wait.
    fn most_before_extensions(&self) -> usize {
        MOST_BEFORE_EXTENSIONS * self.windows()
    }

    /// What an answer usually takes.
    fn distance(&self) -> Duration {
        self.meter.known().unwrap_or_default().smoothed
    }

    /// Whether a new acquire need not wait.
    fn can_write_waiting(&self) -> bool {
        let none_waits = self.releases.is_empty() && self.acquires.is_empty();
        let has_room = || self.line.has_room(self.windows());
        matches!(self.phase, Phase::Up) && none_waits && has_room()
    }

    /// Writes as many of the releases, and then of the acquires, that wait as may
    /// be on their way. Acquires that nobody waits for any more are `late`.
    fn write_waiting(&mut self, environment: &dyn Environment, late: &mut Vec<Reply>) {
        let most = self.most_before_extensions();
        if !self.releases.is_empty() && self.line.unanswered.len() <= most / 2 {
            while self.line.unanswered.len() < most
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
        let (number, weight) = self.line.under_way;
        let windows = self.windows();
        let half = (
            MOST_ACQUIRES * windows / 2,
            MOST_ACQUIRES_BYTES * windows / 2,
        );
        let is_half = number <= half.0 && weight <= half.1;
        if self.acquires.is_empty() || !(is_half || number == 0) {
            return;
        }
        let now = environment.now();
        while self.line.has_room(windows) {
            let Some(acquire) = self.acquires.pop() else {
                return;
            };
            if acquire.question.is_wanted(now, Some(&acquire.reply)) {
                self.write(acquire.question, Some(acquire.reply), acquire.slot);
            } else {
                late.push(acquire.reply);
            }
        }
    }

    fn write(&mut self, question: Rc<Question>, mut reply: Option<Reply>, slot: Slot) {
        // Its acquire may still be carried out there, and it must come after that.
        if let Some(former) = &mut self.former
            && is_release(&question)
            && former.has_acquire_of(&question)
        {
            let (first, copy) = match reply.take().map(|only| share(&question, only)) {
                Some((first, copy)) => (Some(first), copy),
                None => (None, None),
            };
            write_on(&mut self.writer, former, Rc::clone(&question), first, slot);
            reply = copy;
            self.wake();
        }
        write_on(&mut self.writer, &mut self.line, question, reply, slot);
    }

    /// The server did not know the script, and did nothing. Returns who asked if
    /// it is not to be written again: an acquire's release is on its way already.
    fn write_in_full(
        &mut self,
        question: Rc<Question>,
        reply: Option<Reply>,
    ) -> Result<(), Option<Reply>> {
        let is_late = || {
            let mut lines = self.former.iter().chain([&self.line]);
            lines.any(|line| line.has_release_of(&question))
        };
        if is_acquire(&question) && Rule::Order.is_kept() && is_late() {
            return Err(reply);
        }
        let form = Form::Text;
        let line = &mut self.line;
        let before = line.out.len();
        self.writer.write_script(&mut line.out, &question, form);
        let vote = Wanted::Vote {
            question,
            form,
            reply,
        };
        line.expect(before, vote);
        Ok(())
    }

    fn line(&mut self, which: Which) -> &mut Line {
        match which {
            Which::Present => &mut self.line,
            Which::Former => self.former.get_or_insert_default(),
        }
    }

    /// What was written on this connection is not answered any more: releases are
    /// owed by the next one.
    fn give_up(&mut self, line: Line, cause: &Cause, now: Instant) -> Failed {
        let mut failed = Failed::default();
        for asked in line.unanswered {
            match asked.wanted {
                Wanted::Vote {
                    question, reply, ..
                } => {
                    self.owe(&question, now);
                    failed.votes.extend(reply.map(|reply| (reply, lost(cause))));
                }
                Wanted::Array(done) => failed.commands.push((done, lost(cause))),
                Wanted::Leave => {}
            }
        }
        failed
    }

    fn give_all_up(&mut self, cause: &Cause, now: Instant) -> Failed {
        let mut failed = Failed::default();
        let present = std::mem::take(&mut self.line);
        for line in self.former.take().into_iter().chain([present]) {
            let more = self.give_up(line, cause, now);
            failed.votes.extend(more.votes);
            failed.commands.extend(more.commands);
        }
        failed
    }

    /// Since when it has been out of reach, and why.
    fn outage(&self) -> Option<&Outage> {
        match &self.phase {
            Phase::Down(outage) | Phase::Dialling(Some(outage), _) => Some(outage),
            Phase::Up | Phase::Dialling(None, _) => None,
        }
    }

    /// Remembers a release for a key that may have been set before `now`, or before
    /// the server went out of reach.
    fn owe(&mut self, question: &Rc<Question>, now: Instant) {
        let since = self.outage().map_or(now, |outage| outage.since);
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
        if let Phase::Dialling(_, waiting) = &self.phase {
            return waiting.len() + queued >= BACKLOG;
        }
        if self.line.unanswered.len() + queued < BACKLOG {
            return false;
        }
        self.line
            .owing_since()
            .is_some_and(|since| environment.now().since(since) > HESITATION + self.distance())
    }

    /// About how many bytes wait for an answer or to be written.
    fn waiting_bytes(&self) -> usize {
        let former = self.former.as_ref().map_or(0, |former| former.weight);
        self.weight + self.acquires.weight() + self.line.weight + former
    }

    /// Writes the releases that are owed, as far as the server isn't behind.
    fn pay(&mut self, environment: &dyn Environment) {
        if self.owed.is_empty() {
            return;
        }
        let now = environment.now();
        while self.line.unanswered.len() < BACKLOG / 2 {
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

fn write_on(
    writer: &mut Writer,
    line: &mut Line,
    question: Rc<Question>,
    reply: Option<Reply>,
    slot: Slot,
) {
    let mut before = line.out.len();
    let form = match slot {
        Slot::Own => writer.write(&mut line.out, &question),
        Slot::Importing => {
            cmd("ASKING").write_packed_command(&mut line.out);
            line.expect(before, Wanted::Leave);
            before = line.out.len();
            // That holds for one command: a script that turns out to be
            // unknown could not be sent again.
            writer.write_in_full(&mut line.out, &question)
        }
    };
    let vote = Wanted::Vote {
        question,
        form,
        reply,
    };
    line.expect(before, vote);
}

/// Dials, serves the connection until it breaks, and dials again, for as long
/// as somebody holds the link.
fn keep_up(link: &Rc<Link>, config: Config, network: &Rc<Network>) {
    let environment = Rc::clone(&network.environment);
    let (link, network) = (Rc::downgrade(link), Rc::clone(network));
    let config = Rc::new(config);
    let fallen = Weak::clone(&link);
    let begin = move || dial_and_serve(Weak::clone(&link), Rc::clone(&config), Rc::clone(&network));
    let fell = move |what: &str| {
        if let Some(link) = fallen.upgrade() {
            link.go_down(&unreachable(what.to_owned()));
        }
    };
    let life = supervised(Rc::clone(&environment), begin, fell);
    environment.spawn(Box::pin(life));
}

/// A dial under way.
pub(super) type Dialling = Pin<Box<dyn Future<Output = Result<Pump, Cause>>>>;

fn begin_to_dial(config: &Rc<Config>, network: &Rc<Network>) -> Dialling {
    let (config, network) = (Rc::clone(config), Rc::clone(network));
    Box::pin(async move {
        let dialled = dial(&network, &config).await?;
        Ok(Pump::new(dialled, &config))
    })
}

async fn dial_and_serve(link: Weak<Link>, config: Rc<Config>, network: Rc<Network>) {
    let environment = Rc::clone(&network.environment);
    let dial = || begin_to_dial(&config, &network);
    let mut backoff = Duration::ZERO;
    let mut begun = environment.now();
    let mut dialling = dial();
    loop {
        let again;
        match dialling.await {
            Ok(pump) => {
                let Some(since) = link.upgrade().map(|link| {
                    link.go_up(&pump);
                    environment.now()
                }) else {
                    return;
                };
                let Some(End {
                    cause,
                    useful,
                    next,
                }) = serve(&link, pump, &dial).await
                else {
                    return;
                };
                // A server that hangs up at once is not dialled in a loop.
                let now = environment.now();
                if useful || now.since(since) > BACKOFF.1 {
                    backoff = Duration::ZERO;
                }
                again = jitter(environment.as_ref(), begun, backoff).max(begun.after(LEAST));
                let is_dialled = next.is_some() || again <= now.after(BACKOFF.0);
                if let Some(link) = link.upgrade() {
                    link.lose(&cause, is_dialled);
                }
                if let Some(next) = next {
                    dialling = next;
                    continue;
                }
            }
            Err(cause) => {
                let is_passing = link.upgrade().is_some_and(|link| link.miss(&cause));
                if is_passing {
                    backoff = backoff.min(BACKOFF.0);
                }
                again = jitter(environment.as_ref(), environment.now(), backoff.max(LEAST));
            }
        }
        if link.strong_count() == 0 {
            return;
        }
        environment.sleep_until(again).await;
        backoff = (backoff * 2).clamp(BACKOFF.0, BACKOFF.1);
        begun = environment.now();
        dialling = dial();
    }
}

/// When the next dial begins: never twice after the same time, so that a server
/// that comes back is not dialled by everybody at once.
fn jitter(environment: &dyn Environment, from: Instant, wait: Duration) -> Instant {
    from.after(wait.mul_f64(0.5 + environment.chance() / 2.0))
}

impl Link {
    /// The connection's bytes are written and read by somebody who may look at
    /// what is to be, and at what was, on it.
    pub(super) fn with_line<T>(&self, which: Which, look: impl FnOnce(&mut Line) -> T) -> T {
        look(self.state.borrow_mut().line(which))
    }

    /// Who writes and reads is to be woken for what is new.
    pub(super) fn wake_by(&self, waker: &Waker) {
        self.state.borrow_mut().waker = Some(waker.clone());
    }

    /// The clock it goes by.
    pub(super) fn environment(&self) -> &dyn Environment {
        self.environment.as_ref()
    }

    /// Answers have come: what waits for room may go.
    pub(super) fn go_on(&self) {
        let mut late = Vec::new();
        let mut state = self.state.borrow_mut();
        state.pay(self.environment.as_ref());
        state.write_waiting(self.environment.as_ref(), &mut late);
        drop(state);
        for reply in late {
            reply.fail(Cause::Withdrawn);
        }
    }

    /// Matches a reply to the oldest question on that connection.
    pub(super) fn take(&self, which: Which, answered: Value) -> Result<(), Cause> {
        let mut state = self.state.borrow_mut();
        let Some((asked, wanted)) = state.line(which).answered() else {
            return Err(unexpected(&answered));
        };
        if state.meter.wants(asked) {
            state.meter.measure(asked, self.environment.now());
        }
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
            Answer::UnknownScript(_)
                if question.is_wanted(self.environment.now(), reply.as_ref()) =>
            {
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
}

/// A reply that its command can't give ends the link: whose the next one is,
/// nobody knows.
pub(super) fn out_of_step(cause: Cause) -> Result<(), Cause> {
    if Rule::ReplyKind.is_kept() {
        Err(cause)
    } else {
        Ok(())
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
