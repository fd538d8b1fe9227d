//! The addresses of a name are tried beside each other.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::System;
use redlock_native::instances::redis::{Config, Endpoint, Network, Resolve, Resolving, Sockets};
use socket2::{Domain, Socket, Type};

use crate::asker::{Asker, acquire};
use crate::fake_server::Fake;
use crate::support::run;

/// Whatever the name, these addresses; or a panic at first, as tokio's where the
/// system has no thread to be had.
struct Names {
    addresses: Vec<SocketAddr>,
    panics: Cell<bool>,
}

impl Names {
    fn are(addresses: &[SocketAddr]) -> Rc<Network> {
        Self::network(addresses, false)
    }

    fn network(addresses: &[SocketAddr], panics: bool) -> Rc<Network> {
        let names = Self {
            addresses: addresses.to_vec(),
            panics: Cell::new(panics),
        };
        Network::new(Rc::new(System), Rc::new(Sockets::to(names)))
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        Box::pin(async move {
            assert!(!self.panics.replace(false), "no thread to be had");
            Ok(self.addresses.clone())
        })
    }
}

/// An address that swallows whoever wants to connect: as many wait as may.
fn black_hole() -> (SocketAddr, Vec<Socket>) {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let hole = socket();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    hole.bind(&any.into()).expect("loopback");
    hole.listen(0).expect("listening");
    let address = hole.local_addr().expect("bound");
    let mut sockets = vec![hole];
    for _ in 0..4 {
        let waiting = socket();
        waiting.set_nonblocking(true).expect("an option");
        // It is under way, or waits.
        let _ = waiting.connect(&address);
        sockets.push(waiting);
    }
    (address.as_socket().expect("an IP address"), sockets)
}

#[test]
fn a_dead_address_of_a_name_does_not_keep_the_others_from_being_tried() {
    let fake = Fake::as_usual();
    let (hole, _waiting) = black_hole();
    let (another, _more) = black_hole();
    let live = SocketAddr::from(([127, 0, 0, 1], fake.port));
    let nobody: SocketAddr = "[::1]:1".parse().expect("an address");
    for addresses in [vec![hole, another, live], vec![nobody, hole, live]] {
        run(async {
            let config = Config {
                connect_timeout: Duration::from_secs(3),
                ..Config::new(Endpoint::Tcp {
                    host: "several".into(),
                    port: fake.port,
                })
            };
            let asker = Asker::on(&Names::are(&addresses), config);
            asker.ask(0, acquire(), "v", &["a"]);
            asker.expect_granted(0).await;
        });
    }
}

#[test]
fn a_name_of_which_no_address_answers_is_given_up_after_the_connect_timeout() {
    let (hole, _waiting) = black_hole();
    run(async {
        let config = Config {
            connect_timeout: Duration::from_millis(400),
            ..Config::new(Endpoint::Tcp {
                host: "several".into(),
                port: 1,
            })
        };
        let asker = Asker::on(&Names::are(&[hole, hole]), config.clone());
        asker.ask(0, acquire(), "v", &["a"]);
        let cause = asker.votes.failure(0).await.to_string();
        assert!(cause.contains("no answer within 400 ms"), "{cause}");
        let nowhere = Asker::on(&Names::are(&[]), config);
        nowhere.ask(0, acquire(), "v", &["a"]);
        let cause = nowhere.votes.failure(0).await.to_string();
        assert!(cause.contains("several\u{3} has no address"), "{cause}");
    });
}

#[test]
fn a_moment_without_threads_is_a_dial_that_failed() {
    let fake = Fake::as_usual();
    let live = SocketAddr::from(([127, 0, 0, 1], fake.port));
    run(async {
        let asker = Asker::on(&Names::network(&[live], true), fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        let cause = asker.votes.failure(0).await.to_string();
        assert!(cause.contains("can't be looked up now"), "{cause}");
        assert!(cause.contains("no thread to be had"), "{cause}");
        asker.until_used().await;
    });
}
