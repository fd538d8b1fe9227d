//! The releases a server that is out of reach is owed.

use std::collections::VecDeque;
use std::rc::Rc;

use super::weight::{weight_of, weight_of_one};
use crate::engine::{Instant, Operation, Question, SafetyRule, Token};

/// Releases to be delivered on the next connection. Their number is bounded, and
/// how many bytes they are: what is dropped beyond that ends by its ttl.
#[derive(Default)]
pub(super) struct OwedReleases {
    releases: VecDeque<Owed>,
    /// What all of them weigh.
    weight: usize,
}

/// What a server is owed.
enum Owed {
    /// Nearly always: no more than it takes, since a hung server is owed thousands.
    OfOne {
        value: Token,
        name: Box<str>,
        since: Instant,
        expires: Instant,
    },
    /// As it was asked: of several names, or with a script or a context of the caller's.
    Question(Rc<Question>),
}

impl Owed {
    fn of(question: Rc<Question>) -> Self {
        let is_bare = question.scripts.is_none() && question.context.is_none();
        match (question.operation, &*question.resources) {
            (Operation::Release { since, expires }, [name]) if is_bare => Self::OfOne {
                value: question.value.clone(),
                name: name.clone(),
                since,
                expires,
            },
            _ => Self::Question(question),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::OfOne { value, name, .. } => weight_of_one(name, value),
            Self::Question(question) => weight_of(question),
        }
    }

    /// What is asked, of which nobody waits for the answer.
    fn question(self) -> Rc<Question> {
        match self {
            Self::OfOne {
                value,
                name,
                since,
                expires,
            } => {
                let resources = [name].into();
                let question = Question::release(since, expires, resources, value, Instant::LAST);
                Rc::new(question)
            }
            Self::Question(question) => question,
        }
    }
}

impl OwedReleases {
    /// As many as a burst brings that a server can't take: with names of the usual
    /// length, less than 2 MB.
    const MOST: usize = 20_000;
    /// Of names and values.
    const MOST_BYTES: usize = 4 * 1024 * 1024;

    /// Adds one; beyond a bound the oldest make room, whose keys are the
    /// nearest to their end.
    pub(super) fn add(&mut self, release: Rc<Question>) {
        self.weight += weight_of(&release);
        self.releases.push_back(Owed::of(release));
        while SafetyRule::Bounded.is_kept()
            && (self.releases.len() > Self::MOST || self.weight > Self::MOST_BYTES)
        {
            let Some(oldest) = self.releases.pop_front() else {
                break;
            };
            self.weight -= oldest.weight();
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.releases.is_empty()
    }

    /// About how many bytes they are.
    #[cfg(any(test, feature = "sabotage"))]
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Takes the oldest whose key may still be there.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Rc<Question>> {
        while let Some(release) = self.releases.pop_front() {
            self.weight -= release.weight();
            let release = release.question();
            let is_due = match release.operation {
                Operation::Release { expires, .. } => now < expires,
                _ => !SafetyRule::WriteOnce.is_kept(),
            };
            if is_due {
                return Some(release);
            }
        }
        None
    }

    /// Takes all of those, oldest first.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Rc<Question>> {
        std::iter::from_fn(|| self.pop(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_questions::{release, release_until};
    use super::*;

    fn values(owed: &mut OwedReleases) -> Vec<String> {
        let taken = owed.take(Instant::ORIGIN);
        let values = taken.iter().map(|one| one.value.text().to_owned());
        values.collect()
    }

    #[test]
    fn what_is_owed_is_bounded_in_number_and_in_bytes_and_the_oldest_make_room() {
        let mut owed = OwedReleases::default();
        for number in 0..OwedReleases::MOST + 5 {
            owed.add(release(&number.to_string(), &["a"]));
        }
        let all = values(&mut owed);
        assert_eq!((all.len(), &*all[0]), (OwedReleases::MOST, "5"));
        let long = "x".repeat(1024 * 1024);
        for number in 0..20 {
            owed.add(release(&number.to_string(), &[&long]));
        }
        assert!(owed.weight() <= OwedReleases::MOST_BYTES);
        assert_eq!(values(&mut owed), ["17", "18", "19"]);
        assert_eq!(owed.weight(), 0);
        owed.add(release("v", &[&long.repeat(5)]));
        assert!(owed.is_empty(), "one alone can be too long");
    }

    #[test]
    fn as_many_releases_as_a_burst_brings_are_owed_with_names_of_a_usual_length() {
        let mut owed = OwedReleases::default();
        let name = "n".repeat(100);
        for number in 0..OwedReleases::MOST {
            owed.add(release(&format!("{number:032}"), &[&name]));
        }
        assert_eq!(values(&mut owed).len(), OwedReleases::MOST);
    }

    #[test]
    fn a_release_of_what_has_ended_by_itself_is_not_owed() {
        let mut owed = OwedReleases::default();
        let at = |seconds| Instant::ORIGIN.after(Duration::from_secs(seconds));
        for (value, expires) in [("a", at(1)), ("b", at(3)), ("c", Instant::LAST)] {
            owed.add(release_until(expires, value, &["a"]));
        }
        let left: Vec<_> = owed
            .take(at(1))
            .iter()
            .map(|one| one.value.clone())
            .collect();
        assert_eq!(left, ["b".into(), "c".into()]);
        assert!(owed.is_empty());
    }
}
