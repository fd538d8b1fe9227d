//! What a server says unasked.

use redis::{PushKind, Value};

/// What a server says unasked.
#[derive(Debug, PartialEq)]
pub(crate) enum Message<'data> {
    /// These keys have changed; what isn't a name is none.
    Changed(&'data [Value]),
    /// All keys may have.
    AllChanged,
    /// It is about something else.
    Other,
}

/// What a message of this kind, with these parts, says.
pub(crate) fn read<'data>(kind: &PushKind, data: &'data [Value]) -> Message<'data> {
    match (kind, data) {
        (PushKind::Invalidate, [Value::Nil]) => Message::AllChanged,
        (PushKind::Invalidate, [Value::Array(names)]) => Message::Changed(names),
        _ => Message::Other,
    }
}
