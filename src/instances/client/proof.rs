//! One proof that our own connection leads where the caller's client does: the
//! client sets a key, and our own connection deletes it, which finds it only if
//! both lead to the same keys.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::bridge::Bridge;
use super::own_connection::ProofNumber;
use super::route::BridgeReason;
use crate::engine::{
    Drift, Environment, Instance as _, Instant, Question, Responder, Token, Ttl, Vote, VoteSink,
};
use crate::instances::redis::Server;

/// Whose connection is to be proven.
pub(super) trait Prover {
    /// The way by the client.
    fn bridge(&self) -> &Bridge;

    /// Our own connection as it is now, if there is one.
    fn own_server(&self) -> Option<Rc<Server>>;

    /// What came of the proof of this number.
    fn judge(&self, number: ProofNumber, outcome: Result<(), BridgeReason>);
}

/// A key of a name and a value that nobody else sets, not even another member of
/// the same quorum.
pub(super) struct ProofKey {
    prover: Weak<dyn Prover>,
    number: ProofNumber,
    /// The client's question, to set it.
    question: Rc<Question>,
    step: Cell<Step>,
}

/// Whose vote comes next.
#[derive(Clone, Copy)]
enum Step {
    /// The client's, on setting the key.
    Set,
    /// Our own connection's, on deleting it.
    Find,
    /// Nobody's that counts.
    Over,
}

/// How long the key lives, should it not be deleted, in milliseconds.
const KEY_TTL: f64 = 2000.0;

impl ProofKey {
    /// The key that is asked for together with `acquire`.
    pub(super) fn beside(
        acquire: &Question,
        prover: Weak<dyn Prover>,
        number: ProofNumber,
        environment: &dyn Environment,
    ) -> Option<Rc<Self>> {
        let ttl = Ttl::new(KEY_TTL, Drift::default()).ok()?;
        // Beside the resource, so that whoever may lock that may do this too.
        let secret = Token::random(environment);
        let name = format!("{}:{}", acquire.resources[0], &*secret.text());
        let value = Token::random(environment);
        let deadline = environment.now().after(ttl.span());
        let question = Question::acquire(ttl, Arc::new([name.into()]), value, deadline)
            // Where the client leads to may depend on it.
            .in_context(acquire.context.clone());
        Some(Rc::new(Self {
            prover,
            number,
            question: Rc::new(question),
            step: Cell::new(Step::Set),
        }))
    }

    /// Has the client set it. All else follows from the votes.
    pub(super) fn prove(self: Rc<Self>, bridge: &Bridge) {
        let question = Rc::clone(&self.question);
        bridge.ask(&question, Responder::new(self, 0));
    }

    /// The client has set it.
    fn find(self: Rc<Self>, prover: &dyn Prover) {
        let reply = Responder::new(Rc::<Self>::clone(&self), 0);
        if let Some(server) = prover.own_server() {
            self.step.set(Step::Find);
            server.ask(&self.release(), reply);
        } else {
            self.step.set(Step::Over);
            prover.bridge().ask(&self.release(), reply);
        }
    }

    fn release(&self) -> Rc<Question> {
        let set = &self.question;
        let release = Question::release(
            Instant::ORIGIN,
            Instant::LAST,
            Arc::clone(&set.resources),
            set.value.clone(),
            set.deadline,
        );
        Rc::new(release.in_context(set.context.clone()))
    }
}

impl VoteSink for ProofKey {
    fn cast(self: Rc<Self>, _: usize, vote: Vote) {
        let Some(prover) = self.prover.upgrade() else {
            return;
        };
        match (self.step.get(), vote) {
            (Step::Set, Vote::Granted) => self.find(&*prover),
            (Step::Find, Vote::Granted) => prover.judge(self.number, Ok(())),
            (Step::Set | Step::Find, vote) => {
                let reason = match vote {
                    Vote::Failed(cause) => BridgeReason::ProofImpossible(cause),
                    _ => BridgeReason::KeyNotFound,
                };
                prover.judge(self.number, Err(reason));
                if let Step::Find = self.step.replace(Step::Over) {
                    // Wherever the key is, the client has set it there and finds it.
                    let nobody = Responder::new(Rc::<Self>::clone(&self), 0);
                    prover.bridge().ask(&self.release(), nobody);
                }
            }
            (Step::Over, _) => {}
        }
    }
}
