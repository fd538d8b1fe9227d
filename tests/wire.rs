//! What a link makes of what a server sends, which here is one of the test's own
//! that says whatever it is told to.

#[allow(dead_code, reason = "real servers are another test's")]
mod support;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use redlock_native::engine::{
    Ballot, Cause, Drift, Instance, Instant, Operation, Patience, Question, Reply, Rule, Settings,
    System, Ttl, Vote,
};
use redlock_native::instances::redis::{
    Address, Config, Connecting, Dialler, Endpoint, Network, Resolve, Resolving, Secret, Sentinels,
    Server, Sockets,
};
use socket2::{Domain, Socket, Type};
use support::{engine_on, network, once, resources, run, until};

/// The answer of a server that answers nothing any more.
const HANG_UP: &str = "hang up";

/// A server that answers each command as `answer` says, and else as Redis would.
struct Fake {
    port: u16,
    dials: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Vec<String>>>>,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// One connection to a fake server, or rather what lies between the two.
struct Line {
    stream: TcpStream,
    /// What the client says waits behind it.
    door: Door,
    /// What the client says is lost.
    forgotten: Arc<AtomicBool>,
}

impl Fake {
    fn start(answer: impl FnMut(&[String]) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let dials = Arc::new(AtomicUsize::new(0));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let fake = Self {
            port,
            dials: Arc::clone(&dials),
            heard: Arc::clone(&heard),
            lines: Arc::default(),
        };
        let lines = Arc::clone(&fake.lines);
        let answer = Arc::new(Mutex::new(answer));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                dials.fetch_add(1, Ordering::SeqCst);
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                let (door, forgotten) = (Door::default(), Arc::<AtomicBool>::default());
                lines.lock().expect("no panic").push(Line {
                    stream: stream.try_clone().expect("a clone"),
                    door: door.clone(),
                    forgotten: Arc::clone(&forgotten),
                });
                std::thread::spawn(move || {
                    let mut out = stream.try_clone().expect("a clone");
                    let mut input = BufReader::new(stream);
                    while let Some(words) = read_command(&mut input) {
                        door.wait();
                        if forgotten.load(Ordering::SeqCst) {
                            continue;
                        }
                        heard.lock().expect("no panic").push(words.clone());
                        let said = (answer.lock().expect("no panic"))(&words);
                        let said = said.unwrap_or_else(|| usual(&words));
                        if said == HANG_UP {
                            // Others have it too; it may be over already.
                            let _ = out.shutdown(Shutdown::Both);
                            return;
                        }
                        if out.write_all(said.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        fake
    }

    fn config(&self) -> Config {
        Config::new(Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port: self.port,
        })
    }

    /// Does something to the connection of this number.
    fn with_line(&self, number: usize, act: impl FnOnce(&Line)) {
        act(&self.lines.lock().expect("no panic")[number]);
    }

    /// The connection of this number ends.
    fn hang_up(&self, number: usize) {
        self.with_line(number, |line| {
            // It may be over already.
            let _ = line.stream.shutdown(Shutdown::Both);
        });
    }

    /// The network loses whatever is sent on the connection of this number.
    fn forget(&self, number: usize) {
        self.with_line(number, |line| line.forgotten.store(true, Ordering::SeqCst));
    }

    fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// The commands that have `word` among their words.
    fn heard(&self, word: &str) -> Vec<Vec<String>> {
        let heard = self.heard.lock().expect("no panic");
        let with = heard
            .iter()
            .filter(|words| words.iter().any(|one| one == word));
        with.cloned().collect()
    }
}

fn read_command(input: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..read_number(input)? {
        let length = read_number(input)?;
        let mut word = vec![0; length + 2];
        input.read_exact(&mut word).ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

fn read_number(input: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    line.trim_end().get(1..)?.parse().ok()
}

fn usual(words: &[String]) -> String {
    match words[0].as_str() {
        "PING" => "+PONG\r\n",
        "INFO" => "$0\r\n\r\n",
        "EVALSHA" | "EVAL" => ":1\r\n",
        _ => "+OK\r\n",
    }
    .into()
}

/// A door that what a fake server says waits behind.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn close(&self) {
        *self.0.0.lock().expect("no panic") = true;
    }

    fn open(&self) {
        *self.0.0.lock().expect("no panic") = false;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let closed = self.0.0.lock().expect("no panic");
        let open = self.0.1.wait_while(closed, |closed| *closed);
        drop(open.expect("no panic"));
    }
}

/// The votes on the questions of a test, in the order in which they were cast.
#[derive(Default)]
struct Votes(RefCell<Vec<(usize, Vote)>>);

impl Ballot for Votes {
    fn cast(self: Rc<Self>, index: usize, vote: Vote) {
        self.0.borrow_mut().push((index, vote));
    }
}

impl Votes {
    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// The place of the vote of this number, and the vote.
    fn of(&self, number: usize) -> Option<(usize, Vote)> {
        let votes = self.0.borrow();
        let place = votes.iter().position(|(index, _)| *index == number)?;
        Some((place, votes[place].1.clone()))
    }

    async fn wait_for(&self, number: usize) -> Vote {
        until("a vote", || self.of(number).is_some()).await;
        self.of(number).expect("it is there").1
    }

    fn cause(&self, number: usize) -> Cause {
        match self.of(number) {
            Some((_, Vote::Failed(cause))) => cause,
            other => panic!("{other:?}"),
        }
    }
}

/// Whom a test asks.
struct Asker {
    server: Server,
    votes: Rc<Votes>,
}

impl Asker {
    fn open(config: Config) -> Self {
        Self::on(&network(), config)
    }

    fn on(network: &Rc<Network>, config: Config) -> Self {
        Self {
            server: Server::open(config, network),
            votes: Rc::default(),
        }
    }

    /// One whose connection is there, on which something was taken already.
    async fn ready(config: Config) -> Self {
        let asker = Self::open(config);
        let first = usize::MAX;
        asker.ask(first - 1, acquire(), "first", &["first"]);
        asker.votes.wait_for(first - 1).await;
        asker.ask(first, release(), "first", &["first"]);
        asker.votes.wait_for(first).await;
        asker.votes.0.borrow_mut().clear();
        asker
    }

    fn ask(&self, number: usize, operation: Operation, value: &str, resources: &[&str]) {
        let question = Question {
            operation,
            resources: resources.iter().map(|name| Box::from(*name)).collect(),
            value: value.into(),
            deadline: Instant::LAST,
            report: false,
            scripts: None,
            context: None,
        };
        let ballot: Rc<dyn Ballot> = self.votes.clone();
        self.server
            .ask(&Rc::new(question), Reply::new(ballot, number));
    }
}

fn acquire() -> Operation {
    Operation::Acquire { ttl: ttl() }
}

fn extend() -> Operation {
    Operation::Extend { ttl: ttl() }
}

fn release() -> Operation {
    Operation::Release {
        since: Instant::ORIGIN,
        expires: Instant::LAST,
    }
}

fn ttl() -> Ttl {
    Ttl::new(60_000.0, Drift::default()).expect("long enough")
}

#[test]
fn a_reply_of_a_kind_that_its_command_cannot_give_ends_the_connection() {
    let of_two: &[&str] = &["a", "b"];
    let cases: [(Operation, &[&str], &str); 18] = [
        (acquire(), &["a"], ":1\r\n"),
        (acquire(), &["a"], "+QUEUED\r\n"),
        (acquire(), &["a"], "$2\r\nOK\r\n"),
        (acquire(), &["a"], "*0\r\n"),
        (acquire(), &["a"], "-NOSCRIPT No matching script.\r\n"),
        (acquire(), of_two, "+OK\r\n"),
        (acquire(), of_two, ":1\r\n"),
        (acquire(), of_two, ":-2\r\n"),
        (extend(), &["a"], ":-1\r\n"),
        (extend(), of_two, ":1\r\n"),
        (extend(), &["a"], "$-1\r\n"),
        (release(), &["a"], "+OK\r\n"),
        (release(), &["a"], ":2\r\n"),
        (release(), &["a"], ":-1\r\n"),
        (Operation::Inspect, &["a"], ":1\r\n"),
        (Operation::Inspect, &["a"], "*1\r\n$-1\r\n"),
        (Operation::Inspect, &["a"], "*2\r\n$-1\r\n$-1\r\n"),
        (Operation::Inspect, &["a"], "*2\r\n:1\r\n:1\r\n"),
    ];
    for (operation, resources, reply) in cases {
        let said = reply.to_owned();
        let fake = Fake::start(move |words| {
            let is_it = words.iter().any(|word| word == "out-of-step");
            let is_behind = words.iter().any(|word| word == "behind");
            match (is_it, is_behind) {
                (true, _) => Some(said.clone()),
                (_, true) => Some(String::new()),
                _ => None,
            }
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, operation, "out-of-step", resources);
            asker.ask(1, acquire(), "behind", &["c"]);
            asker.votes.wait_for(1).await;
            let what = format!("{} {reply:?}", operation.name());
            assert_eq!(asker.votes.cause(0).code(), "UNEXPECTED", "{what}");
            assert_eq!(asker.votes.cause(1).code(), "LOST", "{what}");
            until("another dial", || fake.dials() == 2).await;
        });
    }
}

#[test]
fn replies_that_a_command_can_give_are_votes() {
    let of_two: &[&str] = &["a", "b"];
    let cases: [(Operation, &[&str], &str, &str); 9] = [
        (acquire(), &["a"], "$-1\r\n", "Held { applied: 0 }"),
        (acquire(), &["a"], "-OOM no\r\n", "OOM"),
        (acquire(), of_two, ":2\r\n", "Granted"),
        (acquire(), of_two, ":0\r\n", "Held { applied: 0 }"),
        (extend(), of_two, ":0\r\n", "Held { applied: 0 }"),
        (release(), of_two, ":1\r\n", "Held { applied: 1 }"),
        (release(), of_two, "-WRONGTYPE no\r\n", "WRONGTYPE"),
        (
            Operation::Inspect,
            &["a"],
            "*2\r\n$-1\r\n:-2\r\n",
            "Seen { value: None",
        ),
        (
            Operation::Inspect,
            &["a"],
            "*2\r\n$1\r\nv\r\n:5\r\n",
            "Some(\"v\")",
        ),
    ];
    for (operation, resources, reply, vote) in cases {
        let said = reply.to_owned();
        let fake = Fake::start(move |words| {
            let is_it = words.iter().any(|word| word == "right");
            is_it.then(|| said.clone())
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, operation, "right", resources);
            let cast = format!("{:?}", asker.votes.wait_for(0).await);
            assert!(
                cast.contains(vote),
                "{} {reply:?}: {cast}",
                operation.name()
            );
            asker.ask(1, acquire(), "next", &["c"]);
            assert!(matches!(asker.votes.wait_for(1).await, Vote::Granted));
            assert_eq!(fake.dials(), 1);
        });
    }
}

#[test]
fn one_lost_reply_grants_at_most_one_name_that_is_held() {
    assert!(wrong_grants() <= 1);
    Rule::take_out(Some(Rule::ReplyKind));
    assert!(wrong_grants() > 100, "without the rule it goes on");
}

/// How often a name that is held is granted, of 200 times, after a reply was lost.
fn wrong_grants() -> usize {
    let mut keys = HashMap::from([(String::from("held"), String::from("holder"))]);
    let fake = Fake::start(move |words| match words[0].as_str() {
        "SET" if keys.contains_key(&words[1]) => Some("$-1\r\n".into()),
        "SET" => {
            keys.insert(words[1].clone(), words[2].clone());
            if words[1] == "lost" {
                return Some(String::new());
            }
            None
        }
        // A connection's first acquire.
        "EVAL" => {
            let is_held = keys.contains_key(&words[3]);
            Some(format!(":{}\r\n", u8::from(!is_held)))
        }
        "EVALSHA" => {
            let ours = keys.get(&words[3]) == Some(&words[4]);
            if ours {
                keys.remove(&words[3]);
            }
            Some(format!(":{}\r\n", u8::from(ours)))
        }
        _ => None,
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        let mut wrong = 0;
        asker.ask(0, acquire(), "v", &["lost"]);
        for turn in 1..200 {
            let [held, more, freed] = [3 * turn, 3 * turn + 1, 3 * turn + 2];
            let (value, name) = (turn.to_string(), format!("more{turn}"));
            asker.ask(held, acquire(), &value, &["held"]);
            asker.ask(more, acquire(), &value, &[&name]);
            asker.ask(freed, release(), &value, &[&name]);
            // Of a line that is out of step the last answer is always missing.
            asker.votes.wait_for(held).await;
            wrong += usize::from(matches!(asker.votes.of(held), Some((_, Vote::Granted))));
        }
        wrong
    })
}

#[test]
fn what_nobody_asked_for_ends_the_connection() {
    for more in ["+OK\r\n", "+O"] {
        let fake = Fake::start(move |words| {
            let is_last = words.iter().any(|word| word == "last");
            is_last.then(|| format!(":1\r\n{more}"))
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, release(), "last", &["a"]);
            asker.votes.wait_for(0).await;
            until("another dial", || fake.dials() == 2).await;
        });
    }
}

#[test]
fn a_server_that_greets_with_what_its_commands_cannot_give_is_not_used() {
    let cases = [
        ("AUTH", ":1\r\n"),
        ("AUTH", "+PONG\r\n"),
        ("SELECT", "$-1\r\n"),
        ("CLIENT", ":1\r\n"),
        ("PING", ":1\r\n"),
        ("PING", "+QUEUED\r\n"),
        ("INFO", "+OK\r\n"),
        ("INFO", "*0\r\n"),
        ("INFO", "$0\r\n\r\n+OK\r\n"),
    ];
    for (command, reply) in cases {
        let fake = Fake::start(move |words| (words[0] == command).then(|| reply.to_owned()));
        run(async {
            let config = Config {
                password: Some(Secret::from(String::from("hunter2"))),
                client_name: Some("name".into()),
                db: 1,
                ..fake.config()
            };
            let asker = Asker::open(config);
            asker.ask(0, acquire(), "v", &["a"]);
            asker.votes.wait_for(0).await;
            let cause = asker.votes.cause(0);
            assert_eq!(cause.code(), "UNEXPECTED", "{command} {reply:?}: {cause}");
        });
    }
}

#[test]
fn a_server_that_lets_nobody_ask_for_its_name_is_used() {
    let fake = Fake::start(|words| match words[0].as_str() {
        "PING" | "INFO" | "CLIENT" => Some("-NOPERM no\r\n".into()),
        _ => None,
    });
    run(async {
        let config = Config {
            client_name: Some("name".into()),
            ..fake.config()
        };
        let asker = Asker::ready(config).await;
        asker.ask(0, acquire(), "v", &["a"]);
        assert!(matches!(asker.votes.wait_for(0).await, Vote::Granted));
    });
}

#[test]
fn a_command_at_which_a_proxy_hangs_up_is_left_out_from_then_on() {
    for (command, other) in [("INFO", "SETNAME"), ("CLIENT", "PING")] {
        let mut has_ended = false;
        let fake = Fake::start(move |words| match words[0].as_str() {
            word if word == command => Some(HANG_UP.into()),
            _ if words.iter().any(|word| word == "the-end") && !has_ended => {
                has_ended = true;
                Some("+OK\r\n".into())
            }
            "PING" => Some("-ERR unknown command 'PING'\r\n".into()),
            _ => None,
        });
        run(async {
            let config = Config {
                client_name: Some("name".into()),
                ..fake.config()
            };
            let asker = Asker::ready(config).await;
            assert_eq!((fake.heard(command).len(), fake.dials()), (1, 2));
            asker.ask(0, release(), "the-end", &["a"]);
            until("another dial", || fake.dials() == 3).await;
            until("a lock", || {
                let number = asker.votes.len();
                asker.ask(number, acquire(), "v", &["a"]);
                matches!(asker.votes.of(number - 1), Some((_, Vote::Granted)))
            })
            .await;
            assert_eq!((fake.heard(command).len(), fake.dials()), (1, 3));
            assert!(fake.heard(other).len() >= 2, "it is asked for what is left");
        });
    }
}

#[test]
fn until_something_was_taken_on_a_connection_a_script_sees_that_it_can_be_released() {
    let mut has_ended = false;
    let fake = Fake::start(move |words| {
        let has = |word: &str| words.iter().any(|one| one == word);
        if has("held") {
            return Some(":0\r\n".into());
        }
        if has("the-end") && !has_ended {
            has_ended = true;
            return Some("+OK\r\n".into());
        }
        None
    });
    run(async {
        let asker = Asker::open(fake.config());
        asker.ask(0, acquire(), "v0", &["held"]);
        asker.ask(1, acquire(), "v1", &["held"]);
        assert!(matches!(asker.votes.wait_for(1).await, Vote::Held { .. }));
        for number in 2..4 {
            asker.ask(number, acquire(), &format!("v{number}"), &["free"]);
            assert!(matches!(asker.votes.wait_for(number).await, Vote::Granted));
        }
        asker.ask(4, release(), "the-end", &["a"]);
        until("another dial", || fake.dials() == 2).await;
        until("a lock", || {
            let number = asker.votes.len();
            asker.ask(number, acquire(), "again", &["free"]);
            matches!(asker.votes.of(number - 1), Some((_, Vote::Granted)))
        })
        .await;
        let way = |value: &str| fake.heard(value)[0][0].clone();
        let ways = ["v0", "v1", "v2", "v3", "again"].map(way);
        assert_eq!(ways, ["EVAL", "EVALSHA", "EVALSHA", "SET", "EVAL"]);
    });
}

#[test]
fn where_scripts_cannot_be_asked_for_by_digest_that_is_tried_once() {
    for error in [
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "NOPERM User locker has no permissions to run the 'evalsha' command",
        "ERR unknown command 'EVALSHA', with args beginning with: 'a' 'b' ",
        "ERR unknown command `EVALSHA`, with args beginning with: ",
        "ERR unsupported command 'evalsha'",
    ] {
        let fake =
            Fake::start(move |words| (words[0] == "EVALSHA").then(|| format!("-{error}\r\n")));
        run(async {
            let asker = Asker::ready(fake.config()).await;
            for number in 0..3 {
                asker.ask(number, extend(), "v", &["a"]);
                let vote = asker.votes.wait_for(number).await;
                assert!(matches!(vote, Vote::Granted), "{error}: {vote:?}");
            }
            assert_eq!(fake.heard("EVALSHA").len(), 1, "{error}");
        });
    }
}

#[test]
fn another_error_of_a_digests_is_a_vote() {
    for error in [
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        "ERR unknown command 'FOO', with args beginning with: 'evalsha' ",
        "ERR no 'evalsha' here",
    ] {
        let fake = Fake::start(move |words| {
            let is_it = words[0] == "EVALSHA" && words.iter().any(|word| word == "v");
            is_it.then(|| format!("-{error}\r\n"))
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, extend(), "v", &["a"]);
            asker.votes.wait_for(0).await;
            assert_eq!(asker.votes.cause(0).code(), "REFUSED");
            assert_eq!(fake.heard("v").len(), 1);
        });
    }
}

#[test]
fn a_server_that_hangs_up_at_what_it_must_answer_is_not_used() {
    let fake = Fake::start(|words| (words[0] == "PING").then(|| HANG_UP.into()));
    run(async {
        let asker = Asker::open(fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        asker.votes.wait_for(0).await;
        assert_eq!(asker.votes.cause(0).code(), "UNREACHABLE");
    });
}

#[test]
fn a_replica_is_given_up_wherever_its_servers_say_that_it_is_one() {
    const CALL: &str = "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:1: ";
    let cases = [
        (
            "READONLY You can't write against a read only replica.",
            true,
        ),
        (
            "@user_script: 5: -READONLY You can't write against a read only replica.",
            true,
        ),
        (
            &format!("{CALL}-READONLY You can't write against a read only replica."),
            true,
        ),
        (
            &format!("{CALL}@user_script: 1: -READONLY You can't write"),
            true,
        ),
        (&format!("{CALL}no key '-READONLY '"), false),
        ("ERR the key -READONLY is odd", false),
    ];
    for (error, is_replica) in cases {
        let said = format!("-{error}\r\n");
        let fake = Fake::start(move |words| {
            let is_it = words.iter().any(|word| word == "replica");
            is_it.then(|| said.clone())
        });
        run(async {
            let asker = Asker::ready(fake.config()).await;
            asker.ask(0, extend(), "replica", &["a"]);
            asker.votes.wait_for(0).await;
            let word = if is_replica { "READONLY" } else { "ERR" };
            assert_eq!(asker.votes.cause(0).reply(), Some(word), "{error}");
            if is_replica {
                until("another dial", || fake.dials() == 2).await;
            } else {
                asker.ask(1, release(), "next", &["a"]);
                asker.votes.wait_for(1).await;
                assert_eq!(fake.dials(), 1, "{error}");
            }
        });
    }
}

#[test]
fn a_sentinel_that_says_more_than_it_was_asked_is_dialled_anew() {
    let master = Fake::start(|words| (words[0] == "ROLE").then(|| "-NOPERM no\r\n".into()));
    let names = |port: u16| format!("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n{port}\r\n");
    // A port of five digits that nobody is asked at.
    let (right, wrong) = (names(master.port), names(10_001));
    let mut asked = 0;
    let sentinel = Fake::start(move |words| {
        (words[0] == "SENTINEL").then(|| {
            asked += 1;
            if asked == 1 {
                format!("{right}{wrong}")
            } else {
                right.clone()
            }
        })
    });
    run(async {
        let sentinels = Sentinels {
            addresses: vec![Address {
                host: "127.0.0.1".into(),
                port: sentinel.port,
            }],
            service: "main".into(),
            username: None,
            password: None,
            tls: None,
        };
        let asker = Asker::ready(Config::new(Endpoint::Sentinel(sentinels))).await;
        until("the sentinel to be asked again", || {
            sentinel.heard("main").len() == 3
        })
        .await;
        assert_eq!(sentinel.dials(), 2);
        asker.ask(0, acquire(), "v", &["a"]);
        assert!(matches!(asker.votes.wait_for(0).await, Vote::Granted));
        assert_eq!(master.dials(), 1, "the same master all the time");
    });
}

#[test]
fn an_extension_is_not_behind_the_acquires_that_wait() {
    let before = acquires_before_an_extension();
    assert!(before <= 2000, "{before}");
    Rule::take_out(Some(Rule::Order));
    assert!(
        acquires_before_an_extension() > 2000,
        "without the rule it is"
    );
}

/// How many of the acquires that were asked before an extension are answered first.
fn acquires_before_an_extension() -> usize {
    const MANY: usize = 20_000;
    let fake = Fake::start(|_| None);
    run(async {
        let asker = Asker::ready(fake.config()).await;
        for number in 0..MANY {
            asker.ask(number, acquire(), &number.to_string(), &["contended"]);
        }
        asker.ask(MANY, extend(), "holder", &["kept"]);
        asker.ask(MANY + 1, release(), "holder", &["kept"]);
        assert!(matches!(asker.votes.wait_for(MANY).await, Vote::Granted));
        let (before, _) = asker.votes.of(MANY).expect("cast");
        until("all votes", || asker.votes.len() == MANY + 2).await;
        let written = fake.heard("contended");
        assert_eq!(written.len(), MANY, "each once");
        let order = written.iter().enumerate();
        assert!(
            order
                .into_iter()
                .all(|(at, words)| words[2] == at.to_string())
        );
        before
    })
}

#[test]
fn an_extension_is_not_behind_all_the_releases_that_are_owed() {
    const MANY: usize = 9000;
    let door = Door::default();
    let behind = door.clone();
    let mut is_given_up = false;
    let fake = Fake::start(move |words| {
        if words.iter().any(|word| word == "the-end") && !is_given_up {
            is_given_up = true;
            return Some("+OK\r\n".into());
        }
        behind.wait();
        None
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(0, release(), "the-end", &["a"]);
        for number in 1..=MANY {
            asker.ask(number, release(), "owed", &["a"]);
        }
        door.close();
        until("all to be lost", || asker.votes.len() > MANY).await;
        door.open();
        until("the next connection", || fake.heard("PING").len() == 2).await;
        until("an extension that is written", || {
            let number = asker.votes.len();
            asker.ask(number, extend(), "kept", &["kept"]);
            !matches!(asker.votes.of(number), Some((_, Vote::Failed(_))))
        })
        .await;
        let all = || fake.heard("owed").len();
        until("the extension", || !fake.heard("kept").is_empty()).await;
        until("all releases", || all() >= MANY).await;
        let heard = fake.heard.lock().expect("no panic");
        let has = |word: &str, words: &[String]| words.iter().any(|one| one == word);
        let kept = heard.iter().position(|words| has("kept", words));
        let later = heard[kept.expect("heard")..].iter();
        assert!(later.filter(|words| has("owed", words)).count() > 1000);
    });
}

#[test]
fn a_release_withdraws_its_own_acquire_if_that_is_not_written_and_else_comes_after_it() {
    const MANY: usize = 3000;
    let door = Door::default();
    let behind = door.clone();
    let fake = Fake::start(move |_| {
        behind.wait();
        None
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        door.close();
        for number in 0..MANY {
            asker.ask(number, acquire(), &format!("v{number}"), &["a"]);
        }
        let last = format!("v{}", MANY - 1);
        asker.ask(MANY, release(), &last, &["a"]);
        asker.ask(MANY + 1, release(), "v0", &["a"]);
        asker.ask(MANY + 2, release(), "v2998", &["another"]);
        assert_eq!(asker.votes.cause(MANY - 1).code(), "WITHDRAWN");
        assert_eq!(asker.votes.len(), 1, "nothing else is");
        door.open();
        until("all votes", || asker.votes.len() == MANY + 3).await;
        let commands = |value: &str| -> Vec<String> {
            let heard = fake.heard(value).into_iter();
            heard.map(|words| words[0].clone()).collect()
        };
        assert_eq!(commands(&last), ["EVALSHA"]);
        assert_eq!(commands("v0"), ["SET", "EVALSHA"]);
        assert_eq!(fake.heard("SET").len(), MANY - 1);
    });
}

#[test]
fn while_the_first_dial_runs_a_release_withdraws_its_acquire_too() {
    let door = Door::default();
    let behind = door.clone();
    door.close();
    let fake = Fake::start(move |_| {
        behind.wait();
        None
    });
    run(async {
        let asker = Asker::open(fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        asker.ask(1, acquire(), "w", &["a"]);
        asker.ask(2, release(), "v", &["a"]);
        assert_eq!(asker.votes.cause(0).code(), "WITHDRAWN");
        door.open();
        assert!(matches!(asker.votes.wait_for(1).await, Vote::Granted));
        asker.votes.wait_for(2).await;
        assert_eq!((fake.heard("v").len(), fake.heard("w").len()), (1, 1));
    });
}

#[test]
fn a_lock_that_another_engine_releases_is_not_set_later_where_it_was_still_to_be_asked_for() {
    let door = Door::default();
    let behind = door.clone();
    door.close();
    let slow = Fake::start(move |_| {
        behind.wait();
        None
    });
    let others = [Fake::start(|_| None), Fake::start(|_| None)];
    let configs = || others.iter().chain([&slow]).map(Fake::config);
    let settings = Settings {
        patience: Patience {
            share: 1.0,
            ceiling: Duration::from_secs(30),
            ..Patience::default()
        },
        ..once()
    };
    run(async {
        let shared = network();
        let (engine, _) = engine_on(&shared, configs());
        let (another, _) = engine_on(&shared, configs());
        let take = |name| engine.acquire(resources(&[name]), ttl(), settings.clone());
        let held = take("a").await.expect("two of three");
        let since = held.validity.since;
        let released = another.release(resources(&["a"]), held.value, since, settings.clone());
        released.await.expect("by two of three");
        take("later").await.expect("two of three");
        door.open();
        until("what was asked for later", || {
            !slow.heard("later").is_empty()
        })
        .await;
        let heard = slow.heard("a");
        assert_eq!(heard.len(), 1, "its release: {heard:?}");
        assert!(!heard[0].contains(&"60000".to_owned()));
    });
}

#[test]
fn an_acquire_whose_script_is_unknown_is_not_written_again_behind_its_release() {
    let door = Door::default();
    let behind = door.clone();
    let fake = Fake::start(move |words| {
        let is_acquire = words.iter().any(|word| word == "60000");
        match words[0].as_str() {
            "EVALSHA" if is_acquire => {
                behind.wait();
                Some("-NOSCRIPT No matching script.\r\n".into())
            }
            "EVAL" => Some(format!(":{}\r\n", words[2])),
            _ => None,
        }
    });
    run(async {
        let asker = Asker::ready(fake.config()).await;
        asker.ask(3, acquire(), "known", &["c", "d"]);
        asker.votes.wait_for(3).await;
        door.close();
        asker.ask(0, acquire(), "v", &["a", "b"]);
        asker.ask(1, acquire(), "w", &["a", "b"]);
        asker.ask(2, release(), "v", &["a", "b"]);
        door.open();
        asker.votes.wait_for(2).await;
        asker.votes.wait_for(1).await;
        assert_eq!(asker.votes.cause(0).code(), "WITHDRAWN");
        assert_eq!(fake.heard("v").len(), 2, "an EVALSHA of each");
        let in_full = fake.heard("EVAL").into_iter();
        let of_both = in_full.filter(|words| words.iter().any(|word| word == "a"));
        assert_eq!(of_both.count(), 1, "that of w");
    });
}

#[test]
fn what_waits_is_bounded_in_bytes_and_leaves_room_for_extensions() {
    const MIB: usize = 1024 * 1024;
    let door = Door::default();
    let behind = door.clone();
    let fake = Fake::start(move |_| {
        behind.wait();
        None
    });
    run(async {
        let dialling = {
            door.close();
            Asker::open(Config {
                client_name: Some("dialling".into()),
                ..fake.config()
            })
        };
        door.open();
        let up = Asker::ready(fake.config()).await;
        door.close();
        let name = "x".repeat(MIB);
        for asker in [&up, &dialling] {
            for number in 0..100 {
                asker.ask(number, acquire(), "v", &[&name]);
            }
            let refused = asker.votes.cause(99);
            assert_eq!(refused.code(), "OVERLOADED");
            let before = asker.votes.len();
            asker.ask(100, extend(), "v", &["kept"]);
            assert_eq!(asker.votes.len(), before, "it waits");
            for number in 101..200 {
                asker.ask(number, release(), &number.to_string(), &[&name]);
            }
            assert_eq!(asker.votes.cause(199).code(), "OVERLOADED");
            let weight = asker.server.weight();
            assert!(weight < 50 * MIB, "{weight}");
        }
        Rule::take_out(Some(Rule::Bounded));
        up.ask(300, acquire(), "v", &[&name]);
        assert!(up.votes.of(300).is_none(), "without the rule it waits");
        door.open();
    });
}

#[test]
fn no_error_shows_a_secret_that_the_server_repeats() {
    let fake = Fake::start(|words| {
        let repeated = words.get(4).or(words.get(2)).cloned().unwrap_or_default();
        match words[0].as_str() {
            "SET" => Some(format!("-ERR {} s3cr%65t+w%C3%B6rd\r\n", words[2])),
            "EVALSHA" => Some(format!(
                "-s3cret wörd {repeated}\u{7} {}\r\n",
                "x".repeat(400)
            )),
            _ => None,
        }
    });
    run(async {
        let config = Config {
            password: Some(Secret::from(String::from("s3cret wörd"))),
            ..fake.config()
        };
        let asker = Asker::ready(config).await;
        asker.ask(0, acquire(), "value-of-lock", &["a"]);
        asker.ask(1, release(), "value-of-lock", &["a"]);
        asker.votes.wait_for(1).await;
        assert_eq!(asker.votes.cause(0).to_string(), "ERR … …");
        let text = asker.votes.cause(1).to_string();
        assert!(text.starts_with("… …  x"), "{text}");
        assert_eq!(text.chars().count(), 301);
        assert_eq!(asker.votes.cause(1).reply(), Some("ERR"));
    });
}

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
            assert!(matches!(asker.votes.wait_for(number).await, Vote::Granted));
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
        asker.votes.wait_for(0).await;
        assert_eq!(asker.votes.cause(0).reply(), Some("NOAUTH"));
        asker.ask(1, acquire(), "w", &["a"]);
        assert_eq!(asker.votes.len(), 2, "without a wait");
        refuses.store(false, Ordering::SeqCst);
        until("a dial in the background", || {
            let number = asker.votes.len();
            asker.ask(number, extend(), "kept", &["kept"]);
            !matches!(asker.votes.of(number), Some((_, Vote::Failed(_))))
        })
        .await;
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
        asker.votes.wait_for(2).await;
        assert_eq!(asker.votes.cause(2).reply(), Some("NOAUTH"));
        until("what is owed", || fake.heard("held-before").len() == 1).await;
        asker.ask(3, extend(), "last", &["c"]);
        asker.votes.wait_for(3).await;
        assert!(fake.heard("unsent").is_empty());
    });
}

#[test]
fn a_server_that_hangs_up_at_once_is_not_dialled_in_a_loop() {
    let fake = Fake::start(|_| None);
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

#[test]
fn questions_go_by_a_new_connection_where_the_network_has_forgotten_the_old() {
    let fake = Fake::start(|_| None);
    run(async {
        let asker = Asker::ready(fake.config()).await;
        fake.forget(0);
        asker.ask(0, extend(), "lost", &["a"]);
        asker.ask(1, release(), "again", &["b"]);
        // It names one value that is never given again: that it is done counts.
        assert!(matches!(asker.votes.wait_for(1).await, Vote::Granted));
        assert_eq!(fake.dials(), 2);
        asker.ask(2, acquire(), "next", &["b"]);
        asker.ask(3, extend(), "next", &["b"]);
        assert!(matches!(asker.votes.wait_for(3).await, Vote::Granted));
        assert_eq!(asker.votes.len(), 3, "the old one is still listened to");
        asker.votes.wait_for(0).await;
        assert_eq!(asker.votes.cause(0).code(), "SILENT");
        assert!(fake.heard("lost").is_empty(), "nor written again");
        assert_eq!(fake.heard("next").len(), 2);
        until("what is owed", || fake.heard("again").len() == 2).await;
        assert_eq!(fake.dials(), 2);
    });
}

#[test]
fn what_the_former_connection_answers_late_counts_and_its_releases_are_in_order() {
    let fake = Fake::start(|_| None);
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
        assert!(matches!(asker.votes.wait_for(1).await, Vote::Granted));
        assert!(asker.votes.of(0).is_none(), "nothing is known of it");
        fake.with_line(0, |line| line.door.open());
        assert!(matches!(asker.votes.wait_for(0).await, Vote::Granted));
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
    let fake = Fake::start(|_| None);
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
        assert!(matches!(asker.votes.wait_for(0).await, Vote::Granted));
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
        asker.votes.wait_for(0).await;
        let cause = asker.votes.cause(0).to_string();
        assert!(cause.contains("a new connection"), "{cause}");
        fake.with_line(0, |line| line.door.open());
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
    let fake = Fake::start(|_| None);
    run(async {
        let dialler = Panicking {
            left: Cell::new(2),
            sockets: Sockets::default(),
        };
        let network = Network::new(Rc::new(System), Rc::new(dialler));
        let asker = Asker::on(&network, fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        asker.votes.wait_for(0).await;
        let cause = asker.votes.cause(0).to_string();
        assert!(cause.contains("a defect"), "{cause}");
        assert_eq!(asker.votes.cause(0).code(), "UNREACHABLE");
        until("another life", || {
            let number = asker.votes.len();
            asker.ask(number, extend(), "kept", &["kept"]);
            !matches!(asker.votes.of(number), Some((_, Vote::Failed(_))))
        })
        .await;
        assert_eq!(fake.dials(), 1);
    });
}

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
    let fake = Fake::start(|_| None);
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
            assert!(matches!(asker.votes.wait_for(0).await, Vote::Granted));
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
        asker.votes.wait_for(0).await;
        let cause = asker.votes.cause(0).to_string();
        assert!(cause.contains("no answer within 400 ms"), "{cause}");
        let nowhere = Asker::on(&Names::are(&[]), config);
        nowhere.ask(0, acquire(), "v", &["a"]);
        nowhere.votes.wait_for(0).await;
        let cause = nowhere.votes.cause(0).to_string();
        assert!(cause.contains("several has no address"), "{cause}");
    });
}

#[test]
fn a_moment_without_threads_is_a_dial_that_failed() {
    let fake = Fake::start(|_| None);
    let live = SocketAddr::from(([127, 0, 0, 1], fake.port));
    run(async {
        let asker = Asker::on(&Names::network(&[live], true), fake.config());
        asker.ask(0, acquire(), "v", &["a"]);
        asker.votes.wait_for(0).await;
        let cause = asker.votes.cause(0).to_string();
        assert!(cause.contains("can't be looked up now"), "{cause}");
        assert!(cause.contains("no thread to be had"), "{cause}");
        until("another dial", || {
            let number = asker.votes.len();
            asker.ask(number, extend(), "kept", &["kept"]);
            !matches!(asker.votes.of(number), Some((_, Vote::Failed(_))))
        })
        .await;
    });
}
