//! What an instance is asked.

use std::collections::HashSet;
use std::sync::Arc;

use super::cause::Cause;
use super::context::{Context, Trace};
use super::safety_rule::SafetyRule;
use super::ticket::Ticket;
use super::token::Token;
use super::validity::{Instant, Ttl};
use super::vote::{Responder, Vote};

/// What a round asks every instance.
#[derive(Debug)]
pub struct Question {
    /// What is to be done.
    pub operation: Operation,
    /// With which keys: at least one, all or none of them.
    pub resources: Resources,
    /// The lock's value.
    pub value: Token,
    /// How many bytes the names and the value have together.
    length: usize,
    /// When the engine stops waiting for all votes. For one instance's it may stop
    /// earlier: [`Responder::is_awaited`].
    pub deadline: Instant,
    /// Whether failures are to be reported as events.
    pub report: bool,
    /// The caller's own texts for the operation, if there are any.
    pub scripts: Option<Arc<Scripts>>,
    /// The caller's context, for instances that run code of the caller's.
    pub context: Option<Arc<dyn Context>>,
    /// Acquire of one resource only: where the asker stands among all that wait for it.
    pub ticket: Option<Arc<Ticket>>,
    /// Whom the votes on it are told to one by one, if somebody is.
    pub(super) trace: Option<Arc<Trace>>,
    /// By which attempt of its request it is asked; 0 for what no request is about, whose votes
    /// are told to nobody.
    pub(super) attempt: u32,
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
    /// `operation` on `resources` with `value`; votes are waited for until `deadline`.
    /// Failures are not reported, the operation has no text of the caller's, and no
    /// context goes with it.
    #[must_use]
    pub fn new(
        operation: Operation,
        resources: Resources,
        value: Token,
        deadline: Instant,
    ) -> Self {
        let names = resources.iter().map(|name| name.len());
        Self {
            operation,
            length: names.sum::<usize>() + value.len(),
            resources,
            value,
            deadline,
            report: false,
            scripts: None,
            context: None,
            ticket: None,
            trace: None,
            attempt: 1,
        }
    }

    /// [`Operation::Acquire`] for `ttl`, as [`Question::new`].
    #[must_use]
    pub fn acquire(ttl: Ttl, resources: Resources, value: Token, deadline: Instant) -> Self {
        Self::new(Operation::Acquire { ttl }, resources, value, deadline)
    }

    /// [`Operation::Extend`] for `ttl`, as [`Question::new`].
    #[must_use]
    pub fn extend(ttl: Ttl, resources: Resources, value: Token, deadline: Instant) -> Self {
        Self::new(Operation::Extend { ttl }, resources, value, deadline)
    }

    /// [`Operation::Release`] of what may have been set between `since` and
    /// `expires`, as [`Question::new`].
    #[must_use]
    pub fn release(
        since: Instant,
        expires: Instant,
        resources: Resources,
        value: Token,
        deadline: Instant,
    ) -> Self {
        let operation = Operation::Release { since, expires };
        Self::new(operation, resources, value, deadline)
    }

    /// [`Operation::Release`] that takes a ticket out of its queue, in which it has been since
    /// then at the earliest, asked at `now`.
    pub(super) fn leave(ticket: &Ticket, since: Instant, now: Instant, deadline: Instant) -> Self {
        // It ends by itself soon.
        let expires = now.after(2 * Ticket::LEASE);
        let keys = Arc::new([ticket.waiter().into()]);
        Self::release(since, expires, keys, ticket.value(), deadline).traced(None, 0)
    }

    /// [`Operation::Inspect`] of one resource, as [`Question::new`].
    #[must_use]
    pub fn inspect(resource: Box<str>, deadline: Instant) -> Self {
        let resources = Arc::new([resource]);
        Self::new(Operation::Inspect, resources, Token::from(""), deadline)
    }

    /// The same question, with failures reported as events or not.
    #[must_use]
    pub fn reported(self, report: bool) -> Self {
        Self { report, ..self }
    }

    /// The same question, with these texts of the caller's.
    #[must_use]
    pub fn with_scripts(self, scripts: Option<Arc<Scripts>>) -> Self {
        Self { scripts, ..self }
    }

    /// The same question, in this context of the caller's.
    #[must_use]
    pub fn in_context(self, context: Option<Arc<dyn Context>>) -> Self {
        Self { context, ..self }
    }

    /// The same question, asked by this attempt, with its votes told to `trace`.
    #[must_use]
    pub(super) fn traced(self, trace: Option<Arc<Trace>>, attempt: u32) -> Self {
        Self {
            trace,
            attempt,
            ..self
        }
    }

    /// Whether its votes are told to somebody.
    pub(super) const fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// The same question, to be granted only if nobody's ticket is before this one.
    #[must_use]
    pub fn with_ticket(self, ticket: Option<Arc<Ticket>>) -> Self {
        let names = ticket.as_ref().map_or(0, |ticket| ticket.length());
        Self {
            ticket,
            length: self.length + names,
            ..self
        }
    }

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
    /// `responder`: that is waited for, or, of a release, the key may be there.
    #[must_use]
    pub fn is_wanted(&self, now: Instant, responder: Option<&Responder>) -> bool {
        match self.operation {
            Operation::Release { expires, .. } => now < expires,
            _ => now < self.deadline && responder.is_some_and(Responder::is_awaited),
        }
    }

    /// Whether it and `other` have a resource in common.
    #[must_use]
    pub fn shares_a_resource(&self, other: &Self) -> bool {
        /// Up to so many pairs, comparing each is faster than making a set.
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

    /// About how many bytes of memory it takes while it waits.
    #[must_use]
    pub fn weight(&self) -> usize {
        const ITSELF: usize = 128;
        ITSELF + self.length_with(size_of::<Box<str>>())
    }

    /// How many bytes its names and its value have, with so many on top for each name.
    #[must_use]
    pub fn length_with(&self, each: usize) -> usize {
        self.length + self.resources.len() * each
    }

    /// Whether it has nothing of the caller's but names and a value, and no more than about so
    /// many bytes of those.
    #[must_use]
    pub(super) fn is_light(&self, most: usize) -> bool {
        let is_plain = self.scripts.is_none() && self.context.is_none() && self.ticket.is_none();
        is_plain && self.trace.is_none() && self.weight() <= most
    }

    /// The vote if a script was carried out for so many keys. −1 is our own acquire's:
    /// they all had this attempt's value already.
    #[must_use]
    pub fn applied(&self, keys: i64) -> Vote {
        if usize::try_from(keys) == Ok(self.resources.len()) {
            return Vote::Granted;
        }
        let acquires = matches!(self.operation, Operation::Acquire { .. });
        if keys == -1 && acquires && self.script().is_none() {
            return if SafetyRule::OwnValue.is_kept() {
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

/// What an instance can be asked to do. Each is atomic there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    #[default]
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
