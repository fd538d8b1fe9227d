//! Servers that are down, frozen or given up.

use std::time::Duration;

use redlock_native::engine::{Instant, Reason};

use crate::failures;
use crate::support::{RedisServer, causes, engine, once, resources, run, ttl, until};

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
