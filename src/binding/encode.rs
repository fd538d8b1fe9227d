//! Responses as rows of numbers: docs/hand-over.md describes them.

use super::client_rows::Questions;
use super::layout::{AnswerKind, NO_SLOT, VALUE_LENGTH, answer};
use super::numbers::{clock_millis, millis};
use super::outbox::{Outcome, Response};
use crate::engine::Instant;

/// Responses are written as rows into the room that JavaScript has given.
pub struct Rows<'room> {
    numbers: &'room mut [f64],
    values: &'room mut [u8],
    details: String,
    questions: Questions,
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
            questions: Questions::default(),
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
                self.write_value(locked.value.text().as_bytes());
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
            Outcome::Event(details) | Outcome::Vote(details, _) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Event
            }
            Outcome::Inspected(details) => {
                row[answer::LAST] = self.describe(&details);
                AnswerKind::Inspected
            }
            Outcome::ClientRequest(request) => {
                row[answer::SLOT] = request.ticket.0.into();
                row[answer::ATTEMPTS] = request.handle.0.into();
                row[answer::LEFT] = request.index.0.into();
                row[answer::LAST] = self.questions.add(request.question).into();
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
        self.numbers[at..][..answer::NUMBERS].copy_from_slice(&row);
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

    /// What callers' clients are asked by what was written.
    pub fn take_questions(&mut self) -> Questions {
        std::mem::take(&mut self.questions)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::ids::{ContextId, Handle, Slot, TimerId};
    use crate::binding::numbers::saturated_signed;
    use std::sync::Arc;

    use crate::binding::outbox::Locked;
    use crate::engine::{Token, Validity};

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn locked(value: &str, until: Instant) -> Response {
        let validity = Validity {
            since: at(10),
            until,
        };
        let locked = Locked {
            handle: Handle(0),
            resources: [Box::from("r")].into(),
            value: Token::from(value),
            validity,
            settings: Arc::default(),
        };
        answered(Slot(3), Outcome::Locked(locked))
    }

    fn answered(slot: Slot, outcome: Outcome) -> Response {
        Response {
            slot: Some(slot),
            attempts: 2,
            outcome,
        }
    }

    /// The rows of these responses at 30 ms, the values, and the details.
    fn written<const N: usize>(
        responses: [Response; N],
    ) -> ([[i64; answer::NUMBERS]; N], String, Option<String>) {
        let mut numbers = vec![0.0; 1 + N * answer::NUMBERS];
        let mut values = vec![b' '; N * VALUE_LENGTH];
        let mut rows = Rows::new(&mut numbers, &mut values, at(30));
        assert_eq!(rows.room(), N);
        for response in responses {
            rows.write(response);
        }
        assert_eq!(rows.room_left(), 0);
        let details = rows.finish();
        assert_eq!(numbers[0].to_string(), N.to_string());
        let mut numbers = numbers[1..].iter().map(|number| saturated_signed(*number));
        let rows = [[(); answer::NUMBERS]; N]
            .map(|row| row.map(|()| numbers.next().expect("as many as there is room for")));
        let values = String::from_utf8(values).expect("ASCII");
        let values = values.trim_end().to_owned();
        (rows, values, details)
    }

    fn number(kind: AnswerKind) -> i64 {
        kind.number().into()
    }

    #[test]
    fn a_lock_brings_its_value_and_its_validity() {
        let value = "0123456789abcdef0123456789abcdef";
        let ([row], values, details) = written([locked(value, at(70))]);
        let expected = [3, number(AnswerKind::Locked), 2, 40, 70, 10];
        assert_eq!(row, expected);
        assert_eq!(values, value);
        assert_eq!(details, None);
    }

    #[test]
    fn details_are_found_by_the_last_number() {
        let failed = Outcome::Failed("\"failed\"".to_owned(), Some(at(45)));
        let (rows, _, details) = written([
            Response::unasked(Outcome::Event("\"event\"".to_owned())),
            answered(Slot(0), Outcome::Unlocked),
            answered(Slot(1), failed),
        ]);
        let event = [-1, number(AnswerKind::Event), 0, 0, 0, 0];
        let unlocked = [0, number(AnswerKind::Unlocked), 2, 0, 0, 0];
        let failed = [1, number(AnswerKind::Failed), 2, 15, 45, 1];
        assert_eq!(rows, [event, unlocked, failed]);
        assert_eq!(details.as_deref(), Some("[\"event\",\"failed\"]"));
    }

    #[test]
    fn a_time_and_a_context_come_under_their_own_numbers() {
        let (rows, ..) = written([
            Response::unasked(Outcome::Time(TimerId(8))),
            Response::unasked(Outcome::ContextEnded(ContextId(9))),
        ]);
        let time = [8, number(AnswerKind::Time), 0, 0, 0, 0];
        let context = [9, number(AnswerKind::ContextEnded), 0, 0, 0, 0];
        assert_eq!(rows, [time, context]);
    }
}
