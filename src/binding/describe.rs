//! What JavaScript is told in words, as JSON: docs/hand-over.md has the fields.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::ids::{Handle, Index};
use super::reasons::Refusal;
use crate::engine::{
    Cause, ConnectionState, Distribution, Event, Failure, Reason, Resources, Stats, Vote,
    attempt_bounds, time_bounds,
};
use crate::instances::client::Route;

/// Why a request failed. Locks that are refused may be many: it is written as it is, and
/// no tree is made of it before.
pub fn failure(failure: &Failure) -> String {
    to_json(&FailureDetails::of(failure))
}

fn to_json(details: &impl Serialize) -> String {
    // It can't fail: what is written is text under texts, and goes to memory.
    serde_json::to_string(details).unwrap_or_default()
}

#[derive(Serialize)]
struct FailureDetails<'of> {
    code: &'static str,
    #[serde(serialize_with = "as_text")]
    reason: Reason,
    votes: Votes<'of>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occupant: Option<String>,
}

impl<'of> FailureDetails<'of> {
    fn of(failure: &'of Failure) -> Self {
        let occupant = match failure.reason {
            Reason::Occupied(occupant) => Some(occupant.to_string()),
            _ => None,
        };
        Self {
            code: failure.reason.code(),
            reason: failure.reason,
            votes: Votes(&failure.votes),
            occupant,
        }
    }
}

fn describe_failure(failure: &Failure) -> Value {
    json!(FailureDetails::of(failure))
}

fn as_text<S: Serializer>(shown: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(shown)
}

/// Locks that could not be released.
pub fn unreleased(failures: &[(Resources, Failure)]) -> String {
    let locks = failures.iter().map(|(resources, failure)| {
        let mut described = describe_failure(failure);
        described["resource"] = json!(&**resources);
        described
    });
    json!({ "votes": [], "locks": locks.collect::<Value>() }).to_string()
}

/// What instances said of a key.
pub fn inspection(votes: &[Option<Vote>]) -> String {
    json!({ "votes": Votes(votes) }).to_string()
}

/// What an engine has counted. Times are in seconds.
pub fn stats(stats: &Stats) -> String {
    let acquires = stats.acquires.iter().map(|of_outcome| {
        let described = json!({
            "duration": times(&of_outcome.duration),
            "attempts": { "counts": of_outcome.attempts.counts, "sum": of_outcome.attempts.sum },
        });
        (of_outcome.outcome.name().to_owned(), described)
    });
    let lost = stats.lost.iter();
    let lost = lost.map(|(loss, count)| (loss.reason().code().to_owned(), json!(count)));
    let members = stats.members.iter().map(|member| {
        json!({
            "duration": times(&member.duration),
            "votes": {
                "granted": member.granted,
                "held": member.held,
                "seen": member.seen,
                "failed": member.failed,
            },
            "failures": member.failures.iter().copied().collect::<BTreeMap<_, _>>(),
        })
    });
    let counted = json!({
        "acquires": acquires.collect::<Map<_, _>>(),
        "waiting": stats.waiting,
        "held": stats.holds.held,
        "holds": {
            "released": times(&stats.holds.released),
            "lost": times(&stats.holds.lost),
        },
        "lost": lost.collect::<Map<_, _>>(),
        "extensions": {
            "slack": times(&stats.slack),
            "failed": stats.failed_extensions,
            "endangered": stats.endangered,
        },
        "instances": members.collect::<Value>(),
        "wakeups": { "told": stats.told, "expiry": stats.expiry, "poll": stats.poll },
        "bounds": {
            "times": time_bounds().collect::<Vec<_>>(),
            "attempts": attempt_bounds().collect::<Vec<_>>(),
        },
    });
    json!({ "votes": [], "stats": counted }).to_string()
}

fn times(distribution: &Distribution) -> Value {
    let sum = Duration::from_nanos(distribution.sum).as_secs_f64();
    json!({ "counts": distribution.counts, "sum": sum })
}

/// What each instance said, in order.
struct Votes<'of>(&'of [Option<Vote>]);

impl Serialize for Votes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|vote| VoteDetails::of(vote.as_ref())))
    }
}

/// A reason of the algorithm's that has to do with no vote.
pub fn without_votes(reason: Reason) -> String {
    describe(reason.code(), &reason.to_string(), &json!([]))
}

/// A refusal that has nothing to do with locking.
pub fn refusal(refusal: Refusal) -> String {
    describe(refusal.code(), refusal.text(), &json!([]))
}

/// An event of the engine's.
pub fn event(handle: Handle, event: &Event) -> String {
    let mut described = match event {
        Event::Lost { number, failure } => {
            let mut described = describe_failure(failure);
            described["event"] = "lost".into();
            described["number"] = (*number).into();
            described
        }
        Event::Endangered {
            number,
            left,
            failure,
        } => {
            let mut described = describe_failure(failure);
            described["event"] = "endangered".into();
            described["number"] = (*number).into();
            described["attempts"] = failure.attempts.into();
            described["left"] = (left.as_secs_f64() * 1000.0).into();
            described
        }
        Event::ClientError {
            instance,
            operation,
            cause,
            omitted,
        } => {
            let mut described = describe_cause(cause);
            if *omitted > 0 {
                let others =
                    format!("{cause} (and {omitted} failures before it that were not told)");
                described["message"] = others.into();
            }
            described["event"] = "clientError".into();
            described["instance"] = (*instance).into();
            described["operation"] = operation.name().into();
            described
        }
        Event::Votes {
            number,
            attempt,
            votes,
        } => json!({
            "event": "votes",
            "number": number,
            "attempt": attempt,
            "votes": Votes(votes),
        }),
        Event::Vote {
            trace,
            operation,
            resources,
            attempt,
            instance,
            vote,
            took,
            is_late,
        } => {
            let mut described = match vote {
                // What a key has is nobody's who only listens.
                Vote::Inspected { .. } => json!({ "vote": "seen" }),
                vote => json!(VoteDetails::of(Some(vote))),
            };
            described["event"] = "vote".into();
            described["trace"] = trace.as_ref().map_or(0, |trace| trace.0.number()).into();
            described["operation"] = operation.name().into();
            described["resource"] = json!(&**resources);
            described["attempt"] = (*attempt).into();
            described["instance"] = (*instance).into();
            described["ms"] = (took.as_secs_f64() * 1000.0).into();
            described["late"] = (*is_late).into();
            described
        }
        Event::Connection { instance, state } => {
            let (state, mut described) = match state {
                ConnectionState::Connecting => ("connecting", json!({})),
                ConnectionState::Ready { .. } => ("ready", json!({})),
                ConnectionState::Down(cause) => ("down", describe_cause(cause)),
            };
            described["event"] = "connection".into();
            described["instance"] = (*instance).into();
            described["state"] = state.into();
            described
        }
        Event::Wakeups { instance, trouble } => json!({
            "event": "wakeups",
            "instance": instance,
            "why": trouble.as_deref(),
        }),
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
    described["handle"] = handle.0.into();
    described.to_string()
}

/// By which way the instance of the caller's client at `index` is asked from now on.
pub fn route(handle: Handle, index: Index, route: &Route) -> String {
    let (why, failed) = match route {
        Route::OwnConnection => (None, false),
        Route::Bridge(why) => (Some(why.to_string()), why.is_failure()),
    };
    json!({
        "event": "route",
        "handle": handle.0,
        "instance": index.0,
        "why": why,
        "failed": failed,
    })
    .to_string()
}

/// JavaScript is to say when it has come round, so that it is seen whether its
/// thread is busy.
pub fn call(handle: Handle, index: Index) -> String {
    json!({ "event": "call", "handle": handle.0, "instance": index.0 }).to_string()
}

/// The engine has ended: none of the callers' clients is asked any more.
pub fn closed(handle: Handle) -> String {
    json!({ "event": "closed", "handle": handle.0 }).to_string()
}

fn describe(code: &str, reason: &str, votes: &Value) -> String {
    json!({ "code": code, "reason": reason, "votes": votes }).to_string()
}

#[derive(Serialize)]
#[serde(tag = "vote", rename_all = "lowercase")]
enum VoteDetails<'of> {
    Pending,
    Granted,
    Held {
        applied: u32,
    },
    Seen {
        value: Option<&'of str>,
        ttl: Option<u64>,
    },
    Failed(CauseDetails<'of>),
}

impl<'of> VoteDetails<'of> {
    fn of(vote: Option<&'of Vote>) -> Self {
        match vote {
            None => Self::Pending,
            Some(Vote::Granted) => Self::Granted,
            Some(Vote::Held { applied }) => Self::Held { applied: *applied },
            // That it is free, and another's turn, is no news to who waits.
            Some(Vote::Waiting { .. }) => Self::Held { applied: 0 },
            Some(Vote::Inspected { value, ttl }) => Self::Seen {
                value: value.as_deref(),
                ttl: *ttl,
            },
            Some(Vote::Failed(cause)) => Self::Failed(CauseDetails::of(cause)),
        }
    }
}

#[derive(Serialize)]
struct CauseDetails<'of> {
    code: &'static str,
    #[serde(serialize_with = "as_text")]
    message: &'of Cause,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'of str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<u32>,
}

impl<'of> CauseDetails<'of> {
    fn of(cause: &'of Cause) -> Self {
        let error = match cause {
            Cause::Client { number, .. } => Some(*number),
            _ => None,
        };
        Self {
            code: cause.code(),
            message: cause,
            reply: cause.reply(),
            error,
        }
    }
}

fn describe_cause(cause: &Cause) -> Value {
    json!(CauseDetails::of(cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Occupant, Operation};

    fn parsed(json: &str) -> Value {
        serde_json::from_str(json).expect("JSON")
    }

    #[test]
    fn a_failure_says_why_and_what_each_instance_said() {
        let failed = Cause::Refused {
            code: "NOPERM".into(),
            message: "NOPERM no".into(),
        };
        let described = failure(&Failure {
            reason: Reason::Unavailable,
            attempts: 1,
            votes: vec![
                None,
                Some(Vote::Granted),
                Some(Vote::Held { applied: 2 }),
                Some(Vote::Failed(failed.clone())),
            ],
            until: None,
        });
        let expected = json!({
            "code": "ERR_REDLOCK_UNAVAILABLE",
            "reason": "too few instances answered",
            "votes": [
                { "vote": "pending" },
                { "vote": "granted" },
                { "vote": "held", "applied": 2 },
                {
                    "vote": "failed",
                    "code": "REFUSED",
                    "reply": "NOPERM",
                    "message": failed.to_string(),
                },
            ],
        });
        assert_eq!(parsed(&described), expected);
    }

    #[test]
    fn what_is_no_lock_is_named() {
        let described = failure(&Failure {
            reason: Reason::Occupied(Occupant::Endless),
            attempts: 1,
            votes: Vec::new(),
            until: None,
        });
        let described = parsed(&described);
        assert_eq!(described["code"], "ERR_REDLOCK_HELD");
        assert_eq!(described["occupant"], "a value that never expires");
    }

    #[test]
    fn a_clients_own_error_comes_back_under_its_number() {
        let event = event(
            Handle(4),
            &Event::ClientError {
                instance: 1,
                operation: Operation::Inspect,
                omitted: 0,
                cause: Cause::Client {
                    message: "gone".into(),
                    reply: None,
                    number: 5,
                },
            },
        );
        let described = parsed(&event);
        assert_eq!(described["event"], "clientError");
        assert_eq!(described["handle"], 4);
        assert_eq!(described["instance"], 1);
        assert_eq!(described["operation"], "inspect");
        assert_eq!(described["code"], "CLIENT");
        assert_eq!(described["error"], 5);
        assert_eq!(described.get("reply"), None);
    }

    #[test]
    fn a_refusal_has_a_code_a_text_and_no_votes() {
        for refused in [
            Refusal::Closed,
            Refusal::Cancelled,
            Refusal::Internal,
            Refusal::Invalid,
        ] {
            let described = parsed(&refusal(refused));
            assert_eq!(described["code"], refused.code());
            assert_eq!(described["reason"], refused.text());
            assert_eq!(described["votes"], json!([]));
        }
    }
}
