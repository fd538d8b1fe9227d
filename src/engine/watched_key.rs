//! Being told when a key changes, where an instance can tell.
//!
//! All of it is a hint, of when asking may be worth while: it casts no vote, and none is
//! decided by it. A message may be lost, late, doubled, or of somebody else's key; whoever
//! waits must come to its end without any.

use std::rc::Rc;
use std::time::Duration;

use super::cause::Cause;

/// Is told what becomes of a key that is watched.
///
/// Never from within [`Instance::watch`](super::Instance::watch) or [`Watch::look`], so
/// that both may be called from anywhere, from here too.
pub trait Watcher {
    /// The answer to a look: this is what the key has on the instance numbered `instance`,
    /// and [`Watcher::changed`] will tell of its next change, as far as anything does.
    fn seen(&self, instance: usize, seen: Seen);

    /// The key may be another's or free by now. Said once, until it is looked at again.
    fn changed(&self, instance: usize);

    /// Nothing tells of changes there now, for this reason. The connection was lost or
    /// couldn't be made, or the server refuses to tell: looks under way are not answered
    /// then, it is said once, and [`Watcher::changed`] says when there is a connection
    /// again. Or the server has refused a look, and the next one may be answered.
    fn unwatched(&self, instance: usize, cause: &Cause);
}

/// What a key has on one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is not there.
    Free,
    /// Somebody has it.
    Held {
        /// Its value, or the beginning of a long one; `None` if it is no string, and so no
        /// lock's.
        value: Option<Rc<str>>,
        /// How long it lives on; `None` if for ever, or if that is not known.
        left: Option<Duration>,
    },
}

/// A key that is watched on one instance, until this is dropped.
pub trait Watch {
    /// Reads the key and has it watched, in one step. Until that is answered by
    /// [`Watcher::seen`], nothing tells of changes. While one look is under way, as many
    /// as are asked for make one more.
    fn look(&self);
}
