//! The keys of one watched lock, wherever an instance tells of changes to them.
//!
//! What is told here only says when to ask: a lock is lost by votes. A key is looked at
//! once, so that its next change is told, and again after each. An extension of the
//! lock's own is such a change too, which costs one look in vain.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::super::cause::Cause;
use super::super::core::Core;
use super::super::environment::Environment;
use super::super::instance::Instance;
use super::super::question::Resources;
use super::super::quorum::majority;
use super::super::safety_rule::SafetyRule;
use super::super::token::Token;
use super::super::validity::Instant;
use super::super::wake_ups::Bell;
use super::super::watched_key::{Seen, Watch, Watcher};

/// After a look that has shown nothing new the next one waits: from the shortest, doubled
/// each time, to the longest. So what floods us with messages has us look once a second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));

/// What was quiet for so many times its pause is looked at as if for the first time.
const QUIET_PAUSES: u32 = 8;

/// When votes have not confirmed what looks had shown, the keys are looked at once more:
/// an acquire of ours may have been on its way still.
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

/// How often votes are asked for until the lock is extended next.
const MOST_DOUBTS: u32 = 2;

/// The keys of one watched lock. They are watched until this is dropped.
pub(super) struct WatchedKeys {
    keys: Vec<Rc<WatchedKey>>,
    bell: Rc<Bell>,
}

impl WatchedKeys {
    /// Begins to watch them; `None` if changes to one of them are not told by a majority.
    pub(super) fn watch(core: &Core, resources: &Resources, value: &Token) -> Option<Self> {
        let bell = Rc::<Bell>::default();
        let keys = (0..resources.len()).map(|at| {
            let key = WatchedKey {
                environment: Rc::clone(&core.environment),
                bell: Rc::clone(&bell),
                resources: Resources::clone(resources),
                at,
                value: value.clone(),
                state: RefCell::default(),
            };
            let key = Rc::new(key);
            key.watch_on(core.watched_instances()).then_some(key)
        });
        let keys = keys.collect::<Option<_>>()?;
        let keys = Self { keys, bell };
        keys.look_at_unknown();
        Some(keys)
    }

    /// The lock was extended: votes may be asked for again, and what isn't watched anywhere
    /// may be by now.
    pub(super) fn extended(&self, core: &Core) {
        for key in &self.keys {
            key.state.borrow_mut().doubts = 0;
            key.watch_on(core.watched_instances());
        }
        self.look_at_unknown();
    }

    fn look_at_unknown(&self) {
        for key in &self.keys {
            for member in &mut key.state.borrow_mut().members {
                if member.known == Known::Nothing {
                    member.look();
                }
            }
        }
    }

    /// Makes the looks that are due at `now`, and says when the next ones are.
    pub(super) fn look_if_due(&self, now: Instant) -> Instant {
        let next = self.keys.iter().map(|key| key.look_if_due(now));
        next.min().unwrap_or(Instant::LAST)
    }

    /// A key that is not the lock's any more, as it seems: a majority has shown that.
    pub(super) fn suspected(&self) -> Option<Suspect<'_>> {
        let suspected = self.keys.iter().find(|key| key.is_suspected());
        suspected.map(Suspect)
    }

    /// Resolves when more is known than before.
    pub(super) async fn changed(&self) {
        std::future::poll_fn(|context| self.bell.poll(context)).await;
    }
}

/// A key that seems to be the lock's no more.
pub(super) struct Suspect<'keys>(&'keys Rc<WatchedKey>);

impl Suspect<'_> {
    pub(super) fn resource(&self) -> &str {
        self.0.resource()
    }

    /// Votes have not confirmed it, at `now`.
    pub(super) fn is_not_confirmed(&self, now: Instant) {
        let mut state = self.0.state.borrow_mut();
        state.doubts += 1;
        for member in &mut state.members {
            if member.known == Known::Gone {
                member.known = Known::Nothing;
                member.look_from = now.after(DOUBT_PAUSE);
                if member.look == Look::None {
                    member.look = Look::Due;
                }
            }
        }
    }
}

/// One key, on all instances.
struct WatchedKey {
    environment: Rc<dyn Environment>,
    bell: Rc<Bell>,
    resources: Resources,
    /// Which of them it is.
    at: usize,
    value: Token,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    /// How often votes have not confirmed that it is gone.
    doubts: u32,
}

/// One key on one instance.
struct Member {
    /// `None` where nothing tells of changes.
    watch: Option<Rc<dyn Watch>>,
    known: Known,
    look: Look,
    /// It is not looked at before.
    look_from: Instant,
    pause: Duration,
}

/// What the last look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// There was none, or it is of no use any more.
    Nothing,
    Ours,
    /// It is not there, or somebody else's.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    None,
    Due,
    UnderWay,
}

impl WatchedKey {
    fn resource(&self) -> &str {
        &self.resources[self.at]
    }

    /// Has it watched where it isn't yet; whether a majority may tell of changes then.
    fn watch_on(self: &Rc<Self>, instances: &[Rc<dyn Instance>]) -> bool {
        let mut state = self.state.borrow_mut();
        state.members.truncate(instances.len());
        for (index, instance) in instances.iter().enumerate() {
            if index == state.members.len() {
                state.members.push(Member::unwatched());
            }
            let member = &mut state.members[index];
            if member.watch.is_none() {
                let watcher: Weak<dyn Watcher> = Rc::<Self>::downgrade(self);
                member.watch = instance.watch(self.resource(), index, watcher);
            }
        }
        state.count(|member| member.watch.is_some()) >= majority(instances.len())
    }

    fn look_if_due(&self, now: Instant) -> Instant {
        let mut next = Instant::LAST;
        for member in &mut self.state.borrow_mut().members {
            if member.look == Look::Due {
                if member.look_from <= now {
                    member.look();
                } else {
                    next = next.min(member.look_from);
                }
            }
        }
        next
    }

    fn is_suspected(&self) -> bool {
        let state = self.state.borrow();
        let gone = state.count(|member| member.known == Known::Gone);
        gone >= majority(state.members.len()) && state.doubts < MOST_DOUBTS
    }
}

impl State {
    fn count(&self, is_counted: impl Fn(&Member) -> bool) -> usize {
        self.members.iter().filter(|one| is_counted(one)).count()
    }
}

impl Member {
    fn unwatched() -> Self {
        Self {
            watch: None,
            known: Known::Nothing,
            look: Look::None,
            look_from: Instant::ORIGIN,
            pause: Duration::ZERO,
        }
    }

    fn look(&mut self) {
        if let Some(watch) = &self.watch
            && self.look != Look::UnderWay
        {
            self.look = Look::UnderWay;
            watch.look();
        }
    }

    /// A look is answered, at `now`.
    fn is_seen(&mut self, shown: Known, now: Instant) {
        self.look = Look::None;
        let is_new = self.known != shown;
        self.known = shown;
        let was_quiet = self.look_from.after(self.pause * QUIET_PAUSES) <= now;
        self.pause = if is_new || was_quiet {
            PAUSE.0
        } else {
            (self.pause * 2).clamp(PAUSE.0, PAUSE.1)
        };
        self.look_from = now.after(self.pause);
    }
}

impl Watcher for WatchedKey {
    fn seen(&self, instance: usize, seen: Seen) {
        let shown = match seen {
            Seen::Held {
                value: Some(value), ..
            } if *value == *self.value.text() => Known::Ours,
            Seen::Held { .. } | Seen::Free => Known::Gone,
        };
        let now = self.environment.now();
        if let Some(member) = self.state.borrow_mut().members.get_mut(instance) {
            member.is_seen(shown, now);
        }
        self.bell.ring();
    }

    fn changed(&self, instance: usize) {
        let mut state = self.state.borrow_mut();
        let Some(member) = state.members.get_mut(instance) else {
            return;
        };
        if !SafetyRule::LostByVotes.is_kept() {
            state
                .members
                .iter_mut()
                .for_each(|one| one.known = Known::Gone);
        } else if member.look == Look::None || member.known == Known::Nothing {
            // While one is under way, what it shows is newer; unless there was no connection.
            member.look = Look::Due;
        }
        drop(state);
        self.bell.ring();
    }

    fn unwatched(&self, instance: usize, _: &Cause) {
        if let Some(member) = self.state.borrow_mut().members.get_mut(instance) {
            member.known = Known::Nothing;
            member.look = Look::None;
        }
    }
}
