//! Every interleaving of the hand-off between two threads, by loom.

#[path = "../src/binding/handoff.rs"]
#[allow(dead_code, reason = "the crate uses all of it, each test some")]
mod handoff;

mod sync {
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

use handoff::Handoff;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A queue and how often its reader was woken.
fn queue() -> (Arc<Handoff<u32>>, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&wakes);
    let wake = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    (Arc::new(Handoff::new(wake)), wakes)
}

#[test]
fn a_reader_that_comes_when_woken_misses_nothing() {
    loom::model(|| {
        let (queue, wakes) = queue();
        let writers: Vec<_> = (0..2)
            .map(|item| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.push([item]))
            })
            .collect();
        // The reader comes once for each time it was woken so far, at any
        // moment, and at the end for the wake-ups it has not yet answered.
        let mut answered = 0;
        let mut taken = 0;
        for _ in 0..2 {
            if wakes.load(Ordering::SeqCst) > answered {
                answered += 1;
                taken += queue.take(8).len();
            }
            thread::yield_now();
        }
        for writer in writers {
            writer.join().expect("no panic");
        }
        while wakes.load(Ordering::SeqCst) > answered {
            answered += 1;
            taken += queue.take(8).len();
        }
        assert_eq!(taken, 2, "an item is left and nobody was woken for it");
    });
}

#[test]
fn what_is_in_no_hurry_is_not_left_when_nobody_else_wakes_the_reader() {
    loom::model(|| {
        let (queue, wakes) = queue();
        queue.expect(true);
        let writer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.push_beside(1);
            })
        };
        // What others add is read, and nothing more of theirs is to come.
        let mut taken = queue.take_first(8).len() + queue.take(8).len();
        queue.expect(false);
        writer.join().expect("no panic");
        if wakes.load(Ordering::SeqCst) > 0 {
            taken += queue.take(8).len();
        }
        assert_eq!(taken, 1, "an item is left and nobody was woken for it");
    });
}

#[test]
fn what_is_written_while_the_reader_leaves_is_given_back_once() {
    loom::model(|| {
        let (queue, _) = queue();
        let writer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push([1]).map_or(0, |unread| unread.len()))
        };
        let unread = queue.close().len();
        let refused = writer.join().expect("no panic");
        assert_eq!(unread + refused, 1);
    });
}
