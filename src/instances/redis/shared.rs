//! One of each for all who need it, for as long as somebody does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::config::Config;

/// What is open, by configuration. It ends with its last user.
pub(super) struct Shared<T>(RefCell<HashMap<Config, Weak<T>>>);

impl<T> Shared<T> {
    /// What is open for `config`, or what `open` makes of it.
    pub(super) fn get_or_open(&self, config: Config, open: impl FnOnce(Config) -> Rc<T>) -> Rc<T> {
        let mut all = self.0.borrow_mut();
        all.retain(|_, one| one.strong_count() > 0);
        let known = all.get(&config).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let one = open(config.clone());
            all.insert(config, Rc::downgrade(&one));
            one
        })
    }

    /// All that is open.
    #[cfg(feature = "sabotage")]
    pub(super) fn all(&self) -> Vec<Rc<T>> {
        self.0.borrow().values().filter_map(Weak::upgrade).collect()
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}
