//! What a server says on a connection on which it tells of changes, however it is cut.

use bolero::check;
use redis::Value;

use super::frames::{a_stream_by_it_is_its_bytes, read_by, replies_in};
use super::pieces::{Piece, join};
use crate::instances::redis::protocol::frame::Replies;

const MESSAGE_WORDS: [&str; 24] = [
    ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n",
    ">2\r\n$10\r\ninvalidate\r\n_\r\n",
    "*2\r\n_\r\n:-2\r\n",
    "*2\r\n$1\r\nv\r\n:5000\r\n",
    "+PONG\r\n",
    "%1\r\n",
    "%",
    ">1\r\n",
    ">0\r\n",
    ">",
    "~1\r\n",
    "~",
    "_\r\n",
    "_",
    "#t\r\n",
    "#",
    ",1.5\r\n",
    ",",
    "(12345678901234567890\r\n",
    "=7\r\ntxt:abc\r\n",
    "=",
    "$10\r\ninvalidate\r\n",
    "*-1\r\n",
    "\r\n",
];

/// However it is cut, the same comes of it; and what version 2 of the protocol has too is
/// the same in both.
fn a_version_3_stream_is_its_bytes(bytes: &[u8]) {
    a_stream_by_it_is_its_bytes(bytes, Replies::of_version_3);
    let votes = replies_in(bytes);
    let (all, _) = read_by(Replies::of_version_3(), [bytes], 1024 * 1024);
    assert!(all.starts_with(&votes));
    assert!(votes.iter().all(is_of_version_2));
}

/// Whether it may be an answer where votes are asked for.
fn is_of_version_2(reply: &Value) -> bool {
    match reply {
        Value::Nil
        | Value::Int(_)
        | Value::BulkString(_)
        | Value::SimpleString(_)
        | Value::Okay
        | Value::ServerError(_) => true,
        Value::Array(parts) => parts.iter().all(is_of_version_2),
        _ => false,
    }
}

#[test]
fn message() {
    check!(name = "message").for_each(a_version_3_stream_is_its_bytes);
}

#[test]
fn message_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_version_3_stream_is_its_bytes(&join(pieces, &MESSAGE_WORDS)));
}
