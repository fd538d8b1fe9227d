//! Instances that are the same keys under two names, as one server listed twice.
//!
//! A quorum of them is fewer servers than it seems; that is the user's to
//! decide. But they must not vote against each other: only one of them is
//! asked, and the others vote as it does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::instance::{Instance, Keyspace};

/// Which instances are the same.
pub(super) struct Twins {
    members: RefCell<Box<[Member]>>,
    /// Whether some may be the same and have not been proven to be.
    suspected: Cell<bool>,
}

struct Member {
    /// The instance that is asked for this one: itself, unless it has a twin.
    leader: usize,
    connection: Option<usize>,
    /// Whether it has said by which name it goes, if any.
    told: bool,
    /// How often in a row it has answered with the asker's own value, without
    /// being proven to be another's twin.
    echoes: u32,
    keyspace: Option<Keyspace>,
}

impl Twins {
    /// Those that share a connection are the same from the start.
    pub(super) fn new(instances: &[Rc<dyn Instance>]) -> Self {
        let mut members: Vec<Member> = Vec::with_capacity(instances.len());
        for (index, instance) in instances.iter().enumerate() {
            let connection = instance.connection();
            let first = members
                .iter()
                .position(|other| connection.is_some() && other.connection == connection);
            members.push(Member {
                leader: first.unwrap_or(index),
                connection,
                told: false,
                echoes: 0,
                keyspace: None,
            });
        }
        Self {
            suspected: Cell::new(suspicious(&members)),
            members: RefCell::new(members.into()),
        }
    }

    /// The instance that is asked for `index`.
    pub(super) fn leader(&self, index: usize) -> usize {
        self.members.borrow()[index].leader
    }

    /// Those that are the same from the start: (leader, twin).
    pub(super) fn known(&self) -> Vec<(usize, usize)> {
        let members = self.members.borrow();
        let leaders = members.iter().map(|member| member.leader).enumerate();
        leaders
            .filter(|(index, leader)| index != leader)
            .map(|(index, leader)| (leader, index))
            .collect()
    }

    /// Whether an acquire must look out for its own value.
    pub(super) fn are_suspected(&self) -> bool {
        self.suspected.get()
    }

    /// An instance is called this from now on.
    pub(super) fn named(&self, index: usize, keyspace: Option<Keyspace>) {
        let mut members = self.members.borrow_mut();
        let told = std::mem::replace(&mut members[index].told, true);
        if told && members[index].keyspace == keyspace {
            return;
        }
        members[index].keyspace = keyspace;
        // It may be another server now: what was proven of it holds no longer.
        for at in 0..members.len() {
            let leader = members[at].leader;
            let same = members[at].connection.is_some()
                && members[at].connection == members[leader].connection;
            if !same && (at == index || leader == index) {
                members[at].leader = at;
            }
        }
        self.suspected.set(suspicious(&members));
    }

    /// Whether the two have the same name.
    pub(super) fn may_be_same(&self, one: usize, other: usize) -> bool {
        let members = self.members.borrow();
        members[one].keyspace.is_some() && members[one].keyspace == members[other].keyspace
    }

    /// Whether the two can't be told to be different servers.
    pub(super) fn could_be_same(&self, one: usize, other: usize) -> bool {
        let members = self.members.borrow();
        members[one].could_be(&members[other])
    }

    /// `index` had the asker's own value, and it can't be told from whom: from
    /// another of these, or from itself, since callers' clients may send a command
    /// twice. Returns whether it is time to say that it looks like a twin.
    pub(super) fn echoed(&self, index: usize) -> bool {
        let mut members = self.members.borrow_mut();
        members[index].echoes += 1;
        let often = members[index].echoes == ECHOES;
        self.suspected.set(suspicious(&members));
        often
    }

    /// `index` has set the keys anew, beside others: it is no twin of theirs.
    pub(super) fn set_by_itself(&self, index: usize) {
        let mut members = self.members.borrow_mut();
        if members[index].echoes > 0 {
            members[index].echoes = 0;
            self.suspected.set(suspicious(&members));
        }
    }

    /// Whether what `index` no longer has may have been deleted through `other`.
    pub(super) fn may_share(&self, index: usize, other: usize) -> bool {
        let echoes = |at: usize| self.members.borrow()[at].echoes > 0;
        self.may_be_same(index, other)
            || (echoes(index) || echoes(other)) && self.could_be_same(index, other)
    }

    /// The keys of `index` had the value that `setter`, and nobody else of its
    /// name, can have set. Returns which one leads which from now on, if new.
    pub(super) fn proven(&self, index: usize, setter: usize) -> Option<(usize, usize)> {
        let mut members = self.members.borrow_mut();
        let (index, setter) = (members[index].leader, members[setter].leader);
        let (first, twin) = (index.min(setter), index.max(setter));
        if first == twin {
            return None;
        }
        for member in members.iter_mut() {
            if member.leader == twin {
                member.leader = first;
            }
        }
        self.suspected.set(suspicious(&members));
        Some((first, twin))
    }
}

/// So often it is no accident.
const ECHOES: u32 = 3;

impl Member {
    fn could_be(&self, other: &Self) -> bool {
        match (&self.keyspace, &other.keyspace) {
            (Some(Keyspace::Given(one)), Some(Keyspace::Given(other))) => one == other,
            _ => true,
        }
    }

    /// Whether there is a reason to think that the two are the same, or to fear
    /// it: they have the same name, or what one of them is called is not known
    /// yet, or of one it is only guessed. Two different guesses are no reason.
    fn is_suspected_of_being(&self, other: &Self) -> bool {
        let guessed = |member: &Self| matches!(member.keyspace, Some(Keyspace::Guessed(_)));
        let untold = !self.told || !other.told;
        let same = self.keyspace.is_some() && self.keyspace == other.keyspace;
        self.could_be(other) && (untold || guessed(self) != guessed(other) || same)
    }
}

/// Whether two that are asked may be the same.
fn suspicious(members: &[Member]) -> bool {
    members.iter().enumerate().any(|(at, member)| {
        member.leader == at
            && (member.echoes > 0
                || members[..at].iter().enumerate().any(|(before, other)| {
                    other.leader == before && member.is_suspected_of_being(other)
                }))
    })
}
