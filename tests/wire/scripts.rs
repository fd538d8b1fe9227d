//! By which command a question is written: SET, a script by its digest, a script
//! in full.

use redlock_native::engine::Vote;

use crate::asker::{Asker, acquire, extend, release};
use crate::fake_server::{Fake, has};
use crate::support::{run, until};

#[test]
fn until_something_was_taken_on_a_connection_a_script_sees_that_it_can_be_released() {
    let mut has_ended = false;
    let fake = Fake::start(move |words| {
        if has(words, "held") {
            return Some(":0\r\n".into());
        }
        if has(words, "the-end") && !has_ended {
            has_ended = true;
            return Some("+OK\r\n".into());
        }
        None
    });
    run(async {
        let asker = Asker::open(fake.config());
        asker.ask(0, acquire(), "v0", &["held"]);
        asker.ask(1, acquire(), "v1", &["held"]);
        assert!(matches!(asker.votes.wait_for(1).await, Vote::Held { .. }));
        for number in 2..4 {
            asker.ask(number, acquire(), &format!("v{number}"), &["free"]);
            asker.expect_granted(number).await;
        }
        asker.ask(4, release(), "the-end", &["a"]);
        until("another dial", || fake.dials() == 2).await;
        until("a lock", || {
            let number = asker.votes.len();
            asker.ask(number, acquire(), "again", &["free"]);
            matches!(asker.votes.of(number - 1), Some((_, Vote::Granted)))
        })
        .await;
        let way = |value: &str| fake.heard(value)[0][0].clone();
        let ways = ["v0", "v1", "v2", "v3", "again"].map(way);
        assert_eq!(ways, ["EVAL", "EVALSHA", "EVALSHA", "SET", "EVAL"]);
    });
}

#[test]
fn where_scripts_cannot_be_asked_for_by_digest_that_is_tried_once() {
    for error in [
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "NOPERM User locker has no permissions to run the 'evalsha' command",
        "ERR unknown command 'EVALSHA', with args beginning with: 'a' 'b' ",
        "ERR unknown command `EVALSHA`, with args beginning with: ",
        "ERR unsupported command 'evalsha'",
    ] {
        let fake =
            Fake::start(move |words| (words[0] == "EVALSHA").then(|| format!("-{error}\r\n")));
        run(async {
            let asker = Asker::ready(fake.config()).await;
            for number in 0..3 {
                asker.ask(number, extend(), "v", &["a"]);
                let vote = asker.votes.wait_for(number).await;
                assert!(matches!(vote, Vote::Granted), "{error}: {vote:?}");
            }
            assert_eq!(fake.heard("EVALSHA").len(), 1, "{error}");
        });
    }
}

#[test]
fn another_error_of_a_digests_is_a_vote() {
    for error in [
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        "ERR unknown command 'FOO', with args beginning with: 'evalsha' ",
        "ERR no 'evalsha' here",
    ] {
        let fake = Fake::start(move |words| {
            let is_it = words[0] == "EVALSHA" && has(words, "v");
            is_it.then(|| format!("-{error}\r\n"))
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, extend(), "v", &["a"]);
            assert_eq!(asker.votes.failure(0).await.code(), "REFUSED");
            assert_eq!(fake.heard("v").len(), 1);
        });
    }
}
