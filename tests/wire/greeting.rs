//! What a server must answer when it is dialled, and what it need not.

use redlock_native::engine::Vote;
use redlock_native::instances::redis::{Config, Secret};

use crate::asker::{Asker, acquire, release};
use crate::fake_server::{Fake, HANG_UP, has};
use crate::support::{run, until};

#[test]
fn a_server_that_greets_with_what_its_commands_cannot_give_is_not_used() {
    let cases = [
        ("AUTH", ":1\r\n"),
        ("AUTH", "+PONG\r\n"),
        ("SELECT", "$-1\r\n"),
        ("CLIENT", ":1\r\n"),
        ("PING", ":1\r\n"),
        ("PING", "+QUEUED\r\n"),
        ("INFO", "+OK\r\n"),
        ("INFO", "*0\r\n"),
        ("INFO", "$0\r\n\r\n+OK\r\n"),
    ];
    for (command, reply) in cases {
        let fake = Fake::start(move |words| (words[0] == command).then(|| reply.to_owned()));
        run(async {
            let config = Config {
                password: Some(Secret::from(String::from("hunter2"))),
                client_name: Some("name".into()),
                db: 1,
                ..fake.config()
            };
            let asker = Asker::open(config);
            asker.ask(0, acquire(), "v", &["a"]);
            let cause = asker.votes.failure(0).await;
            assert_eq!(cause.code(), "UNEXPECTED", "{command} {reply:?}: {cause}");
        });
    }
}

#[test]
fn a_server_that_lets_nobody_ask_for_its_name_is_used() {
    let fake = Fake::start(|words| match words[0].as_str() {
        "PING" | "INFO" | "CLIENT" => Some("-NOPERM no\r\n".into()),
        _ => None,
    });
    run(async {
        let config = Config {
            client_name: Some("name".into()),
            ..fake.config()
        };
        let asker = Asker::ready(config).await;
        asker.ask(0, acquire(), "v", &["a"]);
        asker.expect_granted(0).await;
    });
}

#[test]
fn a_command_at_which_a_proxy_hangs_up_is_left_out_from_then_on() {
    for (command, other) in [("INFO", "SETNAME"), ("CLIENT", "PING")] {
        let mut has_ended = false;
        let fake = Fake::start(move |words| match words[0].as_str() {
            word if word == command => Some(HANG_UP.into()),
            _ if has(words, "the-end") && !has_ended => {
                has_ended = true;
                Some("+OK\r\n".into())
            }
            "PING" => Some("-ERR unknown command 'PING'\r\n".into()),
            _ => None,
        });
        run(async {
            let config = Config {
                client_name: Some("name".into()),
                ..fake.config()
            };
            let asker = Asker::ready(config).await;
            // A server that takes its time is dialled beside, so that there may be more dials.
            assert!(fake.dials() >= 2, "it is dialled again");
            let before = fake.dials();
            asker.ask(0, release(), "the-end", &["a"]);
            until("another dial", || fake.dials() > before).await;
            asker.votes.wait_for(0).await;
            until("a lock", || {
                let number = asker.votes.len();
                asker.ask(number, acquire(), "v", &["a"]);
                matches!(asker.votes.of(number - 1), Some((_, Vote::Granted)))
            })
            .await;
            assert_eq!(
                fake.heard(command).len(),
                1,
                "{command} at {} dials",
                fake.dials()
            );
            assert!(fake.heard(other).len() >= 2, "it is asked for what is left");
        });
    }
}

#[test]
fn a_server_that_hangs_up_at_what_it_must_answer_is_not_used() {
    let fake = Fake::start(|words| (words[0] == "PING").then(|| HANG_UP.into()));
    run(async {
        let asker = Asker::open(fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        assert_eq!(asker.votes.failure(0).await.code(), "UNREACHABLE");
    });
}
