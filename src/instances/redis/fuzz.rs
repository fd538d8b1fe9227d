//! What must hold of whatever a server, a cluster's node or a sentinel says.
//!
//! Each parser is met twice: by bytes as they are, which is what a fuzzer that
//! sees the code's branches needs and what the corpus beside this file keeps, and
//! by pieces of replies, so that a test of a second gets past the first byte.
//! docs/safety.md says how to run them for longer.

use bolero::{TypeGenerator, check};
use redis::Value;

use super::command::{Form, answer, refused};
use super::config::Address;
use super::dial::Greeting;
use super::frame::first;
use super::sentinel;
use super::slots::{Map, Redirect};
use crate::engine::{Cause, Drift, Instant, Operation, Question, Token, Ttl, Vote};

const SLOTS: u16 = 16_384;

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
    Bulk(Vec<u8>),
    Simple(String),
    Array(Vec<Told>),
}

impl Told {
    fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.extend(b"$-1\r\n"),
            Self::Okay => out.extend(b"+OK\r\n"),
            Self::Int(number) => out.extend(format!(":{number}\r\n").as_bytes()),
            Self::Bulk(bytes) => {
                out.extend(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend(bytes);
                out.extend(b"\r\n");
            }
            Self::Simple(text) => out.extend(format!("+{}\r\n", line(text)).as_bytes()),
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
            Self::Bulk(bytes) => Value::BulkString(bytes.clone()),
            Self::Simple(text) => match line(text).as_str() {
                "OK" => Value::Okay,
                text => Value::SimpleString(text.to_owned()),
            },
            Self::Array(parts) => Value::Array(parts.iter().map(Self::value).collect()),
        }
    }
}

/// A simple string has one line.
fn line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

// ---- frames

/// What a link makes of a stream that comes in these chunks: the replies, and
/// whether it was broken by one that is none.
fn read<'stream>(chunks: impl IntoIterator<Item = &'stream [u8]>) -> (Vec<Value>, bool) {
    let mut heard = Vec::new();
    let mut replies = Vec::new();
    for chunk in chunks {
        heard.extend_from_slice(chunk);
        loop {
            match first(&heard) {
                Ok(Some((reply, length))) => {
                    assert!((1..=heard.len()).contains(&length));
                    assert!(weight(&reply) <= length, "more than was sent");
                    heard.drain(..length);
                    replies.push(reply);
                }
                Ok(None) => break,
                Err(_) => return (replies, true),
            }
        }
    }
    (replies, false)
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
    let whole = read([bytes]);
    // Byte by byte, as long as that takes no time.
    let drip = bytes.len() / 1024 + 1;
    assert_eq!(whole, read(bytes.chunks(drip)), "{drip} at a time");
    let step = bytes.len() / 32 + 1;
    for cut in (0..bytes.len()).step_by(step) {
        let (one, other) = bytes.split_at(cut);
        assert_eq!(whole, read([one, other]), "cut at {cut}");
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

#[test]
fn a_rendered_reply_is_read_back() {
    let several = check!().with_type::<Vec<Told>>().with_max_depth(4);
    several.for_each(|told| {
        let mut bytes = Vec::new();
        for reply in told {
            reply.render(&mut bytes);
        }
        let values: Vec<_> = told.iter().map(Told::value).collect();
        assert_eq!(read([&bytes[..]]), (values, false));
        a_stream_is_its_bytes(&bytes);
    });
}

// ---- replies as votes

/// Only what its own command answers when it was carried out is a grant.
#[test]
fn a_grant_is_the_answer_of_its_own_command() {
    check!()
        .with_type::<(Told, u8, u8, u8)>()
        .for_each(|(told, form, operation, names)| {
            let form = [Form::Set, Form::Digest, Form::Text][usize::from(form % 3)];
            let names = i64::from(names % 3) + 1;
            let ttl = Ttl::new(1000.0, Drift::default()).expect("a ttl");
            let operation = match operation % 3 {
                0 => Operation::Acquire { ttl },
                1 => Operation::Extend { ttl },
                _ => Operation::Release {
                    since: Instant::ORIGIN,
                },
            };
            let question = Question {
                operation,
                resources: (0..names).map(|name| name.to_string().into()).collect(),
                value: Token::from("v"),
                deadline: Instant::ORIGIN,
                report: false,
                scripts: None,
                twins: false,
            };
            let expected = match (form, told.value()) {
                (Form::Set, Value::Okay) => true,
                (Form::Digest | Form::Text, Value::Int(keys)) => keys == names,
                _ => false,
            };
            let super::command::Answer::Vote(vote) = answer(told.value(), form, &question) else {
                panic!("only an error says that a script is not known");
            };
            assert_eq!(matches!(vote, Vote::Granted), expected);
        });
}

/// A server may repeat what it was sent, anywhere in an error.
#[test]
fn no_error_of_a_server_shows_a_secret() {
    const SECRET: &str = "hunter2-p@ss";
    const WORDS: [&str; 6] = [
        SECRET,
        "ERR",
        " ",
        "WRONGPASS",
        ", with args beginning with: ",
        "'",
    ];
    check!().with_type::<Vec<Piece>>().for_each(|pieces| {
        let text = line(&String::from_utf8_lossy(&join(pieces, &WORDS)));
        let (replies, _) = read([format!("-{text}\r\n").as_bytes()]);
        let [Value::ServerError(error)] = &replies[..] else {
            return;
        };
        let cause = refused(error, &[SECRET]);
        for shown in [
            cause.to_string(),
            format!("{cause:?}"),
            cause.reply().unwrap_or_default().to_owned(),
        ] {
            assert!(!shown.contains(SECRET), "{shown}");
        }
    });
}

// ---- clusters

fn asked() -> Address {
    Address {
        host: "asked".into(),
        port: 1,
    }
}

fn a_map_has_owners_that_it_names(bytes: &[u8]) {
    for reply in read([bytes]).0 {
        let Ok(mut map) = Map::read(&reply, &asked()) else {
            continue;
        };
        assert!(map.masters().len() <= weight(&reply));
        assert_eq!(map.is_empty(), map.masters().is_empty());
        for slot in 0..SLOTS {
            if let Some(owner) = map.owner(slot) {
                assert!(map.masters().contains(owner));
            }
        }
        assert_eq!(map.owner(SLOTS), None);
        let before = map.clone();
        map.moved(SLOTS - 1, asked());
        assert_eq!(map.owner(SLOTS - 1).map(|owner| &**owner), Some(&asked()));
        assert!((0..SLOTS - 1).all(|slot| map.owner(slot) == before.owner(slot)));
    }
}

const SLOT_WORDS: [&str; 14] = [
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
}

impl Host {
    fn told(self) -> Told {
        match self {
            Self::Named(name) => bulk(&format!("node-{name}")),
            Self::Nameless => Told::Nil,
            Self::Empty => bulk(""),
            Self::Unknown | Self::UnknownButForItsIp(_) => bulk("?"),
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
            Self::Unknown => None,
            Self::UnknownButForItsIp(last) => Some(format!("10.0.0.{last}")),
        }
    }
}

fn bulk(text: &str) -> Told {
    Told::Bulk(text.as_bytes().to_vec())
}

#[test]
fn the_last_range_with_a_place_has_a_slot() {
    check!()
        .with_type::<Vec<(u16, u16, Host, u16)>>()
        .for_each(|ranges| {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|(first, last, host, port)| (first % SLOTS, last % SLOTS, *host, *port))
                .collect();
            let range = |(first, last, host, port): &(u16, u16, Host, u16)| {
                let node = vec![
                    host.told(),
                    Told::Int((*port).into()),
                    bulk("id"),
                    host.details(),
                ];
                Told::Array(vec![
                    Told::Int((*first).into()),
                    Told::Int((*last).into()),
                    Told::Array(node),
                ])
            };
            let reply = Told::Array(ranges.iter().map(range).collect()).value();
            let map = Map::read(&reply, &asked()).expect("a map");
            let edges = ranges.iter().flat_map(|(first, last, ..)| [*first, *last]);
            for slot in edges.chain([0, SLOTS - 1]) {
                let expected = ranges.iter().rev().find_map(|(first, last, host, port)| {
                    let host = host.meant()?;
                    (*first..=*last)
                        .contains(&slot)
                        .then_some(Address { host, port: *port })
                });
                assert_eq!(
                    map.owner(slot).map(|owner| (**owner).clone()),
                    expected,
                    "slot {slot}"
                );
            }
        });
}

/// A redirect leads where the error says, or nowhere.
fn a_redirect_is_what_it_says(bytes: &[u8]) {
    for reply in read([bytes]).0 {
        let Value::ServerError(error) = &reply else {
            continue;
        };
        let cause = refused(error, &[]);
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
        assert!(said < SLOTS && slot.is_none_or(|slot| slot == said));
        let (host, port) = words[2].rsplit_once(':').expect("a host and a port");
        assert_eq!(port.parse(), Ok(to.port));
        let meant = if host.is_empty() { &asked().host } else { host };
        assert!(to.host == meant && meant != "?");
    }
}

const REDIRECT_WORDS: [&str; 12] = [
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
    check!()
        .with_type::<(bool, u16, Host, u16)>()
        .for_each(|(moved, slot, host, port)| {
            let word = if *moved { "MOVED" } else { "ASK" };
            let name = match host.told() {
                Told::Bulk(name) => String::from_utf8(name).expect("text"),
                _ => String::new(),
            };
            let error = format!("-{word} {slot} {name}:{port}\r\n");
            let (replies, _) = read([error.as_bytes()]);
            let [Value::ServerError(error)] = &replies[..] else {
                panic!("{error} is an error");
            };
            let read = Redirect::read(&refused(error, &[]), &asked());
            let host = if name == "?" { None } else { host.meant() };
            let expected = host.filter(|_| *slot < SLOTS).map(|host| {
                let to = Address { host, port: *port };
                if *moved {
                    Redirect::Moved { slot: *slot, to }
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
    for reply in read([bytes]).0 {
        let named = sentinel::named(reply.clone(), "main");
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::SimpleString(text) => Some(text.clone()),
            _ => None,
        };
        let expected = match &reply {
            Value::Array(parts) if parts.len() == 2 => text(&parts[0])
                .zip(text(&parts[1]).and_then(|port| port.parse().ok()))
                .map(|(host, port)| Address { host, port }),
            _ => None,
        };
        assert_eq!(named.ok(), expected);
    }
}

const SENTINEL_WORDS: [&str; 8] = [
    "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n",
    "*2\r\n",
    "*3\r\n",
    "$9\r\n127.0.0.1\r\n",
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
