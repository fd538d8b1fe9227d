//! A connection that says nothing is replaced, and listened to for a while.

use std::time::Duration;

use redlock_native::engine::{Instant, Operation};

use crate::asker::{Asker, acquire, extend, release};
use crate::fake_server::Fake;
use crate::support::{run, until};

#[test]
fn questions_go_by_a_new_connection_where_the_network_has_forgotten_the_old() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        fake.forget(0);
        asker.ask(0, extend(), "lost", &["a"]);
        asker.ask(1, release(), "again", &["b"]);
        // It names one value that is never given again: that it is done counts.
        asker.expect_granted(1).await;
        assert_eq!(fake.dials(), 2);
        asker.ask(2, acquire(), "next", &["b"]);
        asker.ask(3, extend(), "next", &["b"]);
        asker.expect_granted(3).await;
        assert_eq!(asker.votes.len(), 3, "the old one is still listened to");
        assert_eq!(asker.votes.failure(0).await.code(), "SILENT");
        assert!(fake.heard("lost").is_empty(), "nor written again");
        assert_eq!(fake.heard("next").len(), 2);
        until("what is owed", || fake.heard("again").len() == 2).await;
        assert_eq!(fake.dials(), 2);
    });
}

#[test]
fn what_the_former_connection_answers_late_counts_and_its_releases_are_in_order() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        fake.with_line(0, |line| line.door.close());
        asker.ask(0, acquire(), "late", &["a"]);
        until("another dial", || fake.dials() == 2).await;
        until("its use", || {
            let number = asker.votes.len() + 10;
            asker.ask(number, extend(), "kept", &["kept"]);
            !fake.heard("kept").is_empty()
        })
        .await;
        asker.ask(1, release(), "late", &["a"]);
        asker.expect_granted(1).await;
        assert!(asker.votes.of(0).is_none(), "nothing is known of it");
        fake.with_line(0, |line| line.door.open());
        asker.expect_granted(0).await;
        until("all", || fake.heard("late").len() == 3).await;
        let heard = fake.heard("late").into_iter();
        let commands: Vec<_> = heard.map(|words| words[0].clone()).collect();
        assert_eq!(
            commands,
            ["EVALSHA", "SET", "EVALSHA"],
            "released after it was set, too"
        );
    });
}

#[test]
fn a_release_of_a_value_that_may_come_again_counts_once_nothing_of_it_is_under_way() {
    let fake = Fake::as_usual();
    run(async {
        let asker = Asker::ready(fake.config()).await;
        fake.with_line(0, |line| line.door.close());
        let soon = Instant::LAST.before(Duration::from_secs(1));
        let release = Operation::Release {
            since: Instant::ORIGIN,
            expires: soon,
        };
        asker.ask(0, release, "repeated", &["a"]);
        until("the copy", || fake.heard("repeated").len() == 1).await;
        asker.ask(1, extend(), "other", &["b"]);
        asker.votes.wait_for(1).await;
        assert!(asker.votes.of(0).is_none(), "one is still on its way");
        fake.with_line(0, |line| line.door.open());
        asker.expect_granted(0).await;
    });
}

#[test]
fn a_former_connection_to_another_server_is_given_up_at_once() {
    let mut dials = 0;
    let fake = Fake::start(move |words| {
        (words[0] == "INFO" && words[1] == "server").then(|| {
            dials += 1;
            let info = format!("run_id:{dials:040x}\r\n");
            format!("${}\r\n{info}\r\n", info.len())
        })
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        fake.with_line(0, |line| line.door.close());
        asker.ask(0, acquire(), "v", &["a"]);
        let cause = asker.votes.failure(0).await.to_string();
        assert!(cause.contains("a new connection"), "{cause}");
        fake.with_line(0, |line| line.door.open());
    });
}
