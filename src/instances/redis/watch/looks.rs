//! What is on its way to the server: looks at keys, and PINGs where none is due.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use redis::Value;

use super::notice::Notice;
use super::watched_keys::{LookResult, WatchedKeys};
use crate::engine::{Cause, Instant, Meter, Question, RoundTrip, Seen, Vote};
use crate::instances::redis::config::Config;
use crate::instances::redis::dial::unasked;
use crate::instances::redis::protocol::command::{Form, ParsedReply, Writer};
use crate::instances::redis::protocol::value::unexpected;
use crate::instances::redis::redact::Redactor;

/// How long an answer is waited for, at least, and how many times as long as one takes
/// that is not out of the ordinary.
const PATIENCE: Duration = Duration::from_secs(1);
const TIMES_USUAL: u32 = 3;

/// After so long without a word of ours the server is asked whether it is there.
const QUIET: Duration = Duration::from_secs(3);

/// A buffer that a burst has blown up beyond this is given back.
const LARGEST_KEPT: usize = 64 * 1024;

/// What is on its way to the server.
pub(super) struct Looks {
    writer: Writer,
    redactor: Redactor,
    unanswered: VecDeque<Unanswered>,
    out: Vec<u8>,
    /// How much of that has gone.
    gone: usize,
    meter: Meter,
    /// When something was last written.
    written: Instant,
}

struct Unanswered {
    at: Instant,
    what: Asked,
}

enum Asked {
    Look {
        name: Rc<[u8]>,
        question: Rc<Question>,
        form: Form,
    },
    Ping,
}

/// What comes next if the server says nothing, and when.
pub(super) struct Next {
    pub(super) at: Instant,
    pub(super) what: Due,
}

pub(super) enum Due {
    /// What was asked then should have been answered.
    Answer {
        since: Instant,
    },
    Ping,
}

impl Looks {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            writer: Writer::new(&config.key_prefix),
            redactor: Redactor::new(config),
            unanswered: VecDeque::new(),
            out: Vec::new(),
            gone: 0,
            meter: Meter::default(),
            written: Instant::ORIGIN,
        }
    }

    /// There is a connection, of which nothing is known.
    pub(super) fn begin(&mut self, now: Instant) {
        self.forget();
        self.writer.begin();
        self.written = now;
    }

    /// Nothing of what is on its way will be answered.
    pub(super) fn forget(&mut self) {
        self.unanswered.clear();
        self.out = Vec::new();
        self.gone = 0;
    }

    /// Makes commands of the looks that are due.
    pub(super) fn encode(&mut self, keys: &mut WatchedKeys, now: Instant) {
        while let Some((name, question)) = keys.next_look() {
            let form = self.writer.write(&mut self.out, &question);
            let look = Asked::Look {
                name,
                question,
                form,
            };
            self.ask(look, now);
        }
    }

    pub(super) fn write_ping(&mut self, now: Instant) {
        redis::cmd("PING").write_packed_command(&mut self.out);
        self.ask(Asked::Ping, now);
    }

    fn ask(&mut self, what: Asked, now: Instant) {
        self.written = now;
        self.unanswered.push_back(Unanswered { at: now, what });
    }

    /// What is to be written.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.out[self.gone..]
    }

    /// So much of it was.
    pub(super) fn sent(&mut self, length: usize) {
        self.gone += length;
        if self.gone == self.out.len() {
            self.gone = 0;
            self.out.clear();
            self.out.shrink_to(LARGEST_KEPT);
        }
    }

    /// What comes next if the server says nothing.
    pub(super) fn due(&self) -> Next {
        match self.unanswered.front() {
            Some(oldest) => {
                let usual = self
                    .meter
                    .known()
                    .map_or(Duration::ZERO, RoundTrip::at_most);
                Next {
                    at: oldest.at.after(PATIENCE.max(usual * TIMES_USUAL)),
                    what: Due::Answer { since: oldest.at },
                }
            }
            None => Next {
                at: self.written.after(QUIET),
                what: Due::Ping,
            },
        }
    }

    /// The reply to what was asked first.
    ///
    /// # Errors
    ///
    /// When it can't be that.
    pub(super) fn answered(
        &mut self,
        reply: Value,
        now: Instant,
        keys: &mut WatchedKeys,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Cause> {
        let Some(Unanswered { at, what }) = self.unanswered.pop_front() else {
            return Err(unasked());
        };
        self.meter.measure(at, now);
        let (name, question, form) = match what {
            Asked::Look {
                name,
                question,
                form,
            } => (name, question, form),
            Asked::Ping => return is_alive(&reply),
        };
        let result = match self
            .writer
            .parse_reply(reply, form, &question, &self.redactor)
        {
            ParsedReply::UnknownScript => {
                self.writer
                    .write_script(&mut self.out, &question, Form::Text);
                let look = Asked::Look {
                    name,
                    question,
                    form: Form::Text,
                };
                self.ask(look, now);
                return Ok(());
            }
            ParsedReply::Impossible(cause) => return Err(cause),
            ParsedReply::Vote(Vote::Inspected { value, ttl }) => LookResult::Seen(match value {
                None => Seen::Free,
                value => Seen::Held {
                    value,
                    left: ttl.map(Duration::from_millis),
                },
            }),
            ParsedReply::Vote(Vote::Failed(cause)) if cause.is_of_another_type() => {
                LookResult::Seen(Seen::Held {
                    value: None,
                    left: None,
                })
            }
            ParsedReply::Vote(Vote::Failed(cause)) => LookResult::Failed(cause),
            ParsedReply::Vote(Vote::Granted | Vote::Held { .. } | Vote::Waiting { .. }) => {
                return Err(unasked());
            }
        };
        keys.end_look(&name, &result, notices);
        Ok(())
    }
}

/// Whether it is an answer to PING. A user that may not use it has an answer too.
fn is_alive(reply: &Value) -> Result<(), Cause> {
    match reply {
        Value::SimpleString(pong) if pong == "PONG" => Ok(()),
        Value::ServerError(_) => Ok(()),
        other => Err(unexpected(other)),
    }
}
