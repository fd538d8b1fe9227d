//! A question as a Redis command, and the command's reply as a vote.

use std::rc::Rc;

use redis::{Cmd, Value};

use super::script;
use crate::engine::{Cause, Operation, Question, Script, Ttl, Vote};

/// Writes commands; keeps what it needs for it, so that a command costs no
/// allocation.
pub(super) struct Writer {
    command: Cmd,
    key: String,
    prefix: String,
}

/// How a command was put, and so what its reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// SET … NX: OK or nil.
    Set,
    /// A script by its digest, which the server may not know.
    Digest,
    /// A script in full.
    Text,
}

/// What a reply means for the question.
pub(super) enum Answer {
    Vote(Vote),
    /// The server doesn't know the script: nothing was done, ask again in full.
    UnknownScript(Cause),
}

impl Writer {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            command: Cmd::new(),
            key: prefix.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    /// Appends the command for `question` to `out`.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, question: &Question) -> Form {
        match (question.operation, &*question.resources) {
            (Operation::Acquire { ttl }, [resource])
                if !question.twins && question.script().is_none() =>
            {
                self.write_set(out, resource, question, ttl);
                Form::Set
            }
            _ => {
                self.write_script(out, question, Form::Digest);
                Form::Digest
            }
        }
    }

    /// The same, but with no script that the server may not know.
    pub(super) fn write_in_full(&mut self, out: &mut Vec<u8>, question: &Question) -> Form {
        let before = out.len();
        let form = self.write(out, question);
        if form != Form::Digest {
            return form;
        }
        out.truncate(before);
        self.write_script(out, question, Form::Text);
        Form::Text
    }

    fn write_set(&mut self, out: &mut Vec<u8>, resource: &str, question: &Question, ttl: Ttl) {
        self.command.clear();
        self.command.arg("SET");
        self.key_argument(resource);
        self.command
            .arg(question.value.as_str())
            .arg("NX")
            .arg("PX")
            .arg(ttl.millis());
        self.command.write_packed_command(out);
    }

    /// Appends the script for `question` to `out`, by its digest or in full.
    pub(super) fn write_script(&mut self, out: &mut Vec<u8>, question: &Question, form: Form) {
        let (default, ttl): (&Script, _) = match question.operation {
            Operation::Acquire { ttl } => (&script::ACQUIRE, Some(ttl)),
            Operation::Extend { ttl } => (&script::EXTEND, Some(ttl)),
            Operation::Inspect => (&script::INSPECT, None),
            Operation::Release { .. } => (&script::RELEASE, None),
        };
        let script = question.script().unwrap_or(default);
        self.command.clear();
        if form == Form::Text {
            self.command.arg("EVAL").arg(&*script.text);
        } else {
            self.command.arg("EVALSHA").arg(&*script.digest);
        }
        self.command.arg(question.resources.len());
        for resource in question.resources.iter() {
            self.key_argument(resource);
        }
        self.command.arg(question.value.as_str());
        if let Some(ttl) = ttl {
            self.command.arg(ttl.millis());
        }
        self.command.write_packed_command(out);
    }

    fn key_argument(&mut self, resource: &str) {
        if self.prefix.is_empty() {
            self.command.arg(resource);
        } else {
            self.key.truncate(self.prefix.len());
            self.key.push_str(resource);
            self.command.arg(self.key.as_str());
        }
    }
}

/// What `reply` to a command of this form says about the question.
pub(super) fn answer(reply: Value, form: Form, question: &Question) -> Answer {
    let vote = match (reply, form) {
        (Value::ServerError(error), Form::Digest) if error.code() == "NOSCRIPT" => {
            return Answer::UnknownScript(refused(&error, &[question.value.as_str()]));
        }
        (Value::ServerError(error), _) => Vote::Failed(refused(&error, &[question.value.as_str()])),
        (Value::Okay, Form::Set) => Vote::Granted,
        (Value::Nil, Form::Set) => Vote::Held { applied: 0 },
        (Value::Int(applied), Form::Digest | Form::Text) => question.applied(applied),
        (Value::Array(seen), _) if question.operation == Operation::Inspect => seen_in(&seen),
        (reply, Form::Digest | Form::Text) if question.script().is_some() => {
            // A caller's script may answer what it likes; a number in a string
            // counts as one, as it always has.
            let number = match &reply {
                Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
                Value::SimpleString(text) => Some(text.as_str()),
                _ => None,
            };
            let applied = number.and_then(|number| number.parse().ok());
            question.applied(applied.unwrap_or(0))
        }
        (other, _) => Vote::Failed(unexpected(&other)),
    };
    Answer::Vote(vote)
}

/// What INSPECT has answered: a value, if there is one, and its life.
fn seen_in(seen: &[Value]) -> Vote {
    match seen {
        [Value::Nil, _] => Vote::Seen {
            value: None,
            ttl: None,
        },
        [Value::BulkString(value), Value::Int(ttl)] => Vote::Seen {
            value: Some(String::from_utf8_lossy(value).into()),
            ttl: u64::try_from(*ttl).ok(),
        },
        _ => Vote::Failed(unexpected(&Value::Array(Vec::new()))),
    }
}

/// A server's error as a cause. Some servers repeat what they were sent: none
/// of `secrets` is shown.
pub(super) fn refused(error: &redis::ServerError, secrets: &[&str]) -> Cause {
    let code = error.code();
    let mut message = match error.details() {
        Some(details) => format!("{code} {details}"),
        None => code.to_owned(),
    };
    if let Some(echo) = message.find(", with args beginning with") {
        message.truncate(echo);
    }
    // Its code is its first word, which may be one too.
    let mut code = code.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        message = message.replace(secret, "…");
        code = code.replace(secret, "…");
    }
    Cause::Refused {
        code: code.into(),
        message: message.into(),
    }
}

/// A reply that makes no sense, by its kind only: its content may be anything.
pub(super) fn unexpected(reply: &Value) -> Cause {
    let what = match reply {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "an array",
        _ => "a reply of an unknown kind",
    };
    Cause::Unexpected {
        what: Rc::from(what),
    }
}
