//! Releases of one flush in one call: what becomes of each.

use redlock_native::engine::{SafetyRule, Vote};

use crate::asker::{Asker, acquire, release};
use crate::fake_server::{Fake, HANG_UP, has, released_together};
use crate::support::{run, until};

/// The commands that release several locks, by how many.
fn calls(fake: &Fake) -> Vec<usize> {
    let heard = fake.heard.lock().expect("no panic");
    heard
        .iter()
        .filter_map(|words| released_together(words))
        .collect()
}

/// Releases so many locks, each of its own name, in one flush.
fn release_all(asker: &Asker, locks: usize) {
    for number in 0..locks {
        let (value, name) = (format!("v{number}"), format!("n{number}"));
        asker.ask(number, release(), &value, &[&name]);
    }
}

async fn expect_all_granted(asker: &Asker, locks: usize) {
    for number in 0..locks {
        asker.expect_granted(number).await;
    }
}

#[test]
fn releases_of_one_flush_go_in_calls_of_at_most_64() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        release_all(&asker, 150);
        expect_all_granted(&asker, 150).await;
        assert_eq!(calls(&fake), [64, 64, 22]);
        for number in 0..150 {
            assert_eq!(fake.heard(&format!("v{number}")).len(), 1);
        }
        let ways: Vec<String> = fake.heard.lock().expect("no panic")[..]
            .iter()
            .filter(|words| released_together(words).is_some())
            .map(|words| words[0].clone())
            .collect();
        assert_eq!(ways, ["EVAL", "EVALSHA", "EVALSHA"]);
    });
}

#[test]
fn one_with_several_resources_goes_by_itself() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(0, release(), "v0", &["n0"]);
        asker.ask(1, release(), "v1", &["n1", "m1"]);
        asker.ask(2, release(), "v2", &["n2"]);
        for number in [0, 2] {
            asker.expect_granted(number).await;
        }
        asker.votes.wait_for(1).await;
        assert_eq!(calls(&fake), [2]);
        assert_eq!(fake.heard("v1")[0].len(), 6, "a call of its own");
    });
}

#[test]
fn releases_go_before_the_acquires_of_their_flush_but_not_before_their_own() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(0, release(), "v0", &["a"]);
        asker.ask(1, acquire(), "w", &["a"]);
        asker.ask(2, release(), "v2", &["b"]);
        asker.ask(3, release(), "w", &["a"]);
        asker.ask(4, release(), "v4", &["c"]);
        for number in 0..5 {
            asker.expect_granted(number).await;
        }
        assert_eq!(calls(&fake), [3]);
        let together = fake.heard("v0");
        assert!(has(&together[0], "v2") && has(&together[0], "v4"));
        let heard = fake.heard.lock().expect("no panic");
        let order = ["v0", "NX", "w"].map(|word| {
            let mut found = heard.iter().enumerate().rev();
            found.find(|(_, words)| has(words, word)).expect("heard").0
        });
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(heard[order[2]][0], "EVALSHA", "the release, by itself");
    });
}

#[test]
fn what_is_not_deleted_is_asked_again_alone_before_it_votes() {
    let answer = |words: &[String]| {
        if released_together(words).is_some() {
            return Some("$4\r\n10e1\r\n".into());
        }
        has(words, "v2").then(|| "-WRONGTYPE Operation against a key\r\n".into())
    };
    let fake = Fake::start(answer);
    run(async {
        let asker = Asker::ready(fake.config()).await;
        release_all(&asker, 4);
        for number in [0, 1, 3] {
            asker.expect_granted(number).await;
        }
        let cause = asker.votes.failure(2).await;
        assert_eq!(cause.reply(), Some("WRONGTYPE"));
        let times = |value: &str| fake.heard(value).len();
        assert_eq!(["v0", "v1", "v2", "v3"].map(times), [1, 2, 2, 1]);
        // The server that has v1's key is not the one that such a call goes to.
        release_all(&asker, 4);
        until("the next ones", || times("v3") == 2).await;
        assert_eq!(calls(&fake), [4]);
    });
    let fake = Fake::start(answer);
    run(async {
        SafetyRule::take_out(Some(SafetyRule::AskedAlone));
        let asker = Asker::ready(fake.config()).await;
        release_all(&asker, 4);
        let vote = asker.votes.wait_for(1).await;
        let is_held = matches!(vote, Vote::Held { .. });
        assert!(is_held, "without the rule it votes at once: {vote:?}");
    });
}

#[test]
fn an_error_of_the_whole_call_sends_each_by_itself() {
    for (error, calls_after) in [
        (
            "NOPERM this user has no permissions to access one of the keys",
            1,
        ),
        ("CROSSSLOT Keys in request don't hash to the same slot", 1),
        ("ERR unknown command 'EVAL', with args beginning with: ", 1),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL",
            2,
        ),
    ] {
        let fake =
            Fake::start(move |words| released_together(words).map(|_| format!("-{error}\r\n")));
        run(async {
            let asker = Asker::ready(fake.config()).await;
            for _ in 0..2 {
                release_all(&asker, 3);
                expect_all_granted(&asker, 3).await;
                asker.votes.clear();
            }
            assert_eq!(calls(&fake).len(), calls_after, "{error}");
            let alone = fake.heard("v1").len() - calls_after;
            assert_eq!(alone, 2, "{error}");
        });
    }
}

#[test]
fn where_the_script_is_unknown_it_is_sent_in_full() {
    let mut flushed = false;
    let fake = Fake::start(move |words| {
        let is_it = released_together(words).is_some() && words[0] == "EVALSHA" && !flushed;
        flushed |= is_it;
        is_it.then(|| "-NOSCRIPT No matching script. Please use EVAL.\r\n".into())
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        for _ in 0..2 {
            release_all(&asker, 3);
            expect_all_granted(&asker, 3).await;
            asker.votes.clear();
        }
        let ways: Vec<String> = fake
            .heard("v0")
            .into_iter()
            .map(|words| words[0].clone())
            .collect();
        assert_eq!(ways, ["EVAL", "EVALSHA", "EVAL"]);
        assert_eq!(calls(&fake), [3, 3, 3]);
    });
}

#[test]
fn a_reply_that_such_a_call_does_not_give_ends_the_connection_and_all_are_owed() {
    for reply in [
        "$2\r\n11\r\n",
        "$4\r\n1111\r\n",
        "$3\r\n112\r\n",
        ":3\r\n",
        "+OK\r\n",
        "*1\r\n:1\r\n",
        HANG_UP,
    ] {
        let mut has_ended = false;
        let fake = Fake::start(move |words| {
            let is_it = released_together(words).is_some() && !has_ended;
            has_ended |= is_it;
            is_it.then(|| reply.to_owned())
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            release_all(&asker, 3);
            for number in 0..3 {
                asker.votes.failure(number).await;
            }
            until("what is owed", || fake.heard("v2").len() == 2).await;
            assert_eq!((fake.dials(), calls(&fake)), (2, vec![3, 3]), "{reply}");
        });
    }
}

#[test]
fn those_of_a_silent_connection_are_written_on_the_one_that_takes_its_place() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        fake.with_line(0, |line| line.door.close());
        release_all(&asker, 3);
        expect_all_granted(&asker, 3).await;
        assert_eq!(fake.dials(), 2);
        assert_eq!(calls(&fake), [3]);
        fake.with_line(0, |line| line.door.open());
        until("the former one's", || fake.heard("v2").len() == 2).await;
    });
}
