//! A real server tells of changes to a key, whoever makes them.

use std::time::Duration;

use redlock_native::engine::Instance as _;
use redlock_native::instances::redis::{Config, Server};

use crate::support::{RedisServer, engine, network, once, resources, run, ttl, until};
use crate::watcher::{Told, Watching, held};

async fn look_until(watching: &Watching, what: Told) {
    watching.watch.look();
    until(&format!("{what:?}"), || {
        watching.last() == Some(what.clone())
    })
    .await;
}

async fn until_changed(watching: &Watching, by: &str) {
    until(by, || watching.last() == Some(Told::Changed)).await;
}

#[test]
fn a_key_that_was_looked_at_is_told_of_once_by_whomever_it_is_changed() {
    let server = RedisServer::start(&[]);
    run(async {
        let watched = Server::open(server.config(), &network());
        let watching = Watching::at(&watched, "a");
        let by: [&[&str]; 5] = [
            &["DEL", "a"],
            &["PEXPIRE", "a", "60000"],
            &["SET", "a", "other"],
            &["FLUSHALL"],
            &["EVAL", "return redis.call('DEL', KEYS[1])", "1", "a"],
        ];
        look_until(&watching, Told::Free).await;
        for command in by {
            server.command::<()>(&["SET", "a", "v", "PX", "60000"]);
            until_changed(&watching, "its being set").await;
            look_until(&watching, held("v")).await;
            let before = watching.told().len();
            server.command::<redis::Value>(command);
            until_changed(&watching, command[0]).await;
            // Another that nobody is told of, as nobody has looked since.
            server.command::<()>(&["SET", "a", "again"]);
            look_until(&watching, held("again")).await;
            assert_eq!(watching.told().len(), before + 2, "{command:?}");
            server.command::<u32>(&["DEL", "a"]);
            until_changed(&watching, "its end").await;
            look_until(&watching, Told::Free).await;
        }
        assert_eq!(watched.no_wakeups(), None);
    });
}

#[test]
fn the_end_of_a_keys_life_is_told() {
    let server = RedisServer::start(&[]);
    run(async {
        let watched = Server::open(server.config(), &network());
        let watching = Watching::at(&watched, "a");
        server.command::<()>(&["SET", "a", "v", "PX", "300"]);
        look_until(&watching, held("v")).await;
        until_changed(&watching, "its end").await;
        look_until(&watching, Told::Free).await;
    });
}

#[test]
fn a_lock_and_its_release_are_told_under_the_keys_prefix_and_in_its_database() {
    let server = RedisServer::start(&[]);
    run(async {
        let config = || Config {
            key_prefix: "app:".into(),
            db: 3,
            ..server.config()
        };
        let watched = Server::open(config(), &network());
        let watching = Watching::at(&watched, "a");
        look_until(&watching, Told::Free).await;
        let (engine, _) = engine([config()]);
        let name = resources(&["a"]);
        let lock = engine.acquire(name.clone(), ttl(60_000), once()).await;
        let lock = lock.expect("free");
        until_changed(&watching, "the lock").await;
        look_until(&watching, held(&lock.value.text())).await;
        let since = lock.validity.since;
        let release = engine.release(name, lock.value, since, once());
        release.await.expect("ours");
        until_changed(&watching, "the release").await;
        look_until(&watching, Told::Free).await;
    });
}

#[test]
fn a_key_that_is_no_lock_is_seen_in_part_or_as_occupied() {
    let server = RedisServer::start(&[]);
    run(async {
        let watched = Server::open(server.config(), &network());
        server.command::<u32>(&["SETRANGE", "long", "17825791", "x"]);
        server.command::<u32>(&["SADD", "set", "member"]);
        let [long, set] = ["long", "set"].map(|key| Watching::at(&watched, key));
        long.watch.look();
        until("its beginning", || !long.told().is_empty()).await;
        assert!(matches!(&long.told()[..], [Told::Held(value)] if value.len() == 4096));
        look_until(&set, Told::Occupied).await;
        server.command::<u32>(&["DEL", "set"]);
        until_changed(&set, "its end").await;
        look_until(&set, Told::Free).await;
    });
}

#[test]
fn a_server_that_forgets_scripts_or_restarts_is_watched_again() {
    let mut server = RedisServer::start(&[]);
    run(async {
        let watched = Server::open(server.config(), &network());
        let watching = Watching::at(&watched, "a");
        for _ in 0..2 {
            server.command::<()>(&["SCRIPT", "FLUSH"]);
            look_until(&watching, Told::Free).await;
        }
        server.kill();
        let lost = Told::Unwatched("UNREACHABLE");
        until("the loss", || watching.last() == Some(lost.clone())).await;
        assert!(watched.no_wakeups().is_some());
        server.restart();
        until_changed(&watching, "the next connection").await;
        look_until(&watching, Told::Free).await;
        assert_eq!(watching.times(&lost), 1);
        assert_eq!(watched.no_wakeups(), None);
    });
}

#[test]
fn who_may_not_track_is_told_so_and_a_server_that_hangs_is_given_up() {
    let server = RedisServer::start(&[]);
    run(async {
        let watched = Server::open(server.config(), &network());
        let watching = Watching::at(&watched, "a");
        look_until(&watching, Told::Free).await;
        server.pause();
        let lost = Told::Unwatched("SILENT");
        // By the PING that comes where nobody looks.
        until("its being given up", || {
            watching.last() == Some(lost.clone())
        })
        .await;
        server.resume();
        until_changed(&watching, "the next connection").await;
        server.command::<()>(&["ACL", "SETUSER", "default", "-client|tracking"]);
        server.command::<u32>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        until("the reason", || {
            let why = watched.no_wakeups().unwrap_or_default();
            why.contains("NOPERM") && why.contains("CLIENT TRACKING")
        })
        .await;
    });
}

#[test]
fn the_connection_is_one_for_all_and_is_closed_with_its_server() {
    let server = RedisServer::start(&[]);
    run(async {
        let tracking = || -> usize {
            let list: String = server.command(&["CLIENT", "LIST"]);
            let tracks = |line: &&str| line.contains(" resp=3 ") || line.contains(" flags=t ");
            list.lines().filter(tracks).count()
        };
        let network = network();
        let [one, other] = [(); 2].map(|()| Server::open(server.config(), &network));
        assert_eq!(tracking(), 0, "nobody watches");
        let watching = [&one, &other].map(|server| Watching::at(server, "a"));
        for each in &watching {
            look_until(each, Told::Free).await;
        }
        assert_eq!(tracking(), 1);
        drop(watching);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(tracking(), 1, "who waits soon waits again");
        drop(one);
        let again = Watching::at(&other, "b");
        look_until(&again, Told::Free).await;
        assert_eq!(tracking(), 1);
        drop(again);
        drop(other);
        until("its end", || tracking() == 0).await;
    });
}
