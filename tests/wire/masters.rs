//! Only masters are used: those that say so, and those that sentinels name.

use redlock_native::instances::redis::{Address, Config, Endpoint, Sentinels};

use crate::asker::{Asker, acquire, extend, release};
use crate::fake_server::{Fake, has};
use crate::support::{run, until};

#[test]
fn a_replica_is_given_up_wherever_its_servers_say_that_it_is_one() {
    const CALL: &str = "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:1: ";
    let cases = [
        (
            "READONLY You can't write against a read only replica.",
            true,
        ),
        (
            "@user_script: 5: -READONLY You can't write against a read only replica.",
            true,
        ),
        (
            &format!("{CALL}-READONLY You can't write against a read only replica."),
            true,
        ),
        (
            &format!("{CALL}@user_script: 1: -READONLY You can't write"),
            true,
        ),
        (&format!("{CALL}no key '-READONLY '"), false),
        ("ERR the key -READONLY is odd", false),
    ];
    for (error, is_replica) in cases {
        let said = format!("-{error}\r\n");
        let fake = Fake::start(move |words| {
            let is_it = has(words, "replica");
            is_it.then(|| said.clone())
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, extend(), "replica", &["a"]);
            asker.votes.wait_for(0).await;
            let word = if is_replica { "READONLY" } else { "ERR" };
            assert_eq!(asker.votes.cause(0).reply(), Some(word), "{error}");
            if is_replica {
                until("another dial", || fake.dials() == 2).await;
            } else {
                asker.ask(1, release(), "next", &["a"]);
                asker.votes.wait_for(1).await;
                assert_eq!(fake.dials(), 1, "{error}");
            }
        });
    }
}

/// Whichever master that sentinel names.
fn master_by(sentinel: &Fake) -> Config {
    Config::new(Endpoint::Sentinel(Sentinels {
        addresses: vec![Address {
            host: "127.0.0.1".into(),
            port: sentinel.port,
        }],
        service: "main".into(),
        username: None,
        password: None,
        tls: None,
    }))
}

#[test]
fn a_sentinel_that_says_more_than_it_was_asked_is_dialled_anew() {
    let master = Fake::start(|words| (words[0] == "ROLE").then(|| "-NOPERM no\r\n".into()));
    let names = |port: u16| format!("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n{port}\r\n");
    // A port of five digits that nobody is asked at.
    let (right, wrong) = (names(master.port), names(10_001));
    let mut asked = 0;
    let sentinel = Fake::start(move |words| {
        (words[0] == "SENTINEL").then(|| {
            asked += 1;
            if asked == 1 {
                format!("{right}{wrong}")
            } else {
                right.clone()
            }
        })
    });
    run(async {
        let asker = Asker::ready(master_by(&sentinel)).await;
        until("the sentinel to be asked again", || {
            sentinel.heard("main").len() == 3
        })
        .await;
        assert_eq!(sentinel.dials(), 2);
        asker.ask(0, acquire(), "v", &["a"]);
        asker.expect_granted(0).await;
        assert_eq!(master.dials(), 1, "the same master all the time");
    });
}

#[test]
fn a_master_whose_name_has_the_password_in_it_is_dialled_and_its_name_is_not_shown() {
    let sentinel = Fake::start(|words| {
        (words[0] == "SENTINEL").then(|| "*2\r\n$15\r\nhunter2.invalid\r\n$4\r\n6379\r\n".into())
    });
    run(async {
        let config = Config {
            password: Some(String::from("hunter2").into()),
            ..master_by(&sentinel)
        };
        let asker = Asker::open(config);
        asker.ask(0, acquire(), "v", &["a"]);
        let cause = asker.votes.failure(0).await.to_string();
        assert!(
            cause.contains("the master that the sentinels name"),
            "{cause}"
        );
        assert!(!cause.contains("hunter2"), "{cause}");
    });
}
