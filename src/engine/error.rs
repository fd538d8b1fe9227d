//! What went wrong: with one instance ([`Cause`]), and with a whole request
//! ([`Failure`]).

use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;

use super::instance::Vote;
use super::validity::Instant;

/// Why one instance's vote failed. The texts say what to do; none contains a
/// secret.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Cause {
    /// The deadline passed without an answer.
    #[error(
        "no answer within {} ms; {}{}",
        .waited.as_millis(),
        .because.as_deref().unwrap_or("the server is hung, overloaded or cut off from here"),
        longer(*.option)
    )]
    Silent {
        /// How long was waited.
        waited: Duration,
        /// The option, or `ttl`, that allows for longer.
        option: Option<&'static str>,
        /// What is known to be wrong, if anything is.
        because: Option<Rc<str>>,
    },
    /// There is no connection, and this is why the last dial failed.
    #[error("not connected: {what}")]
    Unreachable {
        /// What the last dial or the loss of the connection said.
        what: Rc<str>,
    },
    /// The connection was lost after the request was written, so that nobody
    /// knows whether it was carried out.
    #[error("the connection was lost before the answer came: {what}")]
    Lost {
        /// What the loss looked like.
        what: Rc<str>,
    },
    /// The server answered with an error.
    #[error("{message}{}", hint(.code, .message))]
    Refused {
        /// The error's first word, as `NOPERM`.
        code: Rc<str>,
        /// The whole error, as the server wrote it.
        message: Rc<str>,
    },
    /// The instance spreads its keys over several places, and these are in two:
    /// no command reaches both.
    #[error(
        "{one:?} and {other:?} are in different slots of the cluster and can't be locked together; put \
         the same {{tag}} in their names, as \"{{order:1}}:a\" and \"{{order:1}}:b\""
    )]
    CrossSlot {
        /// A resource.
        one: Rc<str>,
        /// One that is elsewhere.
        other: Rc<str>,
    },
    /// The caller's own client failed with an error of its own.
    #[error("{message}{}", .reply.as_deref().map_or("", |code| hint(code, .message)))]
    Client {
        /// The error's text.
        message: Rc<str>,
        /// Its first word, as `NOPERM`, if it is the server's.
        reply: Option<Rc<str>>,
        /// What JavaScript knows the error by.
        number: u32,
    },
    /// Too many requests wait for this instance already.
    #[error(
        "{waiting} requests already wait for this instance; it is hung or slower than it is asked"
    )]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The server answered something no lock command returns.
    #[error("an answer that no lock command gives ({what}); is this a Redis or Valkey server?")]
    Unexpected {
        /// The kind of the answer.
        what: Rc<str>,
    },
    /// The keys had the value of this very attempt before it was carried out.
    /// That is no grant: whose command set it can't be told.
    #[error(
        "the keys already had this attempt's value: the server was asked twice; list each server once, \
         or keep the client from sending a command again"
    )]
    AskedTwice,
    /// Extend only: who had not granted the lock may be a server that counts under
    /// another name already.
    #[error("it had not granted this lock when it was taken, so that its vote doesn't count now")]
    HadNotGranted,
    /// The Redlock was closed with `quit()`.
    #[error("closed by quit()")]
    Closed,
    /// It was not sent: nobody waited for its answer any more.
    #[error("it was given up before it was sent to the server")]
    Withdrawn,
    /// The instance let go of the request without an answer.
    #[error("the request was dropped inside this process; please report this as a defect")]
    Dropped,
}

impl Cause {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "SILENT",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::Lost { .. } => "LOST",
            Self::Refused { .. } | Self::Client { reply: Some(_), .. } => "REFUSED",
            Self::CrossSlot { .. } => "CROSS_SLOT",
            Self::Client { reply: None, .. } => "CLIENT",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::Unexpected { .. } => "UNEXPECTED",
            Self::AskedTwice => "ASKED_TWICE",
            Self::HadNotGranted => "HAD_NOT_GRANTED",
            Self::Closed => "CLOSED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Dropped => "DROPPED",
        }
    }

    /// Whether the same question will fail again, whenever it is asked.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::CrossSlot { .. })
    }

    /// Whether the server says that a key's data is no string, be it inside of
    /// what a script says.
    #[must_use]
    pub fn is_of_another_type(&self) -> bool {
        match self {
            Self::Refused { message, .. } | Self::Client { message, .. } => {
                message.contains("WRONGTYPE ")
            }
            _ => false,
        }
    }

    /// The first word of the server's error, as `NOPERM`, if it was one.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Client { reply, .. } => reply.as_deref(),
            _ => None,
        }
    }
}

/// How to have a slow instance waited for longer.
fn longer(option: Option<&'static str>) -> String {
    match option {
        Some("ttl") => " (if it is only slow: a longer ttl allows for more)".to_owned(),
        Some(option) => format!(" (if it is only slow: the option {option} allows for more)"),
        None => String::new(),
    }
}

/// What to do about an error that servers are known to answer.
fn hint(code: &str, message: &str) -> &'static str {
    const ALLOW: &str = " (allow this user SELECT, SET, EVAL, EVALSHA, EXISTS, GET, DEL, PTTL and \
                         PEXPIRE on the resource's key)";
    match code {
        "ERR" if message.contains("cluster support disabled") => {
            " (this server is not in a cluster; list it by itself)"
        }
        "ERR" if message.contains("DB index") => " (give a db that this server has)",
        "NOAUTH" => " (give this instance a password)",
        "WRONGPASS" => " (check this instance's username and password)",
        "NOPERM" if message.contains("'cluster") => {
            " (allow this user CLUSTER SLOTS, which says where the cluster's keys are)"
        }
        "NOPERM" => ALLOW,
        "LOADING" => " (the server is reading its data; it will vote again once it has)",
        "READONLY" => " (this is a replica; give the address of the master)",
        "MOVED" | "ASK" => " (this is one node of a cluster; list the cluster as {cluster: [...]})",
        "CROSSSLOT" => " (put the same {tag} in the names of resources that are locked together)",
        "CLUSTERDOWN" => " (nodes of the cluster are lost; it will vote again once they are back)",
        "TRYAGAIN" => " (the keys are being moved to another node of the cluster; try again)",
        "MASTERDOWN" => " (this is a replica that has lost its master; give the master's address)",
        "MISCONF" | "OOM" => " (the server refuses writes until its disk or memory is mended)",
        "WRONGTYPE" => " (the resource's name is taken by a key that is not a lock)",
        _ => "",
    }
}

/// Why a request failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// So many instances said that somebody else holds a resource that there
    /// could be no majority.
    #[error("held by another")]
    Held,
    /// The same, and what holds it is no lock.
    #[error("held by {0}, which is no lock")]
    Occupied(Occupant),
    /// Too few instances answered, or answered without an error.
    #[error("too few instances answered")]
    Unavailable,
    /// A majority granted, but so late that nothing of the validity was left.
    #[error("the answers came too late: the lock's validity had passed")]
    TooSlow,
    /// The lock's validity was over before its extension was asked for, or
    /// ended while it was.
    #[error("the lock's validity had passed")]
    Expired,
    /// A majority said that the lock's key is gone or somebody else's.
    #[error("the lock is no longer held")]
    NotHeld,
    /// The lock was not granted within the time its asker would wait.
    #[error("it was not granted within maxWait")]
    TimedOut,
    /// The lock was held for as long as it may be.
    #[error("it was held for as long as maxHold allows")]
    MaxHold,
}

impl Reason {
    /// The stable code that JavaScript sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Held | Self::Occupied(_) => "ERR_REDLOCK_HELD",
            Self::Unavailable => "ERR_REDLOCK_UNAVAILABLE",
            Self::TooSlow => "ERR_REDLOCK_TOO_SLOW",
            Self::Expired => "ERR_REDLOCK_EXPIRED",
            Self::NotHeld => "ERR_REDLOCK_NOT_HELD",
            Self::TimedOut => "ERR_REDLOCK_TIMEOUT",
            Self::MaxHold => "ERR_REDLOCK_MAX_HOLD",
        }
    }
}

/// What a key has that no lock's has: another application uses its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Occupant {
    /// A hash, a list or the like: locks are strings.
    #[error("data of another type than a lock's, as a hash or a list")]
    OtherType,
    /// A value without an end: each lock's has one.
    #[error("a value that never expires")]
    Endless,
    /// A value as no locker makes them: empty, long, or a document.
    #[error("a value that is no lock's")]
    Strange,
}

impl Occupant {
    /// What a member's answer says of it, be it to a question or to a release.
    #[must_use]
    pub fn seen_in(vote: &Vote) -> Option<Self> {
        match vote {
            Vote::Failed(cause) if cause.is_of_another_type() => Some(Self::OtherType),
            Vote::Seen {
                value: Some(_),
                ttl: None,
            } => Some(Self::Endless),
            Vote::Seen {
                value: Some(value), ..
            } if !may_be_a_lock(value) => Some(Self::Strange),
            _ => None,
        }
    }
}

/// Lockers' values are words: digits, UUIDs, base64, names of hosts and tasks.
fn may_be_a_lock(value: &str) -> bool {
    const LONGEST: usize = 256;
    let is_word = |letter: char| letter.is_ascii_graphic() && !"{}[]\"<>".contains(letter);
    (1..=LONGEST).contains(&value.len()) && value.chars().all(is_word)
}

/// A request that failed: why, after how many attempts, and who said what in
/// the last of them.
#[derive(Clone, Debug, Error)]
#[error("{reason} (after {attempts} attempts)")]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// How many attempts were made.
    pub attempts: u32,
    /// The last attempt's votes, by instance; `None` where there was none yet
    /// when the verdict was certain. Empty if nothing was sent.
    pub votes: Vec<Option<Vote>>,
    /// Extend only: until when the lock may still be believed in. The earlier
    /// of its old end and the one asked for, since the extension may have been
    /// applied somewhere; `None` if the lock is lost.
    pub until: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(value: &str, ttl: Option<u64>) -> Option<Occupant> {
        Occupant::seen_in(&Vote::Seen {
            value: Some(value.into()),
            ttl,
        })
    }

    fn refused(message: &str) -> Option<Occupant> {
        Occupant::seen_in(&Vote::Failed(Cause::Refused {
            code: "ERR".into(),
            message: message.into(),
        }))
    }

    #[test]
    fn lockers_values_are_no_other_data() {
        let hostname = "worker-3.eu:4711/refresh#2";
        for value in ["b0f2ad5a", "0b6a5d4c-3e8f", "m5eZ1+/p0w==", hostname] {
            assert_eq!(seen(value, Some(5000)), None, "{value}");
        }
        assert_eq!(Occupant::seen_in(&Vote::Granted), None);
        let free = Vote::Seen {
            value: None,
            ttl: None,
        };
        assert_eq!(Occupant::seen_in(&free), None);
    }

    #[test]
    fn what_no_locker_sets_is_other_data() {
        assert_eq!(seen("12", None), Some(Occupant::Endless));
        let long = "a".repeat(300);
        for value in ["", "two words", "{\"a\":1}", "[1]", "<a>", "é", &long] {
            assert_eq!(seen(value, Some(5000)), Some(Occupant::Strange), "{value}");
        }
    }

    #[test]
    fn another_type_is_seen_wherever_the_server_says_so() {
        let plain = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(refused(plain), Some(Occupant::OtherType));
        let inside = format!("ERR Error running script (call to f_1): @user_script:5: {plain}");
        assert_eq!(refused(&inside), Some(Occupant::OtherType));
        assert_eq!(refused("NOPERM this user has no permissions"), None);
    }
}
