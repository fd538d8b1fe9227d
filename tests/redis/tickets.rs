//! Waiting in turn on a real server, and in memory, which answers alike.

use std::rc::Rc;
use std::sync::Arc;

use redlock_native::engine::{Engine, Instance, Retry, Settings, System, Ticket, Vote};
use redlock_native::instances::memory::{Memory, Tables};

use crate::failures;
use crate::support::{RedisServer, engine, once, resources, run, ttl};

/// One attempt by that ticket: whom it is behind, or nothing if it has the lock.
async fn behind(engine: &Engine, ticket: &Arc<Ticket>) -> Option<Option<Rc<str>>> {
    let settings = Settings {
        ticket: Some(Arc::clone(ticket)),
        ..once()
    };
    let refused = engine
        .acquire(resources(&["a"]), ttl(60_000), settings)
        .await
        .err()?;
    match &refused.votes[..] {
        [Some(Vote::Waiting { behind })] => Some(behind.clone()),
        votes => panic!("{votes:?}"),
    }
}

fn tickets() -> [Arc<Ticket>; 3] {
    let mut tickets = [(); 3].map(|()| Arc::new(Ticket::new(&System, "a")));
    tickets.sort_by(|one, other| one.text().cmp(other.text()));
    tickets
}

#[test]
fn the_script_grants_to_the_first_that_waits_and_names_who_is_before_the_others() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, events) = engine([server.config()]);
        let [first, second, third] = tickets();
        let waits = |ticket: &Ticket| {
            let score = ticket.text()[..16].to_owned();
            server.command::<()>(&["ZADD", ticket.queue(), &score, ticket.text()]);
            server.command::<()>(&["SET", ticket.waiter(), ticket.text()]);
        };
        server.command::<()>(&["SET", "a", "another's"]);
        assert_eq!(behind(&engine, &first).await, Some(None));
        server.command::<u32>(&["DEL", "a"]);
        waits(&first);
        waits(&second);
        let is_behind = |ticket: &Ticket| Some(Some(Rc::from(ticket.text())));
        assert_eq!(behind(&engine, &third).await, is_behind(&second));
        // Who is gone is passed over, wherever it stands.
        server.command::<u32>(&["DEL", second.waiter()]);
        assert_eq!(behind(&engine, &third).await, is_behind(&first));
        server.command::<u32>(&["DEL", first.waiter()]);
        assert_eq!(behind(&engine, &third).await, None);
        assert!(failures(&events).is_empty(), "waiting is no failure");
    });
}

#[test]
fn whoever_has_asked_once_leaves_nothing_but_a_queue_that_ends() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, _) = engine([server.config()]);
        let [first, second, _] = tickets();
        assert_eq!(behind(&engine, &first).await, None);
        engine.quiet().await;
        assert_eq!(behind(&engine, &second).await, Some(None));
        engine.quiet().await;
        for ticket in [&first, &second] {
            assert_eq!(server.command::<u32>(&["EXISTS", ticket.waiter()]), 0);
        }
        let left: i64 = server.command(&["PTTL", first.queue()]);
        assert!((1..=15_000).contains(&left), "{left}");
    });
}

#[test]
fn a_name_like_a_queues_of_another_type_is_an_error_and_no_lock() {
    let server = RedisServer::start(&[]);
    run(async {
        let (engine, events) = engine([server.config()]);
        let [ticket, ..] = tickets();
        server.command::<()>(&["SET", ticket.queue(), "a string"]);
        let settings = Settings {
            ticket: Some(ticket),
            report: true,
            ..once()
        };
        let refused = engine.acquire(resources(&["a"]), ttl(5000), settings).await;
        assert!(matches!(
            refused.expect_err("no queue").votes[..],
            [Some(Vote::Failed(_))]
        ));
        assert_eq!(failures(&events).len(), 1);
        assert_eq!(server.command::<u32>(&["EXISTS", "a"]), 0);
    });
}

#[test]
fn a_table_in_memory_answers_as_a_server_does() {
    run(async {
        let tables = Tables::default();
        let open = || Rc::new(Memory::open("m", Rc::new(System), &tables)) as Rc<dyn Instance>;
        let engine = Engine::new(
            vec![open()],
            Rc::new(System),
            Rc::default(),
            Rc::default(),
            |_| {},
        );
        let [first, second, third] = tickets();
        let held = engine.acquire(resources(&["a"]), ttl(60_000), once()).await;
        let held = held.expect("free");
        let waiting = |ticket: &Arc<Ticket>| {
            let (engine, ticket) = (engine.clone(), Arc::clone(ticket));
            tokio::task::spawn_local(async move {
                let retry = Retry {
                    count: None,
                    delay: 3_600_000.0,
                    jitter: 0.0,
                };
                let settings = Settings {
                    retry,
                    ticket: Some(ticket),
                    ..Settings::default()
                };
                let lock = engine.acquire(resources(&["a"]), ttl(60_000), settings);
                lock.await.expect("it waits long enough")
            })
        };
        let waits = waiting(&first);
        while behind(&engine, &third).await != Some(Some(first.text().into())) {
            tokio::task::yield_now().await;
        }
        let since = held.validity.since;
        let released = engine.release(resources(&["a"]), held.value, since, once());
        released.await.expect("ours");
        // Free, and another's turn.
        assert_eq!(
            behind(&engine, &second).await,
            Some(Some(first.text().into()))
        );
        let lock = waits.await.expect("no panic");
        assert_eq!(behind(&engine, &second).await, Some(None));
        let since = lock.validity.since;
        let released = engine.release(resources(&["a"]), lock.value, since, once());
        released.await.expect("ours");
        assert_eq!(behind(&engine, &second).await, None);
    });
}
