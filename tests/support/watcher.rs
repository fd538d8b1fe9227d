//! Whoever watches a key, and what they were told.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use redlock_native::engine::{Cause, Instance, Seen, Watch, Watcher};

/// What somebody who watches is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Free,
    Held(String),
    /// By what is no string.
    Occupied,
    Changed,
    Unwatched(&'static str),
}

/// Somebody who watches one key of one instance.
pub struct Watching {
    told: Rc<Diary>,
    pub watch: Rc<dyn Watch>,
}

#[derive(Default)]
struct Diary(RefCell<Vec<Told>>);

impl Watching {
    pub fn at(instance: &dyn Instance, resource: &str) -> Self {
        Self::perhaps_at(instance, resource).expect("it can be watched")
    }

    pub fn perhaps_at(instance: &dyn Instance, resource: &str) -> Option<Self> {
        let told = Rc::<Diary>::default();
        let weak = Rc::downgrade(&told);
        let watcher: Weak<dyn Watcher> = weak;
        let watch = instance.watch(resource, 7, watcher)?;
        Some(Self { told, watch })
    }

    /// All that it was told so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.0.borrow().clone()
    }

    pub fn last(&self) -> Option<Told> {
        self.told.0.borrow().last().cloned()
    }

    pub fn times(&self, what: &Told) -> usize {
        self.told().iter().filter(|told| *told == what).count()
    }
}

impl Watcher for Diary {
    fn seen(&self, instance: usize, seen: Seen) {
        assert_eq!(instance, 7);
        self.0.borrow_mut().push(match seen {
            Seen::Free => Told::Free,
            Seen::Held { value: None, left } => {
                assert_eq!(left, None);
                Told::Occupied
            }
            Seen::Held {
                value: Some(value), ..
            } => Told::Held(value.to_string()),
        });
    }

    fn changed(&self, instance: usize) {
        assert_eq!(instance, 7);
        self.0.borrow_mut().push(Told::Changed);
    }

    fn unwatched(&self, instance: usize, cause: &Cause) {
        assert_eq!(instance, 7);
        self.0.borrow_mut().push(Told::Unwatched(cause.code()));
    }
}

pub fn held(value: &str) -> Told {
    Told::Held(value.into())
}
