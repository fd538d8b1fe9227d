//! What is known of one resource by what instances tell of its key.
//!
//! A look reads the key and has its next change told, once. So of a key that has changed
//! nothing more is told until it is looked at again. One that passes from hand to hand
//! changes on all instances at once, again and again: then one instance is looked at first,
//! and the others once it has been quiet for a while, or not at all if the key is free.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::bell::Bell;
use crate::engine::cause::Cause;
use crate::engine::environment::Environment;
use crate::engine::instance::Instance;
use crate::engine::quorum::majority;
use crate::engine::round_trip::RoundTrip;
use crate::engine::validity::Instant;
use crate::engine::watched_key::{Seen, Watch, Watcher};

/// When it has been quiet for so long, every instance that has told of a change is looked at.
const QUIET: Duration = Duration::from_millis(8);

/// After the known end of a key's life it is gone.
const END_MARGIN: Duration = Duration::from_millis(1);

/// Of a key that still has the same value when it has changed, the next change is looked at
/// after a pause: from this, doubled each time, to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// What has not changed for so long after a pause changes now and then only, as a key does
/// whose lease is renewed: its next change is looked at at once.
const CALM: Duration = Duration::from_secs(1);

/// What a waiter is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Outlook {
    /// Ask: a majority seems to be free.
    Ask,
    /// Nothing before that time, unless more is known.
    After(Instant),
}

impl Outlook {
    /// What is to be done for two reasons: both must be free, and the earlier time is heeded.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(one), Self::After(other)) => Self::After(one.min(other)),
            (Self::Ask, other) => other,
            (one, Self::Ask) => one,
        }
    }
}

/// One resource, on all instances.
pub(super) struct WatchedResource {
    environment: Rc<dyn Environment>,
    bell: Rc<Bell>,
    state: RefCell<State>,
}

struct State {
    name: Box<str>,
    members: Vec<Member>,
    /// The look because of a change has shown it free: where it has changed too, it will be
    /// free as well.
    is_hopeful: bool,
    probe: Probe,
    /// The value that was seen last.
    holder: Option<Rc<str>>,
    /// The same when an attempt was refused last.
    refused_by: Option<Rc<str>>,
    pause: Duration,
    longest_pause: Duration,
    /// No change is looked at before.
    look_from: Instant,
    /// When all that have changed are looked at.
    settles_at: Option<Instant>,
}

/// The look at one instance because of a change.
enum Probe {
    None,
    /// It is not begun yet.
    Due(usize),
    UnderWay(usize),
}

struct Member {
    instance: Rc<dyn Instance>,
    /// What its keys were told from others' by when it was watched: they may be others' by now.
    keys: Option<usize>,
    watch: Option<Rc<dyn Watch>>,
    known: Known,
    /// A look is under way.
    is_asked: bool,
}

/// What is known of the key on one instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing, nor will its changes be told.
    Nothing,
    /// It has changed since it was looked at.
    Changed,
    Free,
    /// Somebody has it, until then if that is known.
    Held(Option<Instant>),
}

impl WatchedResource {
    pub(super) fn new(
        environment: Rc<dyn Environment>,
        name: &str,
        instances: &[Rc<dyn Instance>],
        longest_pause: Duration,
        bell: &Rc<Bell>,
    ) -> Rc<Self> {
        let members = instances.iter().map(|instance| Member {
            instance: Rc::clone(instance),
            keys: None,
            watch: None,
            known: Known::Nothing,
            is_asked: false,
        });
        let watched = Rc::new(Self {
            environment,
            bell: Rc::clone(bell),
            state: RefCell::new(State {
                name: name.into(),
                members: members.collect(),
                is_hopeful: false,
                probe: Probe::None,
                holder: None,
                refused_by: None,
                pause: Duration::ZERO,
                longest_pause,
                look_from: Instant::ORIGIN,
                settles_at: None,
            }),
        });
        watched.watch();
        watched
    }

    /// Has it watched wherever it isn't yet.
    fn watch(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        for index in 0..state.members.len() {
            let member = &mut state.members[index];
            let keys = member.instance.keys_are_those_of();
            if keys != member.keys {
                (member.keys, member.watch) = (keys, None);
                state.forget(index, self.environment.now());
            }
            let member = &mut state.members[index];
            if member.watch.is_none() {
                let watcher: Weak<dyn Watcher> = Rc::<Self>::downgrade(self);
                member.watch = member.instance.watch(&state.name, index, watcher);
            }
        }
    }

    /// Whether a majority may come to tell of changes.
    pub(super) fn is_watched(&self) -> bool {
        let state = self.state.borrow();
        state.count(|member| member.watch.is_some()) >= state.majority()
    }

    /// Whether a majority tells of changes, as far as is known.
    pub(super) fn is_live(&self) -> bool {
        let state = self.state.borrow();
        state.count(|member| member.known != Known::Nothing) >= state.majority()
    }

    /// Whether a majority was seen to be free.
    pub(super) fn is_free(&self) -> bool {
        self.state.borrow().is_free()
    }

    /// Looks at it on all instances.
    pub(super) fn look_at_all(self: &Rc<Self>) {
        self.watch();
        let mut state = self.state.borrow_mut();
        state.members.iter_mut().for_each(Member::look);
    }

    /// An attempt was refused: what seemed to be free is not, or is not known to be.
    pub(super) fn refused(self: &Rc<Self>) {
        self.watch();
        let now = self.environment.now();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.is_hopeful = false;
        state.refused_by.clone_from(&state.holder);
        for member in &mut state.members {
            let is_over = |until: Instant| until <= now;
            match member.known {
                Known::Held(until) if !until.is_some_and(is_over) => continue,
                Known::Nothing => {}
                _ => member.known = Known::Changed,
            }
            member.look();
        }
    }

    /// What is to be done at `now`, and whether a majority is known to be held by another than
    /// when an attempt was refused last; looks where that is due.
    pub(super) fn outlook(&self, now: Instant) -> (Outlook, bool) {
        let mut state = self.state.borrow_mut();
        let due = state.look_if_due(now);
        let majority = state.majority();
        let held = state.count(|member| matches!(member.known, Known::Held(_)));
        let outlook = if state.is_free() {
            Outlook::Ask
        } else {
            let end = state.end();
            match end {
                Some(end) if end <= now => Outlook::Ask,
                end => Outlook::After(due.min(end.unwrap_or(Instant::LAST))),
            }
        };
        (
            outlook,
            held >= majority && state.holder != state.refused_by,
        )
    }
}

impl State {
    fn count(&self, is_counted: impl Fn(&Member) -> bool) -> usize {
        self.members.iter().filter(|one| is_counted(one)).count()
    }

    /// Nothing tells of changes on that one any more.
    fn forget(&mut self, instance: usize, now: Instant) {
        if matches!(self.probe, Probe::UnderWay(index) | Probe::Due(index) if index == instance) {
            self.probe = Probe::None;
            self.settles_at = Some(now);
        }
        let member = &mut self.members[instance];
        (member.known, member.is_asked) = (Known::Nothing, false);
    }

    fn majority(&self) -> usize {
        majority(self.members.len())
    }

    /// Whether a majority seems to be free: each was seen to be, or one was that had changed,
    /// and the others have changed as well.
    fn is_free(&self) -> bool {
        let free = |member: &Member| match member.known {
            Known::Free => true,
            Known::Changed => self.is_hopeful,
            Known::Nothing | Known::Held(_) => false,
        };
        self.count(free) >= self.majority()
    }

    /// When a majority will be free at the latest, if that is known.
    fn end(&self) -> Option<Instant> {
        let ends = self.members.iter().filter_map(|member| match member.known {
            Known::Free => Some(Instant::ORIGIN),
            Known::Held(until) => until.map(|until| until.after(END_MARGIN)),
            _ => None,
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        ends.get(self.majority() - 1).copied()
    }

    /// Makes the looks that are due, and says when the next are.
    fn look_if_due(&mut self, now: Instant) -> Instant {
        if let Probe::Due(index) = self.probe
            && self.look_from <= now
        {
            self.probe = Probe::UnderWay(index);
            let member = &mut self.members[index];
            member.look();
            // If it does not answer soon, the others are to.
            let trip = member.instance.round_trip().map(RoundTrip::smoothed);
            let patience = QUIET.max(trip.unwrap_or_default() * 3);
            self.settles_at = Some(now.after(patience));
        }
        if self.settles_at.is_some_and(|at| at <= now) {
            self.settles_at = None;
            let changed = |member: &&mut Member| member.known == Known::Changed;
            let changed = self.members.iter_mut().filter(changed);
            changed.for_each(Member::look);
        }
        let probe = matches!(self.probe, Probe::Due(_)).then_some(self.look_from);
        let next = probe.into_iter().chain(self.settles_at).min();
        next.unwrap_or(Instant::LAST)
    }

    /// What was seen at the instance that was looked at because of a change.
    fn end_probe(&mut self, seen: &Seen, now: Instant) {
        self.probe = Probe::None;
        self.is_hopeful = *seen == Seen::Free;
        if let Seen::Held { value, .. } = seen {
            let is_same = value.is_some() && *value == self.holder;
            self.pause = if is_same {
                (self.pause * 2).max(SHORTEST_PAUSE).min(self.longest_pause)
            } else {
                Duration::ZERO
            };
            self.look_from = now.after(self.pause);
            self.settles_at = Some(now.after(self.pause.max(QUIET)));
        }
    }
}

impl Member {
    fn look(&mut self) {
        if let Some(watch) = &self.watch
            && !self.is_asked
        {
            self.is_asked = true;
            watch.look();
        }
    }
}

impl Watcher for WatchedResource {
    fn seen(&self, instance: usize, seen: Seen) {
        let now = self.environment.now();
        let mut state = self.state.borrow_mut();
        if matches!(state.probe, Probe::UnderWay(index) if index == instance) {
            state.end_probe(&seen, now);
        }
        let member = &mut state.members[instance];
        member.is_asked = false;
        member.known = match &seen {
            Seen::Free => Known::Free,
            Seen::Held { left, .. } => Known::Held(left.map(|left| now.after(left))),
        };
        if let Seen::Held { value, .. } = seen {
            state.holder = value;
        }
        drop(state);
        self.bell.ring();
    }

    fn changed(&self, instance: usize) {
        let now = self.environment.now();
        let mut state = self.state.borrow_mut();
        let member = &mut state.members[instance];
        if member.known == Known::Nothing {
            // There is a connection again. What was asked while there was none is not answered.
            member.is_asked = false;
            member.look();
            return;
        }
        member.known = Known::Changed;
        if state.look_from.after(state.longest_pause.min(CALM)) <= now {
            state.pause = Duration::ZERO;
        }
        // Where another is known to be free already, a vote says more than a look.
        if !state.is_free() && !matches!(state.probe, Probe::UnderWay(_)) {
            state.probe = Probe::Due(instance);
            state.look_if_due(now);
        }
        drop(state);
        self.bell.ring();
    }

    fn unwatched(&self, instance: usize, _: &Cause) {
        let now = self.environment.now();
        self.state.borrow_mut().forget(instance, now);
        self.bell.ring();
    }
}
