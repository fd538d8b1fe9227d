//! What stands between the engine and JavaScript, where a caller's client is
//! asked: questions go out, and whoever stands behind it brings the answers.

use std::rc::Rc;

use crate::engine::{Cause, Question};

/// Where questions go out.
pub trait Port {
    /// Has `question` put to the client, whose answer is brought to
    /// [`Client::answer`](super::Client::answer) with this ticket.
    fn carry(&self, ticket: Ticket, question: &Rc<Question>);

    /// Has [`Client::came_round`](super::Client::came_round) called once JavaScript
    /// has come round, and the client has heard what there was to be heard.
    fn call(&self);
}

/// What an answer is matched to its question by. They begin anew after 2³² of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

impl Ticket {
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What the client came back with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// For how many keys the script was carried out; −1 if the keys had the
    /// asker's value already.
    Applied(i64),
    /// What the key has, and for how many milliseconds.
    Seen(Option<Rc<str>>, Option<u64>),
    /// The client's or the server's error.
    Failed(Cause),
}
