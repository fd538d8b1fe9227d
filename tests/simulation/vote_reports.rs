//! That the votes of each attempt are told, once and all of them, to whoever wants to
//! see them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use redlock_native::engine::Vote;

use crate::checker::Checker;
use crate::counts::bump;
use crate::process::Process;

/// The requests whose votes are to be told, by the numbers they are told under.
#[derive(Default)]
pub struct VoteReports(RefCell<BTreeMap<u64, VoteReport>>);

struct VoteReport {
    process: Process,
    /// How many times each attempt's were told.
    told: BTreeMap<u32, u32>,
    /// How many attempts it made; `None` if it was not waited for.
    attempts: Option<u32>,
}

impl VoteReports {
    /// A request begins whose votes are to be told under this number.
    pub fn begin(&self, process: &Process, number: u64) {
        let report = VoteReport {
            process: process.clone(),
            told: BTreeMap::new(),
            attempts: None,
        };
        self.0.borrow_mut().insert(number, report);
    }

    /// It has made so many attempts.
    pub fn end(&self, number: u64, attempts: u32) {
        if let Some(report) = self.0.borrow_mut().get_mut(&number) {
            report.attempts = Some(attempts);
        }
    }

    /// The votes of one attempt are told.
    pub fn told(
        &self,
        checker: &Checker,
        number: u64,
        attempt: u32,
        votes: &[Option<Vote>],
        instances: usize,
    ) {
        bump(&checker.counts.votes_told);
        let complete = votes.len() == instances && votes.iter().all(Option::is_some);
        let mut reports = self.0.borrow_mut();
        let wanted = reports.get_mut(&number).is_some_and(|report| {
            let told = report.told.entry(attempt).or_default();
            *told += 1;
            *told == 1
        });
        checker.expect(
            complete && wanted,
            format_args!("the votes of attempt {attempt} of {number} are told: {votes:?}"),
        );
    }

    /// To be called when nothing is left to happen.
    pub fn expect_all(&self, checker: &Checker) {
        for (number, report) in &*self.0.borrow() {
            let told = report.told.keys();
            let due = report.attempts.unwrap_or(0);
            // Of one that was given up, those it had begun are told too.
            let right = report.attempts.is_none() || told.copied().eq(1..=due);
            checker.expect(
                right || !report.process.is_alive(),
                format_args!(
                    "of {due} attempts of {number}, the votes of {:?} are told",
                    report.told
                ),
            );
        }
    }
}
