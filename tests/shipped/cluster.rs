//! The slots of a cluster: which node has which, and those that are being moved.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crc::{CRC_16_XMODEM, Crc};

use crate::redis::{LockCommand, Server, say_bulk};

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
const COUNT: u16 = 16_384;

/// A cluster, whose slots move in ranges that are all of one node's.
pub struct Slots {
    nodes: Vec<Weak<Server>>,
    /// By part, the node that has it. A slot is of the part `slot % parts`.
    owners: RefCell<Vec<usize>>,
    /// The part that is being moved, and to whom.
    moving: Cell<Option<(usize, usize)>>,
}

/// So many ranges.
const PARTS: usize = 8;

impl Slots {
    pub fn new(nodes: &[Rc<Server>]) -> Rc<Self> {
        let slots = Rc::new(Self {
            nodes: nodes.iter().map(Rc::downgrade).collect(),
            owners: RefCell::new((0..PARTS).map(|part| part % nodes.len()).collect()),
            moving: Cell::new(None),
        });
        for node in nodes {
            node.slots.replace(Some(Rc::clone(&slots)));
        }
        slots
    }

    pub fn nodes(&self) -> Vec<Rc<Server>> {
        self.nodes.iter().filter_map(Weak::upgrade).collect()
    }

    fn node(&self, index: usize) -> Rc<Server> {
        self.nodes[index].upgrade().expect("nodes outlive the run")
    }

    /// A range begins to move.
    pub fn begin(&self, part: usize, to: usize) {
        let (part, to) = (part % PARTS, to % self.nodes.len());
        let from = self.owners.borrow()[part];
        let both_up = self.node(from).is_up() && self.node(to).is_up();
        if self.moving.get().is_none() && from != to && both_up {
            self.moving.set(Some((part, to)));
        }
    }

    /// One of its keys is moved.
    pub fn migrate_one(&self) {
        if let Some((part, to)) = self.moving.get() {
            let from = self.node(self.owners.borrow()[part]);
            if !from.is_up() || !self.node(to).is_up() {
                return;
            }
            let key = from.names().into_iter().find(|key| part_of(key) == part);
            if let Some(key) = key {
                from.migrate(&key, &self.node(to));
            }
        }
    }

    /// The rest of it is moved, and everybody may know; `false` while one of the
    /// two is away, with its keys or without.
    pub fn end(&self) -> bool {
        let Some((part, to)) = self.moving.get() else {
            return true;
        };
        let from = self.node(self.owners.borrow()[part]);
        if !from.is_up() || !self.node(to).is_up() {
            return false;
        }
        self.moving.set(None);
        for key in from.names() {
            if part_of(&key) == part {
                from.migrate(&key, &self.node(to));
            }
        }
        self.owners.borrow_mut()[part] = to;
        true
    }

    /// What a node answers that can't carry this out.
    pub fn redirect(
        &self,
        at: &Server,
        lock_command: &LockCommand,
        asking: bool,
    ) -> Option<String> {
        let first = slot_of(&lock_command.keys[0]);
        if lock_command.keys.iter().any(|key| slot_of(key) != first) {
            return Some("CROSSSLOT Keys in request don't hash to the same slot".to_owned());
        }
        let part = range_of(first);
        let owner = self.node(self.owners.borrow()[part]);
        let here = |node: &Server| node.index == at.index;
        let moving = self.moving.get().filter(|(moving, _)| *moving == part);
        let there = moving.map(|(_, to)| self.node(to));
        let has = lock_command.keys.iter().filter(|key| at.has(key)).count();
        match there {
            Some(target) if here(&owner) && has < lock_command.keys.len() => Some(if has == 0 {
                format!("ASK {first} {}:6379", target.host)
            } else {
                tryagain()
            }),
            Some(target) if here(&target) && asking => {
                (lock_command.keys.len() > 1 && has < lock_command.keys.len()).then(tryagain)
            }
            _ if here(&owner) => None,
            _ => Some(format!("MOVED {first} {}:6379", owner.host)),
        }
    }

    /// The reply to CLUSTER SLOTS.
    pub fn tell(&self, _: &Server, out: &mut Vec<u8>) {
        let owners = self.owners.borrow();
        let width = COUNT / u16::try_from(PARTS).expect("a few");
        out.extend_from_slice(format!("*{PARTS}\r\n").as_bytes());
        for (part, owner) in owners.iter().enumerate() {
            let first = u16::try_from(part).expect("a few") * width;
            let last = first + width - 1;
            let node = self.node(*owner);
            out.extend_from_slice(format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n").as_bytes());
            say_bulk(out, &node.host);
            out.extend_from_slice(b":6379\r\n");
            say_bulk(out, &format!("{:040x}", node.index));
        }
    }
}

fn tryagain() -> String {
    "TRYAGAIN Multiple keys request during rehashing of slot".to_owned()
}

fn slot_of(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let counted = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
    CRC.checksum(counted.unwrap_or(key).as_bytes()) % COUNT
}

fn range_of(slot: u16) -> usize {
    usize::from(slot) * PARTS / usize::from(COUNT)
}

/// The range that a key is in.
pub fn part_of(key: &str) -> usize {
    range_of(slot_of(key))
}
