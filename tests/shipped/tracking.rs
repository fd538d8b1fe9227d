//! Who has read which key of a server, and is told once when it changes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::stream::Wire;
use crate::world::World;

/// What a server keeps of those who want to be told of changes.
#[derive(Default)]
pub struct Tracking {
    /// By name, in whichever database, and by the connection's number.
    readers: RefCell<BTreeMap<String, BTreeMap<u64, Weak<Wire>>>>,
    /// What it answers who asks for it, if it does not do it.
    pub refusal: Cell<Option<&'static str>>,
    pub faults: Cell<MessageFaults>,
}

/// What becomes of messages, in percent of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageFaults {
    pub lost: u64,
    pub late: u64,
    /// Up to so much.
    pub latest: Duration,
    pub doubled: u64,
    /// One of a key that nobody has read comes before it.
    pub foreign: u64,
    /// One of all keys takes its place.
    pub all: u64,
}

impl Tracking {
    /// A key was read on a connection that wants to be told.
    pub fn read(&self, key: &str, wire: &Rc<Wire>) {
        let mut readers = self.readers.borrow_mut();
        let readers = readers.entry(key.to_owned()).or_default();
        readers.insert(wire.number, Rc::downgrade(wire));
    }

    pub fn is_read(&self, key: &str) -> bool {
        self.readers.borrow().contains_key(key)
    }

    /// All connections are over.
    pub fn forget(&self) {
        self.readers.borrow_mut().clear();
    }

    /// A key has changed: whoever has read it is told, once.
    pub fn changed(&self, key: &str, world: &Rc<World>) {
        let readers = self.readers.borrow_mut().remove(key);
        for wire in readers.into_iter().flat_map(BTreeMap::into_values) {
            if let Some(wire) = wire.upgrade() {
                self.tell(&wire, Some(key), world);
            }
        }
    }

    /// All keys are gone.
    pub fn all_changed(&self, world: &Rc<World>) {
        let readers = self.readers.take();
        let wires: BTreeMap<_, _> = readers.into_values().flatten().collect();
        for wire in wires.into_values().filter_map(|wire| wire.upgrade()) {
            self.tell(&wire, None, world);
        }
    }

    fn tell(&self, wire: &Rc<Wire>, key: Option<&str>, world: &Rc<World>) {
        let faults = self.faults.get();
        let chance = &world.chance;
        if chance.percent(faults.foreign) {
            wire.reply(message(Some("nobody's")).as_bytes());
        }
        if chance.percent(faults.lost) {
            return world.note(format_args!("a message of {key:?} is lost"));
        }
        let said = message(key.filter(|_| !chance.percent(faults.all)));
        let times = if chance.percent(faults.doubled) { 2 } else { 1 };
        for _ in 0..times {
            if chance.percent(faults.late) {
                let (wire, said) = (Rc::clone(wire), said.clone());
                world.after(chance.span(faults.latest), move || {
                    wire.reply(said.as_bytes());
                });
            } else {
                wire.reply(said.as_bytes());
            }
        }
    }
}

/// That a key has changed, or all may have.
fn message(key: Option<&str>) -> String {
    let what = match key {
        Some(key) => format!("*1\r\n${}\r\n{key}\r\n", key.len()),
        None => "_\r\n".to_owned(),
    };
    format!(">2\r\n$10\r\ninvalidate\r\n{what}")
}
