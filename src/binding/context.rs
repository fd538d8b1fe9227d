//! The callers' contexts (`AsyncLocalStorage` and its like), which JavaScript keeps
//! under numbers.

use std::fmt;
use std::panic::RefUnwindSafe;
use std::sync::{Arc, Weak};

use super::ids::ContextId;
use super::outbox::{Outbox, Outcome, Response};
use crate::engine::{Context, Trace};

/// The context of one request, or of whoever keeps a lock. JavaScript is told when
/// nothing can be asked for in it any more.
struct CallersContext {
    number: ContextId,
    /// Weak, since responses on their way out have contexts.
    outbox: Weak<Outbox>,
}

/// That of this number; 0 is none.
pub fn context(number: ContextId, outbox: &Arc<Outbox>) -> Option<Arc<dyn Context>> {
    let outbox = Arc::downgrade(outbox);
    (number.0 > 0).then(|| Arc::new(CallersContext { number, outbox }) as Arc<dyn Context>)
}

/// The same for what a request is traced by.
pub fn trace(number: ContextId, outbox: &Arc<Outbox>) -> Option<Arc<Trace>> {
    let outbox = Arc::downgrade(outbox);
    (number.0 > 0).then(|| Arc::new(Trace(Box::new(CallersContext { number, outbox }))))
}

impl Context for CallersContext {
    fn number(&self) -> u32 {
        self.number.0
    }
}

/// An outbox stays whole, whatever panics: no response is written in part.
impl RefUnwindSafe for CallersContext {}

impl fmt::Debug for CallersContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CallersContext({})", self.number.0)
    }
}

impl Drop for CallersContext {
    fn drop(&mut self) {
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.push_beside(Response::unasked(Outcome::ContextEnded(self.number)));
        }
    }
}
