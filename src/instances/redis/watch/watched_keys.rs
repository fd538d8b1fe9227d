//! What is watched on one connection, and by whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};

use redis::Value;

use super::message::Message;
use super::notice::{News, Notice};
use crate::engine::{Cause, Instant, Question, Seen, Watcher};

/// So many watches there may be on one connection, and keys, and bytes of their names.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What is watched on one connection, by the keys' names on the server. In order, so that
/// a simulation is the same run every time.
pub(super) struct WatchedKeys {
    prefix: Box<str>,
    keys: BTreeMap<Rc<[u8]>, Key>,
    /// Those that the server tells of, once each.
    told_of: BTreeSet<Rc<[u8]>>,
    /// Those that are to be looked at.
    queue: VecDeque<Rc<[u8]>>,
    /// Who has looked while the connection is down and doesn't know it.
    newcomers: Vec<(Rc<[u8]>, u64)>,
    watches: usize,
    bytes: usize,
    /// The longest name that there was, in bytes.
    longest: usize,
    /// How many times all keys have changed.
    times_all_changed: u64,
    next_number: u64,
}

/// One key. It is kept while it is looked at, be it watched any more or not, so that no more
/// looks are on their way than there may be keys.
struct Key {
    question: Rc<Question>,
    watches: Vec<OneWatch>,
    look: Look,
}

/// Somebody who watches a key.
struct OneWatch {
    number: u64,
    index: usize,
    watcher: Weak<dyn Watcher>,
    /// Wants a look that is not written yet.
    wants: bool,
    /// Waits for the one that is.
    waits: bool,
    /// Has been told that nothing tells of changes.
    is_unwatched: bool,
}

/// Whether a key is being looked at.
enum Look {
    None,
    Queued,
    UnderWay {
        /// It has changed meanwhile, perhaps after it was read.
        changed: bool,
        /// How many times all had before.
        times_all_changed: u64,
    },
}

/// What came of a look.
pub(super) enum LookResult {
    Seen(Seen),
    Failed(Cause),
}

impl OneWatch {
    fn told(&self, news: News) -> Notice {
        Notice {
            watcher: Weak::clone(&self.watcher),
            index: self.index,
            news,
        }
    }

    fn end(&mut self, cause: &Cause, notices: &mut Vec<Notice>) {
        self.wants = false;
        self.waits = false;
        if !self.is_unwatched {
            self.is_unwatched = true;
            notices.push(self.told(News::Unwatched(cause.clone())));
        }
    }
}

impl Key {
    fn tell_of_change(&self, notices: &mut Vec<Notice>) {
        notices.extend(self.watches.iter().map(|one| one.told(News::Changed)));
    }

    /// Has it looked at, for those who want that. Returns whether it is to be queued.
    fn wants_look(&mut self) -> bool {
        let wants = matches!(self.look, Look::None) && self.watches.iter().any(|one| one.wants);
        if wants {
            self.look = Look::Queued;
        }
        wants
    }
}

impl WatchedKeys {
    /// Those whose names begin with this on the server.
    pub(super) fn under(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            keys: BTreeMap::new(),
            told_of: BTreeSet::new(),
            queue: VecDeque::new(),
            newcomers: Vec::new(),
            watches: 0,
            bytes: 0,
            longest: 0,
            times_all_changed: 0,
            next_number: 0,
        }
    }

    /// Somebody watches `resource`; `None` if too much is watched.
    pub(super) fn add(
        &mut self,
        resource: &str,
        index: usize,
        watcher: Weak<dyn Watcher>,
    ) -> Option<(Rc<[u8]>, u64)> {
        let name = [self.prefix.as_bytes(), resource.as_bytes()].concat();
        let known = self.keys.get_key_value(&name[..]);
        let name = match known {
            Some((name, _)) => Rc::clone(name),
            None => Rc::from(name),
        };
        let is_new = known.is_none();
        let is_full = self.watches >= MOST
            || is_new && (self.keys.len() >= MOST || self.bytes + name.len() > MOST_BYTES);
        if is_full {
            return None;
        }
        let key = self.keys.entry(Rc::clone(&name)).or_insert_with(|| Key {
            question: Rc::new(Question::inspect(resource.into(), Instant::LAST)),
            watches: Vec::new(),
            look: Look::None,
        });
        if is_new {
            self.bytes += name.len();
            self.longest = self.longest.max(name.len());
        }
        let number = self.next_number;
        self.next_number += 1;
        self.watches += 1;
        key.watches.push(OneWatch {
            number,
            index,
            watcher,
            wants: false,
            waits: false,
            is_unwatched: false,
        });
        Some((name, number))
    }

    /// Somebody lets go of a key.
    pub(super) fn remove(&mut self, name: &[u8], number: u64) {
        let Some(key) = self.keys.get_mut(name) else {
            return;
        };
        let before = key.watches.len();
        key.watches.retain(|one| one.number != number);
        self.watches -= before - key.watches.len();
        self.forget_if_unused(name);
    }

    fn forget_if_unused(&mut self, name: &[u8]) {
        let key = self.keys.get(name);
        if key.is_some_and(|key| key.watches.is_empty() && matches!(key.look, Look::None)) {
            self.keys.remove(name);
            self.told_of.remove(name);
            self.bytes -= name.len();
        }
    }

    /// Nobody watches anything.
    pub(super) fn are_unused(&self) -> bool {
        self.watches == 0
    }

    /// No other key can be watched.
    pub(super) fn are_too_many(&self) -> bool {
        self.watches >= MOST || self.keys.len() >= MOST || self.bytes >= MOST_BYTES
    }

    /// How long a key's name may be in what the server says.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn watch(&mut self, name: &[u8], number: u64) -> Option<&mut OneWatch> {
        let mut watches = self.keys.get_mut(name)?.watches.iter_mut();
        watches.find(|one| one.number == number)
    }

    /// Somebody looks at a key, on this connection or on the one that is being made.
    pub(super) fn look(&mut self, name: &[u8], number: u64) {
        if let Some(one) = self.watch(name, number) {
            one.wants = true;
        }
        self.queue_if_wanted(name);
    }

    fn queue_if_wanted(&mut self, name: &[u8]) {
        if let Some((name, _)) = self.keys.get_key_value(name) {
            let name = Rc::clone(name);
            if self.keys.get_mut(&name).is_some_and(Key::wants_look) {
                self.queue.push_back(name);
            }
        }
    }

    /// The same where there is no connection, as those know who were told.
    pub(super) fn look_in_vain(&mut self, name: &[u8], number: u64) {
        let Some(one) = self.watch(name, number) else {
            return;
        };
        if !one.is_unwatched && !one.wants {
            // It is told soon, and not from within its own call.
            one.wants = true;
            self.newcomers.push((Rc::from(name), number));
        }
    }

    /// The connection is down for this reason, which those don't know who came meanwhile.
    pub(super) fn tell_newcomers(&mut self, cause: &Cause, notices: &mut Vec<Notice>) {
        for (name, number) in std::mem::take(&mut self.newcomers) {
            if let Some(one) = self.watch(&name, number) {
                one.end(cause, notices);
            }
        }
    }

    /// There is a connection. Who knew that there was none may look again.
    pub(super) fn begin(&mut self, notices: &mut Vec<Notice>) {
        self.newcomers.clear();
        for (name, key) in &mut self.keys {
            for one in &mut key.watches {
                if std::mem::take(&mut one.is_unwatched) {
                    notices.push(one.told(News::Changed));
                }
            }
            if key.wants_look() {
                self.queue.push_back(Rc::clone(name));
            }
        }
    }

    /// There is none any more, for this reason.
    pub(super) fn end(&mut self, cause: &Cause, notices: &mut Vec<Notice>) {
        self.forget_unused();
        self.newcomers.clear();
        self.told_of.clear();
        for one in self.keys.values_mut().flat_map(|key| &mut key.watches) {
            one.end(cause, notices);
        }
    }

    /// No look is under way any more, and none is queued.
    pub(super) fn forget_unused(&mut self) {
        self.queue.clear();
        for key in self.keys.values_mut() {
            key.look = Look::None;
        }
        self.keys.retain(|_, key| !key.watches.is_empty());
        self.bytes = self.keys.keys().map(|name| name.len()).sum();
    }

    /// The next look that is to be written: at which key, and what the server is asked.
    pub(super) fn next_look(&mut self) -> Option<(Rc<[u8]>, Rc<Question>)> {
        loop {
            let name = self.queue.pop_front()?;
            if let Some(question) = self.begin_look(&name) {
                return Some((name, question));
            }
        }
    }

    /// What the server is asked, if somebody still wants to know.
    fn begin_look(&mut self, name: &[u8]) -> Option<Rc<Question>> {
        let key = self.keys.get_mut(name)?;
        if key.watches.is_empty() {
            key.look = Look::None;
            self.forget_if_unused(name);
            return None;
        }
        key.look = Look::UnderWay {
            changed: false,
            times_all_changed: self.times_all_changed,
        };
        for one in &mut key.watches {
            one.waits = std::mem::take(&mut one.wants);
        }
        Some(Rc::clone(&key.question))
    }

    /// A look is answered.
    pub(super) fn end_look(
        &mut self,
        name: &Rc<[u8]>,
        result: &LookResult,
        notices: &mut Vec<Notice>,
    ) {
        let Some(key) = self.keys.get_mut(name) else {
            return;
        };
        let changed = match std::mem::replace(&mut key.look, Look::None) {
            Look::UnderWay {
                changed,
                times_all_changed,
            } => changed || times_all_changed != self.times_all_changed,
            Look::None | Look::Queued => false,
        };
        for one in &mut key.watches {
            if std::mem::take(&mut one.waits) {
                notices.push(one.told(match result {
                    LookResult::Seen(seen) => News::Seen(seen.clone()),
                    LookResult::Failed(cause) => News::Unwatched(cause.clone()),
                }));
            }
        }
        if changed {
            // It may have been that before it was read, which costs one look more.
            key.tell_of_change(notices);
            self.told_of.remove(name);
        } else if matches!(result, LookResult::Seen(_)) && !key.watches.is_empty() {
            self.told_of.insert(Rc::clone(name));
        }
        self.queue_if_wanted(name);
        self.forget_if_unused(name);
    }

    /// The server has said something unasked. What nobody wants to be told of costs nothing
    /// but that it is read.
    pub(super) fn hear(&mut self, message: &Message<'_>, notices: &mut Vec<Notice>) {
        match message {
            Message::Changed(names) => {
                for name in *names {
                    if let Value::BulkString(name) = name {
                        self.hear_of(name, notices);
                    }
                }
            }
            Message::AllChanged => {
                self.times_all_changed += 1;
                for name in std::mem::take(&mut self.told_of) {
                    if let Some(key) = self.keys.get(&name)
                        && !matches!(key.look, Look::UnderWay { .. })
                    {
                        key.tell_of_change(notices);
                    }
                }
            }
            Message::Other => {}
        }
    }

    fn hear_of(&mut self, name: &[u8], notices: &mut Vec<Notice>) {
        let Some(key) = self.keys.get_mut(name) else {
            return;
        };
        if let Look::UnderWay { changed, .. } = &mut key.look {
            *changed = true;
        } else if self.told_of.remove(name) {
            key.tell_of_change(notices);
        }
    }
}
