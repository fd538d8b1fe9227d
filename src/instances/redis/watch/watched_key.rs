//! What whoever watches a key holds.

use std::rc::{Rc, Weak};

use super::{Phase, WatchConnection, life};
use crate::engine::{Watch, Watcher};

/// Has `watcher` told of `resource`'s changes on this connection, as the instance numbered
/// `index`; `None` where too much is watched already.
pub(crate) fn watch(
    connection: &Rc<WatchConnection>,
    resource: &str,
    index: usize,
    watcher: Weak<dyn Watcher>,
) -> Option<Rc<dyn Watch>> {
    let mut state = connection.state.borrow_mut();
    let (name, number) = state.keys.add(resource, index, watcher)?;
    state.unused_since = None;
    let is_idle = matches!(state.phase, Phase::Idle);
    if is_idle {
        state.phase = Phase::Dialling;
    }
    drop(state);
    if is_idle {
        life::begin(connection);
    }
    Some(Rc::new(WatchedKey {
        connection: Rc::clone(connection),
        name,
        number,
    }))
}

/// A key that is watched until this is dropped.
struct WatchedKey {
    connection: Rc<WatchConnection>,
    name: Rc<[u8]>,
    /// Who watches it.
    number: u64,
}

impl Watch for WatchedKey {
    fn look(&self) {
        self.connection.look(&self.name, self.number);
    }
}

impl Drop for WatchedKey {
    fn drop(&mut self) {
        self.connection.unwatch(&self.name, self.number);
    }
}
