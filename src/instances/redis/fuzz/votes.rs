//! Replies as votes on a question.

use std::sync::Arc;

use bolero::{TypeGenerator, check};
use redis::Value;

use super::sample_reply::SampleReply;
use super::secrets::{VALUE, redactor};
use crate::engine::{
    Cause, Drift, Instant, Operation, Question, Script, Scripts, System, Ticket, Token, Ttl, Vote,
};
use crate::instances::redis::protocol::command::{Form, ParsedReply, Writer, parse_reply};

/// A question, and whether it is asked with a script in full.
#[derive(Clone, Copy, Debug, TypeGenerator)]
pub(super) struct Asked {
    operation: u8,
    names: u8,
    by_own_script: bool,
    in_full: bool,
    /// Of an acquire of one name.
    is_fair: bool,
}

impl Asked {
    fn each() -> impl Iterator<Item = Self> {
        (0..96).map(|number| Self {
            operation: number % 4,
            names: number / 4 % 3,
            by_own_script: number / 12 % 2 == 1,
            in_full: number / 24 % 2 == 1,
            is_fair: number / 48 == 1,
        })
    }

    pub(super) fn question(self) -> Question {
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
        let is_one = matches!(operation, Operation::Acquire { .. }) && self.names.is_multiple_of(3);
        let is_fair = self.is_fair && is_one;
        let by_own_script = self.by_own_script && !is_fair;
        let resources = (0..=self.names % 3)
            .map(|name| name.to_string().into())
            .collect();
        Question::new(operation, resources, Token::from(VALUE), Instant::ORIGIN)
            .with_scripts(by_own_script.then(|| Arc::new(scripts())))
            .with_ticket(is_fair.then(|| Arc::new(Ticket::new(&System, "0"))))
    }

    pub(super) fn form(self, question: &Question) -> Form {
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
            ParsedReply::Vote(Vote::Held { .. } | Vote::Waiting { .. }) => Self::Held,
            ParsedReply::Vote(Vote::Inspected { .. }) => Self::Seen,
            ParsedReply::Vote(Vote::Failed(Cause::AskedTwice)) => Self::AskedTwice,
            ParsedReply::Vote(Vote::Failed(Cause::Refused { .. })) => Self::Refused,
            ParsedReply::Vote(Vote::Failed(cause)) => panic!("{cause}"),
            ParsedReply::UnknownScript => Self::UnknownScript,
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
            (Value::BulkString(ticket), _) if question.ticket.is_some() => {
                let is_ticket = str::from_utf8(ticket).is_ok_and(Ticket::is_text);
                if ticket.is_empty() || is_ticket {
                    Self::Held
                } else {
                    Self::Impossible
                }
            }
            (Value::Int(0), _) if question.ticket.is_some() => Self::Impossible,
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
    check!().with_type::<SampleReply>().for_each(|told| {
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
