//! What a server says of itself.

use bolero::check;

use super::pieces::{Piece, join};
use crate::instances::redis::dial::Greeting;

/// It says who it is in a line of its own, or not at all.
fn a_greeting_is_said_in_lines(info: &[u8]) {
    let mut greeting = Greeting::default();
    greeting.read(info);
    let text = String::from_utf8_lossy(info);
    if let Some(id) = &greeting.run_id {
        assert_eq!(id.len(), 40);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(text.contains(&format!("run_id:{id}")));
    }
    match greeting.master {
        Some(true) => assert!(text.contains("role:master")),
        Some(false) => assert!(text.contains("role:")),
        None => assert!(!text.lines().any(|line| line.starts_with("role:"))),
    }
}

const INFO_WORDS: [&str; 9] = [
    "run_id:",
    "0123456789abcdef0123456789ABCDEF01234567",
    "role:",
    "master",
    "slave",
    "\r\n",
    "\n",
    ":",
    "# Server\r\nredis_version:7.0.15\r\n",
];

#[test]
fn info() {
    check!(name = "info").for_each(a_greeting_is_said_in_lines);
}

#[test]
fn info_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_greeting_is_said_in_lines(&join(pieces, &INFO_WORDS)));
}
