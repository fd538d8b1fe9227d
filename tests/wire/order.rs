//! What waits: in which order it is written, what is withdrawn, and how much there
//! may be.

use std::time::Duration;

use redlock_native::engine::{DeadlineBounds, SafetyRule, Settings};
use redlock_native::instances::redis::Config;

use crate::asker::{Asker, acquire, extend, release, ttl};
use crate::fake_server::{Door, Fake, has};
use crate::support::{engine_on, network, once, resources, run, until};

#[test]
fn an_extension_is_not_behind_the_acquires_that_wait() {
    let before = acquires_before_an_extension();
    assert!(before <= 2000, "{before}");
    SafetyRule::take_out(Some(SafetyRule::Order));
    assert!(
        acquires_before_an_extension() > 2000,
        "without the rule it is"
    );
}

/// How many of the acquires that were asked before an extension are answered first.
fn acquires_before_an_extension() -> usize {
    const MANY: usize = 20_000;
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        for number in 0..MANY {
            asker.ask(number, acquire(), &number.to_string(), &["contended"]);
        }
        asker.ask(MANY, extend(), "holder", &["kept"]);
        asker.ask(MANY + 1, release(), "holder", &["kept"]);
        asker.expect_granted(MANY).await;
        let (before, _) = asker.votes.of(MANY).expect("cast");
        until("all votes", || asker.votes.len() == MANY + 2).await;
        let written = fake.heard("contended");
        assert_eq!(written.len(), MANY, "each once");
        let order = written.iter().enumerate();
        assert!(
            order
                .into_iter()
                .all(|(at, words)| words[2] == at.to_string())
        );
        before
    })
}

#[test]
fn an_extension_is_not_behind_all_the_releases_that_are_owed() {
    const MANY: usize = 9000;
    let door = Door::default();
    let behind = door.clone();
    let mut is_given_up = false;
    let fake = Fake::start(move |words| {
        if has(words, "the-end") && !is_given_up {
            is_given_up = true;
            return Some("+OK\r\n".into());
        }
        behind.wait();
        None
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(0, release(), "the-end", &["a"]);
        for number in 1..=MANY {
            // Those of two names go one by one.
            asker.ask(number, release(), "owed", &["a", "b"]);
        }
        door.close();
        until("all to be lost", || asker.votes.len() > MANY).await;
        door.open();
        until("the next connection", || fake.heard("PING").len() == 2).await;
        asker.until_used().await;
        let all = || fake.heard("owed").len();
        until("the extension", || !fake.heard("kept").is_empty()).await;
        until("all releases", || all() >= MANY).await;
        let heard = fake.heard.lock().expect("no panic");
        let kept = heard.iter().position(|words| has(words, "kept"));
        let later = heard[kept.expect("heard")..].iter();
        assert!(later.filter(|words| has(words, "owed")).count() > 1000);
    });
}

#[test]
fn a_release_withdraws_its_own_acquire_if_that_is_not_written_and_else_comes_after_it() {
    const MANY: usize = 3000;
    let door = Door::default();
    let fake = Fake::behind(&door);
    run(async {
        let asker = Asker::ready(fake.config()).await;
        door.close();
        for number in 0..MANY {
            asker.ask(number, acquire(), &format!("v{number}"), &["a"]);
        }
        let last = format!("v{}", MANY - 1);
        asker.ask(MANY, release(), &last, &["a"]);
        asker.ask(MANY + 1, release(), "v0", &["a"]);
        asker.ask(MANY + 2, release(), "v2998", &["another"]);
        assert_eq!(asker.votes.cause(MANY - 1).code(), "WITHDRAWN");
        assert_eq!(asker.votes.len(), 1, "nothing else is");
        door.open();
        until("all votes", || asker.votes.len() == MANY + 3).await;
        let commands = |value: &str| -> Vec<String> {
            let heard = fake.heard(value).into_iter();
            heard.map(|words| words[0].clone()).collect()
        };
        // All three releases in one call.
        assert_eq!(commands(&last), ["EVAL"]);
        assert_eq!(commands("v0"), ["SET", "EVAL"]);
        assert_eq!(fake.heard("SET").len(), MANY - 1);
    });
}

#[test]
fn while_the_first_dial_runs_a_release_withdraws_its_acquire_too() {
    let door = Door::default();
    door.close();
    let fake = Fake::behind(&door);
    run(async {
        let asker = Asker::open(fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        asker.ask(1, acquire(), "w", &["a"]);
        asker.ask(2, release(), "v", &["a"]);
        assert_eq!(asker.votes.cause(0).code(), "WITHDRAWN");
        door.open();
        asker.expect_granted(1).await;
        asker.votes.wait_for(2).await;
        assert_eq!((fake.heard("v").len(), fake.heard("w").len()), (1, 1));
    });
}

#[test]
fn a_lock_that_another_engine_releases_is_not_set_later_where_it_was_still_to_be_asked_for() {
    let door = Door::default();
    door.close();
    let slow = Fake::behind(&door);
    let others = [Fake::as_usual(), Fake::as_usual()];
    let configs = || others.iter().chain([&slow]).map(Fake::config);
    let settings = Settings {
        deadlines: DeadlineBounds {
            floor: Duration::from_secs(30),
            ceiling: Duration::from_secs(30),
        },
        ..once()
    };
    run(async {
        let shared = network();
        let (engine, _) = engine_on(&shared, configs());
        let (another, _) = engine_on(&shared, configs());
        let take = |name| engine.acquire(resources(&[name]), ttl(), settings.clone());
        let held = take("a").await.expect("two of three");
        let since = held.validity.since;
        let released = another.release(resources(&["a"]), held.value, since, settings.clone());
        released.await.expect("by two of three");
        take("later").await.expect("two of three");
        door.open();
        until("what was asked for later", || {
            !slow.heard("later").is_empty()
        })
        .await;
        let heard = slow.heard("a");
        assert_eq!(heard.len(), 1, "its release: {heard:?}");
        assert!(!heard[0].contains(&"60000".to_owned()));
    });
}

#[test]
fn an_acquire_whose_script_is_unknown_is_not_written_again_behind_its_release() {
    let door = Door::default();
    let behind = door.clone();
    let fake = Fake::start(move |words| {
        let is_acquire = has(words, "60000");
        match words[0].as_str() {
            "EVALSHA" if is_acquire => {
                behind.wait();
                Some("-NOSCRIPT No matching script.\r\n".into())
            }
            "EVAL" => Some(format!(":{}\r\n", words[2])),
            _ => None,
        }
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(3, acquire(), "known", &["c", "d"]);
        asker.votes.wait_for(3).await;
        door.close();
        asker.ask(0, acquire(), "v", &["a", "b"]);
        asker.ask(1, acquire(), "w", &["a", "b"]);
        asker.ask(2, release(), "v", &["a", "b"]);
        door.open();
        asker.votes.wait_for(2).await;
        asker.votes.wait_for(1).await;
        assert_eq!(asker.votes.cause(0).code(), "WITHDRAWN");
        assert_eq!(fake.heard("v").len(), 2, "an EVALSHA of each");
        let in_full = fake.heard("EVAL").into_iter();
        let of_both = in_full.filter(|words| has(words, "a"));
        assert_eq!(of_both.count(), 1, "that of w");
    });
}

#[test]
fn what_waits_is_bounded_in_bytes_and_leaves_room_for_extensions() {
    const MIB: usize = 1024 * 1024;
    let door = Door::default();
    let fake = Fake::behind(&door);
    run(async {
        let dialling = {
            door.close();
            Asker::open(Config {
                client_name: Some("dialling".into()),
                ..fake.config()
            })
        };
        door.open();
        let up = Asker::ready(fake.config()).await;
        door.close();
        let name = "x".repeat(MIB);
        for asker in [&up, &dialling] {
            for number in 0..100 {
                asker.ask(number, acquire(), "v", &[&name]);
            }
            let refused = asker.votes.cause(99);
            assert_eq!(refused.code(), "OVERLOADED");
            let before = asker.votes.len();
            asker.ask(100, extend(), "v", &["kept"]);
            assert_eq!(asker.votes.len(), before, "it waits");
            for number in 101..200 {
                asker.ask(number, release(), &number.to_string(), &[&name]);
            }
            assert_eq!(asker.votes.cause(199).code(), "OVERLOADED");
            let weight = asker.server.weight();
            assert!(weight < 50 * MIB, "{weight}");
        }
        SafetyRule::take_out(Some(SafetyRule::Bounded));
        up.ask(300, acquire(), "v", &[&name]);
        assert!(up.votes.of(300).is_none(), "without the rule it waits");
        door.open();
    });
}
