//! Instances that look like one server. Each votes for itself all the same, unless
//! all of them are one by nature; what is noticed here is told to people and decides
//! nothing.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::instance::Instance;

/// Which instances look alike.
pub(super) struct LookAlikes {
    /// What each instance's keys are called, where that is known.
    names: RefCell<Box<[Option<Rc<str>>]>>,
    told: RefCell<BTreeSet<(usize, usize, bool)>>,
}

/// Two instances that look like one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) first: usize,
    pub(super) second: usize,
    /// All instances are that server.
    pub(super) sole: bool,
}

impl LookAlikes {
    pub(super) fn of(instances: usize) -> Self {
        Self {
            names: RefCell::new(vec![None; instances].into()),
            told: RefCell::default(),
        }
    }

    /// The keys of the instance numbered `index` are called `name` from now on.
    pub(super) fn named(&self, index: usize, name: Option<Rc<str>>) {
        self.names.borrow_mut()[index] = name;
    }

    /// The pairs that were not told before.
    pub(super) fn new_pairs(&self, instances: &[Rc<dyn Instance>]) -> Vec<Pair> {
        let sole = are_one(instances);
        let names = self.names.borrow();
        let mut told = self.told.borrow_mut();
        let mut pairs = Vec::new();
        for second in 1..names.len() {
            let alike =
                |first: &usize| sole || names[second].is_some() && names[*first] == names[second];
            if let Some(first) = (0..second).find(alike)
                && told.insert((first, second, sole))
            {
                pairs.push(Pair {
                    first,
                    second,
                    sole,
                });
            }
        }
        pairs
    }

    /// Whether all instances go by one name, which must not be taken for a proof.
    pub(super) fn are_alike(&self) -> bool {
        let names = self.names.borrow();
        names.len() > 1 && names[0].is_some() && names.iter().all(|name| *name == names[0])
    }
}

/// Whether all of several instances are one server by nature (rule 16), which is
/// asked once then and whose vote counts for all.
pub(super) fn are_one(instances: &[Rc<dyn Instance>]) -> bool {
    share(instances, |instance| instance.identity())
}

/// Whether all of several instances will be one server, as soon as that is proven.
pub(super) fn will_be_one(instances: &[Rc<dyn Instance>]) -> bool {
    share(instances, |instance| instance.coming_identity())
}

fn share(
    instances: &[Rc<dyn Instance>],
    identity: impl Fn(&Rc<dyn Instance>) -> Option<usize>,
) -> bool {
    let [first, others @ ..] = instances else {
        return false;
    };
    !others.is_empty()
        && identity(first)
            .is_some_and(|known| others.iter().all(|other| identity(other) == Some(known)))
}
