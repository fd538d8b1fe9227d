//! Releases of one flush, which go in one call, on a real server: each is judged by
//! itself.

use redlock_native::engine::{Cause, Engine, Failure, Grant, Vote};
use redlock_native::instances::redis::release_each_text;

use crate::support::{RedisServer, engine, once, resources, run, ttl};

async fn take(engine: &Engine, name: &str) -> Grant {
    let taken = engine.acquire(resources(&[name]), ttl(60_000), once());
    taken.await.expect("free")
}

/// Releases these three together.
async fn release(engine: &Engine, locks: [(&str, Grant); 3]) -> [Result<(), Failure>; 3] {
    let [one, two, three] = locks.map(|(name, lock)| {
        let since = lock.validity.since;
        engine.release(resources(&[name]), lock.value, since, once())
    });
    let (one, two, three) = tokio::join!(one, two, three);
    [one, two, three]
}

/// How often scripts were called, in full or by their digests.
fn calls(server: &RedisServer) -> u32 {
    let stats: String = server.command(&["INFO", "commandstats"]);
    let of = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        let calls = line
            .and_then(|line| line.split_once(','))
            .map(|(calls, _)| calls);
        calls.map_or(0, |calls| calls.parse().expect("a number"))
    };
    of("cmdstat_eval:calls=") + of("cmdstat_evalsha:calls=")
}

fn cause(released: &Result<(), Failure>) -> Option<&Cause> {
    match released.as_ref().err()?.votes.first()? {
        Some(Vote::Failed(cause)) => Some(cause),
        _ => None,
    }
}

#[test]
fn locks_that_are_released_together_are_gone_after_one_call() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let names = ["a", "b", "c"];
        let locks = [
            (names[0], take(&engine, names[0]).await),
            (names[1], take(&engine, names[1]).await),
            (names[2], take(&engine, names[2]).await),
        ];
        let before = calls(&server);
        for released in release(&engine, locks).await {
            released.expect("ours");
        }
        assert_eq!(calls(&server) - before, 1);
        assert_eq!(server.command::<u32>(&["DBSIZE"]), 0);
    });
}

#[test]
fn one_that_is_anothers_or_no_string_is_no_harm_to_the_others() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let locks = [
            ("a", take(&engine, "a").await),
            ("b", take(&engine, "b").await),
            ("c", take(&engine, "c").await),
        ];
        server.command::<()>(&["SET", "b", "another's"]);
        server.command::<()>(&["DEL", "c"]);
        server.command::<u32>(&["LPUSH", "c", "no string"]);
        let [a, b, c] = release(&engine, locks).await;
        a.expect("ours");
        let votes = b.expect_err("another's").votes;
        assert!(
            matches!(votes[0], Some(Vote::Held { applied: 0 })),
            "{votes:?}"
        );
        let cause = cause(&c).expect("an error");
        assert_eq!(cause.reply(), Some("WRONGTYPE"));
        assert_eq!(server.command::<u32>(&["DBSIZE"]), 2);
    });
}

#[test]
fn one_that_may_not_be_touched_is_no_harm_to_the_others() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let locks = [
            ("a", take(&engine, "a").await),
            ("b", take(&engine, "b").await),
            ("c", take(&engine, "c").await),
        ];
        server.command::<()>(&["ACL", "SETUSER", "default", "resetkeys", "~a", "~c"]);
        let [a, b, c] = release(&engine, locks).await;
        a.expect("ours");
        c.expect("ours");
        let cause = cause(&b).expect("an error");
        assert_eq!(cause.reply(), Some("NOPERM"));
        assert_eq!(server.command::<u32>(&["DBSIZE"]), 1);
    });
}

/// What the script answers for these keys and values.
fn answer(server: &RedisServer, keys: &[&str], values: &[&str]) -> String {
    let count = keys.len().to_string();
    server.command(&[&["EVAL", release_each_text(), &count], keys, values].concat())
}

#[test]
fn a_key_that_comes_twice_is_deleted_once() {
    let server = RedisServer::start(&[]);
    server.command::<()>(&["MSET", "a", "1", "b", "2", "c", "3"]);
    let keys = ["a", "a", "b", "none", "c", "c"];
    let values = ["1", "1", "another", "1", "another", "3"];
    assert_eq!(answer(&server, &keys, &values), "100001");
    assert_eq!(server.command::<u32>(&["DBSIZE"]), 1);
}

#[test]
fn who_may_not_read_or_delete_has_each_judged_all_the_same() {
    // The docs' least has no MGET.
    for (rule, expected) in [("-mget", "110"), ("-del", "ee0"), ("-get", "eee")] {
        let server = RedisServer::start(&[]);
        server.command::<()>(&["MSET", "a", "1", "b", "2", "c", "3"]);
        server.command::<()>(&["ACL", "SETUSER", "default", rule]);
        let letters = answer(&server, &["a", "b", "c"], &["1", "2", "another"]);
        assert_eq!(letters, expected, "{rule}");
    }
}
