//! A question as a Redis command, and the command's reply as a vote.

use redis::{ServerError, Value};

use super::value::unexpected;
use super::words::{begin, joined_word, number_word, value_word, word};
use crate::engine::{Cause, Operation, Question, SafetyRule, Script, Ticket, Ttl, Vote};
use crate::instances::redis::redact::Redactor;
use crate::instances::redis::script;

/// Writes a connection's commands, straight into the buffer that they are sent from.
pub(crate) struct Writer {
    prefix: Box<str>,
    set_end: SetEnd,
    pub(super) capabilities: Capabilities,
}

/// The words of SET that come after the value, which are the same for all locks of a ttl.
#[derive(Default)]
struct SetEnd {
    /// That they were asked for last for.
    ttl: Option<Ttl>,
    words: Vec<u8>,
}

impl SetEnd {
    fn of(&mut self, ttl: Ttl) -> &[u8] {
        if self.ttl != Some(ttl) {
            self.ttl = Some(ttl);
            self.words.clear();
            self.words.extend_from_slice(b"$2\r\nNX\r\n$2\r\nPX\r\n");
            number_word(&mut self.words, ttl.millis());
        }
        &self.words
    }
}

/// What a connection's user may do there, and what the server knows, as far as replies
/// have shown it.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "none says anything of another"
)]
pub(super) struct Capabilities {
    /// What is taken can be released. Until that is seen, acquires are written as the
    /// script that sees to it first.
    can_release: bool,
    /// The script that acquires was written in full, so that its digest is known. One
    /// that turns out to be unknown costs an acquire its turn.
    is_acquire_known: bool,
    /// The same of the one that acquires for who stands in a queue.
    is_fair_known: bool,
    /// EVALSHA is not there, or not for this user.
    pub(super) refuses_digests: bool,
    /// The script that releases several locks was written in full, so that its digest is
    /// known.
    pub(super) is_merged_known: bool,
    /// Several releases can't go in one call: the server does not let them, or what
    /// stands for it spreads keys over servers.
    pub(super) refuses_merged: bool,
}

/// How a command was put, and so what its reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// SET … NX: OK or nil.
    Set,
    /// A script by its digest, which the server may not know.
    Digest,
    /// A script in full.
    Text,
}

/// What a reply means for the question.
pub(crate) enum ParsedReply {
    Vote(Vote),
    /// The server doesn't know the script: nothing was done, ask again in full.
    UnknownScript,
    /// It is no reply to this command but to another: those that follow can't be
    /// told apart either.
    Impossible(Cause),
}

impl Writer {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            set_end: SetEnd::default(),
            capabilities: Capabilities::default(),
        }
    }

    /// What comes next is written to another connection, of which nothing is known.
    pub(crate) fn begin(&mut self) {
        self.capabilities = Capabilities::default();
    }

    /// Appends the command for `question` to `out`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, question: &Question) -> Form {
        let first = self.sees_first(question);
        match (question.operation, &*question.resources) {
            (Operation::Acquire { ttl }, [resource])
                if !first && question.script().is_none() && question.ticket.is_none() =>
            {
                self.write_set(out, resource, question, ttl);
                Form::Set
            }
            _ => {
                let acquires = matches!(question.operation, Operation::Acquire { .. });
                let is_known = if question.ticket.is_some() {
                    self.capabilities.is_fair_known
                } else {
                    self.capabilities.is_acquire_known || !acquires || question.script().is_some()
                };
                let form = if is_known && !self.capabilities.refuses_digests {
                    Form::Digest
                } else {
                    Form::Text
                };
                self.write_script(out, question, form);
                form
            }
        }
    }

    /// The same, but with no script that the server may not know.
    pub(crate) fn write_in_full(&mut self, out: &mut Vec<u8>, question: &Question) -> Form {
        let before = out.len();
        let form = self.write(out, question);
        if form != Form::Digest {
            return form;
        }
        out.truncate(before);
        self.write_script(out, question, Form::Text);
        Form::Text
    }

    /// Whether it is to be seen, with `question`, that what is taken can be
    /// released.
    fn sees_first(&self, question: &Question) -> bool {
        let acquires = matches!(question.operation, Operation::Acquire { .. });
        acquires && !self.capabilities.can_release && question.is_plain()
    }

    fn write_set(&mut self, out: &mut Vec<u8>, resource: &str, question: &Question, ttl: Ttl) {
        // What is always the same is written in as few pieces as there are.
        out.extend_from_slice(b"*6\r\n$3\r\nSET\r\n");
        self.key_word(out, resource);
        value_word(out, &question.value);
        out.extend_from_slice(self.set_end.of(ttl));
    }

    /// Appends the script for `question` to `out`, by its digest or in full.
    pub(crate) fn write_script(&mut self, out: &mut Vec<u8>, question: &Question, form: Form) {
        let first = self.sees_first(question);
        let (default, ttl): (&Script, _) = match question.operation {
            Operation::Acquire { ttl } if question.ticket.is_some() => {
                self.capabilities.is_fair_known |= form == Form::Text;
                let script = if first {
                    &script::FIRST_ACQUIRE_FAIR
                } else {
                    &script::ACQUIRE_FAIR
                };
                (script, Some(ttl))
            }
            Operation::Acquire { ttl } => {
                self.capabilities.is_acquire_known |=
                    form == Form::Text && question.script().is_none();
                let script = if first {
                    &script::FIRST_ACQUIRE
                } else {
                    &script::ACQUIRE
                };
                (script, Some(ttl))
            }
            Operation::Extend { ttl } => (&script::EXTEND, Some(ttl)),
            Operation::Inspect => (&script::INSPECT, None),
            Operation::Release { .. } => (&script::RELEASE, None),
        };
        let script = question.script().unwrap_or(default);
        let ticket = question.ticket.as_ref();
        let keys = question.resources.len() + ticket.map_or(0, |_| 2);
        begin(out, 4 + keys + usize::from(ttl.is_some()));
        if form == Form::Text {
            word(out, b"EVAL");
            word(out, script.text.as_bytes());
        } else {
            word(out, b"EVALSHA");
            word(out, script.digest.as_bytes());
        }
        number_word(out, keys as u64);
        for resource in question.resources.iter() {
            self.key_word(out, resource);
        }
        if let Some(ticket) = ticket {
            self.key_word(out, ticket.queue());
            self.key_word(out, ticket.waiter());
        }
        value_word(out, &question.value);
        if let Some(ttl) = ttl {
            number_word(out, ttl.millis());
        }
    }

    /// The vote that nearly all replies are, of which there is nothing to be remembered.
    #[inline]
    pub(crate) fn usual_vote(&self, reply: &Value, form: Form) -> Option<Vote> {
        match (reply, form) {
            (Value::Okay, Form::Set) if self.capabilities.can_release => Some(Vote::Granted),
            (Value::Nil, Form::Set) => Some(Vote::Held { applied: 0 }),
            _ => None,
        }
    }

    /// The same as [`parse_reply`]. What the reply shows of what may be done on the
    /// connection is remembered.
    pub(crate) fn parse_reply(
        &mut self,
        reply: Value,
        form: Form,
        question: &Question,
        redactor: &Redactor,
    ) -> ParsedReply {
        let refuses_digests =
            form == Form::Digest && matches!(&reply, Value::ServerError(e) if forbids_digests(e));
        self.capabilities.refuses_digests |= refuses_digests;
        let answer = parse_reply(reply, form, question, redactor);
        match answer {
            // Nothing was carried out.
            ParsedReply::Vote(Vote::Failed(_)) if refuses_digests => ParsedReply::UnknownScript,
            ParsedReply::Vote(Vote::Granted) if self.sees_first(question) => {
                self.capabilities.can_release = true;
                // Another script acquires from now on.
                self.capabilities.is_acquire_known = false;
                self.capabilities.is_fair_known = false;
                answer
            }
            _ => answer,
        }
    }

    pub(super) fn key_word(&self, out: &mut Vec<u8>, resource: &str) {
        joined_word(out, self.prefix.as_bytes(), resource.as_bytes());
    }
}

/// What `reply` to a command of this form says about the question.
pub(crate) fn parse_reply(
    reply: Value,
    form: Form,
    question: &Question,
    redactor: &Redactor,
) -> ParsedReply {
    let vote = match (reply, form) {
        (Value::ServerError(error), _) => {
            let is_unknown = error.code() == "NOSCRIPT";
            let cause = redactor.refused(&error, &[&question.value.text()]);
            match form {
                Form::Digest if is_unknown => return ParsedReply::UnknownScript,
                // It runs no script.
                Form::Set if is_unknown => return impossible(&Value::ServerError(error)),
                _ => Vote::Failed(cause),
            }
        }
        (Value::Okay, Form::Set) => Vote::Granted,
        (Value::Nil, Form::Set) => Vote::Held { applied: 0 },
        (reply, Form::Digest | Form::Text) if question.operation == Operation::Inspect => {
            match inspected(&reply) {
                Some(seen) => seen,
                None => return impossible(&reply),
            }
        }
        // As SET … NX says it, whose place the script takes: who wrote a command at
        // most once isn't told its own value from another's.
        (Value::Int(-1), Form::Digest | Form::Text)
            if question.resources.len() == 1 && is_possible_count(-1, question) =>
        {
            Vote::Held { applied: 0 }
        }
        (Value::Int(applied), Form::Digest | Form::Text)
            if is_possible_count(applied, question) =>
        {
            question.applied(applied)
        }
        (Value::BulkString(before), Form::Digest | Form::Text) if question.ticket.is_some() => {
            match waiting(&before) {
                Some(waiting) => waiting,
                None => return impossible(&Value::BulkString(before)),
            }
        }
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
        (other, _) => return impossible(&other),
    };
    ParsedReply::Vote(vote)
}

/// Whether a server doesn't let this user, or anybody, run scripts by their digests.
pub(super) fn forbids_digests(error: &ServerError) -> bool {
    let details = error.details().unwrap_or_default();
    // What comes after is what the command was sent with.
    let (what, _) = details.split_once(", with args").unwrap_or((details, ""));
    let names_it = || what.to_ascii_lowercase().contains("evalsha");
    match error.code() {
        "NOPERM" => what.contains("run the ") && names_it(),
        "ERR" => {
            ["unknown command", "unsupported command"]
                .iter()
                .any(|word| what.starts_with(word))
                && names_it()
        }
        _ => false,
    }
}

/// Whether the script that `question` is asked with can answer so many keys.
fn is_possible_count(applied: i64, question: &Question) -> bool {
    if question.script().is_some() || !SafetyRule::ReplyKind.is_kept() {
        return true;
    }
    let all = i64::try_from(question.resources.len()).unwrap_or(i64::MAX);
    match question.operation {
        Operation::Acquire { .. } if question.ticket.is_some() => [-1, 1].contains(&applied),
        Operation::Acquire { .. } => [-1, 0, all].contains(&applied),
        Operation::Extend { .. } => [0, all].contains(&applied),
        Operation::Release { .. } => (0..=all).contains(&applied),
        Operation::Inspect => false,
    }
}

/// The vote of an instance that answers whose ticket is before the asker's, if it is one's or
/// nobody's.
fn waiting(answer: &[u8]) -> Option<Vote> {
    if answer.is_empty() {
        return Some(Vote::Waiting { behind: None });
    }
    let ticket = str::from_utf8(answer).ok()?;
    let is_ticket = Ticket::is_text(ticket) || !SafetyRule::ReplyKind.is_kept();
    let behind = Some(ticket.into());
    is_ticket.then_some(Vote::Waiting { behind })
}

fn impossible(reply: &Value) -> ParsedReply {
    let cause = unexpected(reply);
    if SafetyRule::ReplyKind.is_kept() {
        ParsedReply::Impossible(cause)
    } else {
        ParsedReply::Vote(Vote::Failed(cause))
    }
}

/// What INSPECT has answered: a value, if there is one, and its life.
fn inspected(reply: &Value) -> Option<Vote> {
    let Value::Array(seen) = reply else {
        return None;
    };
    match &seen[..] {
        [Value::Nil, Value::Int(_)] => Some(Vote::Inspected {
            value: None,
            ttl: None,
        }),
        [Value::BulkString(value), Value::Int(ttl)] => Some(Vote::Inspected {
            value: Some(String::from_utf8_lossy(value).into()),
            ttl: u64::try_from(*ttl).ok(),
        }),
        _ => None,
    }
}
