//! What must hold once the faults have stopped: locks are to be had, at once,
//! and refusals come at once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redlock_native::engine::{
    DeadlineBounds, Environment as _, Instance as _, Instant, Question, Reason, Renewal, Resources,
    Retry, Settings, Ticket, Token, Ttl, majority,
};

use crate::connection::Remote;
use crate::counts::bump;
use crate::member::{Lock, Member, RequestOutcome, RequestSpec, attempt_bound};
use crate::scenario::{Scenario, Tells};

/// A newcomer, alone, when nothing is under way any more and all that is left
/// are keys that nobody released.
pub async fn newcomer(member: &Member) {
    let liveness = Liveness::new(member);
    liveness.gets_every_lock().await;
    // A leftover on a minority stood in nobody's way so far.
    member.process().sleep(Scenario::LONGEST_TTL).await;
    liveness.gets_and_gives_at_once(&liveness.all()).await;
    if member.scenario().has_two_names() {
        // To what a majority is, they are only in the way.
        return;
    }
    liveness.has_its_turn_when_those_before_it_are_gone().await;
    liveness.ends_when_a_majority_says_so().await;
    liveness.splits_without_hanging().await;
    liveness.keeps_a_lock_without_a_minority().await;
    liveness.keeps_a_lock_up_to_its_cap().await;
    liveness.loses_a_lock_in_time_when_all_are_silent().await;
    liveness.is_told_of_a_lock_that_is_left().await;
    liveness.is_told_of_a_kept_lock_that_is_gone().await;
    liveness.needs_no_minority().await;
}

struct Liveness<'a> {
    member: &'a Member,
    ttl: Ttl,
    settings: Settings,
}

impl<'a> Liveness<'a> {
    fn new(member: &'a Member) -> Self {
        let settings = Settings {
            retry: Retry::never(),
            drift: member.scenario().drift(),
            deadlines: DeadlineBounds::default(),
            report: true,
            ..Settings::default()
        };
        let ttl = Ttl::new(2000.0, settings.drift).expect("a ttl with validity");
        Self {
            member,
            ttl,
            settings,
        }
    }

    /// However things were left: one attempt after the longest ttl at the
    /// latest.
    async fn gets_every_lock(&self) {
        let retry = Retry {
            count: None,
            delay: 40.0,
            jitter: 20.0,
        };
        let settings = Settings {
            retry,
            ..self.settings.clone()
        };
        let attempt = attempt_bound(&settings, self.ttl) + Duration::from_millis(60);
        let patient =
            RequestSpec::acquire(self.ttl, settings).within(Scenario::LONGEST_TTL + 2 * attempt);
        for resource in self.member.scenario().every_resource() {
            let lock = self.acquire(&Resources::from([resource]), &patient).await;
            self.release(&lock).await;
        }
    }

    /// Nothing is waited for but the answers that decide; a contender is
    /// refused when all have let go of what it took.
    async fn gets_and_gives_at_once(&self, resources: &Resources) {
        let mut lock = self.acquire(resources, &self.soon(1)).await;
        self.member.process().sleep(self.round_trip()).await;
        self.is_refused(resources, &self.soon(2), Reason::Held)
            .await;
        self.expect(
            self.member.checker().is_at_rest(),
            "nothing under way after a refusal",
        );
        let extended = self.member.extend(&mut lock, &self.soon(1)).await;
        self.expect(
            matches!(extended, RequestOutcome::Granted(())),
            "an undisturbed extension",
        );
        self.release(&lock).await;
        let again = self.member.release(&lock, &self.soon(1)).await;
        self.expect(
            matches!(again, RequestOutcome::Refused(failure) if failure.reason == Reason::NotHeld),
            "nothing to release a second time",
        );
        self.member.process().sleep(self.round_trip()).await;
    }

    /// Who waits by a ticket has the lock soon after its release. Those before it who have
    /// died cost their lease, all of them together.
    async fn has_its_turn_when_those_before_it_are_gone(&self) {
        let resources = Resources::from([self.all()[0].clone()]);
        let process = self.member.process();
        // Of those who have died before.
        process.sleep(Ticket::LEASE + Ticket::LEASE / 20).await;
        for dead in [0, 3] {
            let held = self.acquire(&resources, &self.soon(1)).await;
            process.sleep(self.round_trip()).await;
            for _ in 0..dead {
                let ticket = Arc::new(Ticket::new(process, &resources[0]));
                let value = Token::random(process);
                let names = Resources::clone(&resources);
                let question = Question::acquire(self.ttl, names, value, Instant::LAST);
                let question = question.with_ticket(Some(ticket));
                for remote in self.member.remotes() {
                    let number = process.world().number();
                    remote.server().answer(number, &question);
                }
            }
            let retry = Retry {
                count: None,
                delay: 20.0,
                jitter: 0.0,
            };
            let settings = Settings {
                retry,
                ticket: Some(Arc::new(Ticket::new(process, &resources[0]))),
                ..self.settings.clone()
            };
            let held_for = Duration::from_millis(100);
            let lease = Ticket::LEASE * u32::from(dead > 0);
            let slack = Duration::from_millis(100);
            let bound = held_for + lease + lease / 20 + 5 * self.round_trip() + slack;
            let spec = RequestSpec::acquire(self.ttl, settings).within(bound);
            let (member, names) = (self.member.clone(), Resources::clone(&resources));
            let granted: Rc<Cell<bool>> = Rc::default();
            let told = Rc::clone(&granted);
            process.spawn(Box::pin(async move {
                if let RequestOutcome::Granted(lock) = member.acquire(&names, &spec).await {
                    let release = RequestSpec::release(spec.ttl, spec.settings);
                    member.release(&lock, &release).await;
                    told.set(true);
                }
            }));
            process.sleep(held_for).await;
            self.release(&held).await;
            process.sleep(2 * bound).await;
            self.expect(granted.get(), "a turn when those before are gone");
        }
    }

    /// Keys that somebody deleted on a minority are not missed; on a majority,
    /// the lock is over, and that is known at the next extension.
    async fn ends_when_a_majority_says_so(&self) {
        let resources = self.all();
        let mut lock = self.acquire(&resources, &self.soon(1)).await;
        self.member.process().sleep(self.round_trip()).await;
        let quorum = majority(self.servers());
        self.delete_on(self.servers() - quorum);
        let extended = self.member.extend(&mut lock, &self.soon(1)).await;
        self.expect(
            matches!(extended, RequestOutcome::Granted(())),
            "an extension by a majority",
        );
        self.member.process().sleep(self.round_trip()).await;
        self.delete_on(quorum);
        let retry = Retry {
            count: None,
            ..Retry::default()
        };
        let settings = Settings {
            retry,
            ..self.settings.clone()
        };
        let spec = RequestSpec::acquire(self.ttl, settings).within(self.round_trip());
        let extended = self.member.extend(&mut lock, &spec).await;
        self.expect(
            matches!(extended, RequestOutcome::Refused(failure) if failure.reason == Reason::NotHeld),
            "an extension refused by a majority",
        );
        self.release_what_is_left(&lock).await;
    }

    /// Half of the instances are no majority, for anybody, and say so.
    async fn splits_without_hanging(&self) {
        let half = self.servers() / 2;
        let resources = self.all();
        let servers = || self.member.remotes().iter().map(Remote::server);
        for server in servers().take(half) {
            server.occupy(&resources);
        }
        if majority(self.servers()) > self.servers() - half {
            self.is_refused(&resources, &self.soon(2), Reason::Held)
                .await;
        } else {
            let lock = self.acquire(&resources, &self.soon(1)).await;
            self.release(&lock).await;
        }
        // A grant that its release overtook is released once more, and nobody
        // waits for that.
        self.member.process().sleep(self.round_trip()).await;
        for server in servers().take(half) {
            server.leave();
        }
    }

    /// A lock that a majority can be asked to extend is extended in time, until
    /// a majority has lost it.
    async fn keeps_a_lock_without_a_minority(&self) {
        let lock = self.acquire(&self.all(), &self.soon(1)).await;
        self.rest(self.round_trip()).await;
        let quorum = majority(self.servers());
        let minority = self.servers() - quorum;
        self.delete_on(minority);
        let span = 6 * self.ttl.span();
        self.silence(minority, span);
        let watched = self
            .member
            .keep(&lock, Some(self.renewal(None)), &self.settings);
        watched.trust();
        bump(&self.member.checker().counts.trusted);
        self.rest(span).await;
        self.expect(
            watched.is_believed() && watched.extensions() >= 5,
            "a lock extended by itself several times",
        );
        // All must be able to say so, and to the same extension.
        self.rest(2 * self.round_trip()).await;
        let so_far = watched.extensions();
        while watched.is_believed() && watched.extensions() == so_far {
            self.rest(Duration::from_millis(5)).await;
        }
        self.rest(self.round_trip()).await;
        self.delete_on(quorum);
        watched.distrust();
        let gone = self.member.checker().counts.gone.get();
        self.rest(self.ttl.span()).await;
        self.expect(
            self.member.checker().counts.gone.get() == gone + 1,
            "a kept lock whose loss a majority told of",
        );
        self.release_what_is_left(&lock).await;
    }

    async fn keeps_a_lock_up_to_its_cap(&self) {
        let lock = self.acquire(&self.all(), &self.soon(1)).await;
        let process = self.member.process();
        let span = self.ttl.span() + process.world().chance.span(3 * self.ttl.span());
        let cap = process.now().after(span);
        let renewal = self.renewal(Some(cap));
        let watched = self.member.keep(&lock, Some(renewal), &self.settings);
        watched.trust();
        self.rest(cap.before(Duration::from_millis(5)).since(process.now()))
            .await;
        self.expect(watched.is_believed(), "a lock kept up to its cap");
        self.rest(Duration::from_millis(10)).await;
        self.expect(watched.is_told(), "a lock lost at its cap");
        self.release_what_is_left(&lock).await;
    }

    /// The checker looks at when that is.
    async fn loses_a_lock_in_time_when_all_are_silent(&self) {
        let lock = self.acquire(&self.all(), &self.soon(1)).await;
        let span = 3 * self.ttl.span();
        self.silence(self.servers(), span);
        let watched = self
            .member
            .keep(&lock, Some(self.renewal(None)), &self.settings);
        self.rest(self.ttl.span()).await;
        self.expect(
            watched.is_told(),
            "a lock lost at its end, though nobody answers",
        );
        self.rest(span).await;
        self.release_what_is_left(&lock).await;
    }

    /// Whoever waits asks as soon as it is told that it may; if nothing that is told
    /// arrives, it asks within two seconds or after its retry delay.
    async fn is_told_of_a_lock_that_is_left(&self) {
        const DELAY: Duration = Duration::from_millis(400);
        let (process, scenario) = (self.member.process(), self.member.scenario());
        let (world, tells) = (process.world(), scenario.tells);
        let resources = self.all();
        let remotes: Vec<_> = self.member.remotes().to_vec();
        for remote in &remotes {
            remote.server().occupy(&resources);
        }
        // By then the keys were looked at: a dial, the attempt before it, and the looks.
        let waits = 6 * self.round_trip() + Duration::from_millis(100);
        let waits = waits + world.chance.span(Duration::from_secs(4));
        let left = world.now().after(waits);
        let noted = Rc::clone(world);
        process.at(left, move || {
            noted.note(format_args!("the keys are left"));
            for remote in remotes {
                remote.server().leave();
            }
        });
        let settings = Settings {
            retry: Retry {
                count: None,
                delay: DELAY.as_secs_f64() * 1000.0,
                jitter: 0.0,
            },
            queues: true,
            wakeups: world.chance.percent(80),
            ..self.settings.clone()
        };
        // A message, a look, the attempt, and the pauses before two of them.
        let told = 3 * self.round_trip() + Duration::from_millis(25);
        let bound = match (settings.wakeups && tells.at_all, tells.loses + tells.astray) {
            (true, 0) => told,
            (true, _) => Duration::from_secs(2) + told,
            (false, _) => DELAY + told,
        };
        let spec = RequestSpec::acquire(self.ttl, settings).within(waits + bound);
        let spec = spec.or_give_up_after(Some(2 * (waits + bound)));
        let lock = self.acquire(&resources, &spec).await;
        bump(&self.member.checker().counts.left);
        self.release(&lock).await;
        self.rest(self.round_trip()).await;
    }

    /// Whose kept lock is deleted on a majority is told so at once, long before its end; on a
    /// minority that is no loss.
    async fn is_told_of_a_kept_lock_that_is_gone(&self) {
        let ttl = Ttl::new(30_000.0, self.settings.drift).expect("a ttl with validity");
        let spec = RequestSpec::acquire(ttl, self.settings.clone()).within(self.round_trip());
        // All of them have released the last lock by then.
        self.rest(self.round_trip()).await;
        let lock = self.acquire(&self.all(), &spec).await;
        let settings = Settings {
            wakeups: true,
            ..self.settings.clone()
        };
        let watched = self.member.keep(&lock, None, &settings);
        // By then its keys were looked at: a dial, and the looks.
        let looked = Duration::from_millis(350) + 4 * self.round_trip();
        self.rest(looked).await;
        let quorum = majority(self.servers());
        self.delete_on(self.servers() - quorum);
        self.rest(looked).await;
        self.expect(watched.is_believed(), "a lock that a minority has lost");
        self.delete_on(quorum);
        // A message, a look, the votes, and a pause between two looks.
        let told = 3 * self.round_trip() + Duration::from_millis(25);
        self.rest(told).await;
        let Tells {
            at_all,
            loses,
            astray,
            ..
        } = self.member.scenario().tells;
        if at_all && loses + astray == 0 {
            self.expect(watched.is_told(), "a loss that is told at once");
            bump(&self.member.checker().counts.gone_at_once);
        }
        self.member.checker().kept_no_longer(&watched);
        self.release_what_is_left(&lock).await;
    }

    /// With a lead of a round trip at least.
    fn renewal(&self, cap: Option<Instant>) -> Renewal {
        let chance = &self.member.process().world().chance;
        let most = chance.pick(&[50, 500, 3000].map(Duration::from_millis));
        let lead = self.round_trip() + Duration::from_millis(10) + chance.span(most);
        Renewal {
            ttl: self.ttl,
            lead,
            cap,
        }
    }

    fn silence(&self, servers: usize, span: Duration) {
        let until = self.member.process().world().now().after(span);
        for remote in &self.member.remotes()[..servers] {
            remote.server().hang_until(until);
        }
    }

    async fn rest(&self, span: Duration) {
        self.member.process().sleep(span).await;
    }

    /// As if it weren't there, for locks; a refusal gives it time till the
    /// attempt's deadline.
    async fn needs_no_minority(&self) {
        let resources = self.all();
        let world = self.member.process().world();
        let minority = self.servers() - majority(self.servers());
        let until = world.now().after(Duration::from_secs(60));
        for remote in &self.member.remotes()[..minority] {
            remote.server().hang_until(until);
        }
        let mut lock = self.acquire(&resources, &self.soon(1)).await;
        let extended = self.member.extend(&mut lock, &self.soon(1)).await;
        self.expect(
            matches!(extended, RequestOutcome::Granted(())),
            "an extension without a minority",
        );
        // They get till the attempt's deadline, and nobody waits for them after.
        let deadline = self.deadline();
        let attempt = RequestSpec::acquire(self.ttl, self.settings.clone())
            .within(deadline + self.round_trip());
        self.is_refused(&resources, &attempt, Reason::Held).await;
        // Its life may be over by now, if the servers are far away.
        self.release_what_is_left(&lock).await;
        if let Some(remote) = self.member.remotes().last() {
            remote.server().hang_until(until);
        }
        self.is_refused(&resources, &attempt, Reason::Unavailable)
            .await;
    }

    /// A share of the ttl, or what the servers were measured to need.
    fn deadline(&self) -> Duration {
        let deadlines = self.settings.deadlines;
        let DeadlineBounds { floor, ceiling } = deadlines;
        let trips = self.member.remotes().iter().filter_map(Remote::round_trip);
        let needed = trips.map(|trip| {
            let usual = trip.smoothed() + (4 * trip.variation()).max(floor);
            usual.min(ceiling.max(4 * trip.smoothed()))
        });
        needed
            .max()
            .unwrap_or_default()
            .max(deadlines.usual(self.ttl))
    }

    async fn acquire(&self, resources: &Resources, spec: &RequestSpec) -> Lock {
        match self.member.acquire(resources, spec).await {
            RequestOutcome::Granted(lock) => lock,
            RequestOutcome::Refused(_) | RequestOutcome::GivenUp => {
                self.expect(false, "a lock for whoever is alone");
                std::future::pending().await
            }
        }
    }

    /// The last of the acquires have been carried out by then: on the other
    /// line, a release could overtake them.
    async fn release(&self, lock: &Lock) {
        self.member.process().sleep(self.round_trip()).await;
        let released = self.member.release(lock, &self.soon(1)).await;
        self.expect(
            matches!(released, RequestOutcome::Granted(())),
            "an undisturbed release",
        );
    }

    async fn release_what_is_left(&self, lock: &Lock) {
        self.member.release(lock, &self.soon(1)).await;
        self.member.process().sleep(self.round_trip()).await;
    }

    fn delete_on(&self, servers: usize) {
        for remote in &self.member.remotes()[..servers] {
            remote.server().delete_all();
        }
    }

    async fn is_refused(&self, resources: &Resources, spec: &RequestSpec, why: Reason) {
        let refused = self.member.acquire(resources, spec).await;
        self.expect(
            matches!(refused, RequestOutcome::Refused(failure) if failure.reason == why),
            why.code(),
        );
        bump(&self.member.checker().counts.refused);
    }

    /// One attempt, whose answers are there after a number of round trips.
    fn soon(&self, round_trips: u32) -> RequestSpec {
        RequestSpec::acquire(self.ttl, self.settings.clone())
            .within(self.round_trip() * round_trips)
    }

    fn round_trip(&self) -> Duration {
        2 * self.member.scenario().network.longest_delay()
    }

    fn all(&self) -> Resources {
        self.member.scenario().every_resource().into()
    }

    fn servers(&self) -> usize {
        self.member.remotes().len()
    }

    fn expect(&self, found: bool, what: &str) {
        if !found {
            let world = self.member.process().world();
            world.blame(format_args!("with no fault left, not found: {what}"));
        }
    }
}
