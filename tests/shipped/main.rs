//! The shipped code on virtual time, over in-memory streams, against a model of
//! Redis, while things go wrong.
//!
//! The hand-over's rows and queues, sessions, links, sentinels, clusters, callers'
//! clients with their promotion: all of it is what ships. Below the wire there is a
//! model; above the rows there is one of JavaScript; TLS and sockets stay outside.
//!
//! [`seeds`] says how to run more seeds, or one with its trace.
//!
//! Read [`simulation`] first; [`checker`] has what must hold, [`scenario`] what a
//! seed decides, [`faults`] what goes wrong, [`redis`] and [`stream`] what is below
//! the wire ([`watching`] has the watch connection by itself there), [`javascript`] and [`clients`] what is above the rows.

#![warn(clippy::pedantic)]

mod caller;
#[path = "../support/chance.rs"]
mod chance;
mod checker;
mod clients;
mod cluster;
mod dialler;
mod faults;
mod javascript;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "each simulation uses some of it")]
mod process;
mod redis;
mod scenario;
#[path = "../support/seeds.rs"]
mod seeds;
mod simulation;
mod stream;
mod tracking;
mod watching;
#[path = "../support/world.rs"]
#[allow(dead_code, reason = "each simulation uses some of it")]
mod world;

use redlock_native::engine::SafetyRule;

use crate::seeds::{Simulation, count};

const SIMULATION: Simulation = Simulation {
    name: "shipped",
    features: "hand-over,sabotage",
    // Some seconds of a debug build on two cores.
    seeds: 200,
    sabotaged_seeds: 1000,
    run: simulation::run,
};

#[test]
fn no_seed_breaks_a_promise() {
    let Some((seeds, counts)) = SIMULATION.expect_no_violation() else {
        return;
    };
    let granted = count(&counts, "granted");
    let faults = count(&counts, "struck by a fault");
    let looked_at = count(&counts, "looked at by who is told of changes");
    assert!(
        granted >= 20 * seeds && faults >= 5 * seeds && looked_at >= seeds,
        "too little happens for anything to be shown: {granted} grants, {faults} faults and {looked_at} looks in {seeds} seeds"
    );
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    SIMULATION.expect_repeatable();
}

#[test]
fn without_a_majority_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Majority, "two holders");
}

#[test]
fn without_waiting_for_the_majority_to_extend_a_kept_lock_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Loss, "two holders");
}

#[test]
fn without_the_release_after_a_failed_attempt_a_seed_leaves_a_key() {
    SIMULATION.expect_missed(SafetyRule::Cleanup, "still has");
}

#[test]
fn without_writing_once_a_seed_has_an_acquire_written_twice() {
    SIMULATION.expect_missed(SafetyRule::WriteOnce, "written twice");
}

#[test]
fn without_a_bound_a_seed_lets_too_much_wait() {
    SIMULATION.expect_missed(SafetyRule::Bounded, "bytes wait");
}

#[test]
fn with_votes_by_likeness_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::NoLikeness, "two holders");
}

#[test]
fn with_ones_own_value_as_a_grant_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::OwnValue, "two holders");
}

#[test]
fn with_former_connections_that_vote_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::PreviousConnection, "two holders");
}

#[test]
fn with_extensions_by_members_that_had_refused_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Refusers, "two holders");
}

#[test]
fn without_a_proof_before_promotion_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Proof, "two holders");
}

#[test]
fn with_replies_of_impossible_kinds_taken_for_votes_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::ReplyKind, "two holders");
}

#[test]
fn without_a_look_at_the_hand_over_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::HandOver, "two holders");
}

#[test]
fn with_releases_that_overtake_a_seed_has_an_acquire_after_its_release() {
    SIMULATION.expect_missed(SafetyRule::Order, "comes after its own release");
}

#[test]
fn without_asking_a_masters_role_a_seed_has_two_holders() {
    SIMULATION.expect_missed(SafetyRule::Role, "two holders");
}

#[test]
fn without_asking_again_for_what_a_call_for_many_has_not_found_a_seed_leaves_a_key() {
    SIMULATION.expect_missed(SafetyRule::AskedAlone, "still has");
}
