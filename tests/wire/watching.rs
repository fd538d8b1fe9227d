//! A server that tells of changes: its messages, and what becomes of them where it does not
//! do as it should.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redlock_native::engine::{Cause, Instance as _, Seen, Watcher};
use redlock_native::instances::redis::{Config, Server, default_texts, script};

use crate::asker::{Asker, acquire};
use crate::fake_server::{Fake, HANG_UP, has};
use crate::support::{network, run, until};
use crate::watcher::{Told, Watching, held};

/// The key that a command looks at, if that is what it does.
fn looked_at(words: &[String]) -> Option<&str> {
    let [_, _, _, text, _] = default_texts();
    let is_it = match &*words[0] {
        "EVAL" => words[1] == text,
        "EVALSHA" => *words[1] == *script(text).digest,
        _ => false,
    };
    is_it.then(|| &*words[3])
}

fn says_held(value: &str) -> String {
    format!("*2\r\n${}\r\n{value}\r\n:5000\r\n", value.len())
}

fn says_changed(key: &str) -> String {
    let length = key.len();
    format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n${length}\r\n{key}\r\n")
}

const ALL_CHANGED: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

/// A server on which somebody has every key; each look is numbered.
fn held_by_somebody() -> Fake {
    let mut looks = 0;
    Fake::start(move |words| {
        looked_at(words)?;
        looks += 1;
        Some(says_held(&looks.to_string()))
    })
}

async fn look_until(watching: &Watching, what: Told) {
    watching.watch.look();
    until(&format!("{what:?}"), || {
        watching.last() == Some(what.clone())
    })
    .await;
}

#[test]
fn a_message_is_told_once_until_the_key_is_looked_at_again() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        look_until(&watching, held("1")).await;
        let twice = says_changed("a").repeat(2);
        fake.say_unasked(&twice);
        until("a message", || watching.last() == Some(Told::Changed)).await;
        look_until(&watching, held("2")).await;
        fake.say_unasked(&twice);
        until("a message", || watching.last() == Some(Told::Changed)).await;
        look_until(&watching, held("3")).await;
        let told = [
            held("1"),
            Told::Changed,
            held("2"),
            Told::Changed,
            held("3"),
        ];
        assert_eq!(watching.told(), told);
        assert_eq!(server.no_wakeups(), None);
    });
}

#[test]
fn a_message_of_no_key_is_one_of_all_keys_that_were_looked_at() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let [a, b, unseen] = ["a", "b", "c"].map(|key| Watching::at(&server, key));
        look_until(&a, held("1")).await;
        look_until(&b, held("2")).await;
        fake.say_unasked(ALL_CHANGED);
        until("both", || a.last() == b.last()).await;
        assert_eq!(a.told(), [held("1"), Told::Changed]);
        assert_eq!(b.told(), [held("2"), Told::Changed]);
        assert_eq!(unseen.told(), []);
    });
}

#[test]
fn messages_of_what_nobody_watches_change_nothing() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        let other = Watching::at(&server, "other");
        look_until(&watching, held("1")).await;
        look_until(&other, held("2")).await;
        drop(other);
        fake.say_unasked(&says_changed("nobody's").repeat(10_000));
        fake.say_unasked(&says_changed("other"));
        fake.say_unasked(">3\r\n+message\r\n+channel\r\n$1\r\na\r\n");
        fake.say_unasked(">1\r\n$10\r\ninvalidate\r\n>2\r\n$10\r\ninvalidate\r\n:1\r\n");
        fake.say_unasked(">2\r\n$10\r\ninvalidate\r\n*2\r\n:1\r\n*1\r\n$1\r\na\r\n");
        look_until(&watching, held("3")).await;
        assert_eq!(watching.told(), [held("1"), held("3")]);
        assert_eq!(fake.heard("HELLO").len(), 1, "it is the same connection");
    });
}

#[test]
fn messages_come_between_replies() {
    let fake = Fake::start(|words| {
        let key = looked_at(words)?;
        let (before, after) = (says_changed("of nobody"), says_changed(key));
        Some(format!("{before}{}{after}", says_held(key)))
    });
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = ["a", "b"].map(|key| Watching::at(&server, key));
        for each in &watching {
            each.watch.look();
        }
        until("both", || {
            watching.iter().all(|each| each.told().len() == 2)
        })
        .await;
        for (each, key) in watching.iter().zip(["a", "b"]) {
            assert_eq!(each.told(), [held(key), Told::Changed]);
        }
    });
}

#[test]
fn a_message_that_comes_byte_by_byte_is_told() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "the key");
        look_until(&watching, held("1")).await;
        for byte in says_changed("the key").chars() {
            fake.say_unasked(&byte.to_string());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        until("a message", || watching.last() == Some(Told::Changed)).await;
    });
}

#[test]
fn a_change_while_a_look_is_under_way_is_told_after_its_answer() {
    let fake = Fake::start(|words| {
        looked_at(words)?;
        Some(says_changed("a") + &says_held("v"))
    });
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        watching.watch.look();
        until("both", || watching.told().len() == 2).await;
        assert_eq!(watching.told(), [held("v"), Told::Changed]);
    });
}

#[test]
fn all_who_watch_a_key_share_its_connection_and_are_told() {
    let fake = held_by_somebody();
    run(async {
        let network = network();
        let [one, other] = [(); 2].map(|()| Server::open(fake.config(), &network));
        let watching = [&one, &other].map(|server| Watching::at(server, "a"));
        for each in &watching {
            each.watch.look();
            each.watch.look();
        }
        until("both", || {
            watching.iter().all(|each| !each.told().is_empty())
        })
        .await;
        fake.say_unasked(&says_changed("a"));
        let is_told = |each: &Watching| each.last() == Some(Told::Changed);
        until("both", || watching.iter().all(is_told)).await;
        assert_eq!(fake.heard("HELLO").len(), 1);
    });
}

#[test]
fn a_lost_connection_is_told_and_dialled_again_and_the_keys_may_have_changed() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        look_until(&watching, held("1")).await;
        fake.hang_up(fake.watching());
        until("another connection", || {
            watching.last() == Some(Told::Changed)
        })
        .await;
        look_until(&watching, held("2")).await;
        let told = [
            held("1"),
            Told::Unwatched("UNREACHABLE"),
            Told::Changed,
            held("2"),
        ];
        assert_eq!(watching.told(), told);
        assert_eq!(server.no_wakeups(), None);
    });
}

#[test]
fn a_server_that_does_not_tell_of_changes_says_why_once_and_is_still_asked_for_votes() {
    let cases = [
        ("HELLO", "-ERR unknown command 'HELLO'\r\n", "REFUSED"),
        (
            "HELLO",
            "-NOPROTO unsupported protocol version\r\n",
            "REFUSED",
        ),
        ("HELLO", "*2\r\n$5\r\nproto\r\n:2\r\n", "UNEXPECTED"),
        ("HELLO", "%1\r\n$5\r\nproto\r\n:2\r\n", "UNEXPECTED"),
        ("HELLO", "+OK\r\n", "UNEXPECTED"),
        ("HELLO", "HTTP/1.1 400 Bad Request\r\n\r\n", "UNEXPECTED"),
        (
            "TRACKING",
            "-NOPERM this user has no permissions\r\n",
            "REFUSED",
        ),
        ("TRACKING", ":1\r\n", "UNEXPECTED"),
        ("TRACKING", HANG_UP, "UNREACHABLE"),
    ];
    for (command, reply, code) in cases {
        let fake = Fake::start(move |words| has(words, command).then(|| reply.to_owned()));
        run(async {
            let asker = Asker::ready(fake.config()).await;
            let watching = Watching::at(&asker.server, "a");
            let late = Watching::at(&asker.server, "b");
            watching.watch.look();
            until("the reason", || !watching.told().is_empty()).await;
            let why = asker.server.no_wakeups().expect("a reason");
            late.watch.look();
            late.watch.look();
            until("the reason", || !late.told().is_empty()).await;
            watching.watch.look();
            asker.ask(0, acquire(), "v", &["a"]);
            asker.expect_granted(0).await;
            for each in [&watching, &late] {
                assert_eq!(each.told(), [Told::Unwatched(code)], "{reply:?}: {why}");
            }
            if code == "REFUSED" {
                let said = reply.trim_start_matches('-').trim_end();
                assert!(why.contains(said), "{why}");
            }
        });
    }
}

#[test]
fn a_server_that_answers_what_no_look_gives_is_dialled_anew() {
    for reply in [
        ":1\r\n",
        "*1\r\n_\r\n",
        "+OK\r\n",
        "what?\r\n",
        "*2\r\n_\r\n:-2\r\n:1\r\n",
    ] {
        let mut is_first = true;
        let fake = Fake::start(move |words| {
            looked_at(words)?;
            if std::mem::take(&mut is_first) {
                return Some(reply.into());
            }
            Some("*2\r\n_\r\n:-2\r\n".into())
        });
        run(async {
            let server = Server::open(fake.config(), &network());
            let watching = Watching::at(&server, "a");
            watching.watch.look();
            let lost = Told::Unwatched("UNEXPECTED");
            until("it to be given up", || watching.times(&lost) == 1).await;
            until("another connection", || {
                watching.last() == Some(Told::Changed)
            })
            .await;
            look_until(&watching, Told::Free).await;
        });
    }
}

#[test]
fn a_server_that_does_not_answer_a_look_is_given_up() {
    let hangs = Arc::<AtomicBool>::default();
    let hung = Arc::clone(&hangs);
    let fake = Fake::start(move |words| {
        looked_at(words)?;
        let said = if hung.load(Ordering::SeqCst) {
            String::new()
        } else {
            says_held("v")
        };
        Some(said)
    });
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        look_until(&watching, held("v")).await;
        hangs.store(true, Ordering::SeqCst);
        watching.watch.look();
        let lost = Told::Unwatched("SILENT");
        until("it to be given up", || watching.times(&lost) == 1).await;
        hangs.store(false, Ordering::SeqCst);
        until("another connection", || {
            watching.last() == Some(Told::Changed)
        })
        .await;
        look_until(&watching, held("v")).await;
    });
}

#[test]
fn a_server_that_hangs_up_each_time_is_dialled_less_and_less_often() {
    let fake = Fake::start(|words| looked_at(words).map(|_| HANG_UP.into()));
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        watching.watch.look();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            if watching.last() == Some(Told::Changed) {
                watching.watch.look();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let dials = fake.heard("HELLO").len();
        assert!(dials > 1, "it is dialled again");
        assert!(dials <= 7, "{dials} times in a second");
    });
}

#[test]
fn a_look_is_made_in_full_where_its_script_is_not_known_or_has_no_digest() {
    for reply in [
        "-NOSCRIPT No matching script.\r\n",
        "-ERR unknown command 'EVALSHA', with args beginning with: \r\n",
    ] {
        let fake = Fake::start(move |words| {
            looked_at(words)?;
            let said = if words[0] == "EVAL" {
                says_held("v")
            } else {
                reply.into()
            };
            Some(said)
        });
        run(async {
            let server = Server::open(fake.config(), &network());
            let watching = Watching::at(&server, "a");
            look_until(&watching, held("v")).await;
        });
    }
}

#[test]
fn a_look_that_is_refused_is_told_to_who_looked_and_others_are_served() {
    let fake = Fake::start(|words| {
        Some(match looked_at(words)? {
            "forbidden" => "-NOPERM No permissions to access a key\r\n".into(),
            "set" => "-WRONGTYPE Operation against a key\r\n".into(),
            _ => says_held("v"),
        })
    });
    run(async {
        let server = Server::open(fake.config(), &network());
        let keys = ["forbidden", "set", "a"];
        let [forbidden, set, other] = keys.map(|key| Watching::at(&server, key));
        let refused = Told::Unwatched("REFUSED");
        for _ in 0..2 {
            look_until(&forbidden, refused.clone()).await;
        }
        look_until(&set, Told::Occupied).await;
        look_until(&other, held("v")).await;
        fake.say_unasked(&says_changed("set"));
        until("a message", || set.last() == Some(Told::Changed)).await;
        until("each", || forbidden.times(&refused) == 2).await;
        assert_eq!(fake.heard("HELLO").len(), 1);
    });
}

#[test]
fn only_so_many_keys_are_watched() {
    let fake = Fake::as_usual();
    run(async {
        let server = Server::open(fake.config(), &network());
        let mut all: Vec<_> = (0..10_000)
            .map(|number| Watching::at(&server, &number.to_string()))
            .collect();
        assert!(Watching::perhaps_at(&server, "one more").is_none());
        let why = server.no_wakeups().expect("a reason");
        assert!(why.contains("as many keys as may be"), "{why}");
        all.pop();
        assert!(Watching::perhaps_at(&server, "one more").is_some());
    });
}

#[test]
fn names_are_watched_with_their_prefix_and_told_without() {
    let fake = Fake::start(|words| looked_at(words).map(says_held));
    run(async {
        let config = Config {
            key_prefix: "app:".into(),
            ..fake.config()
        };
        let server = Server::open(config, &network());
        let watching = Watching::at(&server, "a");
        look_until(&watching, held("app:a")).await;
        fake.say_unasked(&says_changed("a"));
        fake.say_unasked(&says_changed("app:a"));
        until("a message", || watching.last() == Some(Told::Changed)).await;
        assert_eq!(watching.told().len(), 2);
    });
}

#[test]
fn the_connection_ends_with_its_last_user() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let watching = Watching::at(&server, "a");
        look_until(&watching, held("1")).await;
        let number = fake.watching();
        drop(server);
        look_until(&watching, held("2")).await;
        assert!(!fake.has_ended(number), "somebody watches");
        drop(watching);
        until("its end", || fake.has_ended(number)).await;
    });
}

/// One who fails when it is first told something.
struct Panicking(Cell<bool>);

impl Watcher for Panicking {
    fn seen(&self, _: usize, _: Seen) {
        assert!(self.0.replace(true), "a defect");
    }

    fn changed(&self, _: usize) {}

    fn unwatched(&self, _: usize, _: &Cause) {}
}

#[test]
fn a_panic_is_told_and_the_connection_made_anew() {
    let fake = held_by_somebody();
    run(async {
        let server = Server::open(fake.config(), &network());
        let panicking = Rc::new(Panicking(Cell::new(false)));
        let weak = Rc::downgrade(&panicking);
        let watcher: Weak<dyn Watcher> = weak;
        let watch = server.watch("a", 0, watcher).expect("room");
        let watching = Watching::at(&server, "b");
        watch.look();
        let lost = Told::Unwatched("UNREACHABLE");
        until("the panic", || watching.times(&lost) == 1).await;
        let why = server.no_wakeups().expect("a reason");
        assert!(why.contains("a defect"), "{why}");
        until("another connection", || {
            watching.last() == Some(Told::Changed)
        })
        .await;
        watching.watch.look();
        until("an answer", || watching.told().len() == 3).await;
    });
}
