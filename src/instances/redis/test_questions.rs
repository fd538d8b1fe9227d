//! Questions for unit tests.

use std::rc::Rc;

use crate::engine::{Drift, Instant, Operation, Question, Ttl, Vote, VoteSink};

pub(in crate::instances) struct Nobody;

impl VoteSink for Nobody {
    fn cast(self: Rc<Self>, _: usize, _: Vote) {}
}

pub(in crate::instances) fn question(
    operation: Operation,
    value: &str,
    resources: &[&str],
) -> Rc<Question> {
    let resources = resources.iter().map(|name| Box::from(*name)).collect();
    Rc::new(Question::new(
        operation,
        resources,
        value.into(),
        Instant::LAST,
    ))
}

pub(in crate::instances) fn acquire(value: &str, resources: &[&str]) -> Rc<Question> {
    let ttl = Ttl::new(60_000.0, Drift::default()).expect("long enough");
    question(Operation::Acquire { ttl }, value, resources)
}

pub(in crate::instances) fn release(value: &str, resources: &[&str]) -> Rc<Question> {
    release_until(Instant::LAST, value, resources)
}

pub(in crate::instances) fn release_until(
    expires: Instant,
    value: &str,
    resources: &[&str],
) -> Rc<Question> {
    let since = Instant::ORIGIN;
    question(Operation::Release { since, expires }, value, resources)
}
