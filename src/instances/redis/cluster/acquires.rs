//! The acquires that nodes are asked for just now.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::engine::{Operation, Question, SafetyRule, Token};

/// By value, so that a release finds its own: one that a node then sends elsewhere is
/// not sent there, or it would set its key after its release. `Responder::is_awaited` says
/// only what the engine that has asked knows, and another one may release its lock.
#[derive(Default)]
pub(super) struct Acquires(HashMap<Token, Vec<Rc<Acquire>>>);

pub(super) struct Acquire {
    question: Rc<Question>,
    is_released: Cell<bool>,
}

impl Acquires {
    /// Adds `question`, if it is an acquire.
    pub(super) fn add(&mut self, question: &Rc<Question>) -> Option<Rc<Acquire>> {
        let Operation::Acquire { .. } = question.operation else {
            return None;
        };
        let acquire = Rc::new(Acquire {
            question: Rc::clone(question),
            is_released: Cell::new(false),
        });
        let of_value = self.0.entry(question.value.clone()).or_default();
        of_value.push(Rc::clone(&acquire));
        Some(acquire)
    }

    /// It is answered.
    pub(super) fn remove(&mut self, acquire: &Rc<Acquire>) {
        if let Some(of_value) = self.0.get_mut(&acquire.question.value) {
            of_value.retain(|other| !Rc::ptr_eq(other, acquire));
            if of_value.is_empty() {
                self.0.remove(&acquire.question.value);
            }
        }
    }

    /// Marks those that `release` is to release, if it is a release.
    pub(super) fn release(&self, release: &Question) {
        if !matches!(release.operation, Operation::Release { .. }) || !SafetyRule::Order.is_kept() {
            return;
        }
        for acquire in self.0.get(&release.value).into_iter().flatten() {
            if acquire.question.shares_a_resource(release) {
                acquire.is_released.set(true);
            }
        }
    }
}

impl Acquire {
    /// Whether its release was asked for meanwhile.
    pub(super) fn is_released(&self) -> bool {
        self.is_released.get()
    }
}
