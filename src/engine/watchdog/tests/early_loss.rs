//! What is told of a lock's keys before it is to be extended, on virtual time.

use std::rc::Weak;

use super::*;
use crate::engine::{Seen, Watch, Watcher};

/// A server that has one key, and tells of changes to it.
struct Teller {
    world: Rc<World>,
    key: RefCell<Option<&'static str>>,
    /// It tells who watches the key that it is not there.
    denies: Cell<bool>,
    /// It says nothing when it is asked for a vote.
    is_silent: Cell<bool>,
    tells: Cell<bool>,
    watchers: RefCell<Vec<(usize, Weak<dyn Watcher>)>>,
    looks: Cell<usize>,
    asked: RefCell<Vec<&'static str>>,
    unanswered: RefCell<Vec<Responder>>,
    itself: Weak<Teller>,
}

impl Teller {
    fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new_cyclic(|itself| Self {
            world: Rc::clone(world),
            key: RefCell::new(Some(VALUE)),
            denies: Cell::default(),
            is_silent: Cell::default(),
            tells: Cell::new(true),
            watchers: RefCell::default(),
            looks: Cell::default(),
            asked: RefCell::default(),
            unanswered: RefCell::default(),
            itself: Weak::clone(itself),
        })
    }

    fn has(&self, key: Option<&'static str>) {
        *self.key.borrow_mut() = key;
        self.tell();
    }

    fn tell(&self) {
        let watchers = self.watchers.borrow().clone();
        for (index, watcher) in watchers {
            if let Some(watcher) = watcher.upgrade() {
                watcher.changed(index);
            }
        }
    }

    fn was_asked(&self, operation: &str) -> usize {
        let asked = self.asked.borrow();
        asked.iter().filter(|asked| **asked == operation).count()
    }
}

impl Instance for Teller {
    fn ask(&self, question: &Rc<Question>, responder: Responder) {
        self.asked.borrow_mut().push(question.operation.name());
        if self.is_silent.get() {
            self.unanswered.borrow_mut().push(responder);
            return;
        }
        let key = *self.key.borrow();
        responder.vote(match question.operation {
            Operation::Inspect => Vote::Inspected {
                value: key.map(Rc::from),
                ttl: key.map(|_| 1000),
            },
            _ if key == Some(VALUE) => Vote::Granted,
            _ => NOT_MINE,
        });
    }

    fn watch(&self, _: &str, index: usize, watcher: Weak<dyn Watcher>) -> Option<Rc<dyn Watch>> {
        if !self.tells.get() {
            return None;
        }
        self.watchers
            .borrow_mut()
            .push((index, Weak::clone(&watcher)));
        let teller = self.itself.upgrade().expect("it is there");
        Some(Rc::new(Look {
            teller,
            index,
            watcher,
        }))
    }
}

struct Look {
    teller: Rc<Teller>,
    index: usize,
    watcher: Weak<dyn Watcher>,
}

impl Watch for Look {
    fn look(&self) {
        let teller = Rc::clone(&self.teller);
        let (index, watcher) = (self.index, Weak::clone(&self.watcher));
        teller.looks.set(teller.looks.get() + 1);
        let environment = Virtual(Rc::clone(&teller.world));
        environment.spawn(Box::pin(async move {
            let key = *teller.key.borrow();
            let key = key.filter(|_| !teller.denies.get());
            let seen = match key {
                None => Seen::Free,
                Some(value) => Seen::Held {
                    value: Some(value.into()),
                    left: None,
                },
            };
            if let Some(watcher) = watcher.upgrade() {
                watcher.seen(index, seen);
            }
        }));
    }
}

/// A lock of 30 s over three servers.
struct Kept {
    world: Rc<World>,
    servers: [Rc<Teller>; 3],
    engine: Engine,
    watch: SharedValidity,
    lost: Rc<RefCell<Vec<(Instant, Reason)>>>,
}

impl Kept {
    fn new(renewal: Option<Renewal>, settings: Settings) -> Self {
        let world = Rc::<World>::default();
        world.now.set(START);
        let servers = [(); 3].map(|()| Teller::new(&world));
        let lost = Rc::new(RefCell::new(Vec::new()));
        let (heard, clock) = (Rc::clone(&lost), Rc::clone(&world));
        let instances = servers.iter().cloned();
        let engine = Engine::new(
            instances.map(|one| one as Rc<dyn Instance>).collect(),
            Rc::new(Virtual(Rc::clone(&world))),
            Rc::default(),
            Rc::default(),
            move |event| {
                if let Event::Lost { failure, .. } = event {
                    heard.borrow_mut().push((clock.now.get(), failure.reason));
                }
            },
        );
        let kept = Self {
            world,
            servers,
            engine,
            watch: SharedValidity::default(),
            lost,
        };
        let request = WatchRequest {
            resources: resources(),
            value: Token::from(VALUE),
            until: at(30_000),
            renewal,
            settings,
            number: 7,
        };
        kept.engine.watch(request, kept.watch.clone());
        kept
    }

    /// One that is extended 20 s before its end, and is held for a while.
    fn long() -> Self {
        let kept = Self::new(Some(renewal(30_000, ms(20_000))), woken());
        kept.world.run_until(at(1000));
        kept
    }

    fn looks(&self) -> usize {
        self.servers.iter().map(|server| server.looks.get()).sum()
    }

    fn inspections(&self) -> usize {
        let asked = self
            .servers
            .iter()
            .map(|server| server.was_asked("inspect"));
        asked.sum()
    }

    fn is_lost_at(&self, millis: u64) {
        self.world.run_until(at(millis + 1));
        assert_eq!(*self.lost.borrow(), [(at(millis), Reason::NotHeld)]);
        assert_eq!(self.watch.until(), Instant::ORIGIN);
    }

    fn is_held_at(&self, millis: u64) {
        self.world.run_until(at(millis));
        assert!(self.lost.borrow().is_empty());
        assert!(self.watch.until() > at(millis));
    }
}

fn woken() -> Settings {
    Settings {
        wakeups: true,
        ..Settings::default()
    }
}

#[test]
fn a_lock_whose_key_is_gone_on_a_majority_is_lost_at_once() {
    let kept = Kept::long();
    kept.servers[0].has(None);
    kept.servers[2].has(None);
    kept.is_lost_at(1000);
    assert_eq!(kept.servers[1].was_asked("extend"), 0);
}

#[test]
fn so_is_one_whose_key_is_anothers() {
    let kept = Kept::long();
    kept.servers[1].has(Some("another's"));
    kept.servers[2].has(Some("another's"));
    kept.is_lost_at(1000);
}

#[test]
fn so_is_one_that_is_only_watched() {
    let kept = Kept::new(None, woken());
    kept.world.run_until(at(1000));
    kept.servers[0].has(None);
    kept.servers[1].has(None);
    kept.is_lost_at(1000);
}

#[test]
fn what_was_gone_before_it_was_watched_is_seen_when_it_is() {
    let kept = Kept::new(None, woken());
    kept.servers[0].has(None);
    kept.servers[1].has(None);
    kept.is_lost_at(100);
}

#[test]
fn a_silent_minority_does_not_delay_it() {
    let kept = Kept::long();
    kept.servers[1].is_silent.set(true);
    kept.servers[0].has(None);
    kept.servers[2].has(None);
    kept.is_lost_at(1000);
}

#[test]
fn a_minority_takes_nobodys_lock() {
    let kept = Kept::long();
    kept.servers[0].has(None);
    kept.is_held_at(9000);
    assert_eq!(kept.inspections(), 0);
}

#[test]
fn what_is_told_without_a_change_costs_looks_that_grow_rare() {
    let kept = Kept::long();
    let before = kept.looks();
    for millis in 1000..9000 {
        kept.servers.iter().for_each(|server| server.tell());
        kept.is_held_at(millis);
    }
    let looks = kept.looks() - before;
    assert!((9..=60).contains(&looks), "{looks}");
    assert_eq!(kept.inspections(), 0);
    // What is true is heard all the same.
    kept.servers[0].has(None);
    kept.servers[1].has(None);
    kept.world.run_until(at(10_010));
    assert_eq!(kept.lost.borrow().len(), 1);
}

#[test]
fn what_looks_show_and_votes_do_not_ends_no_lock() {
    let kept = Kept::long();
    for server in &kept.servers {
        server.denies.set(true);
        server.tell();
    }
    kept.is_held_at(9000);
    assert_eq!(kept.inspections(), 2 * 3, "asked, and once more");
    // It is extended, and may be asked about again.
    kept.is_held_at(15_000);
    kept.servers.iter().for_each(|server| server.tell());
    kept.is_held_at(19_000);
    assert_eq!(kept.inspections(), 4 * 3);
}

#[test]
fn votes_that_cannot_be_had_end_no_lock() {
    let kept = Kept::long();
    for server in &kept.servers[..2] {
        server.is_silent.set(true);
        server.has(None);
    }
    kept.is_held_at(9000);
}

#[test]
fn an_acquire_that_is_still_on_its_way_is_waited_for() {
    let kept = Kept::new(Some(renewal(30_000, ms(20_000))), woken());
    // One has refused the lock, and to one more it comes late.
    kept.servers[0].has(Some("another's"));
    kept.servers[1].has(None);
    kept.servers[1].is_silent.set(true);
    kept.world.run_until(at(150));
    kept.servers[1].has(Some(VALUE));
    kept.servers[1].is_silent.set(false);
    for responder in kept.servers[1].unanswered.take() {
        responder.fail(Cause::Dropped);
    }
    kept.is_held_at(9000);
}

#[test]
fn a_lock_that_is_held_for_a_moment_costs_no_look() {
    let kept = Kept::new(Some(renewal(30_000, ms(20_000))), woken());
    kept.world.run_until(at(99));
    kept.engine.unwatch(&resources(), &Token::from(VALUE), 7);
    kept.world.run_until(at(20_000));
    assert_eq!(kept.looks(), 0);
    let watched = kept
        .servers
        .iter()
        .map(|server| server.watchers.take().len());
    assert_eq!(watched.sum::<usize>(), 0);
}

#[test]
fn a_lock_that_is_released_or_ends_is_watched_no_longer() {
    for ends in [
        |kept: &Kept| kept.engine.unwatch(&resources(), &Token::from(VALUE), 7),
        |kept: &Kept| kept.engine.stop_renewals(),
    ] {
        let kept = Kept::long();
        ends(&kept);
        kept.world.run_until(at(1001));
        for server in &kept.servers {
            let watchers = server.watchers.borrow();
            assert!(
                watchers
                    .iter()
                    .all(|(_, watcher)| watcher.upgrade().is_none())
            );
        }
    }
}

#[test]
fn where_it_is_not_wanted_or_not_known_what_is_stored_nothing_is_watched() {
    let scripts = Settings {
        scripts: Some(Arc::default()),
        ..woken()
    };
    for settings in [Settings::default(), scripts] {
        let kept = Kept::new(Some(renewal(30_000, ms(20_000))), settings);
        kept.servers[0].has(None);
        kept.servers[1].has(None);
        kept.is_held_at(9000);
        assert_eq!(kept.looks(), 0);
        kept.world.run_until(at(11_000));
        assert_eq!(*kept.lost.borrow(), [(at(10_000), Reason::NotHeld)]);
    }
}

#[test]
fn what_cannot_be_watched_yet_is_after_the_next_extension() {
    let kept = Kept::new(Some(renewal(30_000, ms(20_000))), woken());
    for server in &kept.servers[..2] {
        server.tells.set(false);
    }
    kept.world.run_until(at(1000));
    assert_eq!(kept.looks(), 0, "a majority does not tell");
    kept.servers[1].tells.set(true);
    kept.world.run_until(at(11_000));
    assert_eq!(kept.looks(), 2);
    kept.servers[1].has(None);
    kept.servers[2].has(None);
    kept.is_lost_at(11_000);
}

#[test]
fn an_extension_that_is_due_does_not_wait_for_votes() {
    let kept = Kept::new(Some(renewal(30_000, ms(22_000))), woken());
    kept.world.run_until(at(7500));
    for server in &kept.servers {
        server.is_silent.set(true);
        server.denies.set(true);
        server.tell();
    }
    kept.world.run_until(at(7999));
    assert_eq!(kept.servers[0].was_asked("extend"), 0);
    kept.world.run_until(at(8001));
    assert_eq!(kept.servers[0].was_asked("extend"), 1);
}
