//! A simulated instance, the server's side: keys that expire on its own clock.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{Operation, Question, Resources, Seen, Ticket, Token, Vote};

use crate::tickets::Tickets;
use crate::world::{Clock, Moment, World};

pub struct Server {
    pub index: usize,
    world: Rc<World>,
    clock: Clock,
    tells_own: bool,
    keys: RefCell<BTreeMap<Box<str>, Key>>,
    tickets: RefCell<Tickets>,
    /// Values a release has been carried out for.
    released: RefCell<BTreeSet<Token>>,
    up: Cell<bool>,
    /// Counts crashes: a message to an earlier life goes nowhere.
    life: Cell<u32>,
    hung_until: Cell<Moment>,
    /// Who is to be told of the next change to a key.
    looked_at: RefCell<Vec<LookedAt>>,
}

/// A key as somebody has seen it.
struct LookedAt {
    name: Box<str>,
    state: Option<(Token, u64)>,
    tell: Box<dyn Fn()>,
}

struct Key {
    value: Token,
    /// What it was set on together: one's own value may come again.
    resources: Resources,
    /// In the server's milliseconds, as Redis has it.
    expires: u64,
    /// The message that set it, and when.
    set_by: u64,
    set_at: Moment,
    /// It was set after its own release, which had been faster, and the client
    /// hasn't heard of it.
    overtaken: bool,
}

impl Server {
    pub fn new(world: &Rc<World>, index: usize, clock: Clock, tells_own: bool) -> Rc<Self> {
        Rc::new(Self {
            index,
            world: Rc::clone(world),
            clock,
            tells_own,
            keys: RefCell::default(),
            tickets: RefCell::default(),
            released: RefCell::default(),
            up: Cell::new(true),
            life: Cell::default(),
            hung_until: Cell::default(),
            looked_at: RefCell::default(),
        })
    }

    /// Carries one command out, atomically.
    pub fn answer(&self, message: u64, question: &Question) -> Vote {
        let vote = self.carry_out(message, question);
        self.tell_changes();
        vote
    }

    /// Reads a key, and has `tell` called once when it changes next.
    pub fn look(&self, name: &str, tell: Box<dyn Fn()>) -> Seen {
        let state = self.state(name);
        let seen = match &state {
            None => Seen::Free,
            Some((value, expires)) => Seen::Held {
                value: Some((*value.text()).into()),
                left: (*expires < u64::MAX).then(|| Duration::from_millis(expires - self.millis())),
            },
        };
        self.looked_at.borrow_mut().push(LookedAt {
            name: name.into(),
            state,
            tell,
        });
        seen
    }

    /// Tells those who have seen keys that are not as they were seen any more.
    fn tell_changes(&self) {
        let mut looked_at = self.looked_at.borrow_mut();
        let (changed, same) = std::mem::take(&mut *looked_at)
            .into_iter()
            .partition::<Vec<_>, _>(|seen| self.state(&seen.name) != seen.state);
        *looked_at = same;
        drop(looked_at);
        for seen in changed {
            (seen.tell)();
        }
    }

    /// Whether that key has that value now.
    pub fn has(&self, name: &str, value: &Token) -> bool {
        self.state(name).is_some_and(|(known, _)| known == *value)
    }

    fn state(&self, name: &str) -> Option<(Token, u64)> {
        let now = self.millis();
        let keys = self.keys.borrow();
        let key = keys.get(name).filter(|key| now < key.expires);
        key.map(|key| (key.value.clone(), key.expires))
    }

    fn carry_out(&self, message: u64, question: &Question) -> Vote {
        let now = self.millis();
        let mut keys = self.keys.borrow_mut();
        // What has expired is gone, for every command alike.
        keys.retain(|_, key| now < key.expires);
        let resources = &question.resources;
        let ours = |keys: &BTreeMap<Box<str>, Key>, name: &str| {
            keys.get(name)
                .is_some_and(|key| key.value == question.value)
        };
        let applied = match question.operation {
            Operation::Acquire { ttl } => {
                if self.tells_own && resources.iter().all(|name| ours(&keys, name)) {
                    return question.applied(-1);
                }
                let is_held = resources.iter().any(|name| keys.contains_key(name));
                let ticket = question.ticket.as_ref();
                if let Some(ticket) = ticket {
                    let behind = self.line_up(&mut keys, message, ticket);
                    if is_held || behind.is_some() {
                        return Vote::Waiting { behind };
                    }
                }
                if is_held {
                    0
                } else {
                    let overtaken = self.released.borrow().contains(&question.value);
                    for name in resources.iter() {
                        let key = Key {
                            value: question.value.clone(),
                            resources: Resources::clone(resources),
                            expires: now + ttl.millis(),
                            set_by: message,
                            set_at: self.world.now(),
                            overtaken,
                        };
                        keys.insert(name.clone(), key);
                    }
                    resources.len()
                }
            }
            Operation::Extend { ttl } => {
                let count = resources.iter().filter(|name| ours(&keys, name)).count();
                if count == resources.len() {
                    for name in resources.iter() {
                        let key = keys.get_mut(name).expect("ours, by the count");
                        key.expires = key.expires.max(now + ttl.millis());
                    }
                }
                count
            }
            Operation::Inspect => {
                let key = keys.get(&resources[0]);
                return Vote::Inspected {
                    value: key.map(|key| (*key.value.text()).into()),
                    ttl: key.map(|key| key.expires - now),
                };
            }
            Operation::Release { .. } => {
                self.released.borrow_mut().insert(question.value.clone());
                let before = keys.len();
                for name in resources.iter() {
                    if ours(&keys, name) {
                        keys.remove(name);
                    }
                }
                before - keys.len()
            }
        };
        if applied == resources.len() {
            Vote::Granted
        } else {
            Vote::Held {
                applied: u32::try_from(applied).expect("a few resources"),
            }
        }
    }

    /// One waits on from now; whose ticket is right before it?
    fn line_up(
        &self,
        keys: &mut BTreeMap<Box<str>, Key>,
        message: u64,
        ticket: &Ticket,
    ) -> Option<Rc<str>> {
        let mut tickets = self.tickets.borrow_mut();
        let lives = |name: &str| keys.contains_key(name);
        let behind = tickets.line_up(ticket, self.world.now(), lives);
        let millis = |span: Duration| u64::try_from(span.as_millis()).expect("a few");
        let fresh = self.millis() + millis(Ticket::RENEWED_BELOW);
        let waiter = keys.get(ticket.waiter());
        if waiter.is_some_and(|waiter| waiter.expires >= fresh) {
            return behind;
        }
        let waits = Key {
            value: Token::from(ticket.text()),
            resources: Resources::from([Box::from(ticket.waiter())]),
            expires: self.millis() + millis(Ticket::LEASE),
            set_by: message,
            set_at: self.world.now(),
            overtaken: false,
        };
        keys.insert(ticket.waiter().into(), waits);
        behind
    }

    /// Since when that waiter has been known here without a break, if it still is.
    pub fn waits_since(&self, waiter: &str) -> Option<Moment> {
        let now = self.millis();
        let keys = self.keys.borrow();
        keys.get(waiter).filter(|key| now < key.expires)?;
        self.tickets.borrow().since(waiter)
    }

    /// The client has the answer to that message: if it set a key that is not
    /// wanted, the client knows.
    pub fn heard(&self, message: u64) {
        for key in self.keys.borrow_mut().values_mut() {
            key.overtaken &= key.set_by != message;
        }
    }

    /// Somebody deletes every key.
    pub fn delete_all(&self) {
        self.keys.borrow_mut().clear();
        self.tickets.borrow_mut().forget();
        self.tell_changes();
    }

    /// Somebody who is no part of the simulation takes the keys for ever.
    pub fn occupy(&self, resources: &Resources) {
        for name in resources.iter() {
            let key = Key {
                value: Token::from("a stranger's"),
                resources: Resources::clone(resources),
                expires: u64::MAX,
                set_by: self.world.number(),
                set_at: self.world.now(),
                overtaken: false,
            };
            self.keys.borrow_mut().insert(name.clone(), key);
        }
        self.tell_changes();
    }

    /// He gives them back.
    pub fn leave(&self) {
        self.keys
            .borrow_mut()
            .retain(|_, key| key.expires < u64::MAX);
        self.tell_changes();
    }

    /// Whether a key lives that only a release could have prevented, not one
    /// that was set after its release had come and gone.
    pub fn keeps(
        &self,
        value: &Token,
        resources: &Resources,
        since: Moment,
        even_overtaken: bool,
    ) -> bool {
        let now = self.millis();
        let keys = self.keys.borrow();
        keys.values().any(|key| {
            key.value == *value
                && key.resources == *resources
                && since <= key.set_at
                && now < key.expires
                && (even_overtaken || !key.overtaken)
        })
    }

    pub fn is_empty(&self) -> bool {
        let now = self.millis();
        self.keys.borrow().values().all(|key| now >= key.expires)
    }

    pub fn is_up(&self) -> bool {
        self.up.get()
    }

    pub fn life(&self) -> u32 {
        self.life.get()
    }

    /// Until then, what arrives waits to be looked at.
    pub fn hung_until(&self) -> Moment {
        self.hung_until.get()
    }

    pub fn hang_until(&self, until: Moment) {
        self.hung_until.set(until.max(self.hung_until.get()));
    }

    pub fn wake(&self) {
        self.hung_until.set(Moment::default());
    }

    /// Dies; its connections die with it.
    pub fn crash(&self, keep_keys: bool) {
        self.up.set(false);
        self.life.set(self.life.get() + 1);
        self.looked_at.borrow_mut().clear();
        self.wake();
        if !keep_keys {
            self.keys.borrow_mut().clear();
            self.tickets.borrow_mut().forget();
        }
    }

    pub fn restart(&self) {
        self.world.note(format_args!("s{} is back", self.index));
        self.up.set(true);
    }

    fn millis(&self) -> u64 {
        self.clock.read(self.world.now()).nanos() / 1_000_000
    }
}
