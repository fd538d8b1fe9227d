//! What must hold of a lock that the engine keeps: its holder believes in it
//! exactly as long as the watch says so.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{
    Environment as _, Failure, Hold, Instant, Loss, Reason, Renewal, Resources, Settings, Token,
    Ttl, Validity, Watch,
};

use crate::checker::{Checker, bump};
use crate::process::Process;
use crate::world::Moment;

/// A lock from its being kept to its release or loss.
pub struct Vigil {
    pub number: u64,
    pub process: Process,
    pub resources: Resources,
    pub value: Token,
    pub watch: Watch,
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

impl Vigil {
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
    pub fn hold(&self, until: Instant) -> Hold {
        self.retired.set(false);
        Hold {
            resources: Resources::clone(&self.resources),
            value: self.value.clone(),
            until,
            renewal: self.renewal,
            settings: self.settings.clone(),
            number: self.number,
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
        resources: &Resources,
        value: &Token,
        until: Instant,
        renewal: Option<Renewal>,
        settings: &Settings,
    ) -> Rc<Vigil> {
        self.disbelieve(resources, value);
        let hold = Hold {
            // Not the one of requests, so that its extensions are told apart.
            resources: resources.iter().cloned().collect(),
            value: value.clone(),
            until,
            renewal,
            settings: settings.clone(),
            number: self.world().number(),
        };
        let watch = hold.watch();
        let vigil = Rc::new(Vigil {
            number: hold.number,
            process: process.clone(),
            resources: hold.resources,
            value: hold.value,
            watch,
            renewal,
            settings: hold.settings,
            seen: Cell::new(until),
            by_hand: Cell::new(until),
            ended: Cell::default(),
            stage: Cell::new(Stage::Kept),
            extensions: Cell::default(),
            safe: Cell::new(false),
            retired: Cell::default(),
        });
        self.world().note(format_args!(
            "p{}: keeps {value:.6} as #{}: {renewal:?}",
            process.index(),
            vigil.number,
            value = value.as_str(),
        ));
        bump(&self.counts.kept);
        self.be_there_at(&vigil, until);
        self.vigils().push(Rc::clone(&vigil));
        vigil
    }

    /// Its holder gives it back, or lets go of it.
    pub fn kept_no_longer(&self, vigil: &Vigil) {
        self.watch_over(vigil);
        if vigil.is_kept() {
            vigil.stage.set(Stage::Over);
            self.finish(vigil);
        }
    }

    /// The process extends none of its locks by itself any more.
    pub fn retired(&self, process: &Process) {
        for vigil in self.vigils().iter() {
            if vigil.process.index() == process.index() {
                vigil.retired.set(true);
                vigil.distrust();
            }
        }
    }

    /// A holder has extended a kept lock by hand.
    pub fn extended_by_hand(&self, vigil: &Vigil, until: Instant) {
        vigil.by_hand.set(vigil.by_hand.get().max(until));
        self.expect_of(
            vigil,
            vigil.process.now() < until && vigil.watch.until() == until,
            format_args!("is extended by hand, which its watch does not show"),
        );
        self.watch_over(vigil);
    }

    /// A holder could not extend a kept lock by hand (safety rule 9).
    pub fn not_extended_by_hand(&self, vigil: &Vigil, failure: &Failure) {
        let left = failure.until.unwrap_or(vigil.process.now());
        self.expect_of(
            vigil,
            !vigil.is_kept() || vigil.watch.until() <= left,
            format_args!("is believed in for longer than {failure} leaves it"),
        );
    }

    /// The engine tells of a loss.
    pub fn lost(&self, process: &Process, number: u64, failure: &Failure) {
        let vigils = self.vigils().clone();
        let Some(vigil) = vigils.iter().find(|vigil| vigil.number == number) else {
            let index = process.index();
            self.expect(false, format_args!("p{index}: the loss of nothing is told"));
            return;
        };
        self.world()
            .note(format_args!("#{number} is lost: {failure}"));
        self.watch_over(vigil);
        let stage = vigil.stage.replace(Stage::Told);
        self.expect_of(
            vigil,
            stage == Stage::Kept,
            format_args!("is lost once it is {stage:?}"),
        );
        self.expect_of(
            vigil,
            process.now() >= vigil.watch.until(),
            format_args!("is lost and can still be believed in"),
        );
        let shown = vigil.watch.state().1.map(Loss::reason);
        self.expect_of(
            vigil,
            shown == Some(failure.reason),
            format_args!("is told to be lost since {failure}, and its watch shows {shown:?}"),
        );
        let late = vigil.ended.get().map(|(ended, paused)| {
            let since = self.world().now().since(ended);
            since.saturating_sub(process.paused().saturating_sub(paused))
        });
        self.expect_of(
            vigil,
            late.is_some_and(|late| late <= SLACK),
            format_args!("is told to be lost {late:?} after its end"),
        );
        let capped = failure.reason == Reason::MaxHold;
        let cap = vigil.renewal.and_then(|renewal| renewal.cap);
        self.expect_of(
            vigil,
            !capped || cap.is_some_and(|cap| cap.before(NEAR) <= process.now()),
            format_args!("is lost to a cap that it has not reached"),
        );
        self.expect_of(
            vigil,
            capped || !vigil.safe.get(),
            format_args!("is lost with nothing in its way: {failure}"),
        );
        bump(match failure.reason {
            Reason::MaxHold => &self.counts.capped,
            Reason::NotHeld => &self.counts.gone,
            _ => &self.counts.ended,
        });
        self.finish(vigil);
    }

    fn finish(&self, vigil: &Vigil) {
        if vigil.extensions.get() >= SEVERAL {
            bump(&self.counts.kept_long);
        }
    }

    /// To be called between two happenings.
    pub fn watch_over_all(&self) {
        self.vigils().retain(|vigil| vigil.process.is_alive());
        let vigils = self.vigils().clone();
        for vigil in &vigils {
            match vigil.stage.get() {
                Stage::Kept => self.watch_over(vigil),
                Stage::Over => self.expect_of(
                    vigil,
                    vigil.process.now() >= vigil.watch.until(),
                    format_args!("has a watch that goes on after its release"),
                ),
                Stage::Told => self.expect_of(
                    vigil,
                    vigil.process.now() >= vigil.watch.until(),
                    format_args!("is believed in again after its loss"),
                ),
            }
        }
    }

    fn watch_over(&self, vigil: &Vigil) {
        let (until, seen) = (vigil.watch.until(), vigil.seen.get());
        let now = vigil.process.now();
        if until != seen {
            vigil.seen.set(until);
            self.world()
                .note(format_args!("#{}: until {until:?}", vigil.number));
            self.be_there_at(vigil, until);
        }
        if until > seen {
            self.expect_of(
                vigil,
                vigil.ended.get().is_none() || now >= until,
                format_args!("is believed in again after its end"),
            );
            if until > vigil.by_hand.get() {
                self.extended_by_itself(vigil, until);
            }
            // To extend it is to believe in it anew.
            if vigil.is_believed() {
                self.expect_alone(&vigil.process, &vigil.resources, &vigil.value);
            }
        }
        if now >= until && vigil.ended.get().is_none() {
            let paused = vigil.process.paused();
            vigil.ended.set(Some((self.world().now(), paused)));
        }
    }

    fn extended_by_itself(&self, vigil: &Vigil, until: Instant) {
        vigil.extensions.set(vigil.extensions.get() + 1);
        bump(&self.counts.extended_by_itself);
        let drift = vigil.settings.drift;
        let longest = vigil
            .renewal
            .map(|renewal| Validity::starting(vigil.process.now(), renewal.ttl, drift));
        self.expect_of(
            vigil,
            longest.is_some_and(|longest| until <= longest.until),
            format_args!("is extended for longer than was asked for"),
        );
        let cap = vigil.renewal.and_then(|renewal| renewal.cap);
        self.expect_of(
            vigil,
            cap.is_none_or(|cap| until <= cap),
            format_args!("is extended beyond its cap"),
        );
    }

    /// Has the end looked at when it comes, whatever else happens then.
    fn be_there_at(&self, vigil: &Vigil, until: Instant) {
        if until > vigil.process.now() {
            self.world().at(vigil.process.reaches(until), || {});
        }
    }

    /// To be called when nothing is left to happen.
    pub fn expect_told(&self) {
        for vigil in self.vigils().iter().filter(|vigil| vigil.is_kept()) {
            self.expect_of(
                vigil,
                false,
                format_args!("ends and its loss is never told"),
            );
        }
    }

    fn expect_of(&self, vigil: &Vigil, kept: bool, broken: fmt::Arguments<'_>) {
        let (index, number) = (vigil.process.index(), vigil.number);
        self.expect(kept, format_args!("p{index}: #{number} {broken}"));
    }
}
