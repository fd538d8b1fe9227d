//! A connection that ends is dialled anew, and what it owed is settled.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redlock_native::engine::{Instant, Operation, System};
use redlock_native::instances::redis::{Config, Connecting, Dialler, Network, Sockets};

use crate::asker::{Asker, acquire, extend, release};
use crate::fake_server::{Door, Fake};
use crate::support::{run, until};

#[test]
fn questions_wait_for_the_first_dial_after_a_loss_and_nothing_is_written_twice() {
    let door = Door::default();
    let behind = door.clone();
    let all = [
        "unanswered-acquire",
        "unanswered-extend",
        "unanswered-release",
    ];
    let mut unanswered = HashSet::from(all);
    let fake = Fake::start(move |words| match words[0].as_str() {
        "PING" => {
            behind.wait();
            None
        }
        _ => {
            let is_first = words.iter().any(|word| unanswered.remove(word.as_str()));
            is_first.then(String::new)
        }
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(0, acquire(), "unanswered-acquire", &["a"]);
        asker.ask(1, extend(), "unanswered-extend", &["b"]);
        asker.ask(2, release(), "unanswered-release", &["c"]);
        until("all three", || fake.heard("unanswered-release").len() == 1).await;
        door.close();
        fake.hang_up(0);
        until("another dial", || fake.dials() == 2).await;
        asker.votes.wait_for(2).await;
        for number in 0..3 {
            assert_eq!(asker.votes.cause(number).code(), "LOST");
        }
        asker.ask(3, acquire(), "v", &["d"]);
        asker.ask(4, extend(), "w", &["e"]);
        asker.ask(5, release(), "x", &["f"]);
        assert_eq!(asker.votes.len(), 3, "they wait");
        door.open();
        for number in 3..6 {
            asker.expect_granted(number).await;
        }
        let times = |word: &str| fake.heard(word).len();
        assert_eq!([times("v"), times("w"), times("x")], [1, 1, 1]);
        assert_eq!(all.map(times), [1, 1, 2]);
    });
}

#[test]
fn after_a_redial_that_was_refused_questions_fail_at_once() {
    let refuses = Arc::<AtomicBool>::default();
    let refused = Arc::clone(&refuses);
    let fake = Fake::start(move |words| {
        let refuses = refused.load(Ordering::SeqCst) && words[0] == "PING";
        refuses.then(|| "-NOAUTH Authentication required.\r\n".into())
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        refuses.store(true, Ordering::SeqCst);
        fake.hang_up(0);
        until("another dial", || fake.heard("PING").len() >= 2).await;
        asker.ask(0, acquire(), "v", &["a"]);
        assert_eq!(asker.votes.failure(0).await.reply(), Some("NOAUTH"));
        asker.ask(1, acquire(), "w", &["a"]);
        assert_eq!(asker.votes.len(), 2, "without a wait");
        refuses.store(false, Ordering::SeqCst);
        asker.until_used().await;
    });
}

#[test]
fn what_a_lost_server_may_have_is_owed_and_what_was_never_sent_is_not() {
    let door = Door::default();
    let behind = door.clone();
    let refuses = Arc::<AtomicBool>::default();
    let refused = Arc::clone(&refuses);
    let fake = Fake::start(move |words| {
        if words[0] != "PING" {
            return None;
        }
        behind.wait();
        let refuses = refused.swap(false, Ordering::SeqCst);
        refuses.then(|| "-NOAUTH Authentication required.\r\n".into())
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        door.close();
        refuses.store(true, Ordering::SeqCst);
        fake.hang_up(0);
        until("another dial", || fake.heard("PING").len() == 2).await;
        let since = System::clock();
        let later = Operation::Release {
            since,
            expires: Instant::LAST,
        };
        asker.ask(0, acquire(), "unsent", &["a"]);
        asker.ask(1, later, "unsent", &["a"]);
        asker.ask(2, release(), "held-before", &["b"]);
        assert_eq!(asker.votes.cause(0).code(), "WITHDRAWN");
        assert_eq!(asker.votes.len(), 1, "the others wait");
        door.open();
        assert_eq!(asker.votes.failure(2).await.reply(), Some("NOAUTH"));
        until("what is owed", || fake.heard("held-before").len() == 1).await;
        asker.ask(3, extend(), "last", &["c"]);
        asker.votes.wait_for(3).await;
        assert!(fake.heard("unsent").is_empty());
    });
}

#[test]
fn a_server_that_hangs_up_at_once_is_not_dialled_in_a_loop() {
    let fake = Fake::as_usual();
    run(async {
        let _asker = Asker::open(fake.config());
        let begun = std::time::Instant::now();
        let mut ended = 0;
        while begun.elapsed() < Duration::from_secs(1) {
            if fake.heard("replication").len() > ended {
                fake.hang_up(ended);
                ended += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(fake.dials() > 2, "it is dialled again");
        assert!(fake.dials() < 12, "{} times in a second", fake.dials());
    });
}

/// Sockets of which the first dials end in a panic.
struct Panicking {
    left: Cell<u32>,
    sockets: Sockets,
}

impl Dialler for Panicking {
    fn connect<'a>(&'a self, config: &'a Config) -> Connecting<'a> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        assert_eq!(left, 0, "a defect");
        self.sockets.connect(config)
    }
}

#[test]
fn a_panic_in_a_links_task_is_told_and_it_is_dialled_anew() {
    let fake = Fake::as_usual();
    run(async {
        let dialler = Panicking {
            left: Cell::new(2),
            sockets: Sockets::default(),
        };
        let network = Network::new(Rc::new(System), Rc::new(dialler));
        let asker = Asker::on(&network, fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        let cause = asker.votes.failure(0).await.to_string();
        assert!(cause.contains("a defect"), "{cause}");
        assert_eq!(asker.votes.cause(0).code(), "UNREACHABLE");
        asker.until_used().await;
        assert_eq!(fake.dials(), 1);
    });
}
