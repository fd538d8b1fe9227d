//! Properties of the engine's arithmetic: votes, validity, retries.

#![warn(clippy::pedantic)]

use std::time::Duration;

use proptest::prelude::*;
use redlock_native::engine::{
    Cause, Drift, Instant, Retry, Tally, Ttl, TtlError, Validity, Verdict, Vote, majority,
};

/// A failure prints the smallest input that shows it; no file needs to keep it.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn vote() -> impl Strategy<Value = Vote> {
    prop_oneof![
        Just(Vote::Granted),
        (0..5_u32).prop_map(|applied| Vote::Held { applied }),
        Just(Vote::Failed(Cause::Dropped)),
        Just(Vote::Failed(Cause::Closed)),
    ]
}

fn votes() -> impl Strategy<Value = Vec<Vote>> {
    prop::collection::vec(vote(), 1..10)
}

fn tally(members: usize, votes: &[Vote]) -> Tally {
    let mut tally = Tally::new(members);
    for vote in votes {
        tally.count(vote);
    }
    tally
}

fn granted(votes: &[Vote]) -> usize {
    votes
        .iter()
        .filter(|vote| matches!(vote, Vote::Granted))
        .count()
}

fn held(votes: &[Vote]) -> usize {
    votes
        .iter()
        .filter(|vote| matches!(vote, Vote::Held { .. }))
        .count()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_majorities_have_a_member_in_common(members in 1..1000_usize) {
        prop_assert!(2 * majority(members) > members);
        // And no smaller number would do.
        prop_assert!(2 * (majority(members) - 1) <= members);
    }

    #[test]
    fn all_votes_make_a_verdict_and_it_is_the_majoritys(votes in votes()) {
        let verdict = tally(votes.len(), &votes).verdict();
        let expected = if granted(&votes) >= majority(votes.len()) {
            Verdict::Granted
        } else {
            Verdict::Refused
        };
        prop_assert_eq!(verdict, Some(expected));
    }

    #[test]
    fn a_verdict_comes_with_the_first_vote_that_makes_it_certain(votes in votes()) {
        for counted in 0..=votes.len() {
            let so_far = &votes[..counted];
            // With the best and with the worst that may come.
            let fewest = granted(so_far);
            let most = fewest + votes.len() - counted;
            let quorum = majority(votes.len());
            let expected = if fewest >= quorum {
                Some(Verdict::Granted)
            } else if most < quorum {
                Some(Verdict::Refused)
            } else {
                None
            };
            prop_assert_eq!(tally(votes.len(), so_far).verdict(), expected);
        }
    }

    #[test]
    fn no_later_vote_changes_a_verdict(votes in votes(), counted in 0..10_usize) {
        let counted = counted.min(votes.len());
        let all = tally(votes.len(), &votes).verdict();
        let early = tally(votes.len(), &votes[..counted]).verdict();
        prop_assert!(early.is_none() || early == all);
    }

    #[test]
    fn the_order_of_votes_does_not_matter(
        (votes, shuffled) in votes().prop_flat_map(|votes| {
            (Just(votes.clone()), Just(votes).prop_shuffle())
        }),
    ) {
        let members = votes.len();
        let [one, other] = [votes, shuffled].map(|votes| tally(members, &votes));
        prop_assert_eq!(one.verdict(), other.verdict());
        prop_assert_eq!(one.majority_held(), other.majority_held());
        prop_assert_eq!(
            one.refused_by_holders(members),
            other.refused_by_holders(members)
        );
    }

    #[test]
    fn pending_are_those_that_have_not_voted(votes in votes(), counted in 0..10_usize) {
        let counted = counted.min(votes.len());
        let tally = tally(votes.len(), &votes[..counted]);
        prop_assert_eq!(tally.pending(), votes.len() - counted);
    }

    #[test]
    fn holders_are_blamed_if_granting_failures_would_not_have_sufficed(votes in votes()) {
        let members = votes.len();
        let blamed = tally(members, &votes).refused_by_holders(members);
        prop_assert_eq!(blamed, members - held(&votes) < majority(members));
    }

    #[test]
    fn a_lock_is_gone_once_a_majority_says_so_and_then_no_majority_grants(votes in votes()) {
        let tally = tally(votes.len(), &votes);
        prop_assert_eq!(tally.majority_held(), held(&votes) >= majority(votes.len()));
        if tally.majority_held() {
            prop_assert_eq!(tally.verdict(), Some(Verdict::Refused));
            prop_assert!(tally.refused_by_holders(votes.len()));
        }
    }
}

const LONGEST: u64 = 1 << 53;

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![1..20_000_u64, 1..=LONGEST]
}

fn drift() -> impl Strategy<Value = Drift> {
    prop_oneof![Just(Drift::default()), (0.0..0.5).prop_map(a_drift)]
}

fn a_drift(factor: f64) -> Drift {
    Drift::new(factor).expect("finite and not negative")
}

fn a_ttl(millis: u64, drift: Drift) -> Option<Ttl> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 at most")]
    let millis = millis as f64;
    Ttl::new(millis, drift).ok()
}

fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![0..u64::MAX / 2, any::<u64>()].prop_map(Instant::from_nanos)
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![0..100_000_000_u64, any::<u64>()].prop_map(Duration::from_nanos)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_ttl_is_accepted_exactly_if_a_millisecond_of_it_can_be_believed(
        millis in 1..1_000_000_u64,
        factor in 0.0..1.5,
    ) {
        let drift = a_drift(factor);
        #[expect(clippy::cast_precision_loss, reason = "a million at most")]
        let allowance = (factor * millis as f64).round() + 2.0;
        #[expect(clippy::cast_precision_loss, reason = "a million at most")]
        let left = millis as f64 - allowance;
        let ttl = a_ttl(millis, drift);
        prop_assert_eq!(ttl.is_some(), left >= 1.0);
        if let Some(ttl) = ttl {
            prop_assert_eq!(ttl.millis(), millis);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 1 to a million"
            )]
            let left = left as u64;
            prop_assert_eq!(ttl.believable(drift), Duration::from_millis(left));
        }
    }

    #[test]
    fn no_number_but_a_whole_positive_one_is_a_ttl(millis in any::<f64>(), drift in drift()) {
        match Ttl::new(millis, drift) {
            Ok(ttl) => {
                #[expect(clippy::cast_precision_loss, reason = "2^53 at most")]
                let same = ttl.millis() as f64;
                prop_assert!((same - millis).abs() < f64::EPSILON);
            }
            Err(TtlError::NotWhole { .. }) => {
                let whole = millis.fract() == 0.0 && (1.0..=2_f64.powi(53)).contains(&millis);
                prop_assert!(!whole);
            }
            Err(_) => prop_assert!(millis >= 1.0),
        }
    }

    #[test]
    fn what_can_be_believed_is_over_before_any_servers_key(
        millis in 1..1_000_000_000_u64,
        thousandths in 0..=100_u64,
        client in 0..=100_i64,
        server in 0..=100_i64,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
        let drift = a_drift(thousandths as f64 / 1000.0);
        prop_assume!(a_ttl(millis, drift).is_some());
        let ttl = a_ttl(millis, drift).expect("assumed");
        // Two clocks wrong by up to half of the allowance each, in billionths,
        // the client's slow and the server's fast.
        let half = i128::from(thousandths) * 500_000;
        let client = 1_000_000_000 - half * i128::from(client) / 100;
        let server = 1_000_000_000 + half * i128::from(server) / 100;
        let believable = i128::try_from(ttl.believable(drift).as_nanos()).expect("days");
        // A server that counts whole milliseconds may take off one of them.
        let lived = i128::from(millis - 1) * 1_000_000;
        // In true time, both sides times both paces: believable / client <=
        // lived / server.
        prop_assert!(believable * server <= lived * client);
    }

    #[test]
    fn a_larger_drift_never_leaves_more_to_believe(
        millis in 1..1_000_000_u64,
        one in 0.0..0.5,
        other in 0.0..0.5,
    ) {
        let (less, more) = (a_drift(f64::min(one, other)), a_drift(f64::max(one, other)));
        prop_assume!(a_ttl(millis, more).is_some());
        let ttl = a_ttl(millis, more).expect("assumed");
        prop_assert!(ttl.believable(more) <= ttl.believable(less));
        prop_assert!(ttl.believable(less) < ttl.span());
    }

    #[test]
    fn a_validity_holds_from_its_start_up_to_its_end(
        since in instant(),
        millis in millis(),
        drift in drift(),
        later in span(),
    ) {
        prop_assume!(a_ttl(millis, drift).is_some());
        let ttl = a_ttl(millis, drift).expect("assumed");
        let validity = Validity::starting(since, ttl, drift);
        prop_assert_eq!(validity.until, since.after(ttl.believable(drift)));
        let now = since.after(later);
        prop_assert_eq!(validity.holds(now), now < validity.until);
        prop_assert_eq!(validity.left(now).is_zero(), !validity.holds(now));
        prop_assert!(!validity.holds(validity.until));
    }

    #[test]
    fn instants_saturate_and_never_go_back(instant in instant(), one in span(), other in span()) {
        let later = instant.after(one);
        prop_assert!(later >= instant);
        prop_assert!(later.since(instant) <= one);
        prop_assert_eq!(instant.since(later), Duration::ZERO);
        if later.nanos() < u64::MAX {
            prop_assert_eq!(later.since(instant), one);
            prop_assert_eq!(later.after(other), instant.after(one + other));
        }
    }

    #[test]
    fn before_undoes_after_and_saturates_at_the_origin(instant in instant(), span in span()) {
        let earlier = instant.before(span);
        prop_assert!(earlier <= instant);
        if span.as_nanos() <= u128::from(instant.nanos()) {
            prop_assert_eq!(earlier.after(span), instant);
            prop_assert_eq!(instant.since(earlier), span);
        } else {
            prop_assert_eq!(earlier, Instant::ORIGIN);
        }
    }

    #[test]
    fn within_a_room_a_ttl_is_the_longest_of_which_not_more_can_be_believed(
        millis in millis(),
        drift in drift(),
        room in span(),
    ) {
        prop_assume!(a_ttl(millis, drift).is_some());
        let ttl = a_ttl(millis, drift).expect("assumed");
        let Some(most) = ttl.at_most(room, drift) else {
            prop_assert!(room < Duration::from_millis(1));
            return Ok(());
        };
        prop_assert!(most <= ttl);
        prop_assert!(most.believable(drift) <= room);
        prop_assert!(!most.believable(drift).is_zero());
        if most < ttl {
            let longer = a_ttl(most.millis() + 1, drift).expect("more than enough");
            prop_assert!(longer.believable(drift) > room);
            // Nothing is given away but what is less than a millisecond.
            prop_assert!(room.saturating_sub(most.believable(drift)) < Duration::from_millis(1));
        }
    }

    #[test]
    fn a_room_that_is_large_enough_leaves_a_ttl_as_it_is(
        millis in millis(),
        drift in drift(),
        more in span(),
    ) {
        prop_assume!(a_ttl(millis, drift).is_some());
        let ttl = a_ttl(millis, drift).expect("assumed");
        let room = ttl.believable(drift).saturating_add(more);
        prop_assert_eq!(ttl.at_most(room, drift), Some(ttl));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn there_is_a_retry_exactly_as_often_as_was_asked_for(
        count in prop::option::of(0..50_u32),
        attempt in 1..100_u32,
        chance in 0.0..1.0,
    ) {
        let retry = Retry { count, ..Retry::default() };
        let expected = count.is_none_or(|count| attempt <= count);
        prop_assert_eq!(retry.after(attempt, chance).is_some(), expected);
    }

    #[test]
    fn a_wait_is_the_delay_give_or_take_the_jitter(
        delay in 0.0..100_000.0,
        jitter in 0.0..100_000.0,
        chance in 0.0..1.0,
    ) {
        let retry = Retry { count: None, delay, jitter };
        let wait = retry.after(1, chance).expect("without end").as_secs_f64() * 1000.0;
        let shortest = Retry::SHORTEST.as_secs_f64() * 1000.0;
        // The shift is rounded down to a whole millisecond.
        prop_assert!(wait >= f64::max(delay - jitter - 1.0, shortest) - 0.001);
        prop_assert!(wait <= f64::max(delay + jitter, shortest) + 0.001);
    }

    #[test]
    fn a_higher_chance_never_waits_less(
        delay in 0.0..1000.0,
        jitter in 0.0..1000.0,
        one in 0.0..1.0,
        other in 0.0..1.0,
    ) {
        let retry = Retry { count: None, delay, jitter };
        let wait = |chance| retry.after(1, chance);
        prop_assert!(wait(f64::min(one, other)) <= wait(f64::max(one, other)));
    }

    #[test]
    fn whatever_a_caller_gives_the_wait_is_a_time_and_no_shorter_than_the_shortest(
        delay in any::<f64>(),
        jitter in any::<f64>(),
        chance in 0.0..=1.0,
        attempt in any::<u32>(),
    ) {
        let retry = Retry { count: None, delay, jitter };
        let wait = retry.after(attempt, chance).expect("without end");
        prop_assert!(wait >= Retry::SHORTEST);
    }
}
