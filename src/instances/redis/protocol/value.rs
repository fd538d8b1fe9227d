//! Parts of replies that several parsers read.

use std::rc::Rc;

use redis::Value;

use crate::engine::Cause;

/// A string, if it is one.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Whether that can be a name or an address, as far as its characters go.
pub(crate) fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%[]".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// A reply that makes no sense, by its kind only: its content may be anything.
pub(crate) fn unexpected(reply: &Value) -> Cause {
    let what = match reply {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "an array",
        Value::ServerError(_) => "another command's error",
        _ => "a reply of an unknown kind",
    };
    Cause::Unexpected {
        what: Rc::from(what),
    }
}
