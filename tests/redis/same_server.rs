//! One server listed several times.

use redlock_native::engine::{Event, Reason, Vote};
use redlock_native::instances::redis::{Config, Endpoint};

use crate::support::{Events, RedisServer, engine, once, resources, run, ttl};

#[test]
fn one_server_listed_three_times_is_asked_once_and_said_to_be_one() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, events) = engine([server.config(), server.config(), server.config()]);
        let name = resources(&["a"]);
        let held = engine.acquire(name.clone(), ttl(5000), once()).await;
        let held = held.expect("it does not vote against itself");
        let other = engine.acquire(name.clone(), ttl(5000), once()).await;
        assert_eq!(other.expect_err("held").reason, Reason::Held);
        let release = engine.release(name, held.value, held.validity.since, once());
        release.await.expect("ours on all three");
        assert_eq!(look_alikes(&events), [(0, 1, true), (0, 2, true)]);
    });
}

#[test]
fn one_server_under_two_names_grants_once_and_is_said_to_look_like_one() {
    let server = RedisServer::start(&[]);
    run(async {
        let config = server.config();
        let Endpoint::Tcp { port, .. } = config.endpoint else {
            panic!("a TCP port");
        };
        let host = String::from("localhost");
        let alias = Config {
            endpoint: Endpoint::Tcp { host, port },
            ..config
        };
        let (engine, events) = engine([server.config(), alias]);
        for names in [&["a"][..], &["b", "c"]] {
            let refused = engine.acquire(resources(names), ttl(5000), once()).await;
            let votes = refused.expect_err("one of two is no majority").votes;
            let granted = |vote: &&Option<Vote>| matches!(vote, Some(Vote::Granted));
            assert_eq!(votes.iter().filter(granted).count(), 1, "{votes:?}");
        }
        assert_eq!(look_alikes(&events), [(0, 1, false)]);
        assert_eq!(server.command::<u32>(&["DBSIZE"]), 0, "it was released");
    });
}

#[test]
fn the_same_server_with_two_databases_is_two_instances() {
    let server = RedisServer::start(&[]);
    run(async {
        let other = Config {
            db: 1,
            ..server.config()
        };
        let (engine, events) = engine([server.config(), other]);
        let lock = engine.acquire(resources(&["a"]), ttl(5000), once());
        lock.await.expect("free");
        assert_eq!(look_alikes(&events), []);
        let keyspace: String = server.command(&["INFO", "keyspace"]);
        assert!(
            keyspace.contains("db0") && keyspace.contains("db1"),
            "{keyspace}"
        );
    });
}

/// Which instances were said to look like one server, and whether they are.
fn look_alikes(events: &Events) -> Vec<(usize, usize, bool)> {
    let told = |event: &Event| match event {
        Event::LookAlikes {
            instance,
            other,
            sole,
        } => Some((*instance, *other, *sole)),
        _ => None,
    };
    events.borrow().iter().filter_map(told).collect()
}
