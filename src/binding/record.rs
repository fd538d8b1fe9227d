//! Requests and answers as rows of numbers: docs/hand-over.md describes them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::inbox::Handle;
use super::layout::{
    APPLIED_NUMBERS, AnswerKind, KEEP_NUMBERS, NO_SLOT, Operation as Asked, VALUE_LENGTH, answer,
    flags, request,
};
use super::outbox::{Answer, Outcome};
use super::reasons::Refusal;
use crate::engine::{
    Cause, Connection, Drift, Event, Failure, Hold, Instant, Operation, Patience, Question, Reason,
    Renewal, Resources, Retry, Scripts, Settings, Token, Ttl, Vote,
};
use crate::instances::bridge::Ticket;
use crate::instances::client::Route;

/// The requests of a tick, as JavaScript wrote them.
pub struct Batch {
    pub numbers: Vec<f64>,
    pub text: Vec<u16>,
}

/// What a request's numbers only refer to.
#[derive(Default)]
pub struct Terms {
    pub patience: Patience,
    pub scripts: Option<Arc<Scripts>>,
}

/// One request.
pub struct Request {
    pub slot: u32,
    pub handle: Handle,
    pub verb: Verb,
    pub resources: Resources,
    pub settings: Settings,
    /// The caller's, by JavaScript's number; 0 = none.
    pub context: u32,
}

/// What is to be done.
pub enum Verb {
    Lock(Ttl),
    Extend(Ttl, Token, Until),
    Unlock(Token, Instant),
    Inspect,
    /// Nothing is done until so long from when the request is looked at.
    Wait(std::time::Duration),
    /// Everything that this engine has handed over is released.
    UnlockAll,
    /// What JavaScript should not have let through.
    Nonsense,
}

/// Until when a lock is valid.
#[derive(Clone, Copy)]
pub enum Until {
    /// On the engine's clock.
    At(Instant),
    /// From when the request is looked at.
    In(std::time::Duration),
}

impl Batch {
    /// The requests, in order, ending where the numbers make no sense: what comes
    /// after a length that is none would be asked for other names.
    /// `terms` says what was agreed on for an engine and a set of scripts.
    pub fn requests(&self, terms: impl Fn(Handle, u32) -> Terms) -> Vec<Request> {
        let mut numbers = &self.numbers[..];
        let mut text = &self.text[..];
        let mut requests = Vec::new();
        while let Some(request) = read(&mut numbers, &mut text, &terms) {
            requests.push(request);
        }
        requests
    }
}

fn read(
    numbers: &mut &[f64],
    text: &mut &[u16],
    terms: &impl Fn(Handle, u32) -> Terms,
) -> Option<Request> {
    let head = numbers.split_off(..request::NUMBERS)?;
    let lengths = numbers.split_off(..size(head[request::COUNT])?)?;
    let value = read_text(text, head[request::VALUE_LENGTH])?;
    let slot = whole_number(head[request::SLOT])?;
    let handle = whole_number(head[request::HANDLE])?;
    let resources: Option<Resources> = lengths
        .iter()
        .map(|length| read_text(text, *length).map(String::into_boxed_str))
        .collect();
    let resources = resources?;
    let terms = terms(handle, integer(head[request::SCRIPTS]));
    let wanted = integer(head[request::FLAGS]);
    let drift = Drift::new(head[request::DRIFT_FACTOR]);
    let ttl = drift.and_then(|drift| Ttl::new(head[request::TTL], drift).ok());
    let time = head[request::TIME];
    let codes = [
        request::OPERATION,
        request::FLAGS,
        request::SCRIPTS,
        request::CONTEXT,
    ];
    let makes_sense = codes.iter().all(|at| whole_number(head[*at]).is_some());
    let asked = whole_number(head[request::OPERATION])
        .filter(|_| makes_sense && !resources.is_empty())
        .and_then(Asked::numbered);
    let own = asked == Some(Asked::Lock) && !value.is_empty();
    let verb = match (asked, ttl) {
        (Some(Asked::Lock), Some(ttl)) => Verb::Lock(ttl),
        (Some(Asked::Extend), Some(ttl)) => {
            let until = if wanted & flags::RELATIVE == 0 {
                Until::At(instant(time))
            } else {
                Until::In(span(time))
            };
            Verb::Extend(ttl, Token::from(&*value), until)
        }
        (Some(Asked::Unlock), _) => Verb::Unlock(Token::from(&*value), instant(time)),
        (Some(Asked::Inspect), _) => Verb::Inspect,
        (Some(Asked::Wait), _) => Verb::Wait(span(time)),
        (Some(Asked::UnlockAll), _) => Verb::UnlockAll,
        (Some(Asked::Lock | Asked::Extend) | None, _) => Verb::Nonsense,
    };
    let retries = head[request::RETRY_COUNT];
    let report = head[request::VOTE_REPORT];
    let max_wait = head[request::MAX_WAIT];
    Some(Request {
        slot,
        handle,
        verb,
        resources,
        settings: Settings {
            retry: Retry {
                count: (retries >= 0.0 && retries.is_finite()).then(|| integer(retries)),
                delay: head[request::RETRY_DELAY],
                jitter: head[request::RETRY_JITTER],
            },
            drift: drift.unwrap_or_default(),
            patience: terms.patience,
            report: wanted & flags::REPORT != 0,
            scripts: terms.scripts,
            ballots: (report > 0.0).then(|| integer(report).into()),
            max_wait: (max_wait >= 0.0).then(|| span(max_wait)),
            look: wanted & flags::LOOK != 0,
            is_again: wanted & flags::AGAIN != 0,
            value: own.then(|| Token::from(&*value)),
            context: None,
        },
        context: integer(head[request::CONTEXT]),
    })
}

fn read_text(text: &mut &[u16], length: f64) -> Option<String> {
    // A lone surrogate becomes U+FFFD, as Node's own encoding does.
    Some(String::from_utf16_lossy(text.split_off(..size(length)?)?))
}

/// `None` if it is no whole number, or none that fits.
fn whole_number(number: f64) -> Option<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    fits.then(|| integer(number))
}

fn size(number: f64) -> Option<usize> {
    whole_number(number).map(|number| number as usize)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers of JavaScript's; `as` saturates"
)]
fn integer(number: f64) -> u32 {
    number as u32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers of JavaScript's; `as` saturates"
)]
pub fn whole(number: f64) -> u64 {
    number as u64
}

pub fn span(millis: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default()
}

pub fn instant(millis: f64) -> Instant {
    Instant::ORIGIN.after(span(millis))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "below a microsecond for as long as a machine is up"
)]
pub fn millis(nanos: u128) -> f64 {
    nanos as f64 / 1e6
}

/// What callers' clients came back with: handle, place, ticket, keys.
pub fn applied(rows: &[f64]) -> impl Iterator<Item = (Handle, u32, Ticket, i64)> {
    rows.chunks_exact(APPLIED_NUMBERS).map(|row| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number of JavaScript's; `as` saturates"
        )]
        let keys = row[3] as i64;
        (integer(row[0]), integer(row[1]), integer(row[2]), keys)
    })
}

/// A lock to be kept, from the numbers that docs/hand-over.md has.
pub fn hold(number: u32, terms: &[f64], value: &str, resources: Vec<String>) -> Option<Hold> {
    let terms: [f64; KEEP_NUMBERS] = terms.try_into().ok()?;
    let [until, ttl, lead, cap, drift, delay, jitter] = terms;
    let drift = Drift::new(drift)?;
    let renewal = match Ttl::new(ttl, drift) {
        Ok(ttl) => Some(Renewal {
            ttl,
            lead: span(lead),
            cap: (cap > 0.0).then(|| instant(cap)),
        }),
        Err(_) => None,
    };
    Some(Hold {
        resources: resources.into_iter().map(String::into_boxed_str).collect(),
        value: Token::from(value),
        until: instant(until),
        renewal,
        settings: Settings {
            retry: Retry {
                count: None,
                delay,
                jitter,
            },
            drift,
            report: true,
            ..Settings::default()
        },
        number: number.into(),
    })
}

/// The rows of answers in the room JavaScript gave for them.
pub struct Rows<'room> {
    numbers: &'room mut [f64],
    values: &'room mut [u8],
    details: String,
    written: usize,
    locked: usize,
    described: usize,
    now: Instant,
}

impl<'room> Rows<'room> {
    pub fn new(numbers: &'room mut [f64], values: &'room mut [u8], now: Instant) -> Self {
        Self {
            numbers,
            values,
            details: String::new(),
            written: 0,
            locked: 0,
            described: 0,
            now,
        }
    }

    /// How many answers there is room for.
    pub fn room(&self) -> usize {
        let rows = self.numbers.len().saturating_sub(1) / answer::NUMBERS;
        rows.min(self.values.len() / VALUE_LENGTH)
    }

    /// For how many more.
    pub fn room_left(&self) -> usize {
        self.room().saturating_sub(self.written)
    }

    pub fn write(&mut self, answer: Answer) {
        let mut row = [0.0; answer::NUMBERS];
        row[answer::SLOT] = answer.slot.map_or(NO_SLOT, f64::from);
        row[answer::ATTEMPTS] = f64::from(answer.attempts);
        let kind = match answer.outcome {
            Outcome::Unlocked => AnswerKind::Unlocked,
            Outcome::Locked(locked) => {
                self.write_value(locked.value.as_str().as_bytes());
                self.write_validity(&mut row, locked.validity.until);
                row[answer::LAST] = millis(locked.validity.since.nanos().into());
                AnswerKind::Locked
            }
            Outcome::Extended(validity) => {
                self.write_validity(&mut row, validity.until);
                AnswerKind::Extended
            }
            Outcome::Failed(details, until) => {
                if let Some(until) = until {
                    self.write_validity(&mut row, until);
                }
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Failed
            }
            Outcome::Event(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Event
            }
            Outcome::Inspected(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Inspected
            }
            Outcome::Errand(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::ClientRequest
            }
            Outcome::Time => AnswerKind::Time,
            Outcome::ContextEnded => AnswerKind::ContextEnded,
        };
        row[answer::KIND] = kind.number().into();
        let at = 1 + self.written * answer::NUMBERS;
        self.numbers[at..at + answer::NUMBERS].copy_from_slice(&row);
        self.written += 1;
    }

    fn write_value(&mut self, value: &[u8]) {
        let at = self.locked * VALUE_LENGTH;
        let length = value.len().min(VALUE_LENGTH);
        self.values[at..at + length].copy_from_slice(&value[..length]);
        self.locked += 1;
    }

    fn write_validity(&self, row: &mut [f64; answer::NUMBERS], until: Instant) {
        row[answer::LEFT] = millis(until.since(self.now).as_nanos());
        row[answer::UNTIL] = millis(until.nanos().into());
    }

    /// Writes the count; the details, if there are any, as a JSON array.
    pub fn finish(mut self) -> Option<String> {
        if let Some(count) = self.numbers.first_mut() {
            *count = f64::from(u32::try_from(self.written).unwrap_or(u32::MAX));
        }
        if self.details.is_empty() {
            return None;
        }
        self.details.push(']');
        Some(self.details)
    }

    fn describe(&mut self, details: &str) -> f64 {
        let separator = if self.details.is_empty() { '[' } else { ',' };
        self.details.push(separator);
        self.details.push_str(details);
        self.described += 1;
        f64::from(u32::try_from(self.described - 1).unwrap_or(u32::MAX))
    }
}

/// A failure of the engine's, as JSON.
pub fn failure(failure: &Failure) -> String {
    describe_failure(failure).to_string()
}

fn describe_failure(failure: &Failure) -> Value {
    let mut described = json!({
        "code": failure.reason.code(),
        "reason": failure.reason.to_string(),
        "votes": describe_votes(&failure.votes),
    });
    if let Reason::Occupied(occupant) = failure.reason {
        described["occupant"] = occupant.to_string().into();
    }
    described
}

/// Locks that could not be released, as JSON.
pub fn unreleased(failures: &[(Resources, Failure)]) -> String {
    let locks = failures.iter().map(|(resources, failure)| {
        let mut described = describe_failure(failure);
        described["resource"] = json!(&**resources);
        described
    });
    json!({ "votes": [], "locks": locks.collect::<Value>() }).to_string()
}

/// What instances said of a key, as JSON.
pub fn inspection(votes: &[Option<Vote>]) -> String {
    json!({ "votes": describe_votes(votes) }).to_string()
}

fn describe_votes(votes: &[Option<Vote>]) -> Value {
    votes.iter().map(|given| vote(given.as_ref())).collect()
}

/// A refusal for a reason of the algorithm's, without votes.
pub fn without_votes(reason: Reason) -> String {
    describe(reason.code(), &reason.to_string(), &json!([]))
}

/// A refusal that has nothing to do with locking.
pub fn refusal(refusal: Refusal) -> String {
    describe(refusal.code(), refusal.text(), &json!([]))
}

/// An event of the engine under `handle`, as JSON.
pub fn event(handle: Handle, event: &Event) -> String {
    let mut described = match event {
        Event::Lost { number, failure } => {
            let mut described = describe_failure(failure);
            described["event"] = "lost".into();
            described["number"] = (*number).into();
            described
        }
        Event::ClientError {
            instance,
            operation,
            cause,
        } => {
            let mut described = describe_cause(cause);
            described["event"] = "clientError".into();
            described["instance"] = (*instance).into();
            described["operation"] = operation.name().into();
            described
        }
        Event::Ballots {
            number,
            attempt,
            votes,
        } => json!({
            "event": "ballots",
            "number": number,
            "attempt": attempt,
            "votes": describe_votes(votes),
        }),
        Event::Connection { instance, state } => {
            let (state, mut described) = match state {
                Connection::Connecting => ("connecting", json!({})),
                Connection::Ready { .. } => ("ready", json!({})),
                Connection::Down(cause) => ("down", describe_cause(cause)),
            };
            described["event"] = "connection".into();
            described["instance"] = (*instance).into();
            described["state"] = state.into();
            described
        }
        Event::LookAlikes {
            instance,
            other,
            sole,
        } => json!({
            "event": "lookAlikes",
            "instance": instance,
            "other": other,
            "sole": sole,
        }),
    };
    described["handle"] = handle.into();
    described.to_string()
}

/// What the caller's client at `place` is to be asked, as JSON.
pub fn errand(handle: Handle, place: u32, ticket: Ticket, question: &Question) -> String {
    let ttl = match question.operation {
        Operation::Acquire { ttl } | Operation::Extend { ttl } => Some(ttl.millis()),
        Operation::Inspect | Operation::Release { .. } => None,
    };
    json!({
        "handle": handle,
        "instance": place,
        "ticket": ticket,
        "operation": question.operation.name(),
        "script": question.script().map(|script| &*script.text),
        "plain": question.is_plain(),
        "keys": &*question.resources,
        "value": question.value.as_str(),
        "ttl": ttl,
        "context": question.context.as_ref().map(|context| context.number()),
    })
    .to_string()
}

/// By which way the caller's client at `place` is asked, as JSON.
pub fn route(handle: Handle, place: u32, route: &Route) -> String {
    let (why, failed) = match route {
        Route::Native => (None, false),
        Route::Bridge(why) => (Some(why.to_string()), why.is_failure()),
    };
    json!({ "event": "route", "handle": handle, "instance": place, "why": why, "failed": failed })
        .to_string()
}

/// JavaScript is to say when it has come round.
pub fn call(handle: Handle, place: u32) -> String {
    json!({ "event": "call", "handle": handle, "instance": place }).to_string()
}

/// The engine under `handle` has ended: no client is asked any more, as JSON.
pub fn closed(handle: Handle) -> String {
    json!({ "event": "closed", "handle": handle }).to_string()
}

fn describe(code: &str, reason: &str, votes: &Value) -> String {
    json!({ "code": code, "reason": reason, "votes": votes }).to_string()
}

fn vote(vote: Option<&Vote>) -> Value {
    match vote {
        None => json!({ "vote": "pending" }),
        Some(Vote::Granted) => json!({ "vote": "granted" }),
        Some(Vote::Held { applied }) => json!({ "vote": "held", "applied": applied }),
        Some(Vote::Seen { value, ttl }) => {
            json!({ "vote": "seen", "value": value.as_deref(), "ttl": ttl })
        }
        Some(Vote::Failed(cause)) => {
            let mut described = describe_cause(cause);
            described["vote"] = "failed".into();
            described
        }
    }
}

fn describe_cause(cause: &Cause) -> Value {
    let mut described = json!({ "code": cause.code(), "message": cause.to_string() });
    if let Some(reply) = cause.reply() {
        described["reply"] = reply.into();
    }
    if let Cause::Client { number, .. } = cause {
        described["error"] = (*number).into();
    }
    described
}
