//! Why there is no connection, in words that say what to look at.

use std::io;
use std::rc::Rc;

use crate::engine::Cause;

/// What a server looks like that hangs up.
pub(crate) const CLOSED: &str = "the server closed the connection";

pub(crate) fn unreachable(what: String) -> Cause {
    Cause::Unreachable { what: what.into() }
}

/// A server that says more than it was asked.
pub(crate) fn unasked() -> Cause {
    Cause::Unexpected {
        what: Rc::from("a reply that nobody asked for"),
    }
}

/// An error of the system's, and what to look at.
pub(super) fn explain(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is the server running, and on this port?",
        io::ErrorKind::NotFound => "; is the socket's path right?",
        io::ErrorKind::PermissionDenied => "; may this user open it?",
        _ => "",
    };
    format!("{error}{hint}")
}
