//! How a connection is, and who wants to know.

use std::cell::{Ref, RefCell};
use std::rc::Weak;

use crate::engine::{Connection, Observer};

/// What observers are told.
pub(super) struct Standing {
    now: RefCell<Connection>,
    observers: RefCell<Vec<(usize, Weak<dyn Observer>)>>,
}

impl Standing {
    pub(super) fn connecting() -> Self {
        Self {
            now: RefCell::new(Connection::Connecting),
            observers: RefCell::default(),
        }
    }

    /// Tells `observer`, as the instance numbered `index`, how it is, now and
    /// whenever that changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        let now = self.now.borrow().clone();
        if let Some(observer) = observer.upgrade() {
            observer.connection_changed(index, &now);
        }
        let mut observers = self.observers.borrow_mut();
        observers.retain(|(_, observer)| observer.strong_count() > 0);
        observers.push((index, observer));
    }

    /// How it is.
    pub(super) fn now(&self) -> Ref<'_, Connection> {
        self.now.borrow()
    }

    /// It has changed.
    pub(super) fn tell(&self, connection: &Connection) {
        self.now.replace(connection.clone());
        let observers = self.observers.borrow().clone();
        for (index, observer) in observers {
            if let Some(observer) = observer.upgrade() {
                observer.connection_changed(index, connection);
            }
        }
    }

    /// It is down for this reason; the same reason again is no change.
    pub(super) fn tell_down(&self, cause: &crate::engine::Cause) {
        let known = match &*self.now() {
            Connection::Down(before) => before.to_string() == cause.to_string(),
            _ => false,
        };
        if !known {
            self.tell(&Connection::Down(cause.clone()));
        }
    }
}
