//! The engine over real redis-servers.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use redlock_native::engine::{Event, Instant, Occupant, Reason, Scripts, Settings, Vote};
use redlock_native::instances::redis::{Config, Endpoint, Secret, script};
use support::{Events, RedisServer, causes, engine, once, resources, run, ttl, until};

#[test]
fn a_lock_is_a_plain_string_with_a_ttl_under_the_resources_own_name() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let granted = engine.acquire(resources(&["a"]), ttl(5000), once()).await;
        let granted = granted.expect("nobody else is there");
        let value: String = server.command(&["GET", "a"]);
        assert_eq!(value, granted.value.as_str());
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
fn a_server_that_is_down_is_a_vote_that_says_why_and_is_used_again_when_it_is_back() {
    let mut servers = [0; 3].map(|_| RedisServer::start(&[]));
    run(async {
        let (engine, _) = engine(servers.iter().map(RedisServer::config));
        let lock = async |name: &str| {
            let name = resources(&[name]);
            engine.acquire(name, ttl(60_000), once()).await
        };
        lock("a").await.expect("all up");
        servers[0].kill();
        lock("b").await.expect("two of three");
        servers[1].kill();
        let refused = lock("c").await.expect_err("one of three");
        assert_eq!(refused.reason, Reason::Unavailable);
        let down: Vec<_> = causes(&refused)
            .into_iter()
            .map(|c| c.map(|c| c.code()))
            .collect();
        let gone = |code| code == Some("UNREACHABLE") || code == Some("LOST");
        assert!(
            gone(down[0]) && gone(down[1]) && down[2].is_none(),
            "{down:?}"
        );
        assert_eq!(servers[2].command::<u32>(&["EXISTS", "c"]), 0, "released");
        servers[0].restart();
        servers[1].restart();
        let mut back = false;
        for attempt in 0..200 {
            back = lock(&format!("d{attempt}")).await.is_ok();
            if back {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(back, "the links dial again by themselves");
    });
}

#[test]
fn a_frozen_minority_costs_nothing_and_holds_nothing_once_it_wakes() {
    let servers = [0; 3].map(|_| RedisServer::start(&[]));
    run(async {
        let (engine, events) = engine(servers.iter().map(RedisServer::config));
        let name = resources(&["a"]);
        let ready = engine.acquire(resources(&["b"]), ttl(60_000), once());
        ready.await.expect("all up");
        engine.quiet().await;
        servers[2].pause();
        let held = engine.acquire(name.clone(), ttl(60_000), once()).await;
        let held = held.expect("two of three");
        let release = engine.release(name, held.value, held.validity.since, once());
        release.await.expect("two of three");
        assert!(failures(&events).is_empty(), "decided before any deadline");
        engine.quiet().await;
        assert_eq!(
            failures(&events).len(),
            2,
            "lock and unlock missed one each"
        );
        servers[2].resume();
        until("the frozen server's key to go", || {
            servers[2].command::<u32>(&["EXISTS", "a"]) == 0
        })
        .await;
    });
}

#[test]
fn a_release_is_owed_to_a_server_that_was_given_up_and_is_delivered() {
    let servers = [0; 3].map(|_| RedisServer::start(&[]));
    run(async {
        let (engine, events) = engine(servers.iter().map(RedisServer::config));
        let name = resources(&["a"]);
        let held = engine.acquire(name.clone(), ttl(60_000), once()).await;
        let held = held.expect("free");
        engine.quiet().await;
        servers[2].pause();
        until("the silent server to be given up", || {
            let probe = engine.release(resources(&["x"]), "x".into(), Instant::ORIGIN, once());
            let mut probe = Box::pin(probe);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = probe.as_mut().poll(&mut context);
            events.borrow().iter().any(|event| {
                format!("{event:?}").contains("Unreachable")
                    || format!("{event:?}").contains("waited: 2s")
            })
        })
        .await;
        let release = engine.release(name, held.value, held.validity.since, once());
        release.await.expect("two of three");
        servers[2].resume();
        until("the owed release", || {
            servers[2].command::<u32>(&["EXISTS", "a"]) == 0
        })
        .await;
    });
}

#[test]
fn a_wrong_password_is_a_vote_that_says_so_and_shows_no_secret() {
    let server = RedisServer::start(&["--requirepass", "right-one"]);
    run(async {
        let config = Config {
            password: Some(Secret::from(String::from("hunter2"))),
            ..server.config()
        };
        for (config, code) in [(config, "WRONGPASS"), (server.config(), "NOAUTH")] {
            let (engine, events) = engine([config]);
            let refused = engine.acquire(resources(&["a"]), ttl(5000), once()).await;
            let refused = refused.expect_err("not let in");
            let cause = causes(&refused)[0].expect("a failed vote");
            assert_eq!(cause.reply(), Some(code), "{cause}");
            let told = format!("{refused:?} {refused} {cause} {:?}", events.borrow());
            assert!(!told.contains("hunter2"), "{told}");
        }
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
            let votes = engine.inspect(name.into(), once()).await;
            votes.into_iter().next().flatten().expect("a vote")
        };
        let Vote::Seen { value, ttl } = inspect("long").await else {
            panic!("its beginning is seen");
        };
        assert_eq!((value.map(|value| value.len()), ttl), (Some(4096), None));
        let Vote::Seen { value, ttl } = inspect("short").await else {
            panic!("it is seen");
        };
        assert_eq!(value.as_deref(), Some("value"));
        assert!(ttl.is_some_and(|ttl| (1..=60_000).contains(&ttl)));
        let missing = inspect("missing").await;
        assert!(
            matches!(missing, Vote::Seen { value: None, .. }),
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
fn a_server_that_speaks_something_else_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a dial");
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    run(async {
        let host = "127.0.0.1".into();
        let (engine, _) = engine([Config::new(Endpoint::Tcp { host, port })]);
        let refused = engine.acquire(resources(&["a"]), ttl(5000), once()).await;
        let refused = refused.expect_err("no lock server");
        assert_eq!(
            causes(&refused)[0].map(|cause| cause.code()),
            Some("UNEXPECTED")
        );
    });
    server.join().expect("no panic");
}

#[test]
fn equal_configurations_share_a_connection_and_the_last_user_closes_it() {
    let server = RedisServer::start(&[]);
    run(async {
        let connections = || -> usize {
            let list: String = server.command(&["CLIENT", "LIST"]);
            // One of them is the asker's own.
            list.lines().count() - 1
        };
        let network = support::network();
        let (first, _) = support::engine_on(&network, [server.config()]);
        let (second, _) = support::engine_on(&network, [server.config()]);
        for engine in [&first, &second] {
            let lock = engine.acquire(resources(&["a"]), ttl(1000), Settings::default());
            lock.await.expect("free, or soon");
        }
        assert_eq!(connections(), 1);
        drop(first);
        assert_eq!(connections(), 1);
        drop(second);
        until("the connection to be closed", || connections() == 0).await;
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
        assert_eq!(value, format!("{}!", held.value.as_str()));
        let since = held.validity.since;
        let release = engine.release(name, held.value, since, settings).await;
        let refused = release.expect_err("42 is not the number of keys");
        assert_eq!(refused.reason, Reason::NotHeld);
        assert_eq!(server.command::<u32>(&["EXISTS", "a"]), 0, "it was run");
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_and_a_key_prefix_lead_to_the_same_key() {
    let path = std::env::temp_dir().join(format!("redlock-{}.sock", std::process::id()));
    let path = path.to_str().expect("text");
    let server = RedisServer::start(&["--unixsocket", path]);
    run(async {
        let config = Config {
            key_prefix: "app:".into(),
            ..Config::new(Endpoint::Unix { path: path.into() })
        };
        let (engine, _) = engine([config]);
        for (name, key) in [(vec!["a"], "app:a"), (vec!["b", "c"], "app:c")] {
            let held = engine.acquire(resources(&name), ttl(5000), once()).await;
            let held = held.expect("free");
            let value: String = server.command(&["GET", key]);
            assert_eq!(value, held.value.as_str());
        }
    });
}

/// The commands that failed.
fn failures(events: &Events) -> Vec<Event> {
    let failed = |event: &&Event| matches!(event, Event::ClientError { .. });
    events.borrow().iter().filter(failed).cloned().collect()
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
