//! Runs a simulation's seeds until one breaks a promise, and replays one.
//!
//! - `SEEDS=10000` says how many seeds are run, and `FIRST=10000` from which one on.
//! - `SEED=7` runs one alone, with its trace (`-- --nocapture` shows it).
//! - `WITHOUT=Validity`, or another `SafetyRule`, takes that out for it.

use std::cell::Cell;
use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Instant;

use redlock_native::engine::SafetyRule;

/// What a run came to.
pub struct Outcome {
    /// A hash of all that happened.
    pub trace: u64,
    /// The first promise that was broken.
    pub violation: Option<String>,
    /// How often each thing happened.
    pub counts: Counts,
}

/// How often each thing happened, by its name.
pub type Counts = Vec<(&'static str, u64)>;

/// A simulation that has its runs from seeds.
pub struct Simulation {
    /// What `cargo test --test` calls it.
    pub name: &'static str,
    /// The crate's features that it takes.
    pub features: &'static str,
    /// How many seeds are run where nothing says how many.
    pub seeds: u64,
    /// Among so many, one must miss a rule that was taken out.
    pub sabotaged_seeds: u64,
    /// Runs one seed without a rule, if that is taken out; told to be verbose it
    /// prints its trace.
    pub run: fn(seed: u64, without: Option<SafetyRule>, verbose: bool) -> Outcome,
}

impl Simulation {
    /// Fails if a seed breaks a promise. Returns how many were run and how often each
    /// thing happened; nothing where only one seed was to be replayed.
    pub fn expect_no_violation(&self) -> Option<(u64, Counts)> {
        if let Some(seed) = number("SEED") {
            self.replay(seed);
            return None;
        }
        let seeds = number("SEEDS").unwrap_or(self.seeds);
        let begun = Instant::now();
        let report = self.search(None, seeds, "");
        println!("{seeds} seeds in {:?}", begun.elapsed());
        for (name, count) in &report.counts {
            println!("  {name}: {count}");
        }
        if let Some((seed, violation)) = report.first {
            panic!(
                "seed {seed}: {violation}\nreplay it with its trace:\n  {}",
                self.command(seed, None)
            );
        }
        for (name, count) in &report.counts {
            assert!(
                seeds < 100 || *count > 0,
                "nothing was ever {name}: nothing is shown by it"
            );
        }
        Some((seeds, report.counts))
    }

    /// Fails unless a seed misses the rule, by a violation in these words.
    pub fn expect_missed(&self, rule: SafetyRule, consequence: &str) {
        if number("SEED").is_some() {
            return;
        }
        let begun = Instant::now();
        let report = self.search(Some(rule), self.sabotaged_seeds, consequence);
        let Some((seed, violation)) = report.first else {
            panic!("nobody missed {rule:?} in {} seeds", self.sabotaged_seeds);
        };
        println!(
            "without {rule:?}: seed {seed} after {:?}: {violation}",
            begun.elapsed()
        );
        println!("  {}", self.command(seed, Some(rule)));
    }

    /// Fails unless a seed is the same run every time.
    pub fn expect_repeatable(&self) {
        let trace = |seed| (self.run)(seed, None, false).trace;
        for seed in 0..20 {
            assert_eq!(trace(seed), trace(seed), "seed {seed}");
        }
        assert_ne!(trace(0), trace(1));
    }

    /// Runs seeds on all cores until one breaks a promise, in these words.
    fn search(&self, without: Option<SafetyRule>, seeds: u64, words: &str) -> Report {
        let first = number("FIRST").unwrap_or(0);
        let next = AtomicU64::new(first);
        let end = AtomicU64::new(first + seeds);
        let report = Mutex::new(Report::default());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end.load(Ordering::Relaxed) {
                            return;
                        }
                        let outcome = self.run_to_the_end(seed, without);
                        let mut report = report.lock().expect("no panic while it is held");
                        report.add(&outcome.counts);
                        if let Some(violation) = outcome.violation.filter(|it| it.contains(words)) {
                            end.fetch_min(seed, Ordering::Relaxed);
                            if report.first.as_ref().is_none_or(|(first, _)| seed < *first) {
                                report.first = Some((seed, violation));
                            }
                        }
                    }
                });
            }
        });
        report.into_inner().expect("no panic while it is held")
    }

    /// A run in which a panic is one more broken promise, also one that the code under
    /// test has caught.
    fn run_to_the_end(&self, seed: u64, without: Option<SafetyRule>) -> Outcome {
        static HOOKED: Once = Once::new();
        HOOKED.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                PANICKED.set(true);
                usual(info);
            }));
        });
        PANICKED.set(false);
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.run)(seed, without, false)));
        let mut outcome = outcome.unwrap_or_else(|_| Outcome {
            trace: 0,
            violation: None,
            counts: Counts::new(),
        });
        if PANICKED.get() {
            outcome.violation.get_or_insert_with(|| "a panic".into());
        }
        outcome
    }

    fn replay(&self, seed: u64) {
        let without = env::var("WITHOUT").ok().map(|name| {
            SafetyRule::named(&name).unwrap_or_else(|| panic!("no rule is called {name}"))
        });
        let outcome = (self.run)(seed, without, true);
        if let Some(violation) = outcome.violation {
            panic!("seed {seed}: {violation}");
        }
        println!("seed {seed} broke no promise");
    }

    fn command(&self, seed: u64, without: Option<SafetyRule>) -> String {
        let without = without.map_or(String::new(), |rule| format!("WITHOUT={rule:?} "));
        format!(
            "SEED={seed} {without}cargo test --no-default-features --features {} \
             --test {} no_seed -- --nocapture",
            self.features, self.name
        )
    }
}

/// How often `name` happened.
pub fn count(counts: &Counts, name: &str) -> u64 {
    let (_, count) = counts
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("nothing is counted as {name}"));
    *count
}

#[derive(Default)]
struct Report {
    /// The lowest seed that broke a promise, and how.
    first: Option<(u64, String)>,
    counts: Counts,
}

impl Report {
    fn add(&mut self, counts: &Counts) {
        if self.counts.is_empty() {
            self.counts.clone_from(counts);
        } else {
            for ((_, sum), (_, count)) in self.counts.iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a whole number, not {text}")))
}
