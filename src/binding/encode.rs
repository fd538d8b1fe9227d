//! Responses as rows of numbers: docs/hand-over.md describes them.

use super::layout::{AnswerKind, NO_SLOT, VALUE_LENGTH, answer};
use super::numbers::{clock_millis, millis};
use super::outbox::{Outcome, Response};
use crate::engine::Instant;

/// Responses are written as rows into the room that JavaScript has given.
pub struct Rows<'room> {
    numbers: &'room mut [f64],
    values: &'room mut [u8],
    details: String,
    written: usize,
    locked: usize,
    described: usize,
    now: Instant,
}

impl<'room> Rows<'room> {
    pub fn new(numbers: &'room mut [f64], values: &'room mut [u8], now: Instant) -> Self {
        Self {
            numbers,
            values,
            details: String::new(),
            written: 0,
            locked: 0,
            described: 0,
            now,
        }
    }

    /// How many responses there is room for.
    pub fn room(&self) -> usize {
        let rows = self.numbers.len().saturating_sub(1) / answer::NUMBERS;
        rows.min(self.values.len() / VALUE_LENGTH)
    }

    /// For how many more.
    pub fn room_left(&self) -> usize {
        self.room().saturating_sub(self.written)
    }

    pub fn write(&mut self, response: Response) {
        let mut row = [0.0; answer::NUMBERS];
        row[answer::SLOT] = response.slot.map_or(NO_SLOT, |slot| slot.0.into());
        row[answer::ATTEMPTS] = f64::from(response.attempts);
        let kind = match response.outcome {
            Outcome::Unlocked => AnswerKind::Unlocked,
            Outcome::Locked(locked) => {
                self.write_value(locked.value.as_str().as_bytes());
                self.write_validity(&mut row, locked.validity.until);
                row[answer::LAST] = clock_millis(locked.validity.since);
                AnswerKind::Locked
            }
            Outcome::Extended(validity) => {
                self.write_validity(&mut row, validity.until);
                AnswerKind::Extended
            }
            Outcome::Failed(details, until) => {
                if let Some(until) = until {
                    self.write_validity(&mut row, until);
                }
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Failed
            }
            Outcome::Event(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Event
            }
            Outcome::Inspected(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Inspected
            }
            Outcome::ClientRequest(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::ClientRequest
            }
            Outcome::Time(timer) => {
                row[answer::SLOT] = timer.0.into();
                AnswerKind::Time
            }
            Outcome::ContextEnded(context) => {
                row[answer::SLOT] = context.0.into();
                AnswerKind::ContextEnded
            }
        };
        row[answer::KIND] = kind.number().into();
        let at = 1 + self.written * answer::NUMBERS;
        self.numbers[at..at + answer::NUMBERS].copy_from_slice(&row);
        self.written += 1;
    }

    fn write_value(&mut self, value: &[u8]) {
        let at = self.locked * VALUE_LENGTH;
        let length = value.len().min(VALUE_LENGTH);
        self.values[at..at + length].copy_from_slice(&value[..length]);
        self.locked += 1;
    }

    fn write_validity(&self, row: &mut [f64; answer::NUMBERS], until: Instant) {
        row[answer::LEFT] = millis(until.since(self.now));
        row[answer::UNTIL] = clock_millis(until);
    }

    /// Writes the count; the details, if there are any, as a JSON array.
    pub fn finish(mut self) -> Option<String> {
        if let Some(count) = self.numbers.first_mut() {
            *count = f64::from(u32::try_from(self.written).unwrap_or(u32::MAX));
        }
        if self.details.is_empty() {
            return None;
        }
        self.details.push(']');
        Some(self.details)
    }

    fn describe(&mut self, details: &str) -> f64 {
        let separator = if self.details.is_empty() { '[' } else { ',' };
        self.details.push(separator);
        self.details.push_str(details);
        self.described += 1;
        f64::from(u32::try_from(self.described - 1).unwrap_or(u32::MAX))
    }
}
