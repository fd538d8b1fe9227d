//! A server of the test's own that says whatever it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use redlock_native::instances::redis::{Config, Endpoint, release_each_text, script};

/// The answer of a server that answers nothing any more.
pub const HANG_UP: &str = "hang up";

/// A server that answers each command as `answer` says, and else as Redis would.
pub struct Fake {
    pub port: u16,
    dials: Arc<AtomicUsize>,
    pub heard: Arc<Mutex<Vec<Vec<String>>>>,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// One connection to a fake server, or rather what lies between the two.
pub struct Line {
    stream: TcpStream,
    /// What the client says waits behind it.
    pub door: Door,
    /// What the client says is lost.
    forgotten: Arc<AtomicBool>,
    /// It has been asked to tell of changes on it.
    tracks: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Fake {
    /// One that answers as Redis would.
    pub fn as_usual() -> Self {
        Self::start(|_| None)
    }

    /// The same, but no answer comes while `door` is closed.
    pub fn behind(door: &Door) -> Self {
        let door = door.clone();
        Self::start(move |_| {
            door.wait();
            None
        })
    }

    pub fn start(answer: impl FnMut(&[String]) -> Option<String> + Send + 'static) -> Self {
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
                let (tracks, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
                lines.lock().expect("no panic").push(Line {
                    stream: stream.try_clone().expect("a clone"),
                    door: door.clone(),
                    forgotten: Arc::clone(&forgotten),
                    tracks: Arc::clone(&tracks),
                    ended: Arc::clone(&ended),
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
                        // Only now: what is said unasked comes after the answer.
                        tracks.fetch_or(has(&words, "TRACKING"), Ordering::SeqCst);
                    }
                    ended.store(true, Ordering::SeqCst);
                });
            }
        });
        fake
    }

    pub fn config(&self) -> Config {
        Config::new(Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port: self.port,
        })
    }

    /// Does something to the connection of this number.
    pub fn with_line(&self, number: usize, act: impl FnOnce(&Line)) {
        act(&self.lines.lock().expect("no panic")[number]);
    }

    /// The connection of this number ends.
    pub fn hang_up(&self, number: usize) {
        self.with_line(number, |line| {
            // It may be over already.
            let _ = line.stream.shutdown(Shutdown::Both);
        });
    }

    /// The network loses whatever is sent on the connection of this number.
    pub fn forget(&self, number: usize) {
        self.with_line(number, |line| line.forgotten.store(true, Ordering::SeqCst));
    }

    /// Says this on the connection on which it tells of changes.
    pub fn say_unasked(&self, what: &str) {
        self.with_line(self.watching(), |line| {
            let mut stream = &line.stream;
            stream.write_all(what.as_bytes()).expect("a reader");
        });
    }

    /// The number of the last connection on which it tells of changes.
    pub fn watching(&self) -> usize {
        let lines = self.lines.lock().expect("no panic");
        let tracks = |line: &Line| line.tracks.load(Ordering::SeqCst);
        lines.iter().rposition(tracks).expect("somebody watches")
    }

    /// Whether the client has ended the connection of this number.
    pub fn has_ended(&self, number: usize) -> bool {
        let lines = self.lines.lock().expect("no panic");
        lines[number].ended.load(Ordering::SeqCst)
    }

    pub fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// The commands that have `word` among their words.
    pub fn heard(&self, word: &str) -> Vec<Vec<String>> {
        let heard = self.heard.lock().expect("no panic");
        let with = heard.iter().filter(|words| has(words, word));
        with.cloned().collect()
    }
}

/// Whether a command has this word.
pub fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|one| one == word)
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

/// How many locks a command releases in one call; `None` if it is another command.
pub fn released_together(words: &[String]) -> Option<usize> {
    let known = script(release_each_text());
    let is_it = match words[0].as_str() {
        "EVAL" => words[1] == *known.text,
        "EVALSHA" => words[1] == *known.digest,
        _ => false,
    };
    is_it.then(|| words[2].parse().expect("a number of keys"))
}

fn usual(words: &[String]) -> String {
    if let Some(locks) = released_together(words) {
        return format!("${locks}\r\n{}\r\n", "1".repeat(locks));
    }
    match words[0].as_str() {
        "PING" => "+PONG\r\n",
        "INFO" => "$0\r\n\r\n",
        "HELLO" => "%1\r\n$5\r\nproto\r\n:3\r\n",
        "EVALSHA" | "EVAL" => ":1\r\n",
        _ => "+OK\r\n",
    }
    .into()
}

/// A door that what a fake server says waits behind.
#[derive(Clone, Default)]
pub struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    pub fn close(&self) {
        *self.0.0.lock().expect("no panic") = true;
    }

    pub fn open(&self) {
        *self.0.0.lock().expect("no panic") = false;
        self.0.1.notify_all();
    }

    pub fn wait(&self) {
        let closed = self.0.0.lock().expect("no panic");
        let open = self.0.1.wait_while(closed, |closed| *closed);
        drop(open.expect("no panic"));
    }
}
