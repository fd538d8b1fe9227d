//! The way to an instance through the caller's own Redis client: questions go
//! out through a port, and whoever stands behind it brings the answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{Cause, Environment, Instant, Operation, Question, Reply, Rule, Vote};

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
    /// What the key has, and for how many milliseconds.
    Seen(Option<Rc<str>>, Option<u64>),
    /// The client's or the server's error.
    Failed(Cause),
}

/// Questions on their way through somebody else's connection.
///
/// The client's queue is its own: a question that its server does not answer
/// waits there and may be carried out long after its deadline. The engine
/// releases such late grants; here only their number is bounded.
pub struct Bridge {
    environment: Rc<dyn Environment>,
    port: Rc<dyn Port>,
    waiting: RefCell<BTreeMap<Ticket, Waiting>>,
    /// How many bytes that is.
    weight: Cell<usize>,
    tickets: Cell<Ticket>,
    /// When the client last came back with anything, or was asked although it
    /// hadn't.
    hopeful: Cell<Instant>,
    /// It has not come back with anything since.
    is_silent: Cell<bool>,
}

struct Waiting {
    question: Rc<Question>,
    reply: Reply,
}

/// Beyond so many questions without an answer, a client that has said nothing
/// for [`HESITATION`] is asked one question in that time and no more; releases,
/// which make an end of what waits before them, have room of their own.
const BACKLOG: usize = 1000;
const BACKLOG_OF_RELEASES: usize = 10 * BACKLOG;
const HESITATION: Duration = Duration::from_millis(200);

/// Nor may what waits take more bytes than that.
const WEIGHT: usize = 16 * 1024 * 1024;

impl Bridge {
    /// A bridge whose questions go out through `port`.
    #[must_use]
    pub fn new(environment: Rc<dyn Environment>, port: Rc<dyn Port>) -> Self {
        let now = environment.now();
        Self {
            environment,
            port,
            waiting: RefCell::default(),
            weight: Cell::new(0),
            tickets: Cell::new(0),
            hopeful: Cell::new(now),
            is_silent: Cell::new(false),
        }
    }

    /// Puts `question` to the client.
    pub fn ask(&self, question: &Rc<Question>, reply: Reply) {
        if self.overloaded(question) {
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
        self.weight.set(self.weight.get() + question.weight());
        self.waiting.borrow_mut().insert(ticket, waiting);
        self.port.carry(ticket, &question);
    }

    /// Brings the client's answer. One that nobody waits for is ignored.
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        self.hopeful.set(self.environment.now());
        self.is_silent.set(false);
        let waiting = self.waiting.borrow_mut().remove(&ticket);
        let Some(Waiting { question, reply }) = waiting else {
            return;
        };
        self.weight.set(self.weight.get() - question.weight());
        reply.vote(match answer {
            Answer::Applied(keys) => question.applied(keys),
            Answer::Seen(value, ttl) => Vote::Seen { value, ttl },
            Answer::Failed(cause) => Vote::Failed(cause),
        });
    }

    /// Nobody will bring an answer any more.
    pub fn close(&self) {
        self.weight.set(0);
        for (_, waiting) in self.waiting.take() {
            waiting.reply.fail(Cause::Closed);
        }
    }

    /// Whether so much waits that this is refused. A client that has been silent
    /// for a moment is asked all the same, as it may be back; what has waited
    /// longest for it is then given up, if nobody waits for that any more.
    fn overloaded(&self, question: &Question) -> bool {
        let most = match question.operation {
            Operation::Release { .. } => BACKLOG_OF_RELEASES,
            Operation::Acquire { .. } | Operation::Extend { .. } | Operation::Inspect => BACKLOG,
        };
        if !Rule::Bounded.is_kept() {
            return false;
        }
        if self.weight.get() + question.weight() > WEIGHT {
            return true;
        }
        if self.waiting.borrow().len() < most {
            return false;
        }
        let now = self.environment.now();
        if now.since(self.hopeful.get()) <= HESITATION {
            // It answers, if slowly: what it is asked now it will be asked in time.
            return self.is_silent.get();
        }
        self.is_silent.set(true);
        self.hopeful.set(now);
        let forgotten = {
            let mut waiting = self.waiting.borrow_mut();
            let oldest = waiting.first_entry();
            oldest
                .filter(|oldest| oldest.get().question.deadline < now)
                .map(std::collections::btree_map::OccupiedEntry::remove)
        };
        if let Some(forgotten) = &forgotten {
            let weight = self.weight.get() - forgotten.question.weight();
            self.weight.set(weight);
        }
        drop(forgotten);
        false
    }
}
