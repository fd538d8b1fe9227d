//! What must hold of whatever a server, a cluster's node or a sentinel says.
//!
//! Each parser is met twice: by bytes as they are, which is what a fuzzer that
//! sees the code's branches needs and what the corpus beside this file keeps, and
//! by pieces of replies, so that a test of a second gets past the first byte.
//! docs/safety.md says how to run them for longer.

use std::rc::Rc;
use std::sync::Arc;

use bolero::generator::produce;
use bolero::{TypeGenerator, check};
use redis::Value;

use super::cluster::{Redirect, Slot, SlotMap};
use super::config::{Address, Config, Endpoint, Sentinels};
use super::dial::{Greeting, master_of};
use super::protocol::command::{Form, ParsedReply, Writer, parse_reply};
use super::protocol::frame::{Replies, Unreadable};
use super::protocol::value::is_host;
use super::redact::Redactor;
use super::secret::Secret;
use crate::engine::{
    Cause, Drift, Instant, Operation, Question, Script, Scripts, Token, Ttl, Vote,
};

const SLOTS: u16 = 16_384;

/// More masters than that are no cluster.
const MOST_MASTERS: usize = 1024;

/// The server's password, which could be a host's name.
const PASSWORD: &str = "hunter2-pass";

/// The sentinels', with what is escaped in texts.
const PASSPHRASE: &str = "p/4 \"ü\\\\\n%25💡";

/// The lock's value, which could be a server's word for an error.
const VALUE: &str = "HUNTERTWO";

/// What knows the passwords.
fn redactor() -> Redactor {
    let endpoint = Endpoint::Sentinel(Sentinels {
        addresses: vec![asked()],
        service: "main".into(),
        tls: None,
        username: None,
        password: Some(Secret::from(PASSPHRASE.to_owned())),
    });
    Redactor::new(&Config {
        password: Some(Secret::from(PASSWORD.to_owned())),
        ..Config::new(endpoint)
    })
}

/// Where the node is that has said it.
fn asked() -> Address {
    Address {
        host: "asked".into(),
        port: 1,
    }
}

/// A part of an input: a word that the parser may know, or anything.
#[derive(Clone, Debug, TypeGenerator)]
enum Piece {
    Word(u8),
    Number(i64),
    Small(u8),
    Bytes(Vec<u8>),
}

fn join(pieces: &[Piece], words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Word(index) => {
                bytes.extend(words[usize::from(*index) % words.len()].as_bytes());
            }
            Piece::Number(number) => bytes.extend(number.to_string().as_bytes()),
            Piece::Small(number) => bytes.extend(number.to_string().as_bytes()),
            Piece::Bytes(anything) => bytes.extend(anything),
        }
    }
    bytes
}

const REPLY_WORDS: [&str; 20] = [
    "+OK\r\n",
    "$-1\r\n",
    "*-1\r\n",
    ":1\r\n",
    "*",
    "$",
    ":",
    "+",
    "-",
    "\r\n",
    "*0\r\n",
    "*1\r\n",
    "*2\r\n",
    "*3\r\n",
    "$1\r\n",
    "$0\r\n\r\n",
    "-MOVED 3999 127.0.0.1:6381\r\n",
    "-NOSCRIPT No matching script.\r\n",
    "16777217",
    "99999999999999999999",
];

/// A reply as a server has it.
#[derive(Clone, Debug, TypeGenerator)]
enum Told {
    Nil,
    Okay,
    Int(i64),
    /// A number of keys, or nearly one.
    Few(i8),
    Bulk(Vec<u8>),
    /// The same as a string.
    FewInText(i8),
    Simple(String),
    Error(u8, String),
    Array(#[generator(produce::<Vec<Told>>().with().len(0_usize..5))] Vec<Told>),
}

const CODES: [&str; 6] = ["NOSCRIPT", "ERR", "MOVED", "READONLY", "no", VALUE];

impl Told {
    fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.extend(b"$-1\r\n"),
            Self::Okay => out.extend(b"+OK\r\n"),
            Self::Int(number) => out.extend(format!(":{number}\r\n").as_bytes()),
            Self::Few(number) => Self::Int((number % 5).into()).render(out),
            Self::Bulk(bytes) => {
                out.extend(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend(bytes);
                out.extend(b"\r\n");
            }
            Self::FewInText(number) => bulk(&(number % 5).to_string()).render(out),
            Self::Simple(text) => out.extend(format!("+{}\r\n", line(text)).as_bytes()),
            Self::Error(code, text) => {
                let code = CODES[usize::from(*code) % CODES.len()];
                out.extend(format!("-{code} {}\r\n", line(text)).as_bytes());
            }
            Self::Array(parts) => {
                out.extend(format!("*{}\r\n", parts.len()).as_bytes());
                for part in parts {
                    part.render(out);
                }
            }
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Okay => Value::Okay,
            Self::Int(number) => Value::Int(*number),
            Self::Few(number) => Value::Int((number % 5).into()),
            Self::Bulk(bytes) => Value::BulkString(bytes.clone()),
            Self::FewInText(number) => bulk(&(number % 5).to_string()).value(),
            Self::Simple(text) => match line(text).as_str() {
                "OK" => Value::Okay,
                text => Value::SimpleString(text.to_owned()),
            },
            Self::Error(..) => {
                let mut bytes = Vec::new();
                self.render(&mut bytes);
                redis::parse_redis_value(&bytes).expect("an error")
            }
            Self::Array(parts) => Value::Array(parts.iter().map(Self::value).collect()),
        }
    }
}

fn bulk(text: &str) -> Told {
    Told::Bulk(text.as_bytes().to_vec())
}

/// A simple string and an error have one line: servers put spaces in the place
/// of line breaks.
fn line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

// ---- frames

/// How long a reply may be, unless that is what matters.
const MOST: usize = 1024 * 1024;

/// What a link makes of a stream that comes in these chunks: the replies, and
/// what is left, in bytes, or what makes it unreadable.
fn read<'stream>(
    chunks: impl IntoIterator<Item = &'stream [u8]>,
    most: usize,
) -> (Vec<Value>, Result<usize, Unreadable>) {
    let mut replies = Replies::default();
    let mut read = Vec::new();
    let (mut sent, mut taken, mut reads) = (Vec::new(), 0, 0);
    let mut end = Ok(());
    for chunk in chunks {
        replies.room().extend_from_slice(chunk);
        sent.extend_from_slice(chunk);
        reads += 1;
        end = loop {
            match replies.next(most) {
                Ok(Some(reply)) => {
                    let bytes = &sent[taken..sent.len() - replies.waiting()];
                    assert!((1..=most).contains(&bytes.len()));
                    assert!(weight(&reply) <= bytes.len(), "more than was sent");
                    assert_eq!(Some(&reply), parsed_at_once(bytes).as_ref());
                    taken += bytes.len();
                    read.push(reply);
                }
                Ok(None) => break Ok(()),
                Err(unreadable) => break Err(unreadable),
            }
        };
        if end.is_err() {
            break;
        }
        assert!(replies.waiting() <= most, "more is kept than is wanted");
    }
    // A string is skipped, but it is seen at each read that it isn't complete.
    let looked_at = replies.looked_at();
    assert!(looked_at <= sent.len() + reads, "{looked_at} in {reads}");
    let room = replies.room().capacity();
    assert!(
        room <= 2 * sent.len() + 64 * 1024,
        "room for what was only announced"
    );
    (read, end.map(|()| replies.waiting()))
}

/// What the redis crate makes of it, a cut character in an error apart.
fn parsed_at_once(reply: &[u8]) -> Option<Value> {
    if reply.starts_with(b"-") {
        let mended = String::from_utf8_lossy(reply);
        return redis::parse_redis_value(mended.as_bytes()).ok();
    }
    redis::parse_redis_value(reply).ok()
}

/// The replies that all of these bytes begin with.
fn replies_in(bytes: &[u8]) -> Vec<Value> {
    read([bytes], MOST).0
}

/// How many bytes it must have come in at least.
fn weight(reply: &Value) -> usize {
    match reply {
        Value::Array(parts) => 1 + parts.iter().map(weight).sum::<usize>(),
        Value::BulkString(bytes) => 1 + bytes.len(),
        Value::SimpleString(text) => 1 + text.len(),
        _ => 1,
    }
}

/// However a stream is cut, the same comes of it.
fn a_stream_is_its_bytes(bytes: &[u8]) {
    for most in [MOST, 64] {
        let whole = read([bytes], most);
        // Byte by byte, as long as that takes no time.
        let drip = bytes.len() / 1024 + 1;
        assert_eq!(whole, read(bytes.chunks(drip), most), "{drip} at a time");
        let step = bytes.len() / 32 + 1;
        for cut in (0..bytes.len()).step_by(step) {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(whole, read([one, other], most), "cut at {cut}");
        }
    }
}

#[test]
fn frame() {
    check!(name = "frame").for_each(a_stream_is_its_bytes);
}

#[test]
fn frame_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_stream_is_its_bytes(&join(pieces, &REPLY_WORDS)));
}

/// Wherever it is cut, into however many chunks, and however long a reply may be.
#[test]
fn frame_of_chunks() {
    check!()
        .with_type::<(Vec<Piece>, Vec<u8>, u8)>()
        .for_each(|(pieces, lengths, most)| {
            let bytes = join(pieces, &REPLY_WORDS);
            let most = usize::from(*most) + 5;
            let mut rest = &bytes[..];
            let mut chunks = Vec::new();
            for length in lengths {
                let (chunk, after) = rest.split_at(rest.len().min(usize::from(*length)));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            assert_eq!(read(chunks, most), read([&bytes[..]], most));
        });
}

#[test]
fn a_rendered_reply_is_read_back() {
    let several = produce::<Vec<Told>>().with().len(0_usize..5);
    check!()
        .with_generator(several)
        .with_max_depth(4)
        .for_each(|told| {
            let mut bytes = Vec::new();
            for reply in told {
                reply.render(&mut bytes);
            }
            let values: Vec<_> = told.iter().map(Told::value).collect();
            assert_eq!(read([&bytes[..]], MOST), (values, Ok(0)));
            a_stream_is_its_bytes(&bytes);
        });
}

/// Servers cut what they repeat, perhaps within a character.
#[test]
fn an_error_is_one_whatever_its_bytes() {
    check!().with_type::<Vec<u8>>().for_each(|bytes| {
        let mut error = b"-".to_vec();
        error.extend(bytes.iter().filter(|byte| !b"\r\n".contains(byte)));
        error.extend(b"\r\n");
        assert!(matches!(&replies_in(&error)[..], [Value::ServerError(_)]));
    });
}

// ---- replies as votes

/// A question, and whether it is asked with a script in full.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Asked {
    operation: u8,
    names: u8,
    by_own_script: bool,
    in_full: bool,
}

impl Asked {
    fn each() -> impl Iterator<Item = Self> {
        (0..48).map(|number| Self {
            operation: number % 4,
            names: number / 4 % 3,
            by_own_script: number / 12 % 2 == 1,
            in_full: number / 24 == 1,
        })
    }

    fn question(self) -> Question {
        let ttl = Ttl::new(1000.0, Drift::default()).expect("a ttl");
        let operation = match self.operation % 4 {
            0 => Operation::Acquire { ttl },
            1 => Operation::Extend { ttl },
            2 => Operation::Inspect,
            _ => Operation::Release {
                since: Instant::ORIGIN,
                expires: Instant::LAST,
            },
        };
        let script = || {
            Some(Script {
                text: "return 1".into(),
                digest: "e0e1".into(),
            })
        };
        let scripts = || Scripts {
            acquire: script(),
            extend: script(),
            release: script(),
        };
        Question {
            operation,
            resources: (0..=self.names % 3)
                .map(|name| name.to_string().into())
                .collect(),
            value: Token::from(VALUE),
            deadline: Instant::ORIGIN,
            report: false,
            scripts: self.by_own_script.then(|| Arc::new(scripts())),
            context: None,
        }
    }

    fn form(self, question: &Question) -> Form {
        let (mut writer, mut out) = (Writer::new("p:"), Vec::new());
        if self.in_full {
            writer.write_in_full(&mut out, question)
        } else {
            writer.write(&mut out, question)
        }
    }
}

#[derive(Debug, PartialEq)]
enum Meaning {
    Granted,
    Held,
    Seen,
    AskedTwice,
    Refused,
    UnknownScript,
    Impossible,
}

impl Meaning {
    fn of(answer: &ParsedReply) -> Self {
        match answer {
            ParsedReply::Vote(Vote::Granted) => Self::Granted,
            ParsedReply::Vote(Vote::Held { .. }) => Self::Held,
            ParsedReply::Vote(Vote::Seen { .. }) => Self::Seen,
            ParsedReply::Vote(Vote::Failed(Cause::AskedTwice)) => Self::AskedTwice,
            ParsedReply::Vote(Vote::Failed(Cause::Refused { .. })) => Self::Refused,
            ParsedReply::Vote(Vote::Failed(cause)) => panic!("{cause}"),
            ParsedReply::UnknownScript(_) => Self::UnknownScript,
            ParsedReply::Impossible(_) => Self::Impossible,
        }
    }

    /// What each command can be answered, and nothing else.
    fn meant(reply: &Value, form: Form, question: &Question) -> Self {
        let names = i64::try_from(question.resources.len()).expect("few");
        let is_acquire = matches!(question.operation, Operation::Acquire { .. });
        match (reply, form) {
            (Value::ServerError(error), form) => match (error.code(), form) {
                ("NOSCRIPT", Form::Set) => Self::Impossible,
                ("NOSCRIPT", Form::Digest) => Self::UnknownScript,
                _ => Self::Refused,
            },
            (Value::Okay, Form::Set) => Self::Granted,
            (Value::Nil, Form::Set) => Self::Held,
            (_, Form::Set) => Self::Impossible,
            (Value::Array(parts), _) if question.operation == Operation::Inspect => {
                match &parts[..] {
                    [Value::Nil | Value::BulkString(_), Value::Int(_)] => Self::Seen,
                    _ => Self::Impossible,
                }
            }
            _ if question.operation == Operation::Inspect => Self::Impossible,
            (reply, _) if question.script().is_some() => {
                if number(reply) == Some(names) {
                    Self::Granted
                } else {
                    Self::Held
                }
            }
            (Value::Int(keys), _) if *keys == names => Self::Granted,
            (Value::Int(0), _) => Self::Held,
            // As SET … NX says it.
            (Value::Int(-1), _) if is_acquire && names == 1 => Self::Held,
            (Value::Int(-1), _) if is_acquire => Self::AskedTwice,
            (Value::Int(keys), _) if matches!(question.operation, Operation::Release { .. }) => {
                if (0..names).contains(keys) {
                    Self::Held
                } else {
                    Self::Impossible
                }
            }
            _ => Self::Impossible,
        }
    }
}

/// A caller's script may answer a number as a string.
fn number(reply: &Value) -> Option<i64> {
    match reply {
        Value::Int(number) => Some(*number),
        Value::BulkString(bytes) => str::from_utf8(bytes).ok()?.parse().ok(),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    }
}

/// Only what its own command answers when it was carried out is a grant, and what
/// no such command answers is none of its replies.
#[test]
fn a_reply_means_what_its_own_command_means_by_it() {
    let redactor = redactor();
    let questions: Vec<_> = Asked::each().map(Asked::question).collect();
    let forms: Vec<_> = Asked::each()
        .zip(&questions)
        .map(|(asked, question)| asked.form(question))
        .collect();
    check!().with_type::<Told>().for_each(|told| {
        let reply = told.value();
        for (question, form) in questions.iter().zip(&forms) {
            let answer = parse_reply(reply.clone(), *form, question, &redactor);
            let meant = Meaning::meant(&reply, *form, question);
            assert_eq!(Meaning::of(&answer), meant, "{form:?} {question:?}");
            if let ParsedReply::Vote(Vote::Held { applied }) = answer {
                let keys = number(&reply).and_then(|keys| keys.try_into().ok());
                assert_eq!(applied, keys.unwrap_or(0));
            }
        }
    });
}

/// How servers, proxies and programs may repeat a secret.
const SPELT: [&str; 16] = [
    PASSWORD,
    "hunter2%2Dpass",
    r"\x68unter2-pass",
    r"hunter2\u002dpass",
    PASSPHRASE,
    r#"p/4 \"ü\\\\\n%25💡"#,
    r#"p\/4 \"\u00fc\\\\\n%25\ud83d\udca1"#,
    r#"p/4 \"\xc3\xbc\\\\\n%25\xf0\x9f\x92\xa1"#,
    "p%2F4+%22%C3%BC%5C%5C%0A%2525%F0%9F%92%A1",
    VALUE,
    "ERR",
    "WRONGPASS",
    " ",
    "'",
    ", with args beginning with: ",
    "0123456789012345678901234567890123456789012345678901234567890123456789",
];

/// The first of them, which whoever is configured with them knows.
const PASSWORDS: usize = 9;

/// And the lock's value, for what answers a question of a lock's.
const SECRETS: usize = PASSWORDS + 1;

fn shows_none(secrets: usize, cause: &Cause) {
    let shown = [
        cause.to_string(),
        cause.reply().unwrap_or_default().to_owned(),
        format!("{cause:?}"),
    ];
    for text in shown {
        for secret in SPELT[..secrets].iter().map(|secret| line(secret)) {
            assert!(!text.contains(&secret), "{text}");
        }
    }
    if let Cause::Refused { code, message } = cause {
        assert!(code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
        assert!(message.chars().count() <= 301, "nobody reads so much");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

/// A server may repeat what it was sent, anywhere in a reply. What is made of it,
/// whoever has asked, doesn't.
#[test]
fn no_cause_shows_a_secret() {
    let redactor = redactor();
    check!()
        .with_type::<(u8, Vec<Piece>, u8, Asked)>()
        .for_each(|(first, pieces, kind, asked_for)| {
            let first = SPELT[usize::from(*first) % SPELT.len()];
            let rest = join(pieces, &SPELT);
            let text = line(&format!("{first} {}", String::from_utf8_lossy(&rest)));
            let bytes = match kind % 4 {
                0 | 1 => format!("-{text}\r\n"),
                2 => format!("+{text}\r\n"),
                _ => format!("*1\r\n-{text}\r\n"),
            };
            let replies = replies_in(bytes.as_bytes());
            let [reply] = &replies[..] else {
                return;
            };
            let question = asked_for.question();
            let form = asked_for.form(&question);
            if let ParsedReply::Vote(Vote::Failed(cause))
            | ParsedReply::UnknownScript(cause)
            | ParsedReply::Impossible(cause) =
                parse_reply(reply.clone(), form, &question, &redactor)
            {
                shows_none(SECRETS, &cause);
            }
            if let Err(cause) = master_of(reply.clone(), "main", &redactor) {
                shows_none(PASSWORDS, &cause);
            }
        });
}

// ---- clusters

fn numbered(slot: u16) -> Slot {
    Slot::numbered(slot).expect("one of them")
}

/// And none that shows a secret, or can't be dialled.
fn a_map_has_owners_that_it_names(bytes: &[u8]) {
    let redactor = redactor();
    for reply in replies_in(bytes) {
        let mut map = match SlotMap::read(&reply, &asked(), &redactor) {
            Ok(map) => map,
            Err(cause) => {
                shows_none(PASSWORDS, &cause);
                continue;
            }
        };
        assert!(map.masters().len() <= weight(&reply).min(MOST_MASTERS));
        assert_eq!(map.is_empty(), map.masters().is_empty());
        for slot in (0..SLOTS).map(numbered) {
            if let Some(owner) = map.owner(slot) {
                assert!(map.masters().contains(owner));
            }
        }
        for Address { host, .. } in map.masters().iter().map(|master| &**master) {
            assert!(is_host(host) && !host.contains(PASSWORD), "{host}");
        }
        assert_eq!(Slot::numbered(SLOTS), None);
        if map.masters().len() == MOST_MASTERS {
            continue;
        }
        let before = map.clone();
        let last = numbered(SLOTS - 1);
        map.moved(last, asked());
        assert_eq!(map.owner(last).map(|owner| &**owner), Some(&asked()));
        let mut others = (0..SLOTS - 1).map(numbered);
        assert!(others.all(|slot| map.owner(slot) == before.owner(slot)));
    }
}

const SLOT_WORDS: [&str; 16] = [
    "*1\r\n*3\r\n:0\r\n:5\r\n*3\r\n$1\r\na\r\n:7000\r\n$2\r\nid\r\n",
    "*2\r\n",
    "*3\r\n",
    "*4\r\n",
    ":0\r\n",
    ":16383\r\n",
    ":16384\r\n",
    ":7000\r\n",
    "$1\r\na\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "$1\r\n?\r\n",
    "$3\r\na b\r\n",
    "$12\r\nhunter2-pass\r\n",
    "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.3\r\n",
    "$2\r\nid\r\n",
];

#[test]
fn slots() {
    check!(name = "slots").for_each(a_map_has_owners_that_it_names);
}

#[test]
fn slots_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_map_has_owners_that_it_names(&join(pieces, &SLOT_WORDS)));
}

/// Where a node may say that it is.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Host {
    Named(u8),
    Nameless,
    Empty,
    Unknown,
    UnknownButForItsIp(u8),
    /// None that can be dialled.
    Absurd,
    /// A server that says what it was sent.
    Secret,
}

impl Host {
    fn told(self) -> Told {
        match self {
            Self::Named(name) => bulk(&format!("node-{name}")),
            Self::Nameless => Told::Nil,
            Self::Empty => bulk(""),
            Self::Unknown | Self::UnknownButForItsIp(_) => bulk("?"),
            Self::Absurd => bulk("a b"),
            Self::Secret => bulk(&format!("x.{PASSWORD}")),
        }
    }

    fn details(self) -> Told {
        match self {
            Self::UnknownButForItsIp(last) => {
                Told::Array(vec![bulk("ip"), bulk(&format!("10.0.0.{last}"))])
            }
            _ => Told::Array(Vec::new()),
        }
    }

    fn meant(self) -> Option<String> {
        match self {
            Self::Named(name) => Some(format!("node-{name}")),
            Self::Nameless | Self::Empty => Some(asked().host),
            Self::Unknown | Self::Absurd | Self::Secret => None,
            Self::UnknownButForItsIp(last) => Some(format!("10.0.0.{last}")),
        }
    }
}

/// Some slots of one master.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Range {
    first: u16,
    length: u16,
    shift: u8,
    host: Host,
    port: u16,
    id: u8,
}

impl Range {
    fn first(self) -> u16 {
        self.first % SLOTS
    }

    /// Beyond the last slot, or before the first of its own, if it is no range.
    fn last(self) -> i64 {
        let length = self.length >> (3 + self.shift % 13);
        i64::from(self.first()) + i64::from(length) - 1
    }

    fn slots(self) -> i64 {
        self.last() - i64::from(self.first()) + 1
    }

    fn told(self) -> Told {
        let node = vec![
            self.host.told(),
            Told::Int(self.port.into()),
            bulk(&self.id()),
            self.host.details(),
        ];
        Told::Array(vec![
            Told::Int(self.first().into()),
            Told::Int(self.last()),
            Told::Array(node),
        ])
    }

    fn id(self) -> String {
        format!("{:02x}", self.id)
    }

    fn has(self, slot: u16) -> bool {
        (i64::from(self.first())..=self.last()).contains(&slot.into())
    }
}

#[test]
fn the_last_range_with_a_place_has_a_slot() {
    let redactor = redactor();
    check!().with_type::<Vec<Range>>().for_each(|ranges| {
        let reply = Told::Array(ranges.iter().map(|range| range.told()).collect()).value();
        let map = SlotMap::read(&reply, &asked(), &redactor);
        let is_map = ranges
            .iter()
            .all(|range| range.slots() > 0 && range.last() < SLOTS.into())
            && ranges.iter().map(|range| range.slots()).sum::<i64>() <= SLOTS.into();
        assert_eq!(map.is_ok(), is_map);
        let Ok(map) = map else {
            return;
        };
        assert_eq!(
            map.id().map(str::to_owned),
            ranges.iter().map(|range| range.id()).min()
        );
        let edges = ranges
            .iter()
            .flat_map(|range| [range.first(), u16::try_from(range.last()).expect("a slot")]);
        for slot in edges.chain([0, SLOTS - 1]) {
            let expected = ranges.iter().rev().find_map(|range| {
                let host = range.host.meant()?;
                range.has(slot).then_some(Address {
                    host,
                    port: range.port,
                })
            });
            let owner = map.owner(numbered(slot)).map(Rc::as_ref);
            assert_eq!(owner, expected.as_ref(), "slot {slot}");
        }
    });
}

/// A redirect leads where the error says, or nowhere.
fn a_redirect_is_what_it_says(bytes: &[u8]) {
    let redactor = redactor();
    for reply in replies_in(bytes) {
        let Value::ServerError(error) = &reply else {
            continue;
        };
        let cause = redactor.refused(error, &[VALUE]);
        shows_none(PASSWORDS, &cause);
        let Cause::Refused { message, .. } = &cause else {
            panic!("a server's error is a refusal");
        };
        let (word, slot, to) = match Redirect::read(&cause, &asked()) {
            None => continue,
            Some(Redirect::Moved { slot, to }) => ("MOVED", Some(slot), to),
            Some(Redirect::Ask { to }) => ("ASK", None, to),
        };
        let words: Vec<_> = message.split(' ').collect();
        assert_eq!(words[0], word);
        let said: u16 = words[1].parse().expect("a slot");
        assert!(said < SLOTS && slot.is_none_or(|slot| slot == numbered(said)));
        let (host, port) = words[2].rsplit_once(':').expect("a host and a port");
        assert_eq!(port.parse(), Ok(to.port));
        let meant = if host.is_empty() { &asked().host } else { host };
        assert!(to.host == meant && meant != "?");
        assert!(is_host(meant) && !meant.contains(PASSWORD));
    }
}

const REDIRECT_WORDS: [&str; 13] = [
    "-MOVED 3999 127.0.0.1:6381\r\n",
    "-MOVED ",
    "-ASK ",
    "-TRYAGAIN ",
    "3999",
    "16384",
    " ",
    ":",
    "::1",
    "?",
    "host",
    PASSWORD,
    "\r\n",
];

#[test]
fn redirect() {
    check!(name = "redirect").for_each(a_redirect_is_what_it_says);
}

#[test]
fn redirect_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_redirect_is_what_it_says(&join(pieces, &REDIRECT_WORDS)));
}

#[test]
fn a_rendered_redirect_is_read_back() {
    let redactor = redactor();
    check!()
        .with_type::<(bool, u16, Host, u16)>()
        .for_each(|(moved, slot, host, port)| {
            let word = if *moved { "MOVED" } else { "ASK" };
            let name = match host.told() {
                Told::Bulk(name) => String::from_utf8(name).expect("text"),
                _ => String::new(),
            };
            let error = format!("-{word} {slot} {name}:{port}\r\n");
            let replies = replies_in(error.as_bytes());
            let [Value::ServerError(error)] = &replies[..] else {
                panic!("{error} is an error");
            };
            let read = Redirect::read(&redactor.refused(error, &[VALUE]), &asked());
            let host = if name == "?" { None } else { host.meant() };
            let expected = host.filter(|_| *slot < SLOTS).map(|host| {
                let to = Address { host, port: *port };
                if *moved {
                    Redirect::Moved {
                        slot: numbered(*slot),
                        to,
                    }
                } else {
                    Redirect::Ask { to }
                }
            });
            assert_eq!(read, expected);
        });
}

// ---- sentinels

/// Nothing but a host and a port, both as text, names a master.
fn a_master_is_a_host_and_a_port(bytes: &[u8]) {
    let redactor = redactor();
    for reply in replies_in(bytes) {
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::SimpleString(text) => Some(text.clone()),
            _ => None,
        };
        let said = match &reply {
            Value::Array(parts) if parts.len() == 2 => text(&parts[0])
                .zip(text(&parts[1]).and_then(|port| port.parse().ok()))
                .map(|(host, port)| Address { host, port }),
            _ => None,
        };
        let may_be = |said: &Address| is_host(&said.host) && !said.host.contains(PASSWORD);
        match master_of(reply, "main", &redactor) {
            Ok(named) => assert!(may_be(&named) && said == Some(named)),
            Err(cause) => {
                shows_none(PASSWORDS, &cause);
                // A part of the password, or another spelling of it, is not one either.
                let is_plain = |host: &str| !host.contains("hunt") && !host.contains('%');
                assert!(!said.is_some_and(|said| may_be(&said) && is_plain(&said.host)));
            }
        }
    }
}

const SENTINEL_WORDS: [&str; 10] = [
    "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n",
    "*2\r\n",
    "*3\r\n",
    "$9\r\n127.0.0.1\r\n",
    "$12\r\nhunter2-pass\r\n",
    "$3\r\na b\r\n",
    "$4\r\n6379\r\n",
    "$5\r\n65536\r\n",
    "*-1\r\n",
    "-IDONTKNOW\r\n",
];

#[test]
fn sentinel_answer() {
    check!(name = "sentinel").for_each(a_master_is_a_host_and_a_port);
}

#[test]
fn sentinel_answer_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_master_is_a_host_and_a_port(&join(pieces, &SENTINEL_WORDS)));
}

// ---- INFO

/// It says who it is in a line of its own, or not at all.
fn a_greeting_is_said_in_lines(info: &[u8]) {
    let mut greeting = Greeting::default();
    greeting.read(info);
    let text = String::from_utf8_lossy(info);
    if let Some(id) = &greeting.run_id {
        assert_eq!(id.len(), 40);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(text.contains(&format!("run_id:{id}")));
    }
    match greeting.master {
        Some(true) => assert!(text.contains("role:master")),
        Some(false) => assert!(text.contains("role:")),
        None => assert!(!text.lines().any(|line| line.starts_with("role:"))),
    }
}

const INFO_WORDS: [&str; 9] = [
    "run_id:",
    "0123456789abcdef0123456789ABCDEF01234567",
    "role:",
    "master",
    "slave",
    "\r\n",
    "\n",
    ":",
    "# Server\r\nredis_version:7.0.15\r\n",
];

#[test]
fn info() {
    check!(name = "info").for_each(a_greeting_is_said_in_lines);
}

#[test]
fn info_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_greeting_is_said_in_lines(&join(pieces, &INFO_WORDS)));
}
