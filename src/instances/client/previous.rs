//! Where the caller's client led before its details changed: locks that were taken
//! there may be there still.
//!
//! Such a connection is good for releases only. An extension there would keep its
//! holder alive beside one who asks where the client leads now (rule 17).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::engine::{Instance as _, Instant, Question, Responder, Vote, VoteSink};
use crate::instances::redis::Server;

/// The connections that may still have keys, oldest first.
pub(super) struct PreviousServers {
    servers: Vec<Previous>,
    /// When the last key that was asked for, wherever, ends.
    last_key_ends: Instant,
}

struct Previous {
    server: Rc<Server>,
    /// When its last key ends.
    end: Instant,
}

/// More changes of a client's details than that, while its locks last, are not
/// followed.
const MOST: usize = 4;

impl PreviousServers {
    /// None, and no key was asked for before `now`.
    pub(super) const fn none(now: Instant) -> Self {
        Self {
            servers: Vec::new(),
            last_key_ends: now,
        }
    }

    /// A key was asked for that may live until `end`.
    pub(super) fn note_key(&mut self, end: Instant) {
        self.last_key_ends = self.last_key_ends.max(end);
    }

    /// The client's details have changed, and `server` is where they led. Returns
    /// those that are of no use any more: all of them, unless `keep`.
    #[must_use = "a connection's end is a vote on what was asked there"]
    pub(super) fn add(
        &mut self,
        server: Option<Rc<Server>>,
        keep: bool,
        now: Instant,
    ) -> Vec<Rc<Server>> {
        let end = self.last_key_ends;
        let mut servers = std::mem::take(&mut self.servers);
        servers.extend(server.map(|server| Previous { server, end }));
        let (mut kept, mut gone): (Vec<_>, Vec<_>) = servers
            .into_iter()
            .partition(|previous| keep && now < previous.end);
        let beyond = kept.len().saturating_sub(MOST);
        gone.extend(kept.drain(..beyond));
        self.servers = kept;
        gone.into_iter().map(|previous| previous.server).collect()
    }

    /// Those that may have keys at `now`.
    pub(super) fn at(&self, now: Instant) -> Vec<Rc<Server>> {
        let alive = self.servers.iter().filter(|previous| now < previous.end);
        alive.map(|previous| Rc::clone(&previous.server)).collect()
    }
}

/// Takes votes on a question until somebody has what it is about: where the client
/// leads now, and then wherever it led before, latest first.
pub(super) struct AskPrevious {
    servers: RefCell<Vec<Rc<Server>>>,
    question: Rc<Question>,
    /// What was said where the client leads now: it counts if nobody has it.
    first: RefCell<Option<Vote>>,
    responder: Cell<Option<Responder>>,
}

impl AskPrevious {
    /// What `question` is to be answered with where the client leads now, so that
    /// `servers` are asked too.
    pub(super) fn after(
        servers: Vec<Rc<Server>>,
        question: &Rc<Question>,
        responder: Responder,
    ) -> Responder {
        if servers.is_empty() {
            return responder;
        }
        let sink = Self {
            servers: RefCell::new(servers),
            first: RefCell::default(),
            question: Rc::clone(question),
            responder: Cell::new(Some(responder)),
        };
        Responder::new(Rc::new(sink), 0)
    }
}

impl VoteSink for AskPrevious {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let is_done = matches!(vote, Vote::Granted);
        let next = if is_done {
            None
        } else {
            self.first.borrow_mut().get_or_insert(vote.clone());
            self.servers.borrow_mut().pop()
        };
        if let Some(server) = next {
            let again = Responder::new(Rc::<Self>::clone(&self), 0);
            server.ask(&self.question, again);
        } else if let Some(responder) = self.responder.take() {
            let first = self.first.take().filter(|_| !is_done);
            responder.vote(first.unwrap_or(vote));
        }
    }
}
