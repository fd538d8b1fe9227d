//! Whoever asks one server, and the votes that come of it.

use std::cell::RefCell;
use std::rc::Rc;

use redlock_native::engine::{
    Cause, Drift, Instance, Instant, Operation, Question, Responder, Ttl, Vote, VoteSink,
};
use redlock_native::instances::redis::{Config, Network, Server};

use crate::support::{network, until};

/// The votes on the questions of a test, in the order in which they were cast.
#[derive(Default)]
pub struct Votes(RefCell<Vec<(usize, Vote)>>);

impl VoteSink for Votes {
    fn cast(self: Rc<Self>, index: usize, vote: Vote) {
        self.0.borrow_mut().push((index, vote));
    }
}

impl Votes {
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Forgets all of them, so that their numbers may be given again.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// The place of the vote of this number, and the vote.
    pub fn of(&self, number: usize) -> Option<(usize, Vote)> {
        let votes = self.0.borrow();
        let place = votes.iter().position(|(index, _)| *index == number)?;
        Some((place, votes[place].1.clone()))
    }

    pub async fn wait_for(&self, number: usize) -> Vote {
        until("a vote", || self.of(number).is_some()).await;
        self.of(number).expect("it is there").1
    }

    /// Waits for a vote that has failed.
    pub async fn failure(&self, number: usize) -> Cause {
        self.wait_for(number).await;
        self.cause(number)
    }

    pub fn cause(&self, number: usize) -> Cause {
        match self.of(number) {
            Some((_, Vote::Failed(cause))) => cause,
            other => panic!("{other:?}"),
        }
    }
}

/// Whom a test asks.
pub struct Asker {
    pub server: Server,
    pub votes: Rc<Votes>,
}

impl Asker {
    pub fn open(config: Config) -> Self {
        Self::on(&network(), config)
    }

    pub fn on(network: &Rc<Network>, config: Config) -> Self {
        Self {
            server: Server::open(config, network),
            votes: Rc::default(),
        }
    }

    /// One whose connection is there, on which something was taken already.
    pub async fn ready(config: Config) -> Self {
        let asker = Self::open(config);
        let first = usize::MAX;
        asker.ask(first - 1, acquire(), "first", &["first"]);
        asker.votes.wait_for(first - 1).await;
        asker.ask(first, release(), "first", &["first"]);
        asker.votes.wait_for(first).await;
        asker.votes.clear();
        asker
    }

    pub async fn expect_granted(&self, number: usize) {
        let vote = self.votes.wait_for(number).await;
        assert!(matches!(vote, Vote::Granted), "{number}: {vote:?}");
    }

    /// Asks until a question doesn't fail at once.
    pub async fn until_used(&self) {
        until("a connection that is used", || {
            let number = self.votes.len();
            self.ask(number, extend(), "kept", &["kept"]);
            !matches!(self.votes.of(number), Some((_, Vote::Failed(_))))
        })
        .await;
    }

    pub fn ask(&self, number: usize, operation: Operation, value: &str, resources: &[&str]) {
        let resources = resources.iter().map(|name| Box::from(*name)).collect();
        let question = Question::new(operation, resources, value.into(), Instant::LAST);
        let sink: Rc<dyn VoteSink> = self.votes.clone();
        self.server
            .ask(&Rc::new(question), Responder::new(sink, number));
    }
}

pub fn acquire() -> Operation {
    Operation::Acquire { ttl: ttl() }
}

pub fn extend() -> Operation {
    Operation::Extend { ttl: ttl() }
}

pub fn release() -> Operation {
    Operation::Release {
        since: Instant::ORIGIN,
        expires: Instant::LAST,
    }
}

pub fn ttl() -> Ttl {
    Ttl::new(60_000.0, Drift::default()).expect("long enough")
}
