//! What was used and is not needed any more, whose memory the next ones take. Many
//! requests are under way at once and end in another order than they began in: what they
//! would take of the allocator is a quarter of all that a lock takes of the engine.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// So many are kept at most.
const MOST: usize = 1024;

/// What was used, all of one kind.
#[derive(Default)]
pub(super) struct Spent(RefCell<Vec<Rc<dyn Any>>>);

impl Spent {
    /// Takes one, which nobody else has, if the one that was kept last is a `T`.
    pub(super) fn take<T: 'static>(&self) -> Option<Rc<T>> {
        let last = self.0.borrow_mut().pop();
        last?.downcast().ok()
    }

    /// Keeps this one once `clear` has cleared it, unless somebody else has it still or
    /// `clear` says that it is not to be kept.
    pub(super) fn keep<T: 'static>(&self, mut spent: Rc<T>, clear: impl FnOnce(&mut T) -> bool) {
        if Rc::get_mut(&mut spent).is_some_and(clear) {
            let mut all = self.0.borrow_mut();
            if all.len() < MOST {
                all.push(spent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_else_has_is_kept_and_taken_once() {
        let spent = Spent::default();
        let mine = Rc::new(1);
        spent.keep(Rc::clone(&mine), |_| true);
        assert_eq!(spent.take::<i32>(), None);
        spent.keep(mine, |mine| {
            *mine += 1;
            true
        });
        assert_eq!(spent.take(), Some(Rc::new(2)));
        assert_eq!(spent.take::<i32>(), None);
        spent.keep(Rc::new(3), |_| false);
        assert_eq!(spent.take::<i32>(), None);
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let spent = Spent::default();
        (0..2 * MOST).for_each(|number| spent.keep(Rc::new(number), |_| true));
        assert_eq!(spent.0.borrow().len(), MOST);
    }

    #[test]
    fn another_type_is_not_taken() {
        let spent = Spent::default();
        spent.keep(Rc::new("text"), |_| true);
        assert_eq!(spent.take::<i32>(), None);
        spent.keep(Rc::new(7), |_| true);
        assert_eq!(spent.take(), Some(Rc::new(7)));
    }
}
