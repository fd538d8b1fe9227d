//! What clients do with locks: take them, hold them, extend them, give them
//! back, forget them, change their minds, die.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redlock_native::engine::{Environment as _, Renewal, Resources, Settings, Ticket, Token, Ttl};

use crate::chance::Chance;
use crate::counts::bump;
use crate::faults::Fault;
use crate::member::{Lock, Member, RequestOutcome, RequestSpec, deadline_of};
use crate::watched_lock::WatchedLock;

/// Takes one lock after the other until the world is quiet.
pub async fn live(member: &Member) {
    let client = Client(member);
    let process = member.process();
    while !process.world().is_quiet() {
        process
            .sleep(client.chance().span(member.scenario().idle))
            .await;
        if let Some(lock) = client.take().await {
            if client.chance().percent(40) {
                client.keep(lock).await;
            } else {
                client.hold(lock).await;
            }
        }
    }
}

struct Client<'a>(&'a Member);

impl Client<'_> {
    async fn take(&self) -> Option<Lock> {
        let chance = self.chance();
        let resources = self.resources();
        let mut settings = self.settings();
        let longest = chance.pick(&[1, 20, 200].map(Duration::from_millis));
        settings.max_wait = chance.percent(25).then(|| chance.span(longest));
        settings.value = self.own_value();
        settings.reports_votes_as = chance
            .percent(40)
            .then(|| self.0.process().world().number());
        if settings.value.is_none() && resources.len() == 1 && chance.percent(35) {
            settings.ticket = Some(Arc::new(Ticket::new(self.0.process(), &resources[0])));
            // It asks beside its own schedule, of which alone is told.
            settings.reports_votes_as = None;
        }
        let spec = RequestSpec::acquire(self.ttl(), settings);
        // Whoever tries without end changes his mind some time.
        let endless = spec.settings.retry.count.is_none() && spec.settings.max_wait.is_none();
        let changes_mind = endless || chance.percent(15);
        let longest = chance.pick(&[5, 50, 500].map(Duration::from_millis));
        let gives_up_after = changes_mind.then(|| chance.span(longest));
        self.stall(spec.ttl);
        match self
            .0
            .acquire(&resources, &spec.or_give_up_after(gives_up_after))
            .await
        {
            RequestOutcome::Granted(lock) => Some(lock),
            RequestOutcome::Refused(_) | RequestOutcome::GivenUp => None,
        }
    }

    async fn hold(&self, mut lock: Lock) {
        let chance = self.chance();
        loop {
            let left = self.left(&lock);
            let rest = match chance.below(4) {
                0 => Duration::ZERO,
                // Past the end, in which it no longer believes then.
                1 => left + chance.span(left.max(Duration::from_millis(50))),
                _ => chance.span(left),
            };
            self.0.process().sleep(rest).await;
            match chance.below(10) {
                0..4 => {
                    if let RequestOutcome::Refused(failure) = self.extend(&mut lock).await
                        && failure.until.is_none()
                    {
                        break;
                    }
                }
                4..9 => break,
                _ if self.0.scenario().faults.deaths => self.die().await,
                // Forgotten; it ends by itself.
                _ => return,
            }
        }
        self.release(&lock).await;
        if chance.percent(10) {
            self.release(&lock).await;
        }
    }

    /// Has the engine keep the lock, and believes what its watch says.
    async fn keep(&self, mut lock: Lock) {
        let chance = self.chance();
        let mut watched = self.watched(&lock);
        loop {
            let longest = (4 * self.ttl().span()).min(Duration::from_secs(2));
            self.0.process().sleep(chance.span(longest)).await;
            if watched.is_told() && chance.percent(50) {
                break;
            }
            match chance.below(20) {
                0..6 => {
                    let spec = RequestSpec::acquire(self.ttl(), self.settings());
                    let changes_mind = spec.settings.retry.count.is_none() || chance.percent(15);
                    let gives_up_after =
                        changes_mind.then(|| chance.span(Duration::from_millis(100)));
                    let spec = spec.or_give_up_after(gives_up_after);
                    let extended = self.0.extend_kept(&watched, &lock, &spec).await;
                    let shorter = matches!(extended, RequestOutcome::Refused(failure) if failure.until.is_some());
                    if shorter && watched.is_kept() && chance.percent(50) {
                        // Its holder knows of the longer life only.
                        self.0.keep_again(&watched, &lock);
                    }
                }
                6 => {
                    self.0.unwatch(&watched, &mut lock);
                    if chance.percent(50) {
                        return self.hold(lock).await;
                    }
                    watched = self.watched(&lock);
                }
                7 => self.0.stop_renewals(),
                8 if self.0.scenario().faults.deaths => self.die().await,
                // Forgotten; it ends with the process's interest in its locks.
                9 => {
                    if chance.percent(50) {
                        self.0.stop_renewals();
                        return;
                    }
                }
                10 if watched.is_kept() => {
                    watched.distrust();
                    self.0.keep_again(&watched, &lock);
                }
                10..12 => {}
                _ => break,
            }
        }
        self.0.checker().kept_no_longer(&watched);
        if chance.percent(50) {
            self.0.unwatch(&watched, &mut lock);
            self.release(&lock).await;
        } else {
            // It must get as far as to be asked for.
            let spec = RequestSpec::release(self.ttl(), self.settings());
            self.0.release(&lock, &spec).await;
        }
    }

    fn watched(&self, lock: &Lock) -> Rc<WatchedLock> {
        let chance = self.chance();
        let (process, scenario) = (self.0.process(), self.0.scenario());
        let now = process.now();
        let settings = self.settings();
        let renewal = chance.percent(80).then(|| {
            let ttl = self.ttl();
            let lead = match chance.below(5) {
                0 => Duration::ZERO,
                1 => 2 * ttl.span(),
                _ => chance.span(ttl.span()),
            };
            let capped = chance.percent(40);
            let cap = capped.then(|| now.after(chance.span(4 * ttl.span())));
            Renewal { ttl, lead, cap }
        });
        let watched = self.0.keep(lock, renewal, &settings);
        if let Some(renewal) = renewal
            && scenario.is_undisturbed()
        {
            // One round trip and a little must fit into the lead, and into what an
            // instance may take to answer.
            let lead = renewal
                .lead
                .min(renewal.ttl.believable(settings.drift) / 2)
                .min(lock.until.since(now));
            let enough = 2 * scenario.network.longest_delay() + Duration::from_millis(10);
            let deadline = deadline_of(&settings, renewal.ttl);
            if renewal.cap.is_none() && lead.min(deadline) > enough {
                watched.trust();
                bump(&self.0.checker().counts.trusted);
            }
        }
        watched
    }

    async fn extend(&self, lock: &mut Lock) -> RequestOutcome<()> {
        let spec = RequestSpec::extend(self.ttl(), self.settings(), self.left(lock));
        let gives_up_after = self.moment(15);
        self.0
            .extend(lock, &spec.or_give_up_after(gives_up_after))
            .await
    }

    async fn release(&self, lock: &Lock) {
        let spec = RequestSpec::release(self.ttl(), self.settings());
        let gives_up_after = self.moment(10);
        self.0
            .release(lock, &spec.or_give_up_after(gives_up_after))
            .await;
    }

    async fn die(&self) {
        let process = self.0.process();
        process
            .world()
            .note(format_args!("p{} dies", process.index()));
        self.0.end();
        std::future::pending::<()>().await;
    }

    /// A process may stand still just while its requests are under way, and for
    /// longer than what they ask for is worth.
    fn stall(&self, ttl: Ttl) {
        let chance = self.chance();
        let scenario = self.0.scenario();
        if scenario.faults.kinds.contains(&Fault::Pause) && chance.percent(20) {
            let process = self.0.process().clone();
            let soon = chance.span(2 * scenario.network.usual);
            let span = chance.span(2 * ttl.span());
            self.0.process().world().after(soon, move || {
                if !process.world().is_quiet() {
                    process.pause(span);
                }
            });
        }
    }

    fn left(&self, lock: &Lock) -> Duration {
        lock.until.since(self.0.process().now())
    }

    /// How long it waits before it changes its mind, if it does.
    fn moment(&self, percent: u64) -> Option<Duration> {
        let chance = self.chance();
        chance
            .percent(percent)
            .then(|| chance.span(Duration::from_millis(50)))
    }

    /// One or more of them, in any order.
    fn resources(&self) -> Resources {
        let chance = self.chance();
        let mut all = self.0.scenario().every_resource();
        let wanted = 1 + chance.index(all.len());
        while all.len() > wanted {
            all.swap_remove(chance.index(all.len()));
        }
        all.into()
    }

    /// A value of the caller's own, if it has some: they come again soon.
    fn own_value(&self) -> Option<Token> {
        let process = self.0.process().index();
        let has = self.0.scenario().own_values && self.chance().percent(70);
        has.then(|| Token::from(&*format!("p{process}'s {}", self.chance().below(2))))
    }

    fn ttl(&self) -> Ttl {
        self.0.scenario().ttl(self.chance())
    }

    fn settings(&self) -> Settings {
        self.0.scenario().settings(self.chance())
    }

    fn chance(&self) -> &Chance {
        &self.0.process().world().chance
    }
}
