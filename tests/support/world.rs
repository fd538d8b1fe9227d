//! True time: a heap of happenings, of which the earliest comes next.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::Instant;

use crate::chance::Chance;

/// A point in true time, which no clock in the simulation shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    pub const LAST: Self = Self(u64::MAX);

    pub fn after(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A clock that starts anywhere and runs a little too fast or too slow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    /// Nanoseconds it counts in a true second.
    pace: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Clock {
    /// A clock whose pace is wrong by at most half of `drift` (in thousandths).
    ///
    /// With every clock within half the allowance, a client's (1 − drift) · ttl
    /// is over before any server's ttl: (1 − d)/(1 − d/2) ≤ 1/(1 + d/2).
    pub fn draw(chance: &Chance, drift: u64) -> Self {
        let most = SECOND / 1000 * drift / 2;
        let pace = match chance.below(4) {
            0 => SECOND - most,
            1 => SECOND + most,
            2 => SECOND,
            _ => SECOND - most + chance.below(2 * most + 1),
        };
        Self {
            start: chance.below(1000 * SECOND),
            pace,
        }
    }

    pub fn read(self, moment: Moment) -> Instant {
        let counted = u128::from(moment.0) * u128::from(self.pace) / u128::from(SECOND);
        let counted = u64::try_from(counted).unwrap_or(u64::MAX);
        Instant::from_nanos(self.start.saturating_add(counted))
    }

    /// The first moment at which it reads `at` or later.
    pub fn reaches(self, at: Instant) -> Moment {
        let to_count = u128::from(at.nanos().saturating_sub(self.start));
        let moment = (to_count * u128::from(SECOND)).div_ceil(u128::from(self.pace));
        u64::try_from(moment).map_or(Moment::LAST, Moment)
    }
}

/// Everything there is outside clients and servers.
pub struct World {
    pub chance: Chance,
    now: Cell<Moment>,
    happenings: RefCell<BinaryHeap<Reverse<Happening>>>,
    /// Happenings of the same moment come in the order they were arranged.
    number: Cell<u64>,
    /// Nobody begins anything new and no new fault strikes.
    quiet: Cell<bool>,
    violation: RefCell<Option<String>>,
    trace: Cell<u64>,
    verbose: bool,
}

struct Happening {
    at: Moment,
    number: u64,
    act: Box<dyn FnOnce()>,
}

impl World {
    pub fn new(seed: u64, verbose: bool) -> Rc<Self> {
        Rc::new(Self {
            chance: Chance::new(seed),
            now: Cell::default(),
            happenings: RefCell::default(),
            number: Cell::default(),
            quiet: Cell::default(),
            violation: RefCell::default(),
            trace: Cell::new(0xCBF2_9CE4_8422_2325),
            verbose,
        })
    }

    pub fn now(&self) -> Moment {
        self.now.get()
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    pub fn quieten(&self) {
        self.note(format_args!("the faults stop"));
        self.quiet.set(true);
    }

    pub fn at(&self, at: Moment, act: impl FnOnce() + 'static) {
        let number = self.number();
        self.happenings.borrow_mut().push(Reverse(Happening {
            at: at.max(self.now()),
            number,
            act: Box::new(act),
        }));
    }

    /// A number that nothing else has.
    pub fn number(&self) -> u64 {
        let number = self.number.get();
        self.number.set(number + 1);
        number
    }

    pub fn after(&self, span: Duration, act: impl FnOnce() + 'static) {
        self.at(self.now().after(span), act);
    }

    /// Lets the next thing happen; `false` once there is none.
    pub fn step(&self) -> bool {
        let next = self.happenings.borrow_mut().pop();
        let Some(Reverse(happening)) = next else {
            return false;
        };
        self.now.set(happening.at);
        (happening.act)();
        true
    }

    /// Drops what is still to happen, which breaks reference cycles.
    pub fn end(&self) {
        let rest = self.happenings.take();
        drop(rest);
    }

    /// Takes a promise's being broken down; the first one counts.
    pub fn blame(&self, what: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION: {what}"));
        self.violation.borrow_mut().get_or_insert_with(|| {
            format!("{what}, {:?} into the run", self.now().since(Moment(0)))
        });
    }

    pub fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    /// A line of the trace.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        if self.verbose {
            let micros = self.now().0 / 1000;
            println!("{:>6}.{:03} ms  {what}", micros / 1000, micros % 1000);
        }
        let mut hash = Fnv(self.trace.get() ^ self.now().0);
        let _: fmt::Result = write!(hash, "{what}");
        self.trace.set(hash.0);
    }

    /// What two runs of one seed must agree on: a hash of every line.
    pub fn trace(&self) -> u64 {
        self.trace.get()
    }
}

/// FNV-1a over what is written to it.
struct Fnv(u64);

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        Ok(())
    }
}

impl PartialEq for Happening {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Happening {}

impl PartialOrd for Happening {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Happening {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
