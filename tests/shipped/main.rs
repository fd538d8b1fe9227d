//! The shipped code on virtual time, over in-memory streams, against a model of
//! Redis, while things go wrong.
//!
//! The hand-over's rows and queues, sessions, links, sentinels, clusters, callers'
//! clients with their promotion: all of it is what ships. Below the wire there is a
//! model; above the rows there is one of JavaScript; TLS and sockets stay outside.
//!
//! - `SEEDS=10000` says how many seeds are run, and `FIRST=10000` from which one on.
//! - `SEED=7` runs one alone, with its trace (`-- --nocapture` shows it).
//! - `WITHOUT=WriteOnce`, or another `Rule`, takes that out for it.
//!
//! Read [`simulation`] first; [`checker`] has what must hold, [`scenario`] what a
//! seed decides, [`faults`] what goes wrong, [`redis`] and [`stream`] what is below
//! the wire, [`javascript`] and [`clients`] what is above the rows.

#![warn(clippy::pedantic)]

mod caller;
#[path = "../simulation/chance.rs"]
mod chance;
mod checker;
mod clients;
mod cluster;
mod dialler;
mod faults;
mod javascript;
#[path = "../simulation/process.rs"]
#[allow(dead_code, reason = "each simulation uses some of it")]
mod process;
mod redis;
mod scenario;
mod simulation;
mod stream;
#[path = "../simulation/world.rs"]
#[allow(dead_code, reason = "each simulation uses some of it")]
mod world;

use std::cell::Cell;
use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Instant;

use redlock_native::engine::Rule;

use crate::checker::Counts;
use crate::simulation::{Outcome, run};

/// Some seconds of a debug build on two cores.
const DEFAULT_SEEDS: u64 = 200;
/// Among so many seeds, one must miss a rule that was taken out.
const SABOTAGED_SEEDS: u64 = 1000;

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
    let (granted, faults) = (report.counts.granted.get(), report.counts.faults.get());
    assert!(
        granted >= 20 * seeds && faults >= 5 * seeds,
        "too little happens for anything to be shown: {granted} grants and {faults} faults in {seeds} seeds"
    );
    for (name, count) in report.counts.all() {
        assert!(
            seeds < 100 || count.get() > 0,
            "nothing was ever {name}: nothing is shown by it"
        );
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| run(seed, None, false));
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
    assert_ne!(run(0, None, false).trace, run(1, None, false).trace);
}

#[test]
fn without_a_majority_a_seed_has_two_holders() {
    assert_missed(Rule::Majority, "two holders");
}

#[test]
fn without_waiting_for_the_majority_to_extend_a_kept_lock_a_seed_has_two_holders() {
    assert_missed(Rule::Loss, "two holders");
}

#[test]
fn without_the_release_after_a_failed_attempt_a_seed_leaves_a_key() {
    assert_missed(Rule::Cleanup, "still has");
}

#[test]
fn without_writing_once_a_seed_has_an_acquire_written_twice() {
    assert_missed(Rule::WriteOnce, "written twice");
}

#[test]
fn without_a_bound_a_seed_lets_too_much_wait() {
    assert_missed(Rule::Bounded, "bytes wait");
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
fn with_former_connections_that_vote_a_seed_has_two_holders() {
    assert_missed(Rule::Former, "two holders");
}

#[test]
fn with_extensions_by_members_that_had_refused_a_seed_has_two_holders() {
    assert_missed(Rule::Refusers, "two holders");
}

#[test]
fn without_a_proof_before_promotion_a_seed_has_two_holders() {
    assert_missed(Rule::Proof, "two holders");
}

#[test]
fn with_replies_of_impossible_kinds_taken_for_votes_a_seed_has_two_holders() {
    assert_missed(Rule::ReplyKind, "two holders");
}

#[test]
fn without_a_look_at_the_hand_over_a_seed_has_two_holders() {
    assert_missed(Rule::HandOver, "two holders");
}

#[test]
fn with_releases_that_overtake_a_seed_has_an_acquire_after_its_release() {
    assert_missed(Rule::Order, "comes after its own release");
}

#[test]
fn without_asking_a_masters_role_a_seed_has_two_holders() {
    assert_missed(Rule::Role, "two holders");
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
    let first = number("FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let end = AtomicU64::new(first + seeds);
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

/// A run in which a panic is one more broken promise, one too that the engine's
/// thread has caught.
fn run_to_the_end(seed: u64, without: Option<Rule>) -> Outcome {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            usual(info);
        }));
    });
    PANICKED.set(false);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, without, false)));
    let mut outcome = outcome.unwrap_or_else(|_| Outcome {
        trace: 0,
        violation: None,
        counts: Counts::default(),
    });
    if PANICKED.get() {
        outcome.violation.get_or_insert_with(|| "a panic".into());
    }
    outcome
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
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
        "SEED={seed} {without}cargo test --no-default-features --features hand-over,sabotage \
         --test shipped no_seed -- --nocapture"
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a whole number, not {text}")))
}
