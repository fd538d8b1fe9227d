//! What must hold of whatever JavaScript hands over: rows of numbers, and
//! configurations. src/instances/redis/fuzz says how such a test is made.

use bolero::generator::produce;
use bolero::{TypeGenerator, check};
use serde_json::Value;

use super::config::{Config, read_server};
use super::outbox::{Answer, Locked, Outcome};
use super::record::{Batch, Request, Rows, Terms, Verb, applied, hold};
use crate::engine::{Drift, Instant, Settings, Token, Ttl, Validity};

// ---- requests

/// How many numbers a request has before its resources' lengths.
const HEAD: usize = 16;

/// A request as lib/native.js writes it.
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
    fn operation(&self) -> u8 {
        self.operation % 6
    }

    fn write(&self, numbers: &mut Vec<f64>, text: &mut Vec<u16>) {
        let mut word = |word: &str| {
            let before = text.len();
            text.extend(word.encode_utf16());
            count(text.len() - before)
        };
        let value = word(&self.value);
        let lengths: Vec<_> = self.names.iter().map(|name| word(name)).collect();
        numbers.extend([
            self.slot.into(),
            self.handle.into(),
            self.operation().into(),
            f64::from(self.flags % 8),
            f64::from(self.ttl) + 10.0,
            -1.0,
            200.0,
            100.0,
            0.01,
            0.0,
            value,
            0.0,
            0.0,
            -1.0,
            0.0,
            count(self.names.len()),
        ]);
        numbers.extend(lengths);
    }

    /// What is asked of which keys is as it was written, or it is nothing.
    fn assert_read_as(&self, request: &Request) {
        assert_eq!(request.slot, u32::from(self.slot));
        assert_eq!(request.handle, u32::from(self.handle));
        let names: Vec<_> = request.resources.iter().map(ToString::to_string).collect();
        assert_eq!(names, self.names);
        let value = match &request.verb {
            Verb::Nonsense => return,
            Verb::Lock(_) => request.settings.value.clone().unwrap_or(Token::from("")),
            Verb::Extend(_, value, _) | Verb::Unlock(value, _) => value.clone(),
            Verb::Inspect | Verb::Wait(_) | Verb::UnlockAll => {
                return assert_eq!(self.operation(), operation(&request.verb));
            }
        };
        assert_eq!(value.as_str(), self.value);
        assert_eq!(self.operation(), operation(&request.verb));
    }
}

fn operation(verb: &Verb) -> u8 {
    match verb {
        Verb::Lock(_) => 0,
        Verb::Extend(..) => 1,
        Verb::Unlock(..) => 2,
        Verb::Inspect => 3,
        Verb::Wait(_) => 4,
        Verb::UnlockAll => 5,
        Verb::Nonsense => u8::MAX,
    }
}

fn count(length: usize) -> f64 {
    u32::try_from(length).expect("short").into()
}

fn requests(numbers: Vec<f64>, text: Vec<u16>) -> Vec<Request> {
    Batch { numbers, text }.requests(|_, _| Terms::default())
}

#[test]
fn requests_are_read_as_they_were_written() {
    check!().with_type::<Vec<Written>>().for_each(|written| {
        let (mut numbers, mut text) = (Vec::new(), Vec::new());
        for one in written {
            one.write(&mut numbers, &mut text);
        }
        let read = requests(numbers, text);
        assert_eq!(read.len(), written.len());
        for (written, read) in written.iter().zip(&read) {
            written.assert_read_as(read);
            let is_nonsense = matches!(read.verb, Verb::Nonsense);
            assert_eq!(is_nonsense, written.names.is_empty(), "a lock on nothing");
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
                    let length = HEAD + one.names.len();
                    numbers[start + usize::from(*place) % length] = nonsense.number();
                }
            }
            let read = requests(numbers, text);
            assert!(read.len() >= row && read.len() <= written.len());
            for (written, read) in written.iter().zip(&read) {
                written.assert_read_as(read);
            }
        });
}

/// Numbers, a bar, and the text that they are about.
fn a_batch_has_no_more_than_its_text(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let (numbers, text) = input.split_once('|').unwrap_or((&input, ""));
    let numbers: Vec<f64> = numbers
        .split_ascii_whitespace()
        .map(|number| number.parse().unwrap_or(f64::NAN))
        .collect();
    let text: Vec<u16> = text.encode_utf16().collect();
    let (amount, length) = (numbers.len(), text.len());
    let read = requests(numbers, text);
    let names: usize = read.iter().map(|request| request.resources.len()).sum();
    assert!(read.len() * HEAD + names <= amount);
    let words = read.iter().flat_map(|request| request.resources.iter());
    let used: usize = words.map(|word| word.encode_utf16().count()).sum();
    assert!(used <= length);
}

#[test]
fn rows() {
    check!(name = "rows").for_each(a_batch_has_no_more_than_its_text);
}

#[test]
fn a_kept_locks_terms_and_clients_answers_may_be_any_numbers() {
    check!().with_type::<Vec<f64>>().for_each(|numbers| {
        assert_eq!(applied(numbers).count(), numbers.len() / 4);
        let held = hold(1, numbers, "v", vec!["r".to_owned()]);
        assert!(held.is_none() || numbers.len() == 7);
        let mut terms = numbers.clone();
        terms.resize(7, f64::NAN);
        if let Some(renewal) = hold(1, &terms, "v", Vec::new()).and_then(|hold| hold.renewal) {
            assert!(Ttl::new(terms[1], Drift::new(terms[4]).expect("a drift")) == Ok(renewal.ttl));
        }
    });
}

// ---- answers

/// An answer of the engine's.
#[derive(Clone, Debug, TypeGenerator)]
enum Given {
    Unlocked,
    Locked(String, u64, u64),
    Extended(u64),
    Failed(Option<u64>),
    Event,
}

impl Given {
    fn answer(&self, slot: Option<u32>) -> Answer {
        let validity = |since: u64, until: u64| Validity {
            since: Instant::from_nanos(since),
            until: Instant::from_nanos(until),
        };
        let outcome = match self {
            Self::Unlocked => Outcome::Unlocked,
            Self::Locked(value, since, until) => Outcome::Locked(Locked {
                handle: 1,
                resources: [Box::from("r")].into(),
                value: Token::from(&**value),
                validity: validity(*since, *until),
                settings: Settings::default(),
            }),
            Self::Extended(until) => Outcome::Extended(validity(0, *until)),
            Self::Failed(until) => Outcome::Failed("{}".to_owned(), until.map(Instant::from_nanos)),
            Self::Event => Outcome::Event("{}".to_owned()),
        };
        Answer {
            slot,
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
            let mut values = vec![0; usize::from(*values) * 8];
            let mut rows = Rows::new(&mut numbers, &mut values, Instant::from_nanos(*now));
            let room = rows.room().min(given.len());
            for (given, slot) in given[..room].iter().zip(0..) {
                rows.write(given.answer(Some(slot)));
            }
            let details = rows.finish();
            assert!((numbers[0] - count(room)).abs() < f64::EPSILON);
            for (at, slot) in (0..room).zip(0_u32..) {
                let row = &numbers[1 + at * 6..][..6];
                assert!((row[0] - f64::from(slot)).abs() < f64::EPSILON);
                assert!(row[3] >= 0.0, "no validity is below none");
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
    r#"{"instances":[{"kind":"redis","sentinel":{"sentinels":[{"host":"a","port":1}],"service":"s","password":"hunter2!"}}],"patience":{"share":0.1}}"#,
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
