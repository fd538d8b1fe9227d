//! What sentinels say of a master.

use bolero::check;
use redis::Value;

use super::frames::replies_in;
use super::pieces::{Piece, join};
use super::secrets::{PASSWORDS, redactor, shows_no_address, shows_none};
use crate::instances::redis::config::Address;
use crate::instances::redis::dial::master_of;
use crate::instances::redis::protocol::value::is_host;

/// Nothing but a host and a port, both as text, names a master.
fn a_master_is_a_host_and_a_port(bytes: &[u8]) {
    let redactor = redactor();
    for reply in replies_in(bytes) {
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::SimpleString(text) => Some(text.clone()),
            _ => None,
        };
        let said = match &reply {
            Value::Array(parts) if parts.len() == 2 => text(&parts[0])
                .zip(text(&parts[1]).and_then(|port| port.parse().ok()))
                .map(|(host, port)| Address { host, port }),
            _ => None,
        };
        let said = said.filter(|said| is_host(&said.host));
        match master_of(reply, "main", &redactor) {
            Ok(named) => {
                shows_no_address(&named);
                assert_eq!(said, Some(named));
            }
            Err(cause) => {
                shows_none(PASSWORDS, &cause);
                assert_eq!(said, None);
            }
        }
    }
}

const SENTINEL_WORDS: [&str; 10] = [
    "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n",
    "*2\r\n",
    "*3\r\n",
    "$9\r\n127.0.0.1\r\n",
    "$12\r\nhunter2-pass\r\n",
    "$3\r\na b\r\n",
    "$4\r\n6379\r\n",
    "$5\r\n65536\r\n",
    "*-1\r\n",
    "-IDONTKNOW\r\n",
];

#[test]
fn sentinel_answer() {
    check!(name = "sentinel").for_each(a_master_is_a_host_and_a_port);
}

#[test]
fn sentinel_answer_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_master_is_a_host_and_a_port(&join(pieces, &SENTINEL_WORDS)));
}
