//! Why one instance's vote failed.

use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;

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
    #[error("{}{}", said(Some(.code), .message), hint(.code, .message))]
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
    /// The instance spreads its keys over several places, and the queue for this resource
    /// would be in another one than the resource: no script reaches both.
    #[error(
        "the queue of {resource:?} would be in another slot of the cluster than the lock, so that it \
         can't be locked with fair: true; put a {{tag}} into its name, as \"{{order:1}}\""
    )]
    QueueElsewhere {
        /// The resource.
        resource: Rc<str>,
    },
    /// The caller's own client failed with an error of its own.
    #[error(
        "{}{}",
        said(.reply.as_deref(), .message),
        .reply.as_deref().map_or("", |code| hint(code, .message))
    )]
    Client {
        /// The error's text.
        message: Rc<str>,
        /// Its first word, as `NOPERM`, if it is the server's.
        reply: Option<Rc<str>>,
        /// What JavaScript knows the error by.
        number: u32,
    },
    /// Too many requests wait for this instance already, or too large ones.
    #[error(
        "too much waits for this instance already (requests: {waiting}); it is hung or slower than it is \
         asked, or the names that it is asked for are too long"
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
    /// Extend only: an instance that had not granted the lock may be a server that
    /// counts under another name already.
    #[error("it had not granted this lock when it was taken, so that its vote doesn't count now")]
    HadNotGranted,
    /// The Redlock was closed with `quit()`.
    #[error("closed by quit()")]
    Closed,
    /// It was not sent, since its answer was not waited for any more.
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
            Self::CrossSlot { .. } | Self::QueueElsewhere { .. } => "CROSS_SLOT",
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

    /// Whether the instance has answered: with an error, or with what doesn't count.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Client { reply: Some(_), .. }
            | Self::Unexpected { .. }
            | Self::AskedTwice
            | Self::HadNotGranted => true,
            Self::Silent { .. }
            | Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::CrossSlot { .. }
            | Self::QueueElsewhere { .. }
            | Self::Client { reply: None, .. }
            | Self::Overloaded { .. }
            | Self::Closed
            | Self::Withdrawn
            | Self::Dropped => false,
        }
    }

    /// Whether the same question will fail again, whenever it is asked.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::CrossSlot { .. } | Self::QueueElsewhere { .. })
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

/// Marks a text from outside among our own words: JavaScript looks for secrets in it alone, since
/// a short one would be found in what we say, and takes the marks away.
#[must_use]
pub fn quoted(text: &str) -> String {
    let text = text.replace(['\u{2}', '\u{3}'], " ");
    format!("\u{2}{text}\u{3}")
}

/// What a server or a client has said. A word that many servers say is no secret, and shown
/// whatever the rest is.
fn said(code: Option<&str>, message: &str) -> String {
    match code.filter(|code| is_known(code)) {
        Some(code) => match message.strip_prefix(code) {
            Some(rest) => format!("{code}{}", quoted(rest)),
            None if code == "ERR" || message.contains(code) => quoted(message),
            None => format!("{code} {}", quoted(message)),
        },
        None => quoted(message),
    }
}

/// Whether an error of servers begins with that word.
fn is_known(code: &str) -> bool {
    matches!(
        code,
        "ERR"
            | "NOAUTH"
            | "WRONGPASS"
            | "NOPERM"
            | "LOADING"
            | "BUSY"
            | "READONLY"
            | "MOVED"
            | "ASK"
            | "CROSSSLOT"
            | "CLUSTERDOWN"
            | "TRYAGAIN"
            | "MASTERDOWN"
            | "MISCONF"
            | "OOM"
            | "WRONGTYPE"
            | "NOREPLICAS"
            | "NOSCRIPT"
    )
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
                         PEXPIRE on the resource's key; with fair: true also ZADD, ZRANK, ZRANGE and \
                         ZREM on the keys of its queue)";
    match code {
        "ERR" if message.contains("cluster support disabled") => {
            " (this server is not in a cluster; list it by itself)"
        }
        "ERR" if message.contains("DB index") => " (give a db that this server has)",
        "ERR"
            if message.contains("without any password configured")
                || message.contains("no password is set") =>
        {
            " (the server has no password: take it out of this instance's address)"
        }
        "NOAUTH" => " (give this instance a password)",
        "WRONGPASS" => " (check this instance's username and password)",
        "NOPERM" if message.contains("'cluster") => {
            " (allow this user CLUSTER SLOTS, which says where the cluster's keys are)"
        }
        "NOPERM" => ALLOW,
        "LOADING" => " (the server is reading its data; it will vote again once it has)",
        "BUSY" => " (a script is running there: wait for it, or end it with SCRIPT KILL)",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> String {
        let cause = Cause::Refused {
            code: code.into(),
            message: message.into(),
        };
        cause.to_string()
    }

    #[test]
    fn what_a_server_says_is_told_from_what_is_ours() {
        let hint = " (check this instance's username and password)";
        assert_eq!(
            refused("WRONGPASS", "WRONGPASS no"),
            format!("WRONGPASS\u{2} no\u{3}{hint}")
        );
        assert_eq!(refused("ODD", "ODD one"), "\u{2}ODD one\u{3}");
        assert_eq!(refused("ODD", "a\u{3}b"), "\u{2}a b\u{3}");
    }

    #[test]
    fn a_clients_error_has_its_code_though_its_text_is_not_shown() {
        let cause = Cause::Client {
            message: "(hidden)".into(),
            reply: Some("BUSY".into()),
            number: 1,
        };
        assert!(
            cause
                .to_string()
                .starts_with("BUSY \u{2}(hidden)\u{3} (a script is")
        );
    }

    #[test]
    fn a_password_that_the_server_does_not_have_is_to_be_left_out() {
        for message in [
            "ERR AUTH <password> called without any password configured for the default user",
            "ERR Client sent AUTH, but no password is set",
        ] {
            assert!(refused("ERR", message).ends_with("take it out of this instance's address)"));
        }
    }
}
