//! One member of the quorum, as the engine sees it: it can be asked a question, on
//! which it casts one vote.

use std::rc::{Rc, Weak};

use super::cause::Cause;
use super::question::Question;
use super::round_trip::RoundTrip;
use super::vote::Responder;
use super::watched_key::{Watch, Watcher};

/// A member of the quorum: a server, a cluster, a sentinel group, a table in
/// memory.
///
/// Everything happens on the engine's thread; nothing here may block.
pub trait Instance {
    /// Asks for a vote on `question`, which is cast with `responder` now or later.
    ///
    /// The instance need not keep the deadline, the engine does; but it must
    /// not begin an acquire or extend that nobody waits for any more
    /// ([`Question::is_wanted`]), and it must write each of them at most once (safety
    /// rule 13). A release it still owes when its connection breaks is to be
    /// delivered on the next one.
    fn ask(&self, question: &Rc<Question>, responder: Responder);

    /// Tells `observer`, as the instance numbered `index`, how the connection
    /// is: now, and whenever that changes.
    fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        let _ = (index, observer);
    }

    /// How long its answers take, as it was measured, those that came too late
    /// included; `None` before the first. A deadline is never below it.
    fn round_trip(&self) -> Option<RoundTrip> {
        None
    }

    /// The known problem, for the error that says that no answer came.
    fn trouble(&self) -> Option<Rc<str>> {
        None
    }

    /// Why it could not be reached when that was last tried, for the error that says
    /// that no answer came; `None` if nothing is known to have failed.
    fn unreached(&self) -> Option<Cause> {
        None
    }

    /// What tells one server from another by nature: the same number means the
    /// same keys (rule 16). A table of this process has one, and a configuration
    /// that leads to a unix socket or a loopback address. It is looked at for
    /// each question. `None` where only a name is known, which may lead anywhere.
    fn identity(&self) -> Option<usize> {
        None
    }

    /// What its keys are told from others' by: the same number means that the same names are
    /// the same keys, for as long as the instance is there. Who waits for the same name lines up
    /// (`queue`); nothing else is decided by it. `None` where a name may be several keys.
    fn keys_are_those_of(&self) -> Option<usize> {
        None
    }

    /// Whether it has certainly set nothing for an acquire that it answers with "held": one
    /// of ours, for one key, which it was asked once. What runs code of the caller's may ask
    /// again where nobody sees it.
    fn is_refusal_final(&self) -> bool {
        false
    }

    /// The identity that it has, or will have once what its configuration says is
    /// proven; `None` if it won't. Nothing is decided by it: a first attempt that is
    /// refused by instances that are about to be one is made again.
    fn coming_identity(&self) -> Option<usize> {
        self.identity()
    }

    /// Has `watcher` told of `resource`'s changes here, as the instance numbered `index`,
    /// from the first [`Watch::look`] on. `None` where nothing tells of them, or where too
    /// many are watched already: [`Instance::no_wakeups`] says why.
    fn watch(
        &self,
        resource: &str,
        index: usize,
        watcher: Weak<dyn Watcher>,
    ) -> Option<Rc<dyn Watch>> {
        let _ = (resource, index, watcher);
        None
    }

    /// Why nothing tells of changes to its keys, for people; `None` where something does,
    /// or is expected to as soon as anybody waits.
    fn no_wakeups(&self) -> Option<Rc<str>> {
        Some("an instance of this kind tells nobody of changes".into())
    }
}

/// Is told how connections are.
pub trait Observer {
    /// The connection of the instance numbered `index` is now `state`.
    fn connection_changed(&self, index: usize, state: &ConnectionState);

    /// Whether changes to its keys are told, or why not, may be another thing now
    /// ([`Instance::no_wakeups`]).
    fn wakeups_changed(&self, index: usize) {
        let _ = index;
    }
}

/// How the connection to an instance is.
#[derive(Clone, Debug)]
pub enum ConnectionState {
    /// The first dial is under way.
    Connecting,
    /// Commands can be sent.
    Ready {
        /// What its keys are called, for people: two of the same name look like
        /// one server, and that is all.
        keyspace: Option<Rc<str>>,
    },
    /// Out of reach. It is dialled again in the background.
    Down(Cause),
}
