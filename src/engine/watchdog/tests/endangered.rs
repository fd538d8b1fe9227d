//! That a holder is told when its lock is about to be lost.

use super::*;

const FAILED: Vote = Vote::Failed(Cause::Dropped);

/// What was left each time that it was told.
fn told(bench: &Bench) -> Vec<Duration> {
    let told = bench.endangered.borrow();
    told.iter().map(|(_, left)| *left).collect()
}

#[test]
fn it_is_told_once_when_an_extension_fails_with_less_than_a_third_of_the_ttl_left() {
    let bench = Bench::keep(Some(renewal(1000, ms(500))));
    bench.answer(Some(FAILED));
    bench.world.run_until(at(660));
    assert!(bench.extensions() > 1);
    assert!(told(&bench).is_empty());
    bench.world.run_until(at(950));
    assert!(bench.is_held());
    let left = told(&bench);
    assert_eq!(left.len(), 1);
    assert!(ms(200) < left[0] && left[0] < ms(334), "{left:?}");
    bench.world.run_until(at(5000));
    assert_eq!(told(&bench).len(), 1);
    assert_eq!(bench.lost.borrow().len(), 1);
}

#[test]
fn it_is_told_again_only_after_an_extension() {
    let bench = Bench::keep(Some(renewal(1000, ms(300))));
    for round in 1..=3 {
        bench.answer(Some(FAILED));
        bench.world.run_until(bench.watch.until().before(ms(50)));
        assert_eq!(told(&bench).len(), round);
        bench.answer(Some(Vote::Granted));
        bench.world.run_until(bench.watch.until().before(ms(1)));
        assert!(bench.is_held());
    }
    let stats = bench.engine.stats();
    assert_eq!(stats.endangered, 3);
    assert!(stats.failed_extensions > 3);
    let confirmed = stats.slack.counts.iter().sum::<u64>();
    assert_eq!(confirmed, 3);
    assert_eq!(stats.lost.iter().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn silence_is_a_failure_too() {
    let bench = Bench::keep(Some(renewal(1000, ms(300))));
    bench.answer(None);
    bench.world.run_until(at(990));
    assert_eq!(told(&bench).len(), 1);
}

#[test]
fn an_extension_by_hand_ends_the_danger() {
    let bench = Bench::keep(Some(renewal(1000, ms(300))));
    bench.answer(Some(FAILED));
    bench.world.run_until(at(950));
    assert_eq!(told(&bench).len(), 1);
    bench.answer(Some(Vote::Granted));
    bench.extend(1000);
    bench.answer(Some(FAILED));
    bench.world.run_until(at(1600));
    assert_eq!(told(&bench).len(), 1);
    bench.world.run_until(at(1900));
    assert_eq!(told(&bench).len(), 2);
}

#[test]
fn a_lock_that_is_gone_is_lost_and_no_longer_in_danger() {
    let bench = Bench::keep(Some(renewal(1000, ms(300))));
    bench.answer(Some(NOT_MINE));
    bench.world.run_until(at(5000));
    assert!(told(&bench).is_empty());
    assert_eq!(bench.lost.borrow().len(), 1);
    let lost = bench.engine.stats().lost;
    let of = |loss| {
        lost.iter()
            .find(|(one, _)| *one == loss)
            .map(|(_, count)| *count)
    };
    assert_eq!(of(Loss::NotHeld), Some(1));
    assert_eq!(of(Loss::Expired), Some(0));
}

#[test]
fn a_lock_that_was_released_is_in_no_danger() {
    let bench = Bench::keep(Some(renewal(1000, ms(300))));
    bench.answer(None);
    bench.world.run_until(at(705));
    bench.release();
    bench.world.run_until(at(5000));
    assert!(told(&bench).is_empty());
}
