//! What clients do with locks: take them, hold them, extend them, give them
//! back, forget them, change their minds, die.

use std::time::Duration;

use redlock_native::engine::{Environment as _, Resources, Settings, Ttl};

use crate::chance::Chance;
use crate::faults::Fault;
use crate::member::{Fate, Lock, Member, Terms};

/// Takes one lock after the other until the world is quiet.
pub async fn live(member: &Member) {
    let client = Client(member);
    let process = member.process();
    while !process.world().is_quiet() {
        process
            .sleep(client.chance().span(member.scenario().idle))
            .await;
        if let Some(lock) = client.take().await {
            client.hold(lock).await;
        }
    }
}

struct Client<'a>(&'a Member);

impl Client<'_> {
    async fn take(&self) -> Option<Lock> {
        let chance = self.chance();
        let resources = self.resources();
        let terms = Terms::acquire(self.ttl(), self.settings());
        // Whoever tries without end changes his mind some time.
        let moody = terms.settings.retry.count.is_none() || chance.percent(15);
        let longest = chance.pick(&[5, 50, 500].map(Duration::from_millis));
        let patience = moody.then(|| chance.span(longest));
        self.stall(terms.ttl);
        match self
            .0
            .acquire(&resources, &terms.or_give_up_after(patience))
            .await
        {
            Fate::Granted(lock) => Some(lock),
            Fate::Refused(_) | Fate::GivenUp => None,
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
                    if let Fate::Refused(failure) = self.extend(&mut lock).await
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

    async fn extend(&self, lock: &mut Lock) -> Fate<()> {
        let terms = Terms::extend(self.ttl(), self.settings(), self.left(lock));
        let patience = self.moment(15);
        self.0.extend(lock, &terms.or_give_up_after(patience)).await
    }

    async fn release(&self, lock: &Lock) {
        let terms = Terms::release(self.ttl(), self.settings());
        let patience = self.moment(10);
        self.0
            .release(lock, &terms.or_give_up_after(patience))
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
