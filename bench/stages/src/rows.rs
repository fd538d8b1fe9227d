//! Requests as JavaScript hands them over, in rows, and answers as it takes them
//! (docs/hand-over.md), over three tables in memory.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redlock_native::binding::command::Command;
use redlock_native::binding::config::Config;
use redlock_native::binding::decode::Batch;
use redlock_native::binding::encode::Rows;
use redlock_native::binding::ids::{Handle, SessionId};
use redlock_native::binding::inbox::{Inbox, Message};
use redlock_native::binding::layout::{
    AnswerKind, Operation, UNLIMITED, VALUE_LENGTH, answer, request,
};
use redlock_native::binding::outbox::Outbox;
use redlock_native::binding::serve::serve;
use redlock_native::binding::shared::Shared;
use redlock_native::engine::{Cause, Environment as _};
use redlock_native::instances::redis;

use crate::TOGETHER;
use crate::calls::{Counts, add};
use crate::names::{SETS, batches, is_held, names};
use crate::world::World;

const SESSION: SessionId = SessionId(1);

/// How many answers JavaScript has room for.
const ROOM: usize = 256;

/// A JavaScript thread's side of the hand-over.
pub struct JavaScript {
    world: World,
    inbox: Rc<Inbox>,
    outbox: Arc<Outbox>,
    rung: Arc<AtomicBool>,
    numbers: Vec<f64>,
    values: Vec<u8>,
    counts: Counts,
}

/// A lock that was handed over.
struct Lock {
    slot: usize,
    since: f64,
    value: [u8; VALUE_LENGTH],
}

impl JavaScript {
    /// Starts the engine's thread with one quorum.
    fn start() -> Self {
        let world = World::default();
        let rung = Arc::new(AtomicBool::new(false));
        let bell = Arc::clone(&rung);
        let outbox = Arc::new(Outbox::new(move || bell.store(true, Ordering::Relaxed)));
        let inbox = Rc::new(Inbox::new());
        let shared = Shared::new(world.environment(), Rc::new(Nowhere));
        let messages = Rc::clone(&inbox);
        world.spawn(Box::pin(async move { serve(&messages, &shared).await }));
        inbox.push(Message::Begin(SESSION, Arc::clone(&outbox)));
        let table = |name| format!(r#"{{"kind":"memory","name":"{name}"}}"#);
        let config = format!(
            r#"{{"instances":[{}]}}"#,
            ["a", "b", "c"].map(table).join(",")
        );
        let javascript = Self {
            world,
            inbox,
            outbox,
            rung,
            numbers: vec![0.0; 1 + ROOM * answer::NUMBERS],
            values: vec![0; ROOM * VALUE_LENGTH],
            counts: Counts::default(),
        };
        javascript.send(Command::Open {
            handle: Handle(0),
            config: Config::read(&config).expect("a configuration"),
        });
        javascript
    }

    fn send(&self, command: Command) {
        self.inbox.push(Message::Command(SESSION, command));
    }

    /// Takes all of these but those that are held.
    fn lock(&mut self, names: &[String], ttl: f64) -> Vec<Lock> {
        self.send(Command::Submit(locks(names, ttl)));
        self.take()
    }

    /// Releases these.
    fn release(&mut self, names: &[String], locks: &[Lock]) {
        let mut written = Written::default();
        for lock in locks {
            let mut row = row(lock.slot, Operation::Unlock);
            row[request::TIME] = lock.since;
            row[request::VALUE_LENGTH] = length(&lock.value);
            written.write(&row, &lock.value, &names[lock.slot]);
        }
        self.send(Command::Submit(written.into_batch()));
        self.take();
    }

    /// Lets the engine's thread run, and takes what it has answered.
    fn take(&mut self) -> Vec<Lock> {
        self.world.pass(Duration::from_millis(1));
        let mut locks = Vec::new();
        while self.rung.swap(false, Ordering::Relaxed) {
            self.drain(&mut locks);
            self.world.run();
        }
        locks
    }

    /// As `Mailbox::drain` and lib/native/answers.js do.
    fn drain(&mut self, locks: &mut Vec<Lock>) {
        let now = self.world.now();
        let mut rows = Rows::new(&mut self.numbers, &mut self.values, now);
        let mut responses = self.outbox.take(rows.room());
        for mut response in responses.drain(..) {
            assert!(response.check_at(now).is_none(), "no lock is over here");
            rows.write(response);
        }
        self.outbox.give_back(responses);
        rows.finish();
        let count = whole(self.numbers[0]);
        assert!(count < ROOM, "there is room for all");
        let mut values = self.values.chunks_exact(VALUE_LENGTH);
        for row in self.numbers[1..].chunks_exact(answer::NUMBERS).take(count) {
            let kind = whole(row[answer::KIND]);
            if kind == AnswerKind::Locked.number() as usize {
                add(&self.counts.granted);
                let value = values.next().expect("one for each lock");
                locks.push(Lock {
                    slot: whole(row[answer::SLOT]),
                    since: row[answer::LAST],
                    value: value.try_into().expect("a value's length"),
                });
            } else if kind == AnswerKind::Unlocked.number() as usize {
                add(&self.counts.released);
            } else if kind == AnswerKind::Failed.number() as usize {
                add(&self.counts.refused);
            }
        }
    }
}

/// Requests for locks on these.
#[must_use]
pub fn locks(names: &[String], ttl: f64) -> Batch {
    let mut written = Written::default();
    for (slot, name) in names.iter().enumerate() {
        let mut row = row(slot, Operation::Lock);
        row[request::TTL] = ttl;
        written.write(&row, &[], name);
    }
    written.into_batch()
}

/// What JavaScript has written.
struct Written {
    numbers: Vec<f64>,
    text: Vec<u16>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            numbers: Vec::with_capacity(TOGETHER as usize * (request::NUMBERS + 1)),
            text: Vec::with_capacity(TOGETHER as usize * 64),
        }
    }
}

impl Written {
    /// A request on one name; value and name are in ASCII.
    fn write(&mut self, row: &[f64], value: &[u8], name: &str) {
        self.numbers.extend(row);
        self.numbers.push(length(name.as_bytes()));
        self.text.extend(value.iter().copied().map(u16::from));
        self.text.extend(name.bytes().map(u16::from));
    }

    fn into_batch(self) -> Batch {
        Batch::new(self.numbers, &self.text)
    }
}

fn row(slot: usize, operation: Operation) -> [f64; request::NUMBERS] {
    let mut row = [0.0; request::NUMBERS];
    row[request::SLOT] = number(slot);
    row[request::OPERATION] = operation.number().into();
    row[request::DRIFT_FACTOR] = 0.01;
    row[request::MAX_WAIT] = UNLIMITED;
    row[request::COUNT] = 1.0;
    row
}

fn length(bytes: &[u8]) -> f64 {
    number(bytes.len())
}

#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
fn number(number: usize) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small whole numbers"
)]
fn whole(number: f64) -> usize {
    number as usize
}

/// Tables in memory need no way to a server.
struct Nowhere;

impl redis::Dialler for Nowhere {
    fn connect<'a>(&'a self, _: &'a redis::Config) -> redis::Connecting<'a> {
        Box::pin(async { Err(Cause::Dropped) })
    }
}

/// Locks and unlocks in rows, over three tables in memory.
pub fn over_memory(cycles: u32) {
    let mut javascript = JavaScript::start();
    for set in 0..SETS {
        let names = names(set, TOGETHER).into_iter();
        let held: Vec<_> = names.filter(|name| is_held(name)).collect();
        javascript.lock(&held, 1e9);
    }
    javascript.counts.reset();
    for names in batches(cycles, names) {
        let locks = javascript.lock(&names, 10_000.0);
        javascript.release(&names, &locks);
    }
    javascript.take();
    javascript.counts.expect(cycles);
}
