//! What JavaScript is told in words, as JSON: docs/hand-over.md has the fields.

use serde_json::{Value, json};

use super::ids::{Handle, Index};
use super::reasons::Refusal;
use crate::engine::{Cause, ConnectionState, Event, Failure, Reason, Resources, Vote};
use crate::instances::client::Route;

/// Why a request failed.
pub fn failure(failure: &Failure) -> String {
    describe_failure(failure).to_string()
}

fn describe_failure(failure: &Failure) -> Value {
    let mut described = json!({
        "code": failure.reason.code(),
        "reason": failure.reason.to_string(),
        "votes": describe_votes(&failure.votes),
    });
    if let Reason::Occupied(occupant) = failure.reason {
        described["occupant"] = occupant.to_string().into();
    }
    described
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
    json!({ "votes": describe_votes(votes) }).to_string()
}

fn describe_votes(votes: &[Option<Vote>]) -> Value {
    votes.iter().map(|given| vote(given.as_ref())).collect()
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
            "votes": describe_votes(votes),
        }),
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

fn vote(vote: Option<&Vote>) -> Value {
    match vote {
        None => json!({ "vote": "pending" }),
        Some(Vote::Granted) => json!({ "vote": "granted" }),
        Some(Vote::Held { applied }) => json!({ "vote": "held", "applied": applied }),
        Some(Vote::Inspected { value, ttl }) => {
            json!({ "vote": "seen", "value": value.as_deref(), "ttl": ttl })
        }
        Some(Vote::Failed(cause)) => {
            let mut described = describe_cause(cause);
            described["vote"] = "failed".into();
            described
        }
    }
}

fn describe_cause(cause: &Cause) -> Value {
    let mut described = json!({ "code": cause.code(), "message": cause.to_string() });
    if let Some(reply) = cause.reply() {
        described["reply"] = reply.into();
    }
    if let Cause::Client { number, .. } = cause {
        described["error"] = (*number).into();
    }
    described
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
