//! An instance that is reached through the caller's own Redis client: questions
//! go out through a port, and whoever stands behind it brings the answers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{Cause, Environment, Instance, Instant, Question, Reply, Vote};

/// Where questions go out.
pub trait Port {
    /// Has `question` put to the client, whose answer is brought to
    /// [`Bridge::answer`] with this ticket.
    fn carry(&self, ticket: Ticket, question: &Rc<Question>);
}

/// What an answer is matched to its question by.
pub type Ticket = u32;

/// What the client came back with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// For how many keys the script was carried out; −1 if the keys had the
    /// asker's value already.
    Applied(i64),
    /// The client's or the server's error.
    Failed(Cause),
}

/// A member of the quorum behind somebody else's connection.
///
/// The client's queue is its own: a question that its server does not answer
/// waits there and may be carried out long after its deadline. The engine
/// releases such late grants; here only their number is bounded.
pub struct Bridge {
    address: Box<str>,
    environment: Rc<dyn Environment>,
    port: Box<dyn Port>,
    waiting: RefCell<HashMap<Ticket, Waiting>>,
    tickets: Cell<Ticket>,
    /// When the client last came back with anything.
    heard: Cell<Instant>,
}

struct Waiting {
    question: Rc<Question>,
    reply: Reply,
}

/// Beyond so many questions without an answer, a client that has said nothing
/// for [`HESITATION`] is asked nothing more.
const BACKLOG: usize = 1000;
const HESITATION: Duration = Duration::from_millis(200);

impl Bridge {
    /// An instance whose questions go out through `port`. `address` is for
    /// people and must not contain a secret.
    #[must_use]
    pub fn new(address: &str, environment: Rc<dyn Environment>, port: Box<dyn Port>) -> Self {
        let now = environment.now();
        Self {
            address: address.into(),
            environment,
            port,
            waiting: RefCell::default(),
            tickets: Cell::new(0),
            heard: Cell::new(now),
        }
    }

    /// Brings the client's answer. One that nobody waits for is ignored.
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        self.heard.set(self.environment.now());
        let waiting = self.waiting.borrow_mut().remove(&ticket);
        let Some(Waiting { question, reply }) = waiting else {
            return;
        };
        reply.vote(match answer {
            Answer::Applied(keys) => question.applied(keys),
            Answer::Failed(cause) => Vote::Failed(cause),
        });
    }

    /// Nobody will bring an answer any more.
    pub fn close(&self) {
        for (_, waiting) in self.waiting.take() {
            waiting.reply.fail(Cause::Closed);
        }
    }

    fn overloaded(&self) -> bool {
        self.waiting.borrow().len() >= BACKLOG
            && self.environment.now().since(self.heard.get()) > HESITATION
    }
}

impl Instance for Bridge {
    fn address(&self) -> &str {
        &self.address
    }

    fn ask(&self, question: &Rc<Question>, reply: Reply) {
        if self.overloaded() {
            let waiting = self.waiting.borrow().len();
            return reply.fail(Cause::Overloaded { waiting });
        }
        let ticket = self.tickets.get();
        self.tickets.set(ticket.wrapping_add(1));
        let question = Rc::clone(question);
        let waiting = Waiting {
            question: Rc::clone(&question),
            reply,
        };
        self.waiting.borrow_mut().insert(ticket, waiting);
        self.port.carry(ticket, &question);
    }
}
