//! What callers do with locks: take them, hold them, extend them, have them kept,
//! give them back, forget them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use redlock_native::binding::ids::Handle;
use redlock_native::binding::layout::{AnswerKind, Operation, UNLIMITED, flags};
use redlock_native::binding::numbers::clock_millis;
use redlock_native::engine::SafetyRule;

use crate::chance::Chance;
use crate::checker::{Scope, bump};
use crate::javascript::{Answer, App, Request};
use crate::scenario::{Member, Scenario};
use crate::world::Moment;

/// One caller, with one quorum.
pub struct Caller {
    pub app: App,
    pub engine: Handle,
    pub scenario: Rc<Scenario>,
    /// Nobody takes a new lock for now.
    pub rest: Rc<Cell<bool>>,
}

/// A lock as its holder knows it.
struct Lock {
    resources: Vec<String>,
    value: String,
    since: f64,
    until: redlock_native::engine::Instant,
    asked: Moment,
}

impl Caller {
    /// Takes one lock after the other until the world is quiet.
    pub async fn live(&self) {
        while !self.app.process().world().is_quiet() {
            self.sleep(self.chance().span(self.scenario.idle)).await;
            if self.is_quiet() {
                continue;
            }
            if let Some(lock) = self.take().await {
                if self.chance().percent(20) {
                    self.keep(lock).await;
                } else {
                    self.hold(lock).await;
                }
            }
        }
    }

    /// Asks for more than a silent server can bear.
    pub async fn burst(&self, number: u32) {
        let long = "x".repeat(self.scenario.long);
        let request = Request {
            ttl: self.ttl(),
            resources: vec![format!("b{}-{number}{long}", self.app.process().index())],
            ..self.request(Operation::Lock)
        };
        let what = format!("{} burst {number}", self.name());
        let open = self.app.checker().begin(self.app.process(), what);
        let answer = self.app.ask(request, None).await;
        self.app.checker().forget(&answer.value);
        self.app.checker().settled(open, &answer.code);
    }

    async fn take(&self) -> Option<Lock> {
        let chance = self.chance();
        let checker = self.app.checker();
        let resources = self.resources();
        let endless = chance.percent(20);
        let request = self.request(Operation::Lock);
        let is_fair = resources.len() == 1 && chance.percent(30);
        let request = Request {
            flags: request.flags | if is_fair { flags::FAIR } else { 0 },
            ttl: self.ttl(),
            retries: if endless {
                UNLIMITED
            } else {
                chance.pick(&[0.0, 2.0, 8.0])
            },
            max_wait: if endless || chance.percent(20) {
                chance.pick(&[30.0, 200.0])
            } else {
                UNLIMITED
            },
            resources: resources.clone(),
            ..request
        };
        let asked = self.now();
        let open = checker.begin(
            self.app.process(),
            format!("{} locks {resources:?} for {}", self.name(), request.ttl),
        );
        let answer = self.app.ask(request, self.gives_up_after()).await;
        let held = answer.kind == AnswerKind::Locked;
        checker.settled(open, if held { "granted" } else { &answer.code });
        if !held {
            bump(&checker.counts.refused);
            return None;
        }
        let lock = Lock {
            resources,
            value: answer.value,
            since: answer.since,
            until: answer.until,
            asked,
        };
        // Rule 19: looked at when it is handed over, at its own turn.
        if SafetyRule::HandOver.is_kept() && self.app.clock() >= lock.until {
            bump(&checker.counts.dead);
            self.give_back(&lock).await;
            return None;
        }
        bump(&checker.counts.granted);
        self.believe(&lock);
        Some(lock)
    }

    async fn hold(&self, mut lock: Lock) {
        let chance = self.chance();
        for _ in 0..4 {
            let left = lock.until.since(self.app.clock());
            self.sleep(chance.span(left.min(Duration::from_millis(15))))
                .await;
            match chance.below(10) {
                0..4 => {
                    if !self.extend(&mut lock).await {
                        break;
                    }
                }
                4 if chance.percent(30) => {
                    self.app.checker().forget(&lock.value);
                    return;
                }
                5 if chance.percent(30) => self.inspect(&lock).await,
                _ => break,
            }
        }
        self.release(&lock).await;
    }

    /// Whether it is still to be held.
    async fn extend(&self, lock: &mut Lock) -> bool {
        let chance = self.chance();
        let checker = self.app.checker();
        let request = Request {
            ttl: self.ttl(),
            retries: chance.pick(&[0.0, 1.0, 5.0]),
            value: lock.value.clone(),
            instant: clock_millis(lock.until),
            resources: lock.resources.clone(),
            ..self.request(Operation::Extend)
        };
        let asked = self.now();
        let what = format!(
            "{} extends {:.6} by {}",
            self.name(),
            lock.value,
            request.ttl
        );
        let open = checker.begin(self.app.process(), what);
        let answer = self.app.ask(request, self.gives_up_after()).await;
        // One that was given up does not say how often it was tried.
        let counted = answer.attempts > 0;
        checker.asked(&lock.value, counted.then_some(answer.attempts));
        let extended = answer.kind == AnswerKind::Extended;
        checker.settled(open, if extended { "extended" } else { &answer.code });
        self.now_until(lock, &answer, extended, asked)
    }

    fn now_until(&self, lock: &mut Lock, answer: &Answer, extended: bool, asked: Moment) -> bool {
        let checker = self.app.checker();
        let over = self.app.clock() >= answer.until;
        if extended && !(over && SafetyRule::HandOver.is_kept()) {
            bump(&checker.counts.extended);
            lock.until = answer.until;
            lock.asked = asked;
            self.believe(lock);
            return true;
        }
        bump(&checker.counts.not_extended);
        if over {
            checker.disbelieve(self.app.process(), &lock.value);
            return false;
        }
        // Until then it may still be believed in.
        lock.until = answer.until;
        self.believe(lock);
        true
    }

    /// Has the engine keep it, and believes what its watch says.
    async fn keep(&self, lock: Lock) {
        let chance = self.chance();
        let checker = self.app.checker();
        bump(&checker.counts.kept);
        checker.asked(&lock.value, None);
        let clock = self.app.clock();
        let ttl = self.ttl();
        #[expect(clippy::cast_precision_loss, reason = "some thousand")]
        let renewal = [
            clock_millis(lock.until),
            if chance.percent(85) { ttl as f64 } else { 0.0 },
            (ttl * chance.below(100) / 100) as f64,
            if chance.percent(30) {
                clock_millis(clock.after(chance.span(Duration::from_millis(4 * ttl))))
            } else {
                0.0
            },
            self.drift(),
            chance.pick(&[5.0, 20.0]),
            5.0,
            if chance.percent(70) {
                flags::WAKEUPS
            } else {
                0
            }
            .into(),
        ];
        let (number, watch) = self
            .app
            .keep(self.engine, renewal, &lock.value, &lock.resources);
        let scope = self.scope();
        checker.watch(
            self.app.process(),
            scope,
            &lock.resources,
            &lock.value,
            &watch,
            lock.asked,
        );
        for _ in 0..=chance.below(3) {
            self.sleep(chance.span(Duration::from_millis(ttl))).await;
            if self.app.clock() >= watch.until() || self.is_quiet() {
                break;
            }
        }
        checker.disbelieve(self.app.process(), &lock.value);
        self.app.unwatch(number);
        self.give_back(&lock).await;
    }

    async fn release(&self, lock: &Lock) {
        self.app
            .checker()
            .disbelieve(self.app.process(), &lock.value);
        self.give_back(lock).await;
    }

    async fn give_back(&self, lock: &Lock) {
        let checker = self.app.checker();
        let request = Request {
            value: lock.value.clone(),
            instant: lock.since,
            resources: lock.resources.clone(),
            ..self.request(Operation::Unlock)
        };
        let open = checker.begin(
            self.app.process(),
            format!("{} unlocks {:.6}", self.name(), lock.value),
        );
        let answer = self.app.ask(request, self.gives_up_after()).await;
        if answer.kind == AnswerKind::Unlocked {
            bump(&checker.counts.released);
        }
        checker.settled(open, &answer.code);
    }

    async fn inspect(&self, lock: &Lock) {
        let checker = self.app.checker();
        let request = Request {
            resources: vec![lock.resources[0].clone()],
            ..self.request(Operation::Inspect)
        };
        let open = checker.begin(self.app.process(), format!("{} inspects", self.name()));
        let answer = self.app.ask(request, self.gives_up_after()).await;
        checker.settled(open, &answer.code);
    }

    fn believe(&self, lock: &Lock) {
        self.app.checker().believe(
            self.app.process(),
            self.scope(),
            &lock.resources,
            &lock.value,
            lock.until,
            lock.asked,
        );
    }

    fn scope(&self) -> Scope {
        if self.scenario.members.contains(&Member::Memory) {
            Scope::Process(self.app.process().index())
        } else {
            Scope::Everywhere
        }
    }

    /// Each of these flags, in so many percent of the requests.
    fn some_of(&self, likely: &[(u32, u64)]) -> u32 {
        let chance = self.chance();
        let given = likely
            .iter()
            .filter(|(_, percent)| chance.percent(*percent));
        given.map(|(flag, _)| flag).sum()
    }

    fn request(&self, operation: Operation) -> Request {
        let chance = self.chance();
        Request {
            engine: self.engine,
            operation,
            flags: self.some_of(&[
                (flags::REPORT, 20),
                (flags::QUEUES, 70),
                (flags::WAKEUPS, 70),
            ]),
            delay: chance.pick(&[5.0, 20.0]),
            jitter: chance.pick(&[0.0, 5.0, 20.0]),
            drift: self.drift(),
            max_wait: UNLIMITED,
            ttl: 0,
            retries: 0.0,
            instant: 0.0,
            value: String::new(),
            resources: Vec::new(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few thousandths")]
    fn drift(&self) -> f64 {
        self.scenario.drift as f64 / 1000.0
    }

    fn ttl(&self) -> u64 {
        self.chance().pick(self.scenario.ttls)
    }

    /// One or more of them, in any order. They share a slot.
    fn resources(&self) -> Vec<String> {
        let chance = self.chance();
        let count = self.scenario.resources;
        let mut all: Vec<_> = (0..count).map(|index| format!("{{r}}{index}")).collect();
        let wanted = if chance.percent(20) {
            1 + chance.index(all.len())
        } else {
            1
        };
        while all.len() > wanted {
            all.swap_remove(chance.index(all.len()));
        }
        all
    }

    fn name(&self) -> String {
        format!("p{}", self.app.process().index())
    }

    fn now(&self) -> Moment {
        self.app.process().world().now()
    }

    /// After which time it gives a request up, if it does.
    fn gives_up_after(&self) -> Option<Duration> {
        let chance = self.chance();
        let moody = chance.percent(5);
        moody.then(|| chance.span(Duration::from_millis(50)))
    }

    fn is_quiet(&self) -> bool {
        self.rest.get() || self.app.process().world().is_quiet()
    }

    async fn sleep(&self, span: Duration) {
        self.app.process().sleep(span).await;
        self.app.free().await;
    }

    fn chance(&self) -> &Chance {
        &self.app.process().world().chance
    }
}
