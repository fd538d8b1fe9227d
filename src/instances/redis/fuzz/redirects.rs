//! A cluster's redirects.

use bolero::check;
use redis::Value;

use super::frames::replies_in;
use super::pieces::{Piece, join};
use super::sample_reply::SampleReply;
use super::secrets::{PASSWORD, PASSWORDS, VALUE, asked, redactor, shows_none};
use super::slots::{Host, SLOTS, numbered};
use crate::engine::Cause;
use crate::instances::redis::cluster::Redirect;
use crate::instances::redis::config::Address;
use crate::instances::redis::protocol::value::is_host;

/// A redirect leads where the error says, or nowhere.
fn a_redirect_is_what_it_says(bytes: &[u8]) {
    let redactor = redactor();
    for reply in replies_in(bytes) {
        let Value::ServerError(error) = &reply else {
            continue;
        };
        let cause = redactor.refused(error, &[VALUE]);
        shows_none(PASSWORDS, &cause);
        let Cause::Refused { message, .. } = &cause else {
            panic!("a server's error is a refusal");
        };
        let (word, slot, to) = match Redirect::read(&cause, &asked()) {
            None => continue,
            Some(Redirect::Moved { slot, to }) => ("MOVED", Some(slot), to),
            Some(Redirect::Ask { to }) => ("ASK", None, to),
        };
        let words: Vec<_> = message.split(' ').collect();
        assert_eq!(words[0], word);
        let said: u16 = words[1].parse().expect("a slot");
        assert!(said < SLOTS && slot.is_none_or(|slot| slot == numbered(said)));
        let (host, port) = words[2].rsplit_once(':').expect("a host and a port");
        assert_eq!(port.parse(), Ok(to.port));
        let meant = if host.is_empty() { &asked().host } else { host };
        assert!(to.host == meant && meant != "?");
        assert!(is_host(meant) && !meant.contains(PASSWORD));
    }
}

const REDIRECT_WORDS: [&str; 13] = [
    "-MOVED 3999 127.0.0.1:6381\r\n",
    "-MOVED ",
    "-ASK ",
    "-TRYAGAIN ",
    "3999",
    "16384",
    " ",
    ":",
    "::1",
    "?",
    "host",
    PASSWORD,
    "\r\n",
];

#[test]
fn redirect() {
    check!(name = "redirect").for_each(a_redirect_is_what_it_says);
}

#[test]
fn redirect_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_redirect_is_what_it_says(&join(pieces, &REDIRECT_WORDS)));
}

#[test]
fn a_rendered_redirect_is_read_back() {
    let redactor = redactor();
    check!()
        .with_type::<(bool, u16, Host, u16)>()
        .for_each(|(moved, slot, host, port)| {
            let word = if *moved { "MOVED" } else { "ASK" };
            let name = match host.reply() {
                SampleReply::Bulk(name) => String::from_utf8(name).expect("text"),
                _ => String::new(),
            };
            let error = format!("-{word} {slot} {name}:{port}\r\n");
            let replies = replies_in(error.as_bytes());
            let [Value::ServerError(error)] = &replies[..] else {
                panic!("{error} is an error");
            };
            let read = Redirect::read(&redactor.refused(error, &[VALUE]), &asked());
            // What is hidden in an error leads nowhere: a map says where the key is.
            let host = match host {
                Host::Secret => None,
                _ if name == "?" => None,
                host => host.meant(),
            };
            let expected = host.filter(|_| *slot < SLOTS).map(|host| {
                let to = Address { host, port: *port };
                if *moved {
                    Redirect::Moved {
                        slot: numbered(*slot),
                        to,
                    }
                } else {
                    Redirect::Ask { to }
                }
            });
            assert_eq!(read, expected);
        });
}
