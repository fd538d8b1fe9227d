//! What whoever watches a key holds.

use std::rc::Rc;

use super::WatchConnection;
use crate::engine::Watch;

/// A key that is watched until this is dropped.
pub(super) struct WatchedKey {
    connection: Rc<WatchConnection>,
    name: Rc<[u8]>,
    /// Who watches it.
    number: u64,
}

impl WatchedKey {
    pub(super) const fn new(connection: Rc<WatchConnection>, name: Rc<[u8]>, number: u64) -> Self {
        Self {
            connection,
            name,
            number,
        }
    }
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
