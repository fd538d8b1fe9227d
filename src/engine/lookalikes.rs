//! Members of a quorum that look like one server. Each votes for itself all the
//! same, unless all of them are one by nature; what is noticed here is told to
//! people and decides nothing.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::instance::Instance;

/// What is known of who looks like whom.
pub(super) struct LookAlikes {
    /// What each member's keys are called, where that is known.
    names: RefCell<Box<[Option<Rc<str>>]>>,
    told: RefCell<BTreeSet<(usize, usize, bool)>>,
}

/// Two members that look like one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) first: usize,
    pub(super) second: usize,
    /// All members are that server.
    pub(super) sole: bool,
}

impl LookAlikes {
    pub(super) fn of(members: usize) -> Self {
        Self {
            names: RefCell::new(vec![None; members].into()),
            told: RefCell::default(),
        }
    }

    /// The keys of `member` are called that from now on.
    pub(super) fn named(&self, member: usize, name: Option<Rc<str>>) {
        self.names.borrow_mut()[member] = name;
    }

    /// The pairs that were not told before.
    pub(super) fn news(&self, members: &[Rc<dyn Instance>]) -> Vec<Pair> {
        let sole = are_one(members);
        let names = self.names.borrow();
        let mut told = self.told.borrow_mut();
        let mut news = Vec::new();
        for second in 1..names.len() {
            let alike =
                |first: &usize| sole || names[second].is_some() && names[*first] == names[second];
            if let Some(first) = (0..second).find(alike)
                && told.insert((first, second, sole))
            {
                news.push(Pair {
                    first,
                    second,
                    sole,
                });
            }
        }
        news
    }

    /// Whether all members go by one name: what must not be taken for a proof.
    pub(super) fn are_alike(&self) -> bool {
        let names = self.names.borrow();
        names.len() > 1 && names[0].is_some() && names.iter().all(|name| *name == names[0])
    }
}

/// Whether all of several members are one server by nature (rule 16): it is
/// asked once then, and its vote counts for all.
pub(super) fn are_one(members: &[Rc<dyn Instance>]) -> bool {
    share(members, |member| member.identity())
}

/// Whether they will be, as soon as that is proven.
pub(super) fn will_be_one(members: &[Rc<dyn Instance>]) -> bool {
    share(members, |member| member.coming_identity())
}

fn share(
    members: &[Rc<dyn Instance>],
    identity: impl Fn(&Rc<dyn Instance>) -> Option<usize>,
) -> bool {
    let [first, others @ ..] = members else {
        return false;
    };
    !others.is_empty()
        && identity(first)
            .is_some_and(|known| others.iter().all(|other| identity(other) == Some(known)))
}
