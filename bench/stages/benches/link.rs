//! What a link does for a lock and its unlock: commands written, replies recognised. There
//! is no socket; the server's part, a look at each word, is in it.

use divan::Bencher;
use divan::counter::ItemsCount;
use redlock_stages::link::Line;
use redlock_stages::names::resources;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 100])]
fn commands_and_replies(bencher: Bencher, together: u32) {
    let line = Line::default();
    let names = resources(0, together);
    // The first on a connection is a script.
    line.cycle(&names);
    bencher
        .counter(ItemsCount::new(together))
        .bench_local(|| line.cycle(&names));
}
