//! A model of a Redis server: it reads commands as bytes, keeps keys that expire
//! by its own clock, and answers in bytes.
//!
//! Our scripts are known by their digests and carried out as their texts say.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::sync::LazyLock;
use std::time::Duration;

use redlock_native::engine::Instant;
use redlock_native::instances::redis::{default_texts, fair_texts, release_each_text, script};

use crate::checker::{Checker, bump};
use crate::cluster::Slots;
use crate::stream::Wire;
use crate::tracking::Tracking;
use crate::world::{Clock, Moment, World};

/// What a server knows of one connection.
#[derive(Default)]
pub struct ServerSide {
    heard: Vec<u8>,
    db: u32,
    asking: bool,
    /// It has switched to version 3 of the protocol.
    is_version_3: bool,
    /// It is told of changes to what it reads.
    tracks: bool,
}

impl ServerSide {
    /// Whether it is told of changes.
    pub fn is_told(&self) -> bool {
        self.tracks
    }
}

pub struct Server {
    pub index: usize,
    /// Where it says that it is.
    pub host: String,
    world: Rc<World>,
    clock: Clock,
    checker: Rc<Checker>,
    wires: RefCell<Vec<Weak<Wire>>>,
    state: RefCell<State>,
    /// The cluster that it is a node of.
    pub slots: RefCell<Option<Rc<Slots>>>,
    /// Whom it, as a sentinel, names.
    pub names: RefCell<Option<Rc<Server>>>,
    /// Whether it tells anybody what it is.
    pub hides_role: Cell<bool>,
    pub together: Cell<Together>,
    pub tracking: Tracking,
}

/// What becomes of releases that come in one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Together {
    /// It is a proxy's: the call goes to one of several servers, which has only some of
    /// the keys. Each alone goes to its own.
    pub spreads: bool,
    /// In percent of the calls, a key may not be touched, and nothing is done.
    pub refused: u64,
    /// In percent of the keys, one gives an error.
    pub failed: u64,
}

/// How long after their end expired keys are found that nobody asks for, at most.
const EXPIRED_KEYS_FOUND: Duration = Duration::from_millis(100);

struct State {
    run_id: u64,
    keys: BTreeMap<(u32, String), Entry>,
    /// The tickets in each queue, the earliest first.
    queues: BTreeMap<(u32, String), BTreeSet<String>>,
    scripts: BTreeSet<&'static str>,
    up: bool,
    hung: Moment,
    refusing: Option<(ErrorState, Moment)>,
    role: Role,
    /// At so many percent of the replies, one of a kind that the command can't
    /// give comes before it.
    odd: u64,
}

struct Entry {
    value: String,
    /// The last millisecond, on its clock, at which it is there.
    last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    /// One that takes writes, as `replica-read-only no` has it, or not.
    Replica {
        writable: bool,
    },
}

/// Why it carries nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorState {
    Busy,
    Loading,
    OutOfMemory,
    ReadOnly,
    ClusterDown,
}

impl ErrorState {
    fn error(self) -> &'static str {
        match self {
            Self::Busy => {
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
            }
            Self::Loading => "LOADING Redis is loading the dataset in memory",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::ClusterDown => "CLUSTERDOWN The cluster is down",
        }
    }
}

/// What a lock's command does.
#[derive(Clone, Debug)]
pub struct LockCommand {
    pub kind: CommandKind,
    /// With the prefix.
    pub keys: Vec<String>,
    pub value: String,
    /// In milliseconds.
    pub ttl: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// By SET … NX, which has no word for one's own value.
    Set,
    Acquire,
    /// In turn: of the first of its keys, behind those in the queue of the second, with the
    /// waiter's own for the third.
    AcquireFair,
    Extend,
    Release,
    Inspect,
}

/// What came of it.
pub enum CommandResult {
    Applied(i64),
    Seen(Option<(String, u64)>),
    /// The ticket right before, or none.
    Behind(String),
}

/// The script that releases several locks: its text and its digest.
static RELEASE_EACH: LazyLock<(&'static str, &'static str)> = LazyLock::new(|| {
    let text = release_each_text();
    (text, Box::leak(script(text).digest))
});

static DIGESTS: LazyLock<[(&'static str, &'static str, CommandKind); 7]> = LazyLock::new(|| {
    let kinds = [
        CommandKind::Acquire,
        CommandKind::Extend,
        CommandKind::Release,
        CommandKind::Inspect,
        CommandKind::Acquire,
        CommandKind::AcquireFair,
        CommandKind::AcquireFair,
    ];
    let ([a, b, c, d, e], [f, g]) = (default_texts(), fair_texts());
    let mut kinds = kinds.into_iter();
    [a, b, c, d, e, f, g].map(|text| {
        let digest: &'static str = Box::leak(script(text).digest);
        (text, digest, kinds.next().expect("as many"))
    })
});

impl Server {
    pub fn new(
        world: &Rc<World>,
        index: usize,
        host: String,
        clock: Clock,
        checker: &Rc<Checker>,
    ) -> Rc<Self> {
        Rc::new(Self {
            index,
            host,
            world: Rc::clone(world),
            clock,
            checker: Rc::clone(checker),
            wires: RefCell::default(),
            state: RefCell::new(State {
                run_id: world.chance.next(),
                keys: BTreeMap::new(),
                queues: BTreeMap::new(),
                scripts: BTreeSet::new(),
                up: true,
                hung: Moment::default(),
                refusing: None,
                role: Role::Master,
                odd: 0,
            }),
            slots: RefCell::default(),
            names: RefCell::default(),
            hides_role: Cell::default(),
            together: Cell::default(),
            tracking: Tracking::default(),
        })
    }

    pub fn is_up(&self) -> bool {
        self.state.borrow().up
    }

    /// Whether it is no sentinel.
    pub fn has_keys(&self) -> bool {
        self.names.borrow().is_none()
    }

    pub fn role(&self) -> Role {
        self.state.borrow().role
    }

    pub fn wires(&self) -> Vec<Rc<Wire>> {
        let mut wires = self.wires.borrow_mut();
        wires.retain(|wire| wire.upgrade().is_some_and(|wire| wire.is_open()));
        wires.iter().filter_map(Weak::upgrade).collect()
    }

    pub fn admit(&self, wire: &Rc<Wire>) {
        self.wires.borrow_mut().push(Rc::downgrade(wire));
    }

    fn millis(&self) -> u64 {
        self.clock.read(self.world.now()).nanos() / 1_000_000
    }

    // ---- what befalls it

    pub fn hang(self: &Rc<Self>, span: Duration) {
        let until = self.world.now().after(span);
        self.state.borrow_mut().hung = until;
        let server = Rc::clone(self);
        self.world.at(until, move || server.attend());
    }

    pub fn be(&self, error_state: ErrorState, span: Duration) {
        let until = self.world.now().after(span);
        self.state.borrow_mut().refusing = Some((error_state, until));
    }

    pub fn flush_scripts(&self) {
        self.state.borrow_mut().scripts.clear();
    }

    pub fn be_odd(&self, percent: u64) {
        self.state.borrow_mut().odd = percent;
    }

    /// It stops, with its keys or without, and all its connections with it.
    pub fn crash(&self, keep_keys: bool, within: Duration) {
        {
            let mut state = self.state.borrow_mut();
            state.up = false;
            state.scripts.clear();
            state.run_id = self.world.chance.next();
            if !keep_keys {
                state.keys.clear();
                state.queues.clear();
            }
        }
        self.tracking.forget();
        self.cut_all(within);
    }

    pub fn restart(&self) {
        self.world.note(format_args!("s{} is up", self.index));
        self.state.borrow_mut().up = true;
    }

    /// Ends every connection, which clients notice within that time.
    pub fn cut_all(&self, within: Duration) {
        for wire in self.wires() {
            wire.forget();
            let after = self.world.chance.span(within);
            let polite = self.world.chance.percent(50);
            self.world.after(after, move || wire.cut(polite));
        }
    }

    /// It becomes this, and its clients have to come anew.
    pub fn turn(&self, role: Role) {
        self.state.borrow_mut().role = role;
        for wire in self.wires() {
            wire.forget();
            wire.cut(true);
        }
    }

    /// Takes over the keys of another.
    pub fn take_keys_of(&self, other: &Self) {
        let now = other.millis();
        let here = self.millis();
        let keys = std::mem::take(&mut other.state.borrow_mut().keys);
        for (name, entry) in keys {
            if entry.last >= now {
                let last = here + (entry.last - now) + 1;
                let value = entry.value;
                self.state
                    .borrow_mut()
                    .keys
                    .insert(name, Entry { value, last });
            }
        }
        self.tracking.all_changed(&self.world);
    }

    /// Its keys are deleted.
    pub fn flush(&self) {
        self.state.borrow_mut().keys.clear();
        self.state.borrow_mut().queues.clear();
        self.tracking.all_changed(&self.world);
    }

    // ---- its keys

    /// Those that are there, and their values.
    pub fn left(&self) -> Vec<(String, String)> {
        let now = self.millis();
        let state = self.state.borrow();
        let left = state.keys.iter().filter(|(_, entry)| now <= entry.last);
        left.map(|((_, name), entry)| (name.clone(), entry.value.clone()))
            .collect()
    }

    /// Whether it has this key; one of its own kind, for clusters.
    pub fn has(&self, key: &str) -> bool {
        let now = self.millis();
        let state = self.state.borrow();
        let entry = state.keys.get(&(0, key.to_owned()));
        entry.is_some_and(|entry| now <= entry.last)
    }

    /// The keys there are, but for the expired.
    pub fn names(&self) -> Vec<String> {
        let now = self.millis();
        let state = self.state.borrow();
        let alive = state.keys.iter().filter(|(_, entry)| now <= entry.last);
        alive.map(|((_, name), _)| name.clone()).collect()
    }

    /// Moves one key to another server.
    pub fn migrate(&self, key: &str, to: &Self) {
        let now = self.millis();
        let name = (0, key.to_owned());
        let entry = self.state.borrow_mut().keys.remove(&name);
        self.tracking.changed(key, &self.world);
        if let Some(Entry { value, last }) = entry.filter(|entry| now <= entry.last) {
            let last = to.millis() + (last - now) + 1;
            to.state
                .borrow_mut()
                .keys
                .insert(name, Entry { value, last });
        }
    }

    /// Carries a lock's command out, as the script or SET would.
    pub fn carry_out(&self, db: u32, lock_command: &LockCommand) -> CommandResult {
        let now = self.millis();
        self.expire();
        let mut state = self.state.borrow_mut();
        let name = |key: &String| (db, key.clone());
        let count = i64::try_from(lock_command.keys.len()).expect("a few");
        let ours = |state: &State, key: &String| {
            state
                .keys
                .get(&name(key))
                .is_some_and(|entry| entry.value == lock_command.value)
        };
        let done = match lock_command.kind {
            CommandKind::Set | CommandKind::Acquire => {
                if lock_command
                    .keys
                    .iter()
                    .any(|key| state.keys.contains_key(&name(key)))
                {
                    let all = lock_command.keys.iter().all(|key| ours(&state, key));
                    CommandResult::Applied(if all && lock_command.kind == CommandKind::Acquire {
                        -1
                    } else {
                        0
                    })
                } else {
                    for key in &lock_command.keys {
                        let entry = Entry {
                            value: lock_command.value.clone(),
                            last: now + lock_command.ttl,
                        };
                        state.keys.insert(name(key), entry);
                    }
                    CommandResult::Applied(count)
                }
            }
            CommandKind::AcquireFair => line_up(&mut state, db, lock_command, now),
            CommandKind::Extend => {
                if lock_command.keys.iter().all(|key| ours(&state, key)) {
                    for key in &lock_command.keys {
                        if let Some(entry) = state.keys.get_mut(&name(key)) {
                            entry.last = entry.last.max(now + lock_command.ttl);
                        }
                    }
                    CommandResult::Applied(count)
                } else {
                    CommandResult::Applied(0)
                }
            }
            CommandKind::Release => {
                let mut released = 0;
                for key in &lock_command.keys {
                    if ours(&state, key) {
                        state.keys.remove(&name(key));
                        released += 1;
                    }
                }
                CommandResult::Applied(released)
            }
            CommandKind::Inspect => CommandResult::Seen(
                state
                    .keys
                    .get(&name(&lock_command.keys[0]))
                    .map(|entry| (entry.value.clone(), entry.last - now)),
            ),
        };
        drop(state);
        let applied = match &done {
            CommandResult::Applied(applied) => *applied,
            CommandResult::Seen(_) | CommandResult::Behind(_) => -2,
        };
        if applied > 0 || lock_command.kind == CommandKind::AcquireFair {
            // Of a release that has found some of its keys, the others are told of too,
            // which is harmless.
            for key in &lock_command.keys {
                self.tracking.changed(key, &self.world);
            }
        }
        self.world.note(format_args!(
            "s{}/{db}: {:?} {:.40}… × {} {:.6} → {applied}",
            self.index,
            lock_command.kind,
            lock_command.keys[0],
            lock_command.keys.len(),
            lock_command.value
        ));
        done
    }

    /// Keys whose time is over go, and who has read them is told.
    fn expire(&self) {
        let now = self.millis();
        let mut gone = Vec::new();
        self.state.borrow_mut().keys.retain(|(_, key), entry| {
            let is_there = now <= entry.last;
            if !is_there {
                gone.push(key.clone());
            }
            is_there
        });
        for key in gone {
            self.tracking.changed(&key, &self.world);
        }
    }

    /// Finds, a little late, that the time of a key that was read is over.
    fn find_expired(self: &Rc<Self>, db: u32, key: String) {
        let name = (db, key);
        let last = match self.state.borrow().keys.get(&name) {
            Some(entry) if self.tracking.is_read(&name.1) => entry.last,
            _ => return,
        };
        let over = self
            .clock
            .reaches(Instant::from_nanos((last + 1) * 1_000_000));
        let late = self.world.chance.span(EXPIRED_KEYS_FOUND);
        let server = Rc::clone(self);
        self.world.at(over.max(self.wakes()).after(late), move || {
            if server.is_awake() {
                server.expire();
            }
            server.find_expired(db, name.1);
        });
    }

    /// Why it can't carry anything out now.
    pub fn refusal(&self) -> Option<&'static str> {
        let state = self.state.borrow();
        let now = self.world.now();
        if let Some((error_state, _)) = state.refusing.filter(|(_, until)| now < *until) {
            return Some(error_state.error());
        }
        match state.role {
            Role::Replica { writable: false } => Some(ErrorState::ReadOnly.error()),
            _ => None,
        }
    }

    /// Whether it answers at all now.
    pub fn is_awake(&self) -> bool {
        let state = self.state.borrow();
        state.up && self.world.now() >= state.hung
    }

    /// Until when it hangs.
    pub fn wakes(&self) -> Moment {
        self.state.borrow().hung
    }

    // ---- its bytes

    /// Bytes have come.
    pub fn hear(self: &Rc<Self>, wire: &Rc<Wire>, bytes: &[u8]) {
        wire.server_side.borrow_mut().heard.extend_from_slice(bytes);
        if self.is_awake() {
            self.serve(wire);
        }
    }

    /// It looks at all that has come meanwhile.
    fn attend(self: &Rc<Self>) {
        if self.is_awake() {
            // Those too that were given up: what they wrote was received.
            let wires: Vec<_> = self
                .wires
                .borrow()
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            for wire in wires {
                self.serve(&wire);
            }
        }
    }

    fn serve(self: &Rc<Self>, wire: &Rc<Wire>) {
        let mut out = Vec::new();
        loop {
            let command = {
                let mut server_side = wire.server_side.borrow_mut();
                let Some((command, length)) = parse(&server_side.heard) else {
                    break;
                };
                server_side.heard.drain(..length);
                command
            };
            self.execute(wire, &command, &mut out);
        }
        if !out.is_empty() {
            wire.reply(&out);
        }
    }

    fn execute(self: &Rc<Self>, wire: &Rc<Wire>, command: &[String], out: &mut Vec<u8>) {
        let word = command[0].to_ascii_uppercase();
        let second = command.get(1).map(String::as_str).unwrap_or_default();
        if self.names.borrow().is_some()
            && !["PING", "AUTH", "INFO", "CLIENT", "SENTINEL"].contains(&&*word)
        {
            return out.extend_from_slice(b"-ERR unknown command\r\n");
        }
        match &*word {
            "PING" => {
                let loading = self.refusal().filter(|error| error.starts_with("LOADING"));
                match loading {
                    Some(error) => say_error(out, error),
                    None => out.extend_from_slice(b"+PONG\r\n"),
                }
            }
            "HELLO" => {
                if let Some(error) = self.tracking.refusal.get() {
                    return say_error(out, error);
                }
                wire.server_side.borrow_mut().is_version_3 = second == "3";
                out.extend_from_slice(b"%2\r\n");
                say_bulk(out, "server");
                say_bulk(out, "redis");
                say_bulk(out, "proto");
                out.extend_from_slice(format!(":{second}\r\n").as_bytes());
            }
            "AUTH" | "CLIENT" => {
                let mut server_side = wire.server_side.borrow_mut();
                // Without version 3 it would have no way to tell.
                server_side.tracks |= second == "TRACKING" && server_side.is_version_3;
                out.extend_from_slice(b"+OK\r\n");
            }
            "SELECT" => {
                wire.server_side.borrow_mut().db = second.parse().expect("a database");
                out.extend_from_slice(b"+OK\r\n");
            }
            "ASKING" => {
                wire.server_side.borrow_mut().asking = true;
                out.extend_from_slice(b"+OK\r\n");
            }
            "INFO" | "ROLE" if self.hides_role.get() && word == "INFO" => {
                say_error(
                    out,
                    "NOPERM this user has no permissions to run the 'info' command",
                );
            }
            "INFO" => {
                let state = self.state.borrow();
                let info = if second == "server" {
                    format!("# Server\r\nrun_id:{:040x}\r\n", state.run_id)
                } else {
                    let role = if state.role == Role::Master {
                        "master"
                    } else {
                        "slave"
                    };
                    format!("# Replication\r\nrole:{role}\r\n")
                };
                say_bulk(out, &info);
            }
            "ROLE" => {
                let role = if self.role() == Role::Master {
                    "master"
                } else {
                    "slave"
                };
                out.extend_from_slice(b"*2\r\n");
                say_bulk(out, role);
                out.extend_from_slice(b":0\r\n");
            }
            "CLUSTER" => {
                let slots = self.slots.borrow().clone();
                match slots {
                    Some(slots) => slots.tell(self, out),
                    None => say_error(out, "ERR This instance has cluster support disabled"),
                }
            }
            "SENTINEL" => {
                let named = self.names.borrow().clone();
                match named {
                    Some(server) => {
                        out.extend_from_slice(b"*2\r\n");
                        say_bulk(out, &server.host);
                        say_bulk(out, "6379");
                    }
                    None => out.extend_from_slice(b"*-1\r\n"),
                }
            }
            "SET" | "EVALSHA" | "EVAL" => self.execute_lock_command(wire, &word, command, out),
            _ => say_error(out, "ERR unknown command"),
        }
        if word != "ASKING" {
            wire.server_side.borrow_mut().asking = false;
        }
    }

    fn execute_lock_command(
        self: &Rc<Self>,
        wire: &Rc<Wire>,
        word: &str,
        command: &[String],
        out: &mut Vec<u8>,
    ) {
        let (db, asking) = {
            let server_side = wire.server_side.borrow();
            (server_side.db, server_side.asking)
        };
        if let Some((releases, digest)) = read_releases(word, command) {
            return self.release_each(wire, word, &releases, digest, out);
        }
        let Some((lock_command, digest)) = read_lock_command(word, command) else {
            self.world.blame(format_args!(
                "s{} is sent nonsense: {command:?}",
                self.index
            ));
            return say_error(out, "ERR nonsense");
        };
        self.perhaps_say_odd(lock_command.kind, out);
        let refusal = self.refusal();
        let redirect = || {
            let slots = self.slots.borrow().clone();
            slots.and_then(|slots| slots.redirect(self, &lock_command, asking))
        };
        if let Some(error) = redirect() {
            self.checker.redirected(&error);
            return say_error(out, &error);
        }
        if self.turn_down(refusal, word, digest, out) {
            return;
        }
        self.checker.written(wire, &lock_command);
        let result = self.carry_out(db, &lock_command);
        let (is_version_3, tracks) = {
            let server_side = wire.server_side.borrow();
            (server_side.is_version_3, server_side.tracks)
        };
        if tracks && lock_command.kind == CommandKind::Inspect {
            let key = &lock_command.keys[0];
            self.tracking.read(key, wire);
            bump(&self.checker.counts.looked_at);
            self.find_expired(db, key.clone());
        }
        match result {
            CommandResult::Applied(1) if lock_command.kind == CommandKind::Set => {
                out.extend_from_slice(b"+OK\r\n");
            }
            CommandResult::Applied(_) if lock_command.kind == CommandKind::Set => {
                out.extend_from_slice(b"$-1\r\n");
            }
            CommandResult::Applied(count) => {
                out.extend_from_slice(format!(":{count}\r\n").as_bytes());
            }
            CommandResult::Behind(before) => say_bulk(out, &before),
            CommandResult::Seen(seen) => {
                out.extend_from_slice(b"*2\r\n");
                match seen {
                    Some((value, ttl)) => {
                        say_bulk(out, &value);
                        out.extend_from_slice(format!(":{ttl}\r\n").as_bytes());
                    }
                    None if is_version_3 => out.extend_from_slice(b"_\r\n:-2\r\n"),
                    None => out.extend_from_slice(b"$-1\r\n:-2\r\n"),
                }
            }
        }
    }

    /// Releases that come in one call, each by itself.
    fn release_each(
        self: &Rc<Self>,
        wire: &Rc<Wire>,
        word: &str,
        releases: &[LockCommand],
        digest: &'static str,
        out: &mut Vec<u8>,
    ) {
        let db = wire.server_side.borrow().db;
        let together = self.together.get();
        let chance = &self.world.chance;
        if let Some(slots) = self.slots.borrow().clone() {
            // By somebody who does not know that it is a cluster's node.
            let mut all = releases[0].clone();
            all.keys = releases.iter().flat_map(|one| one.keys.clone()).collect();
            if let Some(elsewhere) = slots.redirect(self, &all, false) {
                return say_error(out, &elsewhere);
            }
        }
        self.perhaps_say_odd(CommandKind::Release, out);
        if self.turn_down(self.refusal(), word, Some(digest), out) {
            return;
        }
        let count = &self.checker.counts.together;
        count.set(count.get() + 1);
        if chance.percent(together.refused) {
            return say_error(out, "NOPERM No permissions to access a key");
        }
        let shard = |release: &LockCommand| release.keys[0].bytes().map(u64::from).sum::<u64>() % 2;
        let mut answer = String::new();
        for release in releases {
            let is_elsewhere = together.spreads && shard(release) != shard(&releases[0]);
            if chance.percent(together.failed) {
                answer.push('e');
            } else if is_elsewhere {
                answer.push('0');
            } else {
                self.checker.written(wire, release);
                match self.carry_out(db, release) {
                    CommandResult::Applied(1) => answer.push('1'),
                    _ => answer.push('0'),
                }
            }
        }
        say_bulk(out, &answer);
    }

    fn perhaps_say_odd(&self, kind: CommandKind, out: &mut Vec<u8>) {
        let odd = self.state.borrow().odd;
        if self.world.chance.percent(odd) && !self.world.is_quiet() {
            self.checker
                .counts
                .odd
                .set(self.checker.counts.odd.get() + 1);
            self.world
                .note(format_args!("s{} says something odd", self.index));
            say_odd(out, kind, &self.world);
        }
    }

    /// Whether it carries nothing out, which it says, or doesn't know the script.
    fn turn_down(
        &self,
        refusal: Option<&str>,
        word: &str,
        digest: Option<&'static str>,
        out: &mut Vec<u8>,
    ) -> bool {
        if let Some(error) = refusal {
            self.checker
                .counts
                .erred
                .set(self.checker.counts.erred.get() + 1);
            say_error(out, error);
            return true;
        }
        if let Some(digest) = digest {
            let mut state = self.state.borrow_mut();
            if word == "EVAL" {
                state.scripts.insert(digest);
            } else if !state.scripts.contains(digest) {
                drop(state);
                self.checker
                    .counts
                    .unknown
                    .set(self.checker.counts.unknown.get() + 1);
                say_error(out, "NOSCRIPT No matching script. Please use EVAL.");
                return true;
            }
        }
        false
    }
}

/// Takes a lock in its turn, as the script does: those in the queue count whose keys are
/// there.
fn line_up(state: &mut State, db: u32, asked: &LockCommand, now: u64) -> CommandResult {
    const LEASE: u64 = 5000;
    const RENEWED_BELOW: u64 = 3500;
    let [lock, queue, waiter] = [0, 1, 2].map(|at| (db, asked.keys[at].clone()));
    let ticket = waiter.1[queue.1.len() + 1..].to_owned();
    let known = state.keys.get(&waiter);
    if known.is_none_or(|entry| entry.last < now + RENEWED_BELOW) {
        let waits = Entry {
            value: ticket.clone(),
            last: now + LEASE,
        };
        state.keys.insert(waiter, waits);
    }
    let mut tickets = state.queues.remove(&queue).unwrap_or_default();
    tickets.insert(ticket.clone());
    let lives = |other: &String| {
        state
            .keys
            .contains_key(&(db, format!("{}:{other}", queue.1)))
    };
    tickets.retain(lives);
    let before = tickets.range(..ticket).next_back().cloned();
    state.queues.insert(queue, tickets);
    match state.keys.get(&lock) {
        Some(entry) if entry.value == asked.value => CommandResult::Applied(-1),
        None if before.is_none() => {
            let entry = Entry {
                value: asked.value.clone(),
                last: now + asked.ttl,
            };
            state.keys.insert(lock, entry);
            CommandResult::Applied(1)
        }
        _ => CommandResult::Behind(before.unwrap_or_default()),
    }
}

/// A reply of a kind that this command can't give.
fn say_odd(out: &mut Vec<u8>, kind: CommandKind, world: &World) {
    let replies: &[&[u8]] = match kind {
        CommandKind::Set => &[
            b":1\r\n",
            b":0\r\n",
            b"+QUEUED\r\n",
            b"*0\r\n",
            b"$2\r\nOK\r\n",
            b"*1\r\n+OK\r\n",
        ],
        // What it answers is a bulk string or a number.
        CommandKind::AcquireFair => &[b"+OK\r\n", b"$1\r\n1\r\n", b"$-1\r\n", b":0\r\n"],
        CommandKind::Inspect => &[b":1\r\n", b"+OK\r\n", b"$1\r\n1\r\n", b"$-1\r\n"],
        _ => &[b"+OK\r\n", b"$1\r\n1\r\n", b"$-1\r\n", b"*1\r\n:1\r\n"],
    };
    if world.chance.percent(10) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(world.chance.pick(replies));
    }
}

pub fn say_error(out: &mut Vec<u8>, error: &str) {
    out.extend_from_slice(format!("-{error}\r\n").as_bytes());
}

pub fn say_bulk(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
}

/// Releases that come in one call, and the script's digest.
fn read_releases(word: &str, command: &[String]) -> Option<(Vec<LockCommand>, &'static str)> {
    let (text, digest) = *RELEASE_EACH;
    let is_it = match word {
        "EVAL" => command[1] == text,
        "EVALSHA" => command[1] == digest,
        _ => false,
    };
    if !is_it {
        return None;
    }
    let count: usize = command.get(2)?.parse().ok()?;
    let keys = command.get(3..3 + count)?;
    let values = command.get(3 + count..)?;
    let releases = keys.iter().zip(values).map(|(key, value)| LockCommand {
        kind: CommandKind::Release,
        keys: vec![key.clone()],
        value: value.clone(),
        ttl: 0,
    });
    (values.len() == count && (2..=64).contains(&count)).then(|| (releases.collect(), digest))
}

/// What a SET or a script is to do, and the script's digest.
fn read_lock_command(
    word: &str,
    command: &[String],
) -> Option<(LockCommand, Option<&'static str>)> {
    if word == "SET" {
        let [_, key, value, nx, px, ttl] = command else {
            return None;
        };
        let lock_command = LockCommand {
            kind: CommandKind::Set,
            keys: vec![key.clone()],
            value: value.clone(),
            ttl: ttl.parse().ok().filter(|_| nx == "NX" && px == "PX")?,
        };
        return Some((lock_command, None));
    }
    let known = DIGESTS.iter().find(|(text, digest, _)| {
        if word == "EVAL" {
            command[1] == *text
        } else {
            command[1] == *digest
        }
    });
    let (_, digest, kind) = *known?;
    let count: usize = command.get(2)?.parse().ok()?;
    let keys = command.get(3..3 + count)?.to_vec();
    let value = command.get(3 + count)?.clone();
    let ttl = match kind {
        CommandKind::Acquire | CommandKind::AcquireFair | CommandKind::Extend => {
            command.get(4 + count)?.parse().ok()?
        }
        _ => 0,
    };
    Some((
        LockCommand {
            kind,
            keys,
            value,
            ttl,
        },
        Some(digest),
    ))
}

/// The first command in what was heard, and its length.
fn parse(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let (count, mut at) = number(bytes, b'*')?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, head) = number(&bytes[at..], b'$')?;
        let from = at + head;
        let word = bytes.get(from..from + length)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        at = from + length + 2;
        if at > bytes.len() {
            return None;
        }
    }
    Some((words, at))
}

fn number(bytes: &[u8], kind: u8) -> Option<(usize, usize)> {
    let first = *bytes.first()?;
    assert_eq!(first, kind, "a client that speaks something else");
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let digits = std::str::from_utf8(&bytes[1..end - 1]).expect("digits");
    Some((digits.parse().expect("a length"), end + 1))
}
