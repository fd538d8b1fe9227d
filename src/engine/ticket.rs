//! A fair request's place among all that wait for one resource, whichever process they
//! are in.
//!
//! Beside a resource's key each instance keeps a queue of tickets, and for each waiter a
//! key with a lease, which tells whether it still waits. Neither decides who has a lock:
//! an instance that has forgotten them grants out of turn, and no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::environment::Environment;
use super::token::Token;

/// When a request began to wait, and a random number: the same on all instances, so that
/// all of them order two tickets alike. Two clocks' difference counts.
#[derive(Debug)]
pub struct Ticket {
    text: Box<str>,
    queue: Box<str>,
    waiter: Box<str>,
    /// Nobody waits by it any more.
    has_left: AtomicBool,
}

/// How many digits the time has. It is a queue's score, a double: 16 digits are exact.
const TIME_DIGITS: usize = 16;
const LAST_TIME: u64 = 9_000_000_000_000_000;
const RANDOM_DIGITS: usize = 16;

impl Ticket {
    /// How long a waiter's key lives. The script has it too.
    pub const LEASE: Duration = Duration::from_secs(5);

    /// When less of it than this is left, the waiter's next question renews it.
    pub const RENEWED_BELOW: Duration = Duration::from_millis(3500);

    /// One that begins to wait for `resource` now.
    #[must_use]
    pub fn new(environment: &dyn Environment, resource: &str) -> Self {
        let mut random = [0; RANDOM_DIGITS / 2];
        environment.fill_random(&mut random);
        let time = environment.wall_clock().as_micros();
        let time = u64::try_from(time).unwrap_or(LAST_TIME).min(LAST_TIME);
        let random = u64::from_le_bytes(random);
        let text = format!("{time:0TIME_DIGITS$}-{random:0RANDOM_DIGITS$x}");
        let queue = queue_of(resource);
        Self {
            waiter: format!("{queue}:{text}").into(),
            text: text.into(),
            queue: queue.into(),
            has_left: AtomicBool::new(false),
        }
    }

    /// Another one in the same queue, from now.
    pub(super) fn anew(&self, environment: &dyn Environment) -> Self {
        let mut anew = Self::new(environment, "");
        anew.waiter = self.waiter_of(&anew.text).into();
        anew.queue = self.queue.clone();
        anew
    }

    /// Nobody waits by it from now on.
    pub(super) fn leave(&self) {
        self.has_left.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
    }

    /// What it is called in a queue. An earlier one's text is less.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the key with all tickets for the resource.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The name of the key that lives as long as this one waits. Its value is
    /// [`Ticket::text`].
    #[must_use]
    pub fn waiter(&self) -> &str {
        &self.waiter
    }

    /// The same of another waiter in the same queue.
    #[must_use]
    pub fn waiter_of(&self, ticket: &str) -> String {
        format!("{}:{ticket}", self.queue)
    }

    /// The same, as the value of [`Ticket::waiter`].
    #[must_use]
    pub(super) fn value(&self) -> Token {
        Token::from(&*self.text)
    }

    /// How many bytes its names have.
    pub(super) fn length(&self) -> usize {
        self.queue.len() + self.waiter.len()
    }

    /// Whether `text` may be a ticket's.
    #[must_use]
    pub fn is_text(text: &str) -> bool {
        let Some((time, random)) = text.split_once('-') else {
            return false;
        };
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        time.len() == TIME_DIGITS
            && random.len() == RANDOM_DIGITS
            && time.bytes().all(|byte| byte.is_ascii_digit())
            && random.bytes().all(is_hex)
    }
}

/// A cluster puts a key by what stands in its first braces, if anything does, and else by
/// all of it: the queue must be where the resource is. Where a name has other braces this
/// fails, and a cluster says so.
fn queue_of(resource: &str) -> String {
    if has_tag(resource) {
        format!("{resource}:queue")
    } else {
        format!("{{{resource}}}:queue")
    }
}

fn has_tag(name: &str) -> bool {
    let tag = name
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    tag.is_some_and(|(tag, _)| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::environment::System;
    use super::*;

    #[test]
    fn an_earlier_ones_text_is_less() {
        let first = Ticket::new(&System, "r");
        let mut next = Ticket::new(&System, "r");
        while next.text()[..TIME_DIGITS] == first.text()[..TIME_DIGITS] {
            next = Ticket::new(&System, "r");
        }
        assert!(first.text() < next.text());
        assert!(Ticket::is_text(first.text()), "{first:?}");
    }

    #[test]
    fn a_queue_is_in_the_slot_of_its_resource() {
        for (resource, queue) in [
            ("r", "{r}:queue"),
            ("a{b}c", "a{b}c:queue"),
            ("{a}", "{a}:queue"),
            ("a{b", "{a{b}:queue"),
        ] {
            let ticket = Ticket::new(&System, resource);
            assert_eq!(ticket.queue(), queue);
            assert_eq!(ticket.waiter(), format!("{queue}:{}", ticket.text()));
            assert_eq!(ticket.waiter_of(ticket.text()), ticket.waiter());
        }
    }

    #[test]
    fn nothing_else_is_a_tickets_text() {
        let text = "1764255612000000-00ff00ff00ff00ff";
        assert!(Ticket::is_text(text));
        let long = format!("{text}0");
        let upper = text.to_uppercase();
        for other in ["", "-", "r", &text[1..], &long, &upper, "OK"] {
            assert!(!Ticket::is_text(other), "{other}");
        }
    }
}
