//! The engine on virtual time, over simulated instances, while things go wrong.
//!
//! Every run follows from its seed: how many clients, servers and resources
//! there are, how their clocks run, what the network does, which faults strike
//! when. A run is checked against what docs/safety.md promises: never two
//! holders at once, every request settles in time, nothing is left behind,
//! and whoever is alone gets the lock.
//!
//! - `SEEDS=10000` says how many seeds are run.
//! - `SEED=7` runs one alone, with its trace (`-- --nocapture` shows it).
//! - `WITHOUT=Validity`, or another `Rule`, takes that out of the engine for it.
//!
//! Read [`simulation`] first; [`checker`] and [`vigil`] have what must hold, [`calm`] what more
//! must hold once the faults have stopped, [`scenario`] what a seed decides,
//! [`faults`] what goes wrong.

#![warn(clippy::pedantic)]

mod calm;
mod chance;
mod checker;
mod client;
mod connection;
mod faults;
mod member;
mod memory;
mod process;
mod scenario;
mod server;
mod simulation;
mod vigil;
mod world;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use redlock_native::engine::Rule;

use crate::checker::Counts;
use crate::simulation::{Outcome, run};

/// Some ten seconds of a debug build on two cores.
const DEFAULT_SEEDS: u64 = 1000;
/// Among so many seeds, one must miss a rule that was taken out.
const SABOTAGED_SEEDS: u64 = 10_000;

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(seed) = number("SEED") {
        replay(seed);
        return;
    }
    let seeds = number("SEEDS").unwrap_or(DEFAULT_SEEDS);
    let begun = Instant::now();
    let report = search(None, seeds, "");
    println!("{seeds} seeds in {:?}", begun.elapsed());
    for (name, count) in report.counts.all() {
        println!("  {name}: {}", count.get());
    }
    if let Some((seed, violation)) = report.first {
        panic!(
            "seed {seed}: {violation}\nreplay it with its trace:\n  {}",
            command(seed, None)
        );
    }
    let (granted, struck) = (report.counts.granted.get(), report.counts.struck.get());
    assert!(
        seeds < 100 || granted >= 20 * seeds && struck >= 5 * seeds,
        "too little happens for anything to be shown: {granted} grants, {struck} faults"
    );
    for (name, count) in report.counts.all() {
        assert!(
            seeds < 100 || count.get() > 0,
            "nothing was ever {name}: nothing is shown by it"
        );
    }
}

#[test]
fn without_the_validity_check_a_seed_has_two_holders() {
    assert_missed(Rule::Validity, "two holders");
}

#[test]
fn without_the_release_after_a_failed_attempt_a_seed_leaves_a_key() {
    assert_missed(Rule::Cleanup, "left its key");
}

#[test]
fn without_the_release_of_what_is_granted_after_the_unlock_a_seed_leaves_a_key() {
    assert_missed(Rule::Stragglers, "left its key");
}

#[test]
fn without_the_majority_a_seed_has_two_holders() {
    assert_missed(Rule::Majority, "two holders");
}

#[test]
fn without_a_fresh_value_per_attempt_a_seed_has_two_holders() {
    assert_missed(Rule::FreshValue, "two holders");
}

#[test]
fn without_waiting_for_the_majority_to_extend_a_kept_lock_a_seed_has_two_holders() {
    assert_missed(Rule::Loss, "two holders");
}

#[test]
fn with_the_callers_word_for_the_end_of_a_kept_lock_a_seed_believes_in_it_too_long() {
    assert_missed(Rule::KnownEnd, "#");
}

#[test]
fn without_the_cap_a_seed_extends_a_lock_beyond_it() {
    assert_missed(Rule::Cap, "beyond its cap");
}

#[test]
fn with_votes_by_likeness_a_seed_has_two_holders() {
    assert_missed(Rule::NoLikeness, "two holders");
}

#[test]
fn with_ones_own_value_as_a_grant_a_seed_has_two_holders() {
    assert_missed(Rule::OwnValue, "two holders");
}

#[test]
fn without_refusing_a_value_that_is_in_use_a_seed_has_two_holders() {
    assert_missed(Rule::Claims, "two holders");
}

#[test]
fn with_the_votes_on_an_extension_of_who_had_not_granted_a_seed_has_two_holders() {
    assert_missed(Rule::Refusers, "two holders");
}

#[test]
fn a_table_in_memory_keeps_the_longest_life_that_was_granted() {
    let mut counts = (0, 0);
    for seed in 0..DEFAULT_SEEDS {
        let outcome = memory::run(seed, None);
        assert_eq!(outcome.violation, None, "seed {seed}");
        counts = (counts.0 + outcome.granted, counts.1 + outcome.extended);
    }
    println!("in memory: {} granted, {} extended", counts.0, counts.1);
    assert!(
        counts.0 > DEFAULT_SEEDS && counts.1 > DEFAULT_SEEDS,
        "{counts:?}"
    );
}

#[test]
fn with_extensions_that_shorten_a_seed_has_two_holders() {
    let broken = (0..SABOTAGED_SEEDS).find(|seed| {
        memory::run(*seed, Some(Rule::NeverShorter))
            .violation
            .is_some()
    });
    let seed = broken.expect("nobody missed NeverShorter");
    println!("without NeverShorter: seed {seed}");
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| run(seed, None, false));
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
    assert_ne!(run(0, None, false).trace, run(1, None, false).trace);
}

fn assert_missed(rule: Rule, consequence: &str) {
    if number("SEED").is_some() {
        return;
    }
    let begun = Instant::now();
    let report = search(Some(rule), SABOTAGED_SEEDS, consequence);
    let Some((seed, violation)) = report.first else {
        panic!("nobody missed {rule:?} in {SABOTAGED_SEEDS} seeds");
    };
    println!(
        "without {rule:?}: seed {seed} after {:?}: {violation}",
        begun.elapsed()
    );
    println!("  {}", command(seed, Some(rule)));
}

struct Report {
    /// The lowest seed that broke a promise, and how.
    first: Option<(u64, String)>,
    counts: Counts,
}

/// Runs seeds on all cores until one breaks a promise, in these words.
fn search(without: Option<Rule>, seeds: u64, words: &str) -> Report {
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(seeds);
    let report = Mutex::new(Report {
        first: None,
        counts: Counts::default(),
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run_to_the_end(seed, without);
                    let mut report = report.lock().expect("no panic while it is held");
                    report.counts.add(&outcome.counts);
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

/// A run in which a panic is one more broken promise.
fn run_to_the_end(seed: u64, without: Option<Rule>) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, without, false)));
    outcome.unwrap_or_else(|_| Outcome {
        trace: 0,
        violation: Some("a panic".into()),
        counts: Counts::default(),
    })
}

fn replay(seed: u64) {
    let without = env::var("WITHOUT")
        .ok()
        .map(|name| Rule::named(&name).unwrap_or_else(|| panic!("no rule is called {name}")));
    let outcome = run(seed, without, true);
    if let Some(violation) = outcome.violation {
        panic!("seed {seed}: {violation}");
    }
    println!("seed {seed} broke no promise");
}

fn command(seed: u64, without: Option<Rule>) -> String {
    let without = without.map_or(String::new(), |rule| format!("WITHOUT={rule:?} "));
    format!(
        "SEED={seed} {without}cargo test --no-default-features --features sabotage \
         --test simulation no_seed -- --nocapture"
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a whole number, not {text}")))
}
