//! The state of a connection, and who is told of its changes.

use std::cell::{Ref, RefCell};
use std::rc::Weak;

use crate::engine::{Cause, ConnectionState, Observer};

/// A connection's state, which observers are told of.
pub(super) struct StateObservers {
    state: RefCell<ConnectionState>,
    observers: RefCell<Vec<(usize, Weak<dyn Observer>)>>,
}

impl StateObservers {
    pub(super) fn connecting() -> Self {
        Self {
            state: RefCell::new(ConnectionState::Connecting),
            observers: RefCell::default(),
        }
    }

    /// Tells `observer`, as the instance numbered `index`, the state now and
    /// whenever it changes.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        let state = self.state.borrow().clone();
        if let Some(observer) = observer.upgrade() {
            observer.connection_changed(index, &state);
        }
        let mut observers = self.observers.borrow_mut();
        observers.retain(|(_, observer)| observer.strong_count() > 0);
        observers.push((index, observer));
    }

    /// The state now.
    pub(super) fn state(&self) -> Ref<'_, ConnectionState> {
        self.state.borrow()
    }

    /// The state has changed to `connection`.
    pub(super) fn tell(&self, connection: &ConnectionState) {
        self.state.replace(connection.clone());
        let observers = self.observers.borrow().clone();
        for (index, observer) in observers {
            if let Some(observer) = observer.upgrade() {
                observer.connection_changed(index, connection);
            }
        }
    }

    /// The connection is down for this reason; the same reason again is no change.
    pub(super) fn tell_down(&self, cause: &Cause) {
        let known = match &*self.state() {
            ConnectionState::Down(before) => before.to_string() == cause.to_string(),
            _ => false,
        };
        if !known {
            self.tell(&ConnectionState::Down(cause.clone()));
        }
    }
}
