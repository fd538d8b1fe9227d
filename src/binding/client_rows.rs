//! What callers' clients are asked, as rows: docs/hand-over.md describes them.

use super::ids::{ContextId, Handle, Index};
use super::layout::{self, Operation, question};
use crate::engine::{self, Question, Resources, Token};
use crate::instances::client::port::Ticket;
use crate::instances::redis::fair_texts;

/// A question for one caller's client, on its way to JavaScript.
pub struct ClientRequest {
    pub handle: Handle,
    pub index: Index,
    pub ticket: Ticket,
    pub question: ClientQuestion,
}

/// What JavaScript is to know of a question.
#[derive(PartialEq, Eq)]
pub struct ClientQuestion {
    operation: Operation,
    /// The caller's own text, if there is one.
    script: Option<Box<str>>,
    is_plain: bool,
    resources: Resources,
    value: Token,
    /// In milliseconds.
    ttl: Option<u64>,
    context: Option<ContextId>,
}

impl ClientQuestion {
    pub fn new(question: &Question) -> Self {
        let (operation, ttl) = match question.operation {
            engine::Operation::Acquire { ttl } => (Operation::Lock, Some(ttl)),
            engine::Operation::Extend { ttl } => (Operation::Extend, Some(ttl)),
            engine::Operation::Release { .. } => (Operation::Unlock, None),
            engine::Operation::Inspect => (Operation::Inspect, None),
        };
        let context = question.context.as_ref();
        let script = question.script().map(|script| script.text.clone());
        let (script, resources) = match &question.ticket {
            None => (script, question.resources.clone()),
            // As a script of the caller's, which is not seen to first: it does that itself.
            Some(ticket) => {
                let [_, first] = fair_texts();
                let names = [&question.resources[0], ticket.queue(), ticket.waiter()];
                (
                    Some(first.into()),
                    names.map(Box::from).into_iter().collect(),
                )
            }
        };
        Self {
            operation,
            script,
            is_plain: question.is_plain(),
            resources,
            value: question.value.clone(),
            ttl: ttl.map(engine::Ttl::millis),
            context: context.map(|context| ContextId(context.number())),
        }
    }
}

/// The questions of one drain: several clients are asked the same one, which is
/// written once.
#[derive(Default)]
pub struct Questions {
    pub numbers: Vec<f64>,
    pub text: String,
    count: u32,
    last: Option<ClientQuestion>,
}

impl Questions {
    /// Adds one, unless it is the one that was added last; returns which it is.
    pub fn add(&mut self, question: ClientQuestion) -> u32 {
        if self.last.as_ref() != Some(&question) {
            self.write(&question);
            self.last = Some(question);
            self.count += 1;
        }
        self.count - 1
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "lengths and spans are far below 2⁵³"
    )]
    fn write(&mut self, asked: &ClientQuestion) {
        let mut row = [0.0; question::NUMBERS];
        row[question::OPERATION] = asked.operation.number().into();
        row[question::PLAIN] = u8::from(asked.is_plain).into();
        row[question::TTL] = asked.ttl.map_or(layout::ABSENT, |ttl| ttl as f64);
        row[question::CONTEXT] = asked.context.map_or(0.0, |context| context.0.into());
        let script = asked.script.as_deref();
        row[question::SCRIPT_LENGTH] = script.map_or(layout::ABSENT, |text| self.push(text) as f64);
        row[question::VALUE_LENGTH] = self.push(&asked.value.text()) as f64;
        row[question::COUNT] = asked.resources.len() as f64;
        self.numbers.extend(row);
        for resource in asked.resources.iter() {
            let length = self.push(resource);
            self.numbers.push(length as f64);
        }
    }

    /// Returns the length as JavaScript counts it.
    fn push(&mut self, text: &str) -> usize {
        self.text.push_str(text);
        if text.is_ascii() {
            text.len()
        } else {
            text.encode_utf16().count()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::binding::numbers::saturated_signed;
    use crate::engine::{Drift, Instant, Script, Scripts, Ttl};

    fn acquire(names: &[&str]) -> Question {
        let ttl = Ttl::new(500.0, Drift::default()).expect("a ttl");
        let names = names.iter().map(|name| Box::from(*name)).collect();
        Question::acquire(ttl, names, Token::from("value"), Instant::LAST)
    }

    fn numbers(questions: &Questions) -> Vec<i64> {
        let numbers = questions.numbers.iter();
        numbers.map(|number| saturated_signed(*number)).collect()
    }

    #[test]
    fn a_client_is_asked_all_that_it_needs_to_know() {
        let mut questions = Questions::default();
        questions.add(ClientQuestion::new(&acquire(&["r", "räum"])));
        let operation = Operation::Lock.number().into();
        let expected = [operation, 1, 500, 0, -1, 5, 2, 1, 4];
        assert_eq!(numbers(&questions), expected);
        assert_eq!(questions.text, "valuerräum");
    }

    #[test]
    fn a_callers_script_goes_with_what_it_is_for() {
        let script = Script {
            text: "return 1".into(),
            digest: "d".into(),
        };
        let scripts = Scripts {
            acquire: Some(script),
            ..Scripts::default()
        };
        let question = acquire(&["r"]).with_scripts(Some(Arc::new(scripts)));
        let mut questions = Questions::default();
        questions.add(ClientQuestion::new(&question));
        let operation = Operation::Lock.number().into();
        let expected = [operation, 0, 500, 0, 8, 5, 1, 1];
        assert_eq!(numbers(&questions), expected);
        assert_eq!(questions.text, "return 1valuer");
    }

    #[test]
    fn what_several_clients_are_asked_is_written_once() {
        let mut questions = Questions::default();
        let mut add = |names| questions.add(ClientQuestion::new(&acquire(names)));
        assert_eq!([add(&["a"]), add(&["a"]), add(&["b"])], [0, 0, 1]);
        assert_eq!(questions.text, "valueavalueb");
    }

    #[test]
    fn an_inspection_has_no_ttl() {
        let mut questions = Questions::default();
        let inspect = Question::inspect("r".into(), Instant::LAST);
        questions.add(ClientQuestion::new(&inspect));
        let operation = Operation::Inspect.number().into();
        assert_eq!(numbers(&questions), [operation, 1, -1, 0, -1, 0, 1, 1]);
        assert_eq!(questions.text, "r");
    }
}
