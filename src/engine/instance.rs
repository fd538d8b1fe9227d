//! One member of the quorum, as the engine sees it: somebody who can be asked a
//! question and who casts one vote on it.

use std::collections::HashSet;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::context::Context;
use super::error::Cause;
use super::round_trip::RoundTrip;
use super::rule::Rule;
use super::token::Token;
use super::validity::{Instant, Ttl};

/// A member of the quorum: a server, a cluster, a sentinel group, a table in
/// memory.
///
/// Everything happens on the engine's thread; nothing here may block.
pub trait Instance {
    /// Where it is, for errors and events. It must not contain a secret.
    fn address(&self) -> &str;

    /// Asks for a vote on `question`, which is cast with `reply` now or later.
    ///
    /// The instance need not keep the deadline, the engine does; but it must
    /// not begin an acquire or extend that nobody waits for any more
    /// ([`Question::is_wanted`]), and it must write each of them at most once (safety
    /// rule 13). A release it still owes when its connection breaks is to be
    /// delivered on the next one.
    fn ask(&self, question: &Rc<Question>, reply: Reply);

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

    /// What is known to be wrong with it, for whoever has waited in vain.
    fn trouble(&self) -> Option<Rc<str>> {
        None
    }

    /// Why it could not be reached when that was last tried, for whoever has waited
    /// for another try; `None` if nothing is known to have failed.
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

    /// The identity that it has, or will have once what its configuration says is
    /// proven; `None` if it won't. Nothing is decided by it: a first attempt that
    /// members refuse who are about to be one is made again.
    fn coming_identity(&self) -> Option<usize> {
        self.identity()
    }
}

/// Who wants to know how connections are.
pub trait Observer {
    /// The connection of the instance numbered `index` is now `state`.
    fn connection_changed(&self, index: usize, state: &Connection);
}

/// How the connection to an instance is.
#[derive(Clone, Debug)]
pub enum Connection {
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

/// What a round asks every instance.
#[derive(Debug)]
pub struct Question {
    /// What is to be done.
    pub operation: Operation,
    /// With which keys: at least one, all or none of them.
    pub resources: Resources,
    /// In whose name.
    pub value: Token,
    /// When the asker stops waiting for all votes. Whether one instance's is still
    /// waited for, which may end before, its [`Reply`] knows.
    pub deadline: Instant,
    /// Whether failures are to be reported as events.
    pub report: bool,
    /// The caller's own texts for the operation, if there are any.
    pub scripts: Option<Arc<Scripts>>,
    /// Whose request it is asked for, where somebody has to know.
    pub context: Option<Arc<dyn Context>>,
}

/// Texts that replace an instance's own way of carrying an operation out. Each
/// gets the resources and then the value and the ttl, and must answer with the
/// number of resources if it was carried out for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scripts {
    /// In place of [`Operation::Acquire`].
    pub acquire: Option<Script>,
    /// In place of [`Operation::Extend`].
    pub extend: Option<Script>,
    /// In place of [`Operation::Release`].
    pub release: Option<Script>,
}

/// A text and the digest by which a server may know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    /// The text.
    pub text: Box<str>,
    /// SHA-1, in hexadecimal.
    pub digest: Box<str>,
}

impl Question {
    /// The caller's own text for the operation.
    #[must_use]
    pub fn script(&self) -> Option<&Script> {
        let scripts = self.scripts.as_ref()?;
        match self.operation {
            Operation::Acquire { .. } => scripts.acquire.as_ref(),
            Operation::Extend { .. } => scripts.extend.as_ref(),
            Operation::Inspect => None,
            Operation::Release { .. } => scripts.release.as_ref(),
        }
    }

    /// Whether neither taking what it asks for nor releasing it has a text of the
    /// caller's.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let scripts = self.scripts.as_ref();
        scripts.is_none_or(|scripts| scripts.acquire.is_none() && scripts.release.is_none())
    }

    /// Whether it may still be put to an instance at `now`, which answers with
    /// `reply`: somebody waits for that, or, of a release, the key may be there.
    #[must_use]
    pub fn is_wanted(&self, now: Instant, reply: Option<&Reply>) -> bool {
        match self.operation {
            Operation::Release { expires, .. } => now < expires,
            _ => now < self.deadline && reply.is_some_and(Reply::is_awaited),
        }
    }

    /// Whether it and `other` are about one key.
    #[must_use]
    pub fn shares_a_resource(&self, other: &Self) -> bool {
        /// So many pairs are looked at faster than a set is made.
        const FEW: usize = 1000;
        let (one, other) = (&self.resources, &other.resources);
        if one == other {
            true
        } else if one.len().saturating_mul(other.len()) <= FEW {
            one.iter().any(|name| other.contains(name))
        } else {
            let others: HashSet<&str> = other.iter().map(|name| &**name).collect();
            one.iter().any(|name| others.contains(&**name))
        }
    }

    /// How many bytes it keeps for as long as it waits somewhere.
    #[must_use]
    pub fn weight(&self) -> usize {
        const ITSELF: usize = 128;
        const NAME: usize = size_of::<Box<str>>();
        let names = self.resources.iter().map(|name| name.len() + NAME);
        ITSELF + self.value.as_str().len() + names.sum::<usize>()
    }

    /// What it means that a script was carried out for so many keys. −1 is our
    /// own acquire's: they all have the asker's value already.
    #[must_use]
    pub fn applied(&self, keys: i64) -> Vote {
        if usize::try_from(keys) == Ok(self.resources.len()) {
            return Vote::Granted;
        }
        let acquires = matches!(self.operation, Operation::Acquire { .. });
        if keys == -1 && acquires && self.script().is_none() {
            return if Rule::OwnValue.is_kept() {
                Vote::Failed(Cause::AskedTwice)
            } else {
                Vote::Granted
            };
        }
        Vote::Held {
            applied: u32::try_from(keys).unwrap_or(0),
        }
    }
}

/// The names of what is locked together: at least one, none of them twice.
pub type Resources = Arc<[Box<str>]>;

/// The three things an instance can be asked to do. Each is atomic there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set every key to the value for `ttl`, if none of them exists.
    Acquire {
        /// How long the keys are to live.
        ttl: Ttl,
    },
    /// Let every key live for at least `ttl` from now, if all of them have the
    /// value. A missing key is not made anew, and no key's life is shortened:
    /// an extension that arrives late must not undo a longer one.
    Extend {
        /// How long the keys are to live.
        ttl: Ttl,
    },
    /// Say what the first key has, and for how long.
    Inspect,
    /// Delete every key that has the value.
    Release {
        /// No key can have the value from before this point. An instance that
        /// has been out of reach for longer owes nothing.
        since: Instant,
        /// Nor after this one, from when on the value may be given again;
        /// [`Instant::LAST`] for one that never is.
        expires: Instant,
    },
}

impl Operation {
    /// The word for it in events and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquire { .. } => "lock",
            Self::Extend { .. } => "extend",
            Self::Inspect => "inspect",
            Self::Release { .. } => "unlock",
        }
    }
}

/// What one instance says.
#[derive(Clone, Debug)]
pub enum Vote {
    /// Done, for every key.
    Granted,
    /// Not done: a key is somebody else's, or (extend, release) gone.
    Held {
        /// For how many keys it was done (release) or could have been.
        applied: u32,
    },
    /// Inspect only: what the key has.
    Seen {
        /// Its value; `None` if there is no such key.
        value: Option<Rc<str>>,
        /// How long it lives on, in milliseconds; `None` if for ever, or if it
        /// isn't there.
        ttl: Option<u64>,
    },
    /// No answer, or an error for an answer.
    Failed(Cause),
}

/// Where votes are cast.
pub trait Ballot {
    /// Takes the vote of the instance numbered `index`.
    fn cast(self: Rc<Self>, index: usize, vote: Vote);

    /// Whether that vote would still count.
    fn is_awaited(&self, index: usize) -> bool {
        let _ = index;
        true
    }

    /// The question is put to that instance only now, by the caller's thread, which
    /// had other things to do: what it has taken so far is not the instance's.
    fn begin(self: Rc<Self>, index: usize) {
        let _ = index;
    }

    /// It will be put to the instance by the caller's thread, which then says so by
    /// [`Ballot::begin`].
    fn hold_up(&self, index: usize) {
        let _ = index;
    }
}

/// The right to cast one vote. Dropped unused, it votes
/// [`Cause::Dropped`], so that no round waits for nothing.
pub struct Reply {
    ballot: Option<Rc<dyn Ballot>>,
    index: usize,
}

impl Reply {
    /// The right to vote once on `ballot` as the instance numbered `index`.
    #[must_use]
    pub fn new(ballot: Rc<dyn Ballot>, index: usize) -> Self {
        Self {
            ballot: Some(ballot),
            index,
        }
    }

    /// Casts the vote.
    pub fn vote(mut self, vote: Vote) {
        if let Some(ballot) = self.ballot.take() {
            ballot.cast(self.index, vote);
        }
    }

    /// Whether the vote would still count.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let ballot = self.ballot.as_ref();
        ballot.is_some_and(|ballot| ballot.is_awaited(self.index))
    }

    /// The question waits for the caller's thread from now on; its deadline begins
    /// with [`Reply::begin`].
    pub fn hold_up(&self) {
        if let Some(ballot) = &self.ballot {
            ballot.hold_up(self.index);
        }
    }

    /// The caller's thread has put the question.
    pub fn begin(&self) {
        if let Some(ballot) = &self.ballot {
            Rc::clone(ballot).begin(self.index);
        }
    }

    /// Casts a failed vote.
    pub fn fail(self, cause: Cause) {
        self.vote(Vote::Failed(cause));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(ballot) = self.ballot.take() {
            ballot.cast(self.index, Vote::Failed(Cause::Dropped));
        }
    }
}
