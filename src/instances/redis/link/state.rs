//! What a link keeps for its server, and the order in which it is written.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::pending::{ExpectedReply, OnReply, Release};
use super::pipeline::{Generation, MOST_ACQUIRES, Pipeline, is_acquire, is_release};
use super::release_copies::answer_of_both;
use super::request::{Kind, Request, SlotState};
use crate::engine::{
    Cause, Environment, Instant, Meter, Operation, Question, Responder, SafetyRule,
};
use crate::instances::acquire_queue::AcquireQueue;
use crate::instances::redis::owed_releases::OwedReleases;
use crate::instances::redis::protocol::command::{Form, Writer};
use crate::instances::redis::weight::weight_of;

/// Beyond so many unanswered questions, a server that owes the oldest of them
/// for [`OVERLOAD_AFTER`] gets no more: what waits for it is bounded. The releases
/// it is owed go out once it has caught up.
const BACKLOG: usize = 10_000;
const OVERLOAD_AFTER: Duration = Duration::from_millis(200);

/// What waits for a server is bounded in bytes too. Extensions and releases may
/// fill a reserve beyond what acquires may.
pub(crate) const MOST_BYTES: usize = 16 * 1024 * 1024;
const RESERVE: usize = MOST_BYTES / 4;

/// How long a server takes for [`MOST_ACQUIRES`]. One that is further away may have
/// several times as many on their way.
const WINDOW: Duration = Duration::from_millis(20);
const MOST_WINDOWS: usize = 4;

/// Beyond so many questions on their way releases wait too, which come by the
/// hundred thousand where so many contend. Extensions never wait.
const MOST_BEFORE_EXTENSIONS: usize = 2 * MOST_ACQUIRES;

/// What a link keeps for its server: the connections' pipelines, and what waits.
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) writer: Writer,
    /// It is a node of a cluster.
    pub(super) has_slots: bool,
    /// The connection that there is.
    pub(super) pipeline: Pipeline,
    /// The one before, for as long as it may still answer.
    pub(super) former: Option<Pipeline>,
    /// Releases that are not to be written yet.
    pub(super) releases: VecDeque<Request>,
    /// Acquires that are not to be written yet, nor before those.
    pub(super) acquires: AcquireQueue<Request>,
    /// About how many bytes `releases`, and what waits for a dial, keep.
    pub(super) weight: usize,
    pub(super) owed: OwedReleases,
    /// Measures how long questions take from when they are written until they are
    /// answered, on whichever connection.
    pub(super) meter: Meter,
    /// The pump's.
    pub(super) waker: Option<Waker>,
}

pub(super) enum Phase {
    /// The first dial is under way, or the first one after a loss; these wait for
    /// it, and acquires and releases that were not written before.
    Dialling(Option<Outage>, VecDeque<Waiting>),
    Up,
    Down(Outage),
}

/// Out of reach since then, for this reason.
#[derive(Clone)]
pub(super) struct Outage {
    pub(super) since: Instant,
    pub(super) cause: Cause,
    /// A dial has failed since the loss.
    pub(super) is_known: bool,
}

/// What waits for a dial.
pub(super) enum Waiting {
    Request(Request),
    Command(Vec<u8>, OnReply),
}

impl State {
    /// Whether a question of any kind would be written at once, as nearly always: nothing
    /// waits, and less is on its way than what any of the limits is about.
    #[inline]
    pub(super) fn is_unhindered(&self) -> bool {
        matches!(self.phase, Phase::Up)
            && self.former.is_none()
            && self.releases.is_empty()
            && self.acquires.is_empty()
            && self.pipeline.is_short()
    }

    /// Writes `request`, or has it wait; or refuses it.
    pub(super) fn take_on(
        &mut self,
        request: Request,
        environment: &dyn Environment,
    ) -> Result<(), (Responder, Cause)> {
        if let Phase::Down(outage) = &self.phase {
            return Err((request.responder, outage.cause.clone()));
        }
        let kind = Kind::of(&request.question);
        if self.is_overloaded(kind, environment) {
            let waiting = self.pipeline.questions + self.releases.len() + self.acquires.len();
            return Err((request.responder, Cause::Overloaded { waiting }));
        }
        let is_acquire = kind == Kind::Acquire;
        let acquires_wait = is_acquire && SafetyRule::Order.is_kept() && !self.can_write_acquires();
        let releases_wait = kind == Kind::Release && !self.can_write_releases();
        match &mut self.phase {
            _ if acquires_wait => self.acquires.push(request),
            Phase::Dialling(_, waiting) => {
                self.weight += weight_of(&request.question);
                waiting.push_back(Waiting::Request(request));
            }
            Phase::Up if releases_wait => {
                self.weight += weight_of(&request.question);
                self.releases.push_back(request);
            }
            Phase::Up | Phase::Down(_) => {
                self.write(request.question, Some(request.responder), request.slot);
                self.wake();
            }
        }
        Ok(())
    }

    /// Whether a new release need not wait.
    fn can_write_releases(&self) -> bool {
        let has_room = self.pipeline.questions < self.most_before_extensions();
        !SafetyRule::Order.is_kept() || self.releases.is_empty() && has_room
    }

    /// Takes the acquires that `question` is to release and that are not written yet: on
    /// the server they must not come after it.
    pub(super) fn withdraw(&mut self, question: &Question) -> Vec<Responder> {
        if is_release(question) && SafetyRule::Order.is_kept() {
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
        self.meter.known().unwrap_or_default().smoothed()
    }

    /// Whether a new acquire need not wait.
    fn can_write_acquires(&self) -> bool {
        let none_waits = self.releases.is_empty() && self.acquires.is_empty();
        let has_room = || self.pipeline.has_room(self.windows());
        matches!(self.phase, Phase::Up) && none_waits && has_room()
    }

    /// Writes as many of the releases, and then of the acquires, that wait as may
    /// be on their way. Acquires that nobody waits for any more are `late`.
    pub(super) fn write_waiting(
        &mut self,
        environment: &dyn Environment,
        late: &mut Vec<Responder>,
    ) {
        let most = self.most_before_extensions();
        if !self.releases.is_empty() && self.pipeline.questions <= most / 2 {
            while self.pipeline.questions < most
                && let Some(release) = self.releases.pop_front()
            {
                self.weight -= weight_of(&release.question);
                self.write(release.question, Some(release.responder), release.slot);
            }
        }
        if !self.releases.is_empty() {
            return;
        }
        // Not one at a time as the answers come: that would cost a system call each.
        let windows = self.windows();
        if self.acquires.is_empty() || !self.pipeline.is_half_empty(windows) {
            return;
        }
        let now = environment.now();
        while self.pipeline.has_room(windows) {
            let Some(acquire) = self.acquires.pop() else {
                return;
            };
            if acquire.question.is_wanted(now, Some(&acquire.responder)) {
                self.write(acquire.question, Some(acquire.responder), acquire.slot);
            } else {
                late.push(acquire.responder);
            }
        }
    }

    /// Writes `question` on the present connection. A release whose acquire may still be
    /// carried out on the former one is written there too, behind that.
    pub(super) fn write(
        &mut self,
        question: Rc<Question>,
        mut responder: Option<Responder>,
        slot: SlotState,
    ) {
        if self.former.is_some() {
            responder = self.write_on_former(&question, responder, slot);
        }
        if slot == SlotState::Owned && self.may_merge(&question) {
            self.pipeline.gather(Release {
                question,
                responder,
            });
            return;
        }
        write_on(
            &mut self.writer,
            &mut self.pipeline,
            question,
            responder,
            slot,
        );
    }

    /// Writes `question` on the former connection if it is a release whose acquire may
    /// still be carried out there. Returns who waits for the present one's answer.
    fn write_on_former(
        &mut self,
        question: &Rc<Question>,
        mut responder: Option<Responder>,
        slot: SlotState,
    ) -> Option<Responder> {
        if let Some(former) = &mut self.former
            && is_release(question)
            && former.has_acquire_of(question)
        {
            let (first, copy) = match responder.take().map(|only| answer_of_both(question, only)) {
                Some((first, copy)) => (Some(first), copy),
                None => (None, None),
            };
            write_on(&mut self.writer, former, Rc::clone(question), first, slot);
            responder = copy;
            self.wake();
        }
        responder
    }

    /// Whether `question` may go in one call with others.
    fn may_merge(&self, question: &Question) -> bool {
        let is_one_key = question.resources.len() == 1 && !self.has_slots;
        is_release(question)
            && is_one_key
            && question.script().is_none()
            && self.writer.merges_releases()
            && self.pipeline.can_gather(question)
    }

    /// Writes a release by itself of which nothing is certain yet, although it was
    /// written in one call with others; `is_doubted` if that call has not found its key.
    pub(super) fn write_again(&mut self, release: Release, is_doubted: bool) {
        let pipeline = &mut self.pipeline;
        let before = pipeline.out.len();
        let form = self.writer.write(&mut pipeline.out, &release.question);
        let vote = ExpectedReply::Vote {
            question: release.question,
            form,
            responder: release.responder,
            is_doubted,
        };
        pipeline.expect(before, vote);
    }

    /// Makes commands of the releases that were gathered for that connection.
    pub(super) fn encode_gathered(&mut self, generation: Generation) {
        let pipeline = match generation {
            Generation::Present => Some(&mut self.pipeline),
            Generation::Former => self.former.as_mut(),
        };
        if let Some(pipeline) = pipeline {
            pipeline.encode_gathered(&mut self.writer);
        }
    }

    /// The server did not know the script, and did nothing. Returns who asked if
    /// it is not to be written again: an acquire's release is on its way already.
    pub(super) fn write_in_full(
        &mut self,
        question: Rc<Question>,
        responder: Option<Responder>,
    ) -> Result<(), Option<Responder>> {
        let is_late = || {
            let mut pipelines = self.former.iter().chain([&self.pipeline]);
            pipelines.any(|pipeline| pipeline.has_release_of(&question))
        };
        if is_acquire(&question) && SafetyRule::Order.is_kept() && is_late() {
            return Err(responder);
        }
        let form = Form::Text;
        let pipeline = &mut self.pipeline;
        let before = pipeline.out.len();
        self.writer.write_script(&mut pipeline.out, &question, form);
        let vote = ExpectedReply::Vote {
            question,
            form,
            responder,
            is_doubted: false,
        };
        pipeline.expect(before, vote);
        Ok(())
    }

    pub(super) fn pipeline_of(&mut self, generation: Generation) -> &mut Pipeline {
        match generation {
            Generation::Present => &mut self.pipeline,
            Generation::Former => self.former.get_or_insert_default(),
        }
    }

    /// Since when it has been out of reach, and why.
    pub(super) fn outage(&self) -> Option<&Outage> {
        match &self.phase {
            Phase::Down(outage) | Phase::Dialling(Some(outage), _) => Some(outage),
            Phase::Up | Phase::Dialling(None, _) => None,
        }
    }

    /// Remembers a release for a key that may have been set before `now`, or before
    /// the server went out of reach.
    pub(super) fn owe(&mut self, question: &Rc<Question>, now: Instant) {
        let since = self.outage().map_or(now, |outage| outage.since);
        match question.operation {
            Operation::Release { since: held, .. } if held < since => {
                self.owed.add(Rc::clone(question));
            }
            Operation::Acquire { .. } | Operation::Extend { .. }
                if !SafetyRule::WriteOnce.is_kept() =>
            {
                self.owed.add(Rc::clone(question));
            }
            _ => {}
        }
    }

    /// Whether so much waits for the server that one more question of this kind is
    /// refused. Acquires that wait don't count against the others.
    pub(super) fn is_overloaded(&self, kind: Kind, environment: &dyn Environment) -> bool {
        if !SafetyRule::Bounded.is_kept() {
            return false;
        }
        let (queued, reserve) = match kind {
            Kind::Acquire => (self.acquires.len(), 0),
            Kind::Release => (self.releases.len(), RESERVE),
            Kind::Other => (0, RESERVE),
        };
        if self.waiting_bytes() > MOST_BYTES + reserve {
            return true;
        }
        if let Phase::Dialling(_, waiting) = &self.phase {
            return waiting.len() + queued >= BACKLOG;
        }
        if self.pipeline.questions + queued < BACKLOG {
            return false;
        }
        self.pipeline
            .owing_since()
            .is_some_and(|since| environment.now().since(since) > OVERLOAD_AFTER + self.distance())
    }

    /// About how many bytes wait for an answer or to be written.
    pub(super) fn waiting_bytes(&self) -> usize {
        let former = self.former.as_ref().map_or(0, |former| former.weight);
        self.weight + self.acquires.weight() + self.pipeline.weight + former
    }

    /// Writes the releases that are owed, as far as the server isn't behind.
    pub(super) fn write_owed(&mut self, environment: &dyn Environment) {
        if self.owed.is_empty() {
            return;
        }
        let now = environment.now();
        while self.pipeline.questions < BACKLOG / 2 {
            let Some(release) = self.owed.pop(now) else {
                return;
            };
            self.write(release, None, SlotState::Owned);
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[inline]
fn write_on(
    writer: &mut Writer,
    pipeline: &mut Pipeline,
    question: Rc<Question>,
    responder: Option<Responder>,
    slot: SlotState,
) {
    let mut before = pipeline.out.len();
    let form = match slot {
        SlotState::Owned => writer.write(&mut pipeline.out, &question),
        SlotState::Importing => {
            pipeline.out.extend_from_slice(b"*1\r\n$6\r\nASKING\r\n");
            pipeline.expect(before, ExpectedReply::Asking);
            before = pipeline.out.len();
            // That holds for one command: a script that turns out to be
            // unknown could not be sent again.
            writer.write_in_full(&mut pipeline.out, &question)
        }
    };
    let vote = ExpectedReply::Vote {
        question,
        form,
        responder,
        is_doubted: false,
    };
    pipeline.expect(before, vote);
}
