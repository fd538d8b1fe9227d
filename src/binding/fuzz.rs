//! What must hold of whatever JavaScript hands over: rows of numbers, and
//! configurations. src/instances/redis/fuzz says how such a test is made.

use bolero::generator::produce;
use bolero::{TypeGenerator, check};
use serde_json::Value;

use super::config::{Config, read_server};
use super::decode::{Batch, Request, Verb, applied, watch_request};
use super::encode::Rows;
use super::ids::{Handle, KeptId, Slot};
use super::layout::{
    APPLIED_NUMBERS, KEEP_NUMBERS, Operation, UNLIMITED, VALUE_LENGTH, answer, request,
};
use std::sync::Arc;

use super::outbox::{Locked, Outcome, Response};
use crate::engine::{Drift, Instant, Token, Ttl, Validity};

// ---- requests

/// A request as lib/native/requests.js writes it.
#[derive(Clone, Debug, TypeGenerator)]
struct Written {
    slot: u16,
    handle: u16,
    operation: u8,
    flags: u8,
    ttl: u16,
    value: String,
    #[generator(produce::<Vec<String>>().with().len(0_usize..4))]
    names: Vec<String>,
}

impl Written {
    fn operation(&self) -> Operation {
        Operation::numbered(u32::from(self.operation % 7)).expect("there are seven")
    }

    fn write(&self, numbers: &mut Vec<f64>, text: &mut Vec<u16>) {
        let mut word = |word: &str| {
            let before = text.len();
            text.extend(word.encode_utf16());
            count(text.len() - before)
        };
        let value = word(&self.value);
        let lengths: Vec<_> = self.names.iter().map(|name| word(name)).collect();
        let mut head = [0.0; request::NUMBERS];
        head[request::SLOT] = self.slot.into();
        head[request::HANDLE] = self.handle.into();
        head[request::OPERATION] = self.operation().number().into();
        head[request::FLAGS] = f64::from(self.flags % 16);
        head[request::TTL] = f64::from(self.ttl) + 10.0;
        head[request::RETRY_COUNT] = UNLIMITED;
        head[request::RETRY_DELAY] = 200.0;
        head[request::RETRY_JITTER] = 100.0;
        head[request::DRIFT_FACTOR] = 0.01;
        head[request::VALUE_LENGTH] = value;
        head[request::MAX_WAIT] = UNLIMITED;
        head[request::COUNT] = count(self.names.len());
        numbers.extend(head);
        numbers.extend(lengths);
    }

    /// What is asked of which keys is as it was written, or it is nothing.
    fn assert_read_as(&self, request: &Request) {
        assert_eq!(request.slot, Slot(self.slot.into()));
        assert_eq!(request.terms.handle(), Handle(self.handle.into()));
        let names: Vec<_> = request.resources.iter().map(ToString::to_string).collect();
        assert_eq!(names, self.names);
        let value = match &request.verb {
            Verb::Invalid => return,
            Verb::Lock(_) => request.own_value.clone().unwrap_or(Token::from("")),
            Verb::Extend { value, .. } | Verb::Unlock { value, .. } => value.clone(),
            Verb::Inspect | Verb::Wait(_) | Verb::UnlockAll | Verb::Stats => {
                return assert_eq!(operation(&request.verb), Some(self.operation()));
            }
        };
        assert_eq!(&*value.text(), self.value);
        assert_eq!(operation(&request.verb), Some(self.operation()));
    }
}

fn operation(verb: &Verb) -> Option<Operation> {
    match verb {
        Verb::Lock(_) => Some(Operation::Lock),
        Verb::Extend { .. } => Some(Operation::Extend),
        Verb::Unlock { .. } => Some(Operation::Unlock),
        Verb::Inspect => Some(Operation::Inspect),
        Verb::Wait(_) => Some(Operation::Wait),
        Verb::UnlockAll => Some(Operation::UnlockAll),
        Verb::Stats => Some(Operation::Stats),
        Verb::Invalid => None,
    }
}

fn count(length: usize) -> f64 {
    u32::try_from(length).expect("short").into()
}

fn requests(batch: &Batch) -> Vec<Request<'_>> {
    batch.requests().collect()
}

#[test]
fn requests_are_read_as_they_were_written() {
    check!().with_type::<Vec<Written>>().for_each(|written| {
        let (mut numbers, mut text) = (Vec::new(), Vec::new());
        for one in written {
            one.write(&mut numbers, &mut text);
        }
        let batch = Batch::new(numbers, &text);
        let read = requests(&batch);
        assert_eq!(read.len(), written.len());
        for (written, read) in written.iter().zip(&read) {
            written.assert_read_as(read);
            let is_invalid = matches!(read.verb, Verb::Invalid);
            assert_eq!(is_invalid, written.names.is_empty(), "a lock on nothing");
        }
    });
}

/// What no length, number or flag can be.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Nonsense {
    NotANumber,
    Infinite,
    Negative(u32),
    Broken(u32),
    Huge(u64),
}

impl Nonsense {
    fn number(self) -> f64 {
        match self {
            Self::NotANumber => f64::NAN,
            Self::Infinite => f64::INFINITY,
            Self::Negative(number) => -1.0 - f64::from(number),
            Self::Broken(number) => f64::from(number) + 0.5,
            #[expect(clippy::cast_precision_loss, reason = "any huge number will do")]
            Self::Huge(number) => 2_f64.powi(33) + number as f64,
        }
    }
}

/// A number that makes no sense costs its own request, or ends the batch; nobody
/// is asked for other names than were written.
#[test]
fn a_nonsensical_number_leads_to_no_other_names() {
    check!()
        .with_type::<(Vec<Written>, u8, u8, Nonsense)>()
        .for_each(|(written, row, place, nonsense)| {
            if written.is_empty() {
                return;
            }
            let row = usize::from(*row) % written.len();
            let (mut numbers, mut text) = (Vec::new(), Vec::new());
            for (at, one) in written.iter().enumerate() {
                let start = numbers.len();
                one.write(&mut numbers, &mut text);
                if at == row {
                    let length = request::NUMBERS + one.names.len();
                    numbers[start + usize::from(*place) % length] = nonsense.number();
                }
            }
            let batch = Batch::new(numbers, &text);
            let read = requests(&batch);
            assert!(read.len() >= row && read.len() <= written.len());
            for (written, read) in written.iter().zip(&read) {
                written.assert_read_as(read);
            }
        });
}

/// Numbers, a bar, and the text that they are about.
fn a_batch_has_no_more_than_its_text(input: &[u8]) {
    let bar = input.iter().position(|byte| *byte == b'|');
    let (numbers, text) = input.split_at(bar.unwrap_or(input.len()));
    let text = text.get(1..).unwrap_or_default().chunks_exact(2);
    let text: Vec<_> = text
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let numbers: Vec<f64> = String::from_utf8_lossy(numbers)
        .split_ascii_whitespace()
        .map(|number| number.parse().unwrap_or(f64::NAN))
        .collect();
    let (amount, length) = (numbers.len(), text.len());
    let batch = Batch::new(numbers, &text);
    let read = requests(&batch);
    let names: usize = read.iter().map(|request| request.resources.len()).sum();
    assert!(read.len() * request::NUMBERS + names <= amount);
    let words = read.iter().flat_map(|request| request.resources.iter());
    let used: usize = words.map(|word| word.encode_utf16().count()).sum();
    assert!(used <= length);
}

#[test]
fn rows() {
    check!(name = "rows").for_each(a_batch_has_no_more_than_its_text);
}

#[test]
fn a_kept_locks_renewal_and_clients_replies_may_be_any_numbers() {
    check!().with_type::<Vec<f64>>().for_each(|numbers| {
        assert_eq!(applied(numbers).count(), numbers.len() / APPLIED_NUMBERS);
        let held = watch_request(KeptId(1), numbers, "v", vec!["r".to_owned()]);
        assert!(held.is_none() || numbers.len() == KEEP_NUMBERS);
        let mut terms = numbers.clone();
        terms.resize(KEEP_NUMBERS, f64::NAN);
        if let Some(renewal) =
            watch_request(KeptId(1), &terms, "v", Vec::new()).and_then(|watch| watch.renewal)
        {
            assert!(Ttl::new(terms[1], Drift::new(terms[4]).expect("a drift")) == Ok(renewal.ttl));
        }
    });
}

// ---- answers

/// A response of the engine's.
#[derive(Clone, Debug, TypeGenerator)]
enum Given {
    Unlocked,
    Locked(String, u64, u64),
    Extended(u64),
    Failed(Option<u64>),
    Event,
}

impl Given {
    fn response(&self, slot: Slot) -> Response {
        let validity = |since: u64, until: u64| Validity {
            since: Instant::from_nanos(since),
            until: Instant::from_nanos(until),
        };
        let outcome = match self {
            Self::Unlocked => Outcome::Unlocked,
            Self::Locked(value, since, until) => Outcome::Locked(Locked {
                handle: Handle(1),
                resources: [Box::from("r")].into(),
                value: Token::from(&**value),
                validity: validity(*since, *until),
                settings: Arc::default(),
            }),
            Self::Extended(until) => Outcome::Extended(validity(0, *until)),
            Self::Failed(until) => Outcome::Failed("{}".to_owned(), until.map(Instant::from_nanos)),
            Self::Event => Outcome::Event("{}".to_owned()),
        };
        Response {
            slot: Some(slot),
            attempts: 1,
            outcome,
        }
    }
}

/// As many as there is room for are written, each where it belongs, and the
/// details are as many as are referred to.
#[test]
fn answers_are_written_within_their_room() {
    check!()
        .with_type::<(Vec<Given>, u8, u8, u64)>()
        .for_each(|(given, numbers, values, now)| {
            let mut numbers = vec![0.0; usize::from(*numbers) + 1];
            let mut values = vec![0; usize::from(*values) * VALUE_LENGTH / 4];
            let mut rows = Rows::new(&mut numbers, &mut values, Instant::from_nanos(*now));
            let room = rows.room().min(given.len());
            for (given, slot) in given[..room].iter().zip(0..) {
                rows.write(given.response(Slot(slot)));
            }
            let details = rows.finish();
            assert!((numbers[0] - count(room)).abs() < f64::EPSILON);
            for (at, slot) in (0..room).zip(0_u32..) {
                let row = &numbers[1 + at * answer::NUMBERS..][..answer::NUMBERS];
                assert!((row[answer::SLOT] - f64::from(slot)).abs() < f64::EPSILON);
                assert!(row[answer::LEFT] >= 0.0, "no validity is below none");
            }
            let referred = given[..room]
                .iter()
                .filter(|given| matches!(given, Given::Failed(_) | Given::Event))
                .count();
            let told = details.map_or(0, |details| {
                let details: Vec<Value> = serde_json::from_str(&details).expect("JSON");
                details.len()
            });
            assert_eq!(told, referred);
        });
}

// ---- configurations

/// Nothing of a password or a key is in what a configuration shows, whether it
/// could be read or not.
fn a_configuration_shows_no_secret(input: &[u8]) {
    let json = String::from_utf8_lossy(input);
    let mut shown = match Config::read(&json) {
        Ok(config) => config.addresses(),
        Err(error) => vec![error.to_string(), format!("{error:?}")],
    };
    shown.push(match read_server(&json) {
        Ok(config) => format!("{} {config:?}", config.address()),
        Err(error) => format!("{error} {error:?}"),
    });
    let mut secrets = Vec::new();
    if let Ok(value) = serde_json::from_str(&json) {
        find_secrets(&value, &mut secrets);
    }
    for secret in secrets {
        // One that is a host's name too can't be kept from being shown as that.
        let is_secret = secret.len() > 5 && json.matches(&*secret).count() == 1;
        for text in shown.iter().filter(|_| is_secret) {
            assert!(!text.contains(&*secret), "{text}");
        }
    }
}

fn find_secrets(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if key == "password" || key == "key" => {
                        found.push(text.clone());
                    }
                    other => find_secrets(other, found),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| find_secrets(part, found)),
        _ => {}
    }
}

#[test]
fn config() {
    check!(name = "config").for_each(a_configuration_shows_no_secret);
}

const TEMPLATES: [&str; 6] = [
    r#"{"instances":[{"kind":"redis","host":"a","port":6379,"username":"u","password":"hunter2!"}]}"#,
    r#"{"instances":[{"kind":"redis","sentinel":{"sentinels":[{"host":"a","port":1}],"service":"s","password":"hunter2!"}}],"deadlines":{"floor":0.1}}"#,
    r#"{"instances":[{"kind":"memory","name":"m"},{"kind":"client","address":"a","native":false,"hint":null,"same":null}]}"#,
    r#"{"instances":[{"kind":"redis","tls":{"ca":["x"],"cert":"c","key":"-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----","rejectUnauthorized":false}}]}"#,
    r#"{"cluster":{"nodes":[{"host":"a","port":7000}]},"natMap":[[{"host":"a","port":1},{"host":"b","port":2}]],"password":"hunter2!","connectTimeout":-1e308}"#,
    r#"{"path":"/run/redis.sock","db":4294967296,"keyPrefix":"p:","clientName":"n","password":"hunter2!","tls":{"ca":[],"rejectUnauthorized":false}}"#,
];

/// One of the templates, of which a part is another.
#[test]
fn config_with_a_part_exchanged() {
    check!()
        .with_type::<(u8, u16, u8, Vec<u8>)>()
        .for_each(|(template, from, length, part)| {
            let mut json = TEMPLATES[usize::from(*template) % TEMPLATES.len()]
                .as_bytes()
                .to_vec();
            let from = usize::from(*from) % json.len();
            let to = json.len().min(from + usize::from(*length % 16));
            json.splice(from..to, part.iter().copied());
            a_configuration_shows_no_secret(&json);
        });
}

#[test]
fn the_templates_can_be_read_but_for_what_is_wrong_on_purpose() {
    for template in &TEMPLATES[..3] {
        assert!(Config::read(template).is_ok(), "{template}");
    }
    assert!(read_server(TEMPLATES[4]).is_ok());
}
