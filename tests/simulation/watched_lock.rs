//! What must hold of a lock that the engine keeps: its holder believes in it
//! exactly as long as the watch says so.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{
    Environment as _, Failure, Instant, Loss, Reason, Renewal, Resources, Settings, SharedValidity,
    Token, Ttl, Validity, WatchRequest, majority,
};

use crate::checker::Checker;
use crate::counts::bump;
use crate::member::Lock;
use crate::process::Process;
use crate::server::Server;
use crate::world::Moment;

/// A lock from its being kept to its release or loss.
pub struct WatchedLock {
    pub number: u64,
    pub process: Process,
    pub resources: Resources,
    pub value: Token,
    pub watch: SharedValidity,
    renewal: Option<Renewal>,
    settings: Settings,
    /// What the watch showed when it was last looked at.
    seen: Cell<Instant>,
    /// The furthest end that its holder asked for.
    by_hand: Cell<Instant>,
    /// When its end was noticed, and how long the process had stood still.
    ended: Cell<Option<(Moment, Duration)>>,
    stage: Cell<Stage>,
    extensions: Cell<u32>,
    /// Nothing can keep it from being extended in time.
    safe: Cell<bool>,
    retired: Cell<bool>,
    /// By instance.
    servers: Vec<Rc<Server>>,
    /// Instances that have lacked one of its keys since it is kept.
    lacking: RefCell<BTreeSet<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Kept,
    /// Given back, or kept no longer.
    Over,
    Told,
}

/// How late a loss is told, at most, but for pauses: a timer, the event loop,
/// and what is caught up after a pause.
const SLACK: Duration = Duration::from_millis(4);
/// As near to a cap as no extension is worth while.
const NEAR: Duration = Duration::from_millis(5);
const SEVERAL: u32 = 3;

impl WatchedLock {
    pub fn is_kept(&self) -> bool {
        self.stage.get() == Stage::Kept
    }

    /// Whether its loss was told.
    pub fn is_told(&self) -> bool {
        self.stage.get() == Stage::Told
    }

    /// How often it was extended by itself.
    pub fn extensions(&self) -> u32 {
        self.extensions.get()
    }

    /// Whether its holder would act on it at this moment.
    pub fn is_believed(&self) -> bool {
        self.is_kept() && self.process.now() < self.watch.until()
    }

    /// What has it kept in the same way once more.
    pub fn hold(&self, until: Instant) -> WatchRequest {
        self.retired.set(false);
        WatchRequest {
            resources: Resources::clone(&self.resources),
            value: self.value.clone(),
            until,
            renewal: self.renewal,
            settings: self.settings.clone(),
            number: self.number,
        }
    }

    fn note_lacking(&self) {
        for (index, server) in self.servers.iter().enumerate() {
            let mut names = self.resources.iter();
            if !names.all(|name| server.has(name, &self.value)) {
                self.lacking.borrow_mut().insert(index);
            }
        }
    }

    /// From now on it must be lost through nothing but its cap.
    pub fn trust(&self) {
        self.safe.set(true);
    }

    /// Its holder interferes.
    pub fn distrust(&self) {
        self.safe.set(false);
    }

    /// Whether the engine may ask for that on its own.
    pub fn may_extend(&self, ttl: Ttl) -> bool {
        self.is_believed()
            && !self.retired.get()
            && self.renewal.is_some_and(|renewal| ttl <= renewal.ttl)
    }
}

impl Checker {
    pub fn keep(
        &self,
        process: &Process,
        servers: Vec<Rc<Server>>,
        lock: &Lock,
        renewal: Option<Renewal>,
        settings: &Settings,
    ) -> Rc<WatchedLock> {
        let Lock {
            resources,
            value,
            until,
            ..
        } = lock;
        self.disbelieve(resources, value);
        let hold = WatchRequest {
            // Not the one of requests, so that its extensions are told apart.
            resources: resources.iter().cloned().collect(),
            value: value.clone(),
            until: *until,
            renewal,
            settings: settings.clone(),
            number: self.world().number(),
        };
        let watch = hold.watch();
        let watched = Rc::new(WatchedLock {
            number: hold.number,
            process: process.clone(),
            resources: hold.resources,
            value: hold.value,
            watch,
            renewal,
            settings: hold.settings,
            seen: Cell::new(*until),
            by_hand: Cell::new(*until),
            ended: Cell::default(),
            stage: Cell::new(Stage::Kept),
            extensions: Cell::default(),
            safe: Cell::new(false),
            retired: Cell::default(),
            servers,
            lacking: RefCell::default(),
        });
        self.world().note(format_args!(
            "p{}: keeps {value:.6} as #{}: {renewal:?}",
            process.index(),
            watched.number,
            value = &*value.text(),
        ));
        bump(&self.counts.kept);
        self.be_there_at(&watched, *until);
        self.watched_locks().push(Rc::clone(&watched));
        watched
    }

    /// Its holder gives it back, or lets go of it.
    pub fn kept_no_longer(&self, watched: &WatchedLock) {
        self.watch_over(watched);
        if watched.is_kept() {
            watched.stage.set(Stage::Over);
            self.finish(watched);
        }
    }

    /// The process extends none of its locks by itself any more.
    pub fn retired(&self, process: &Process) {
        for watched in self.watched_locks().iter() {
            if watched.process.index() == process.index() {
                watched.retired.set(true);
                watched.distrust();
            }
        }
    }

    /// A holder has extended a kept lock by hand.
    pub fn extended_by_hand(&self, watched: &WatchedLock, until: Instant) {
        watched.by_hand.set(watched.by_hand.get().max(until));
        self.expect_of(
            watched,
            watched.process.now() < until && watched.watch.until() == until,
            format_args!("is extended by hand, which its watch does not show"),
        );
        self.watch_over(watched);
    }

    /// A holder could not extend a kept lock by hand (safety rule 9).
    pub fn not_extended_by_hand(&self, watched: &WatchedLock, failure: &Failure) {
        let left = failure.until.unwrap_or(watched.process.now());
        self.expect_of(
            watched,
            !watched.is_kept() || watched.watch.until() <= left,
            format_args!("is believed in for longer than {failure} leaves it"),
        );
    }

    /// The engine tells of a loss.
    pub fn lost(&self, process: &Process, number: u64, failure: &Failure) {
        let watched_locks = self.watched_locks().clone();
        let Some(watched) = watched_locks
            .iter()
            .find(|watched| watched.number == number)
        else {
            let index = process.index();
            self.expect(false, format_args!("p{index}: the loss of nothing is told"));
            return;
        };
        self.world()
            .note(format_args!("#{number} is lost: {failure}"));
        self.watch_over(watched);
        let stage = watched.stage.replace(Stage::Told);
        self.expect_of(
            watched,
            stage == Stage::Kept,
            format_args!("is lost once it is {stage:?}"),
        );
        self.expect_of(
            watched,
            process.now() >= watched.watch.until(),
            format_args!("is lost and can still be believed in"),
        );
        let shown = watched.watch.state().1.map(Loss::reason);
        self.expect_of(
            watched,
            shown == Some(failure.reason),
            format_args!("is told to be lost since {failure}, and its watch shows {shown:?}"),
        );
        let (lacking, all) = (watched.lacking.borrow().len(), watched.servers.len());
        self.expect_of(
            watched,
            failure.reason != Reason::NotHeld || lacking >= majority(all),
            format_args!("is told to be gone, and only {lacking} of {all} have ever lacked it"),
        );
        let late = watched.ended.get().map(|(ended, paused)| {
            let since = self.world().now().since(ended);
            since.saturating_sub(process.paused().saturating_sub(paused))
        });
        self.expect_of(
            watched,
            late.is_some_and(|late| late <= SLACK),
            format_args!("is told to be lost {late:?} after its end"),
        );
        let capped = failure.reason == Reason::MaxHold;
        let cap = watched.renewal.and_then(|renewal| renewal.cap);
        self.expect_of(
            watched,
            !capped || cap.is_some_and(|cap| cap.before(NEAR) <= process.now()),
            format_args!("is lost to a cap that it has not reached"),
        );
        self.expect_of(
            watched,
            capped || !watched.safe.get(),
            format_args!("is lost with nothing in its way: {failure}"),
        );
        bump(match failure.reason {
            Reason::MaxHold => &self.counts.capped,
            Reason::NotHeld => &self.counts.gone,
            _ => &self.counts.ended,
        });
        self.finish(watched);
    }

    fn finish(&self, watched: &WatchedLock) {
        if watched.extensions.get() >= SEVERAL {
            bump(&self.counts.kept_long);
        }
    }

    /// To be called between two happenings.
    pub fn watch_over_all(&self) {
        self.watched_locks()
            .retain(|watched| watched.process.is_alive());
        let watched_locks = self.watched_locks().clone();
        for watched in &watched_locks {
            match watched.stage.get() {
                Stage::Kept => self.watch_over(watched),
                Stage::Over => self.expect_of(
                    watched,
                    watched.process.now() >= watched.watch.until(),
                    format_args!("has a watch that goes on after its release"),
                ),
                Stage::Told => self.expect_of(
                    watched,
                    watched.process.now() >= watched.watch.until(),
                    format_args!("is believed in again after its loss"),
                ),
            }
        }
    }

    fn watch_over(&self, watched: &WatchedLock) {
        watched.note_lacking();
        let (until, seen) = (watched.watch.until(), watched.seen.get());
        let now = watched.process.now();
        if until != seen {
            watched.seen.set(until);
            self.world()
                .note(format_args!("#{}: until {until:?}", watched.number));
            self.be_there_at(watched, until);
        }
        if until > seen {
            self.expect_of(
                watched,
                watched.ended.get().is_none() || now >= until,
                format_args!("is believed in again after its end"),
            );
            if until > watched.by_hand.get() {
                self.extended_by_itself(watched, until);
            }
            // To extend it is to believe in it anew.
            if watched.is_believed() {
                self.expect_alone(&watched.process, &watched.resources, &watched.value);
            }
        }
        if now >= until && watched.ended.get().is_none() {
            let paused = watched.process.paused();
            watched.ended.set(Some((self.world().now(), paused)));
        }
    }

    fn extended_by_itself(&self, watched: &WatchedLock, until: Instant) {
        watched.extensions.set(watched.extensions.get() + 1);
        bump(&self.counts.extended_by_itself);
        let drift = watched.settings.drift;
        let longest = watched
            .renewal
            .map(|renewal| Validity::starting(watched.process.now(), renewal.ttl, drift));
        self.expect_of(
            watched,
            longest.is_some_and(|longest| until <= longest.until),
            format_args!("is extended for longer than was asked for"),
        );
        let cap = watched.renewal.and_then(|renewal| renewal.cap);
        self.expect_of(
            watched,
            cap.is_none_or(|cap| until <= cap),
            format_args!("is extended beyond its cap"),
        );
    }

    /// Has the end looked at when it comes, whatever else happens then.
    fn be_there_at(&self, watched: &WatchedLock, until: Instant) {
        if until > watched.process.now() {
            self.world().at(watched.process.reaches(until), || {});
        }
    }

    /// To be called when nothing is left to happen.
    pub fn expect_told(&self) {
        for watched in self
            .watched_locks()
            .iter()
            .filter(|watched| watched.is_kept())
        {
            self.expect_of(
                watched,
                false,
                format_args!("ends and its loss is never told"),
            );
        }
    }

    fn expect_of(&self, watched: &WatchedLock, kept: bool, broken: fmt::Arguments<'_>) {
        let (index, number) = (watched.process.index(), watched.number);
        self.expect(kept, format_args!("p{index}: #{number} {broken}"));
    }
}
