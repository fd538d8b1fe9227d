//! A lock and its unlock: a round of questions, votes and the verdict, twice, over members
//! that take no time.

use divan::Bencher;
use divan::counter::ItemsCount;
use redlock_stages::calls::Quorum;
use redlock_stages::names::resources;

fn main() {
    divan::main();
}

const MEMBERS: [usize; 3] = [1, 3, 5];

#[divan::bench(args = MEMBERS)]
fn alone(bencher: Bencher, members: usize) {
    cycle(bencher, members, 1);
}

#[divan::bench(args = MEMBERS)]
fn a_hundred_together(bencher: Bencher, members: usize) {
    cycle(bencher, members, 100);
}

fn cycle(bencher: Bencher, members: usize, together: u32) {
    let quorum = Quorum::over_members(members);
    let names = resources(0, together);
    bencher
        .counter(ItemsCount::new(together))
        .bench_local(|| quorum.cycle(&names));
}
