//! How a server is reached: who may log in, what it speaks, who shares a connection.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use redlock_native::engine::Settings;
use redlock_native::instances::redis::{Config, Endpoint, Secret};

use crate::support::{self, RedisServer, causes, engine, once, resources, run, ttl, until};

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
            assert_eq!(value, &*held.value.text());
        }
    });
}
