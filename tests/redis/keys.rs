//! What a lock is in a server: keys, their values and lives, and what else may have
//! their names.

use std::sync::Arc;

use redlock_native::engine::{Occupant, Reason, Scripts, Settings, Vote};
use redlock_native::instances::redis::script;

use crate::failures;
use crate::support::{RedisServer, engine, once, resources, run, ttl};

#[test]
fn a_lock_is_a_plain_string_with_a_ttl_under_the_resources_own_name() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let granted = engine.acquire(resources(&["a"]), ttl(5000), once()).await;
        let granted = granted.expect("nobody else is there");
        let value: String = server.command(&["GET", "a"]);
        assert_eq!(value, &*granted.value.text());
        assert_eq!(value.len(), 32);
        let left: i64 = server.command(&["PTTL", "a"]);
        assert!((1..=5000).contains(&left), "{left}");
    });
}

#[test]
fn a_held_resource_is_refused_and_free_again_after_its_release() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, events) = engine([server.config()]);
        let name = resources(&["a"]);
        let held = engine.acquire(name.clone(), ttl(5000), once()).await;
        let held = held.expect("free");
        let refused = engine.acquire(name.clone(), ttl(5000), once()).await;
        assert_eq!(refused.expect_err("held").reason, Reason::Held);
        let since = held.validity.since;
        let released = engine.release(name.clone(), held.value, since, once());
        released.await.expect("ours");
        let again = engine.acquire(name, ttl(5000), once()).await;
        again.expect("free again");
        assert!(failures(&events).is_empty(), "contention is not an event");
    });
}

#[test]
fn several_resources_are_taken_together_or_not_at_all() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let pair = engine.acquire(resources(&["a", "b"]), ttl(5000), once());
        let pair = pair.await.expect("free");
        let other = engine.acquire(resources(&["b", "c"]), ttl(5000), once());
        assert_eq!(other.await.expect_err("b is held").reason, Reason::Held);
        assert_eq!(server.command::<u32>(&["EXISTS", "c"]), 0);
        let released = engine.release(
            resources(&["a", "b"]),
            pair.value,
            pair.validity.since,
            once(),
        );
        released.await.expect("ours");
        assert_eq!(server.command::<u32>(&["DBSIZE"]), 0);
    });
}

#[test]
fn an_extension_neither_makes_a_key_anew_nor_shortens_its_life() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let name = resources(&["a"]);
        let held = engine.acquire(name.clone(), ttl(5000), once()).await;
        let held = held.expect("free");
        let extend = |millis| {
            let (name, value) = (name.clone(), held.value.clone());
            engine.extend(name, value, held.validity.until, ttl(millis), once())
        };
        extend(60_000).await.expect("ours");
        let longer: i64 = server.command(&["PTTL", "a"]);
        assert!(longer > 5000, "{longer}");
        extend(1000).await.expect("ours");
        let still: i64 = server.command(&["PTTL", "a"]);
        assert!(still > 5000, "{still}");
        server.command::<u32>(&["DEL", "a"]);
        let lost = extend(5000).await.expect_err("gone");
        assert_eq!((lost.reason, lost.until), (Reason::NotHeld, None));
        assert_eq!(server.command::<u32>(&["EXISTS", "a"]), 0);
    });
}

#[test]
fn a_server_that_forgot_the_scripts_is_told_again() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, events) = engine([server.config()]);
        for _ in 0..2 {
            server.command::<()>(&["SCRIPT", "FLUSH"]);
            let names = resources(&["a", "b"]);
            let held = engine.acquire(names.clone(), ttl(5000), once()).await;
            let held = held.expect("free");
            let release = engine.release(names, held.value, held.validity.since, once());
            release.await.expect("ours");
        }
        assert!(failures(&events).is_empty());
    });
}

#[test]
fn a_name_that_is_taken_by_another_type_is_held_and_its_release_an_event() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, events) = engine([server.config()]);
        server.command::<u32>(&["SADD", "a", "member"]);
        let refused = engine.acquire(resources(&["a"]), ttl(5000), once()).await;
        let refused = refused.expect_err("taken");
        assert_eq!(refused.reason, Reason::Occupied(Occupant::OtherType));
        assert_eq!(refused.reason.code(), "ERR_REDLOCK_HELD");
        assert!(matches!(refused.votes[0], Some(Vote::Held { .. })));
        let told = format!("{:?}", failures(&events));
        assert_eq!(failures(&events).len(), 1, "{told}");
        assert!(told.contains("WRONGTYPE"), "{told}");
    });
}

#[test]
fn what_a_name_has_that_is_no_lock_is_seen_in_part_or_is_an_error() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        // 17 MiB.
        server.command::<u32>(&["SETRANGE", "long", "17825791", "x"]);
        server.command::<u32>(&["SADD", "set", "member"]);
        server.command::<()>(&["SET", "short", "value", "PX", "60000"]);
        let inspect = async |name: &str| {
            let votes = engine.inspect(name.into(), &once()).await;
            votes.into_iter().next().flatten().expect("a vote")
        };
        let Vote::Inspected { value, ttl } = inspect("long").await else {
            panic!("its beginning is seen");
        };
        assert_eq!((value.map(|value| value.len()), ttl), (Some(4096), None));
        let Vote::Inspected { value, ttl } = inspect("short").await else {
            panic!("it is seen");
        };
        assert_eq!(value.as_deref(), Some("value"));
        assert!(ttl.is_some_and(|ttl| (1..=60_000).contains(&ttl)));
        let missing = inspect("missing").await;
        assert!(
            matches!(missing, Vote::Inspected { value: None, .. }),
            "{missing:?}"
        );
        for _ in 0..10 {
            let Vote::Failed(cause) = inspect("set").await else {
                panic!("it can't be a lock's");
            };
            assert_eq!(cause.reply(), Some("WRONGTYPE"));
            inspect("long").await;
        }
        let connections: String = server.command(&["INFO", "stats"]);
        let dials = connections
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        let dials: u32 = dials
            .and_then(|dials| dials.parse().ok())
            .expect("a number");
        // One for each command of this test's, and the engine's, which is not ended by
        // what it is told. Where the machine stands still it may be doubted a few times.
        assert!((5..=9).contains(&dials), "{dials}");
    });
}

#[test]
fn a_burst_of_twenty_thousand_locks_is_served() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let tasks: Vec<_> = (0..20_000)
            .map(|number| {
                let engine = engine.clone();
                tokio::task::spawn_local(async move {
                    let name = resources(&[&number.to_string()]);
                    engine.acquire(name, ttl(60_000), Settings::default()).await
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("free");
        }
        assert_eq!(server.command::<u32>(&["DBSIZE"]), 20_000);
    });
}

#[test]
fn a_callers_own_scripts_replace_ours() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let scripts = Scripts {
            acquire: Some(script(
                "redis.call('SET', KEYS[1], ARGV[1] .. '!', 'PX', ARGV[2]) return tostring(#KEYS)",
            )),
            release: Some(script("return redis.call('DEL', KEYS[1]) + 41")),
            ..Scripts::default()
        };
        let settings = Settings {
            scripts: Some(Arc::new(scripts)),
            ..once()
        };
        let name = resources(&["a"]);
        let held = engine.acquire(name.clone(), ttl(5000), settings.clone());
        let held = held.await.expect("a number in a string counts");
        let value: String = server.command(&["GET", "a"]);
        assert_eq!(value, format!("{}!", &*held.value.text()));
        let since = held.validity.since;
        let release = engine.release(name, held.value, since, settings).await;
        let refused = release.expect_err("42 is not the number of keys");
        assert_eq!(refused.reason, Reason::NotHeld);
        assert_eq!(server.command::<u32>(&["EXISTS", "a"]), 0, "it was run");
    });
}
