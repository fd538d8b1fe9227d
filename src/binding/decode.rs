//! Requests, as JavaScript has written them in rows of numbers: docs/hand-over.md
//! describes them.

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use super::ids::{ContextId, Handle, Index, KeptId, ScriptsId, Slot};
use super::layout::{APPLIED_NUMBERS, KEEP_NUMBERS, Operation, flags, request};
use super::numbers::{instant, saturated, saturated_signed, size, span, whole_number};
use crate::engine::{
    Drift, Instant, Renewal, Resources, Retry, Settings, Token, Ttl, WatchRequest,
};
use crate::instances::client::port::Ticket;

/// The requests of a tick, as JavaScript wrote them.
pub struct Batch {
    numbers: Vec<f64>,
    text: Text,
}

/// One request.
pub struct Request<'batch> {
    pub slot: Slot,
    pub verb: Verb,
    pub resources: Resources,
    /// To lock with.
    pub own_value: Option<Token>,
    pub terms: Terms<'batch>,
}

/// Who is asked, and how, as it was written: requests of which that is the same need
/// it looked at once.
#[derive(Clone, Copy)]
pub struct Terms<'batch>(&'batch Head);

type Head = [f64; request::NUMBERS];

/// What is to be done.
pub enum Verb {
    Lock(Ttl),
    Extend {
        ttl: Ttl,
        value: Token,
        until: Until,
    },
    Unlock {
        value: Token,
        since: Instant,
    },
    Inspect,
    /// Nothing, for so long from when the request is looked at.
    Wait(Duration),
    /// Everything that this engine has handed over is to be released.
    UnlockAll,
    /// Nothing: what the engine has counted is to be told.
    Stats,
    /// What JavaScript should not have let through.
    Invalid,
}

/// Until when a lock is valid.
#[derive(Clone, Copy)]
pub enum Until {
    /// On the engine's clock.
    At(Instant),
    /// From when the request is looked at.
    In(Duration),
}

impl Batch {
    /// `text` is in UTF-16, request by request.
    pub fn new(numbers: Vec<f64>, text: &[u16]) -> Self {
        let text = Text::of(text);
        Self { numbers, text }
    }

    /// The requests, in order. They end at the first whose lengths make no sense:
    /// whatever came after it would be asked for other names than were written.
    pub fn requests(&self) -> impl Iterator<Item = Request<'_>> {
        let mut numbers = &self.numbers[..];
        let mut text = Pieces {
            text: &self.text,
            taken: 0,
        };
        iter::from_fn(move || read(&mut numbers, &mut text)).fuse()
    }
}

fn read<'batch>(numbers: &mut &'batch [f64], text: &mut Pieces<'batch>) -> Option<Request<'batch>> {
    let head: &Head = numbers.split_off(..request::NUMBERS)?.try_into().ok()?;
    let lengths = numbers.split_off(..size(head[request::COUNT])?)?;
    let value = text.take(head[request::VALUE_LENGTH])?;
    let slot = Slot(whole_number(head[request::SLOT])?);
    whole_number(head[request::HANDLE])?;
    let resources = read_names(text, lengths)?;
    let terms = Terms(head);
    let operation = operation(head).filter(|_| !resources.is_empty());
    let has_own_value = operation == Some(Operation::Lock) && !value.is_empty();
    Some(Request {
        slot,
        verb: verb(head, operation, &value),
        resources,
        own_value: has_own_value.then(|| Token::from(&*value)),
        terms,
    })
}

/// What is asked for; `None` where its number stands for nothing.
fn operation(head: &Head) -> Option<Operation> {
    whole_number(head[request::OPERATION]).and_then(Operation::numbered)
}

fn verb(head: &Head, operation: Option<Operation>, value: &str) -> Verb {
    let time = head[request::TIME];
    match operation {
        Some(Operation::Lock) => ttl(head).map_or(Verb::Invalid, Verb::Lock),
        Some(Operation::Extend) => ttl(head).map_or(Verb::Invalid, |ttl| Verb::Extend {
            ttl,
            value: Token::from(value),
            until: if has_flag(head, flags::RELATIVE) {
                Until::In(span(time))
            } else {
                Until::At(instant(time))
            },
        }),
        Some(Operation::Unlock) => Verb::Unlock {
            value: Token::from(value),
            since: instant(time),
        },
        Some(Operation::Inspect) => Verb::Inspect,
        Some(Operation::Wait) => Verb::Wait(span(time)),
        Some(Operation::UnlockAll) => Verb::UnlockAll,
        Some(Operation::Stats) => Verb::Stats,
        None => Verb::Invalid,
    }
}

impl PartialEq for Terms<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0[request::TERMS] == other.0[request::TERMS]
    }
}

impl Terms<'_> {
    /// Whether each number stands for something.
    pub fn make_sense(self) -> bool {
        let codes = [
            request::FLAGS,
            request::SCRIPTS,
            request::CONTEXT,
            request::TRACE,
        ];
        codes.iter().all(|at| whole_number(self.0[*at]).is_some())
    }

    pub fn handle(self) -> Handle {
        Handle(saturated(self.0[request::HANDLE]))
    }

    pub fn scripts(self) -> ScriptsId {
        ScriptsId(saturated(self.0[request::SCRIPTS]))
    }

    pub fn context(self) -> ContextId {
        ContextId(saturated(self.0[request::CONTEXT]))
    }

    pub fn trace(self) -> ContextId {
        ContextId(saturated(self.0[request::TRACE]))
    }

    /// Whether a lock is waited for by a ticket.
    pub fn wants_turn(self) -> bool {
        has_flag(self.0, flags::FAIR)
    }

    /// Without what is known by its number only, what belongs to the engine, and a value
    /// of the caller's own.
    pub fn settings(self) -> Settings {
        let head = self.0;
        let retries = head[request::RETRY_COUNT];
        let report = head[request::VOTE_REPORT];
        let max_wait = head[request::MAX_WAIT];
        Settings {
            retry: Retry {
                count: (retries >= 0.0 && retries.is_finite()).then(|| saturated(retries)),
                delay: head[request::RETRY_DELAY],
                jitter: head[request::RETRY_JITTER],
            },
            drift: drift(head).unwrap_or_default(),
            report: has_flag(head, flags::REPORT),
            reports_votes_as: (report > 0.0).then(|| saturated(report).into()),
            max_wait: (max_wait >= 0.0).then(|| span(max_wait)),
            inspects_if_held: has_flag(head, flags::INSPECT_IF_HELD),
            is_repeated: has_flag(head, flags::IS_REPEATED),
            queues: has_flag(head, flags::QUEUES),
            wakeups: has_flag(head, flags::WAKEUPS),
            ..Settings::default()
        }
    }
}

fn ttl(head: &Head) -> Option<Ttl> {
    Ttl::new(head[request::TTL], drift(head)?).ok()
}

fn drift(head: &Head) -> Option<Drift> {
    Drift::new(head[request::DRIFT_FACTOR])
}

fn has_flag(head: &Head, flag: u32) -> bool {
    is_set(head[request::FLAGS], flag)
}

fn is_set(flags: f64, flag: u32) -> bool {
    saturated(flags) & flag != 0
}

fn read_names(text: &mut Pieces, lengths: &[f64]) -> Option<Resources> {
    let mut name = |length: &f64| text.take(*length).map(Box::<str>::from);
    match lengths {
        // Nearly always, and without a list that is copied.
        [length] => Some(Arc::new([name(length)?])),
        _ => lengths.iter().map(name).collect(),
    }
}

/// The text of a batch.
enum Text {
    /// Nearly always: as long in any encoding.
    Ascii(String),
    Utf16(Vec<u16>),
}

impl Text {
    fn of(units: &[u16]) -> Self {
        let is_ascii = units.iter().fold(0, |all, unit| all | unit) < 0x80;
        let narrow = |unit: &u16| unit.to_le_bytes()[0];
        let bytes = is_ascii.then(|| units.iter().map(narrow).collect());
        match bytes.map(String::from_utf8) {
            Some(Ok(text)) => Self::Ascii(text),
            _ => Self::Utf16(units.to_vec()),
        }
    }
}

/// A batch's text as it is taken, piece by piece.
struct Pieces<'batch> {
    text: &'batch Text,
    taken: usize,
}

impl<'batch> Pieces<'batch> {
    /// The next one, which is so long as JavaScript counts.
    #[inline]
    fn take(&mut self, length: f64) -> Option<Cow<'batch, str>> {
        let piece = self.taken..self.taken.checked_add(size(length)?)?;
        self.taken = piece.end;
        match self.text {
            Text::Ascii(text) => text.get(piece).map(Cow::Borrowed),
            // Each by itself: lone surrogates, which become U+FFFD, are no pair because they
            // are neighbours.
            Text::Utf16(units) => {
                let piece = String::from_utf16_lossy(units.get(piece)?);
                Some(Cow::Owned(piece))
            }
        }
    }
}

/// For how many keys a caller's client has carried a script out.
pub struct Applied {
    pub handle: Handle,
    pub index: Index,
    pub ticket: Ticket,
    pub keys: i64,
}

/// What callers' clients came back with in a tick.
pub fn applied(rows: &[f64]) -> impl Iterator<Item = Applied> {
    rows.chunks_exact(APPLIED_NUMBERS).map(|row| Applied {
        handle: Handle(saturated(row[0])),
        index: Index(saturated(row[1])),
        ticket: Ticket(saturated(row[2])),
        keys: saturated_signed(row[3]),
    })
}

/// A lock to be kept. `None` where `numbers` are not as many as they must be, or
/// have no drift factor.
pub fn watch_request(
    number: KeptId,
    numbers: &[f64],
    value: &str,
    resources: Vec<String>,
) -> Option<WatchRequest> {
    let numbers: [f64; KEEP_NUMBERS] = numbers.try_into().ok()?;
    let [until, ttl, lead, cap, drift, delay, jitter, flags] = numbers;
    let drift = Drift::new(drift)?;
    let renewal = Ttl::new(ttl, drift).ok().map(|ttl| Renewal {
        ttl,
        lead: span(lead),
        cap: (cap > 0.0).then(|| instant(cap)),
    });
    Some(WatchRequest {
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
            wakeups: is_set(flags, flags::WAKEUPS),
            ..Settings::default()
        },
        number: number.0.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::layout::UNLIMITED;

    /// A batch of one request on `resources`, whose numbers `write` may change.
    fn batch(value: &str, resources: &[&str], write: impl FnOnce(&mut Head)) -> Batch {
        let length = |text: &str| u32::try_from(text.encode_utf16().count()).expect("short");
        let mut head = [0.0; request::NUMBERS];
        head[request::TTL] = 1000.0;
        head[request::VALUE_LENGTH] = length(value).into();
        head[request::COUNT] = u32::try_from(resources.len()).expect("few").into();
        write(&mut head);
        let mut numbers = head.to_vec();
        numbers.extend(resources.iter().map(|name| f64::from(length(name))));
        let text = [&[value], resources].concat().concat();
        Batch::new(numbers, &text.encode_utf16().collect::<Vec<_>>())
    }

    fn only(batch: &Batch) -> Request<'_> {
        let mut requests: Vec<_> = batch.requests().collect();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }

    fn code(operation: Operation) -> f64 {
        operation.number().into()
    }

    #[test]
    fn each_number_of_a_request_becomes_what_it_stands_for() {
        let batch = batch("", &["a", "ü"], |head| {
            head[request::SLOT] = 1.0;
            head[request::HANDLE] = 2.0;
            head[request::OPERATION] = code(Operation::Lock);
            head[request::RETRY_COUNT] = 3.0;
            head[request::RETRY_DELAY] = 4.0;
            head[request::RETRY_JITTER] = 5.0;
            head[request::DRIFT_FACTOR] = 0.5;
            head[request::SCRIPTS] = 6.0;
            head[request::VOTE_REPORT] = 7.0;
            head[request::MAX_WAIT] = 8.0;
            head[request::CONTEXT] = 9.0;
            head[request::TRACE] = 10.0;
        });
        let request = only(&batch);
        assert_eq!(request.slot, Slot(1));
        assert_eq!(request.terms.handle(), Handle(2));
        assert!(matches!(request.verb, Verb::Lock(ttl) if ttl.millis() == 1000));
        assert_eq!(*request.resources, [Box::from("a"), Box::from("ü")]);
        let settings = request.terms.settings();
        assert_eq!(
            settings.retry,
            Retry {
                count: Some(3),
                delay: 4.0,
                jitter: 5.0,
            }
        );
        assert_eq!(Some(settings.drift), Drift::new(0.5));
        assert_eq!(request.terms.scripts(), ScriptsId(6));
        assert_eq!(settings.reports_votes_as, Some(7));
        assert_eq!(settings.max_wait, Some(Duration::from_millis(8)));
        assert_eq!(request.terms.context(), ContextId(9));
        assert_eq!(request.terms.trace(), ContextId(10));
        assert!(request.own_value.is_none());
    }

    #[test]
    fn halves_of_a_pair_in_two_names_are_none() {
        let mut numbers = vec![0.0; request::NUMBERS];
        numbers[request::COUNT] = 2.0;
        numbers.extend([2.0, 2.0]);
        let (high, low) = (0xd83d, 0xde00);
        let batch = Batch::new(numbers, &[u16::from(b'a'), high, low, u16::from(b'b')]);
        let names = &only(&batch).resources;
        assert_eq!(**names, [Box::from("a\u{fffd}"), Box::from("\u{fffd}b")]);
    }

    #[test]
    fn what_has_no_end_is_read_as_that() {
        let batch = batch("", &["r"], |head| {
            head[request::RETRY_COUNT] = UNLIMITED;
            head[request::MAX_WAIT] = UNLIMITED;
        });
        let settings = only(&batch).terms.settings();
        assert_eq!(settings.retry.count, None);
        assert_eq!(settings.max_wait, None);
    }

    #[test]
    fn each_flag_is_one_setting() {
        let read = |flags: u32| {
            let batch = batch("", &["r"], |head| head[request::FLAGS] = flags.into());
            let Settings {
                report,
                inspects_if_held,
                is_repeated,
                queues,
                wakeups,
                ..
            } = only(&batch).terms.settings();
            [report, inspects_if_held, is_repeated, queues, wakeups]
        };
        assert_eq!(read(0), [false; 5]);
        let only = |set: usize| std::array::from_fn(|at| at == set);
        assert_eq!(read(flags::REPORT), only(0));
        assert_eq!(read(flags::INSPECT_IF_HELD), only(1));
        assert_eq!(read(flags::IS_REPEATED), only(2));
        assert_eq!(read(flags::QUEUES), only(3));
        assert_eq!(read(flags::WAKEUPS), only(4));
    }

    #[test]
    fn an_extension_is_until_a_point_or_for_a_span() {
        let until = |flags: u32| {
            let batch = batch("v", &["r"], |head| {
                head[request::OPERATION] = code(Operation::Extend);
                head[request::FLAGS] = flags.into();
                head[request::TIME] = 50.0;
            });
            match only(&batch).verb {
                Verb::Extend { until, value, .. } if &*value.text() == "v" => until,
                _ => panic!("no extension of the value"),
            }
        };
        assert!(matches!(until(0), Until::At(at) if at == instant(50.0)));
        assert!(matches!(until(flags::RELATIVE), Until::In(span) if span.as_millis() == 50));
    }

    #[test]
    fn only_a_lock_has_a_value_of_the_callers_own() {
        let own = |operation| {
            let batch = batch("v", &["r"], |head| {
                head[request::OPERATION] = code(operation);
            });
            only(&batch).own_value
        };
        assert_eq!(own(Operation::Lock), Some(Token::from("v")));
        assert_eq!(own(Operation::Unlock), None);
    }

    #[test]
    fn a_ttl_that_leaves_no_time_is_no_request_to_lock() {
        let batch = batch("", &["r"], |head| head[request::TTL] = 1.0);
        assert!(matches!(only(&batch).verb, Verb::Invalid));
    }

    #[test]
    fn a_kept_lock_is_extended_if_it_has_a_ttl() {
        let numbers = [1000.0, 500.0, 100.0, 2000.0, 0.01, 20.0, 10.0, 0.0];
        let read = |numbers: &[f64]| watch_request(KeptId(7), numbers, "v", vec!["r".to_owned()]);
        let extended = read(&numbers).expect("eight numbers");
        assert_eq!(extended.number, 7);
        assert_eq!(extended.until, instant(1000.0));
        let renewal = extended.renewal.expect("a ttl");
        assert_eq!(renewal.ttl.millis(), 500);
        assert_eq!(renewal.lead, Duration::from_millis(100));
        assert_eq!(renewal.cap, Some(instant(2000.0)));
        assert!(!extended.settings.wakeups);
        let flags = f64::from(flags::WAKEUPS);
        let watched = [1000.0, 0.0, 0.0, 0.0, 0.01, 20.0, 10.0, flags];
        let watched = read(&watched).expect("eight numbers");
        assert!(watched.renewal.is_none());
        assert!(watched.settings.wakeups);
        assert!(read(&numbers[1..]).is_none());
    }
}
