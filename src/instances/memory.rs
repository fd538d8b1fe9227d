//! An instance inside this process, `memory://name`: for tests, demos and
//! single-process programs. It is never a distributed lock.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::{Rc, Weak};

use crate::engine::{
    Cause, ConnectionState, Environment, Instance, Instant, Observer, Operation, Question,
    Responder, SafetyRule, Ticket, Token, Ttl, Vote,
};

/// A table of keys that expire, shared by all who open it under one name.
pub struct Memory {
    environment: Rc<dyn Environment>,
    table: Rc<RefCell<Table>>,
}

#[derive(Default)]
struct Table {
    keys: HashMap<Box<str>, Entry>,
    /// The tickets of all who wait, by their queues' names, the earliest first. Who lives
    /// has a key.
    queues: HashMap<Box<str>, BTreeSet<Box<str>>>,
    /// The size at which expired keys are looked for next.
    sweep_at: usize,
}

struct Entry {
    value: Token,
    expires: Instant,
}

/// The tables that are open, by their names. One thread has one of these.
#[derive(Default)]
pub struct Tables {
    open: RefCell<HashMap<Box<str>, Rc<RefCell<Table>>>>,
}

impl Tables {
    fn table(&self, name: &str, now: Instant) -> Rc<RefCell<Table>> {
        let mut tables = self.open.borrow_mut();
        tables.retain(|_, table| Rc::strong_count(table) > 1 || table.borrow().has_keys(now));
        Rc::clone(tables.entry(name.into()).or_default())
    }
}

impl Memory {
    /// Opens the table of `tables` called `name`, which lives as long as
    /// somebody has it open, or one of its keys lives.
    #[must_use]
    pub fn open(name: &str, environment: Rc<dyn Environment>, tables: &Tables) -> Self {
        Self {
            table: tables.table(name, environment.now()),
            environment,
        }
    }
}

impl Instance for Memory {
    fn no_wakeups(&self) -> Option<Rc<str>> {
        Some("it is a table in this process, whose users need no message".into())
    }

    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        if question.script().is_some() {
            let message = "ERR an instance in memory can't run scripts";
            return responder.fail(Cause::Refused {
                code: "ERR".into(),
                message: message.into(),
            });
        }
        let now = self.environment.now();
        let vote = self.table.borrow_mut().answer(question, now);
        responder.vote(vote);
    }

    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        if let Some(observer) = observer.upgrade() {
            observer.connection_changed(index, &ConnectionState::Ready { keyspace: None });
        }
    }

    fn is_refusal_final(&self) -> bool {
        true
    }

    fn keys_are_those_of(&self) -> Option<usize> {
        self.identity()
    }

    fn identity(&self) -> Option<usize> {
        Some(Rc::as_ptr(&self.table).addr())
    }
}

impl Table {
    fn answer(&mut self, question: &Question, now: Instant) -> Vote {
        let resources = &question.resources;
        let applied = match question.operation {
            Operation::Acquire { ttl } => {
                self.sweep(now);
                if let Some(ticket) = &question.ticket {
                    let behind = self.line_up(ticket, now);
                    let is_free = self.live(&resources[0], now).is_none();
                    if !is_free || behind.is_some() && SafetyRule::InTurn.is_kept() {
                        return Vote::Waiting { behind };
                    }
                }
                if resources.iter().any(|key| self.live(key, now).is_some()) {
                    return Vote::Held { applied: 0 };
                }
                for key in resources.iter() {
                    self.keys
                        .insert(key.clone(), Entry::new(question, now, ttl));
                }
                resources.len()
            }
            Operation::Extend { ttl } => {
                let ours = resources.iter().filter(|key| self.ours(key, question, now));
                let ours = ours.count();
                if ours == resources.len() {
                    for key in resources.iter() {
                        if let Some(entry) = self.keys.get_mut(key) {
                            let asked = now.after(ttl.span());
                            entry.expires = if SafetyRule::NeverShorter.is_kept() {
                                entry.expires.max(asked)
                            } else {
                                asked
                            };
                        }
                    }
                }
                ours
            }
            Operation::Inspect => {
                let entry = self.live(&resources[0], now);
                return Vote::Inspected {
                    value: entry.map(|entry| (*entry.value.text()).into()),
                    ttl: entry.map(|entry| entry.left(now)),
                };
            }
            Operation::Release { .. } => {
                let mut released = 0;
                for key in resources.iter() {
                    if self.ours(key, question, now) {
                        self.keys.remove(key);
                        released += 1;
                    }
                }
                released
            }
        };
        if applied == resources.len() {
            Vote::Granted
        } else {
            Vote::Held {
                applied: u32::try_from(applied).unwrap_or(u32::MAX),
            }
        }
    }

    /// Whose ticket is right before that one, which waits on from now.
    fn line_up(&mut self, ticket: &Ticket, now: Instant) -> Option<Rc<str>> {
        let is_fresh = |entry: &Entry| entry.expires.since(now) >= Ticket::RENEWED_BELOW;
        if !self.live(ticket.waiter(), now).is_some_and(is_fresh) {
            let waits = Entry {
                value: Token::from(ticket.text()),
                expires: now.after(Ticket::LEASE),
            };
            self.keys.insert(ticket.waiter().into(), waits);
        }
        let mut queue = self.queues.remove(ticket.queue()).unwrap_or_default();
        queue.retain(|other| self.live(&ticket.waiter_of(other), now).is_some());
        queue.insert(ticket.text().into());
        let before = queue
            .range::<str, _>((Unbounded, Excluded(ticket.text())))
            .next_back();
        let before = before.map(|before| Rc::from(&**before));
        self.queues.insert(ticket.queue().into(), queue);
        before
    }

    fn ours(&self, key: &str, question: &Question, now: Instant) -> bool {
        self.live(key, now)
            .is_some_and(|entry| entry.value == question.value)
    }

    fn has_keys(&self, now: Instant) -> bool {
        self.keys.values().any(|entry| now < entry.expires)
    }

    fn live(&self, key: &str, now: Instant) -> Option<&Entry> {
        self.keys.get(key).filter(|entry| now < entry.expires)
    }

    /// Forgets expired keys each time the table has doubled.
    fn sweep(&mut self, now: Instant) {
        if self.keys.len() < self.sweep_at {
            return;
        }
        self.keys.retain(|_, entry| now < entry.expires);
        let keys = &self.keys;
        self.queues.retain(|queue, tickets| {
            let mut names = tickets.iter().map(|ticket| format!("{queue}:{ticket}"));
            names.any(|name| keys.contains_key(&*name))
        });
        self.sweep_at = (self.keys.len() * 2).max(1024);
    }
}

impl Entry {
    fn new(question: &Question, now: Instant, ttl: Ttl) -> Self {
        Self {
            value: question.value.clone(),
            expires: now.after(ttl.span()),
        }
    }

    /// In milliseconds.
    fn left(&self, now: Instant) -> u64 {
        u64::try_from(self.expires.since(now).as_millis()).unwrap_or(u64::MAX)
    }
}
