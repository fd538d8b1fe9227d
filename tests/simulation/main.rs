//! The engine on virtual time, over simulated instances, while things go wrong.
//!
//! Every run follows from its seed: how many clients, servers and resources
//! there are, how their clocks run, what the network does, which faults strike
//! when. A run is checked against what docs/safety.md promises: never two
//! holders at once, every request settles in time, nothing is left behind,
//! and whoever is alone gets the lock.
//!
//! [`seeds`] says how to run more seeds, or one with its trace.
//!
//! Read [`simulation`] first; [`checker`] and [`watched_lock`] have what must hold,
//! [`liveness`] what more must hold once the faults have stopped, [`scenario`] what a
//! seed decides, [`faults`] what goes wrong.

#![warn(clippy::pedantic)]

#[path = "../support/chance.rs"]
mod chance;
mod checker;
mod client;
mod connection;
mod counts;
mod faults;
mod herd;
mod liveness;
mod member;
mod memory;
#[path = "../support/process.rs"]
mod process;
mod scenario;
#[path = "../support/seeds.rs"]
mod seeds;
mod server;
mod simulation;
mod tickets;
mod vote_reports;
mod watched_lock;
mod watching;
#[path = "../support/world.rs"]
mod world;

use std::time::Duration;

use redlock_native::engine::{Retry, SafetyRule};

use crate::herd::Herd;
use crate::seeds::{Simulation, count};

/// Some ten seconds of a debug build on two cores.
const DEFAULT_SEEDS: u64 = 1000;
/// Among so many seeds, one must miss a rule that was taken out.
const SABOTAGED_SEEDS: u64 = 10_000;

const SIMULATION: Simulation = Simulation {
    name: "simulation",
    features: "sabotage",
    seeds: DEFAULT_SEEDS,
    sabotaged_seeds: SABOTAGED_SEEDS,
    run: simulation::run,
};

#[test]
fn no_seed_breaks_a_promise() {
    let Some((seeds, counts)) = SIMULATION.expect_no_violation() else {
        return;
    };
    let granted = count(&counts, "granted");
    let struck = count(&counts, "struck by a fault");
    let told = count(&counts, "told of a change");
    assert!(
        seeds < 100 || granted >= 20 * seeds && struck >= 5 * seeds && told >= seeds,
        "too little happens for anything to be shown: {granted} grants, {struck} faults, told {told} times"
    );
}

#[test]
fn of_a_hundred_processes_that_wait_one_has_the_lock_soon_and_none_asks_much_meanwhile() {
    const ROUNDS: usize = 31;
    let herd = Herd {
        processes: 100,
        held_for: Duration::from_secs(5),
        retry: Retry {
            count: None,
            ..Retry::default()
        },
        is_fair: false,
        grants: 1,
    };
    let mut spans = Vec::new();
    for seed in 0..ROUNDS as u64 {
        let seen = herd::wait(seed, &herd);
        assert_eq!(seen.violation, None, "seed {seed}");
        let most = seen.commands.iter().max();
        assert!(
            most.is_some_and(|most| *most <= 15),
            "seed {seed}: {most:?} commands"
        );
        spans.extend(seen.free_for);
    }
    spans.sort_unstable();
    println!("free for {spans:?}");
    assert_eq!(spans.len(), ROUNDS);
    assert!(spans[ROUNDS / 2] <= Duration::from_millis(60), "{spans:?}");
}

/// The leases of those who wait were renewed again and again meanwhile.
#[test]
fn a_fair_queue_that_has_stood_for_long_hands_over_as_soon_as_a_new_one() {
    const WAITERS: usize = 12;
    for (seed, delay) in [200.0, 1000.0, 10_000.0].into_iter().enumerate() {
        let seen = herd::wait(
            seed as u64,
            &Herd {
                processes: WAITERS,
                held_for: Duration::from_secs(30),
                retry: Retry {
                    count: None,
                    delay,
                    jitter: 0.0,
                },
                is_fair: true,
                grants: WAITERS,
            },
        );
        assert_eq!(seen.violation, None, "delay {delay}");
        println!("{:?} {:?}", seen.commands, seen.free_for);
        let slowest = seen.free_for.iter().max();
        assert!(
            slowest.is_some_and(|slowest| *slowest <= Duration::from_millis(100)),
            "delay {delay}: {:?}",
            seen.free_for
        );
        // Of three servers, each is asked and looked at twice in a lease.
        let most = seen.commands.iter().max();
        assert!(
            most.is_some_and(|most| *most <= 250),
            "delay {delay}: {most:?} commands"
        );
    }
}

#[test]
fn without_the_validity_check_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Validity, "two holders");
}

#[test]
fn without_the_release_after_a_failed_attempt_a_seed_leaves_a_key() {
    SIMULATION.expect_missed(SafetyRule::Cleanup, "left its key");
}

#[test]
fn where_more_are_left_out_of_it_than_have_certainly_set_nothing_a_seed_leaves_a_key() {
    SIMULATION.expect_missed(SafetyRule::Refusals, "left its key");
}

#[test]
fn without_the_release_of_what_is_granted_after_the_unlock_a_seed_leaves_a_key() {
    SIMULATION.expect_missed(SafetyRule::Stragglers, "left its key");
}

#[test]
fn without_the_majority_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Majority, "two holders");
}

#[test]
fn without_a_fresh_value_per_attempt_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::FreshValue, "two holders");
}

#[test]
fn without_waiting_for_the_majority_to_extend_a_kept_lock_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Loss, "two holders");
}

#[test]
fn with_the_callers_word_for_the_end_of_a_kept_lock_a_seed_believes_in_it_too_long() {
    SIMULATION.expect_missed(SafetyRule::KnownEnd, "#");
}

#[test]
fn with_losses_on_what_is_told_without_a_vote_a_seed_loses_a_lock_that_is_held() {
    SIMULATION.expect_missed(SafetyRule::LostByVotes, "have ever lacked it");
}

#[test]
fn without_the_cap_a_seed_extends_a_lock_beyond_it() {
    SIMULATION.expect_missed(SafetyRule::Cap, "beyond its cap");
}

#[test]
fn with_votes_by_likeness_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::NoLikeness, "two holders");
}

#[test]
fn without_asking_now_and_then_a_seed_has_one_wait_for_what_it_is_not_told() {
    SIMULATION.expect_missed(SafetyRule::AskedAnyway, " takes ");
}

#[test]
fn with_ones_own_value_as_a_grant_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::OwnValue, "two holders");
}

#[test]
fn without_refusing_a_value_that_is_in_use_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Claims, "two holders");
}

#[test]
fn with_the_votes_on_an_extension_of_who_had_not_granted_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Refusers, "two holders");
}

#[test]
fn without_refusing_a_free_lock_to_who_is_not_first_a_seed_breaks_the_order() {
    SIMULATION.expect_missed(SafetyRule::InTurn, "before one that waited");
}

#[test]
fn with_a_ticket_per_attempt_a_seed_waits_for_itself() {
    SIMULATION.expect_missed(SafetyRule::OneTicket, "a turn when");
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
        memory::run(*seed, Some(SafetyRule::NeverShorter))
            .violation
            .is_some()
    });
    let seed = broken.expect("nobody missed NeverShorter");
    println!("without NeverShorter: seed {seed}");
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    SIMULATION.expect_repeatable();
}
