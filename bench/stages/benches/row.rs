//! Rows: what JavaScript asks for is read, what it is answered is written.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use redlock_native::binding::encode::Rows;
use redlock_native::binding::ids::{Handle, Slot};
use redlock_native::binding::layout::{VALUE_LENGTH, answer};
use redlock_native::binding::outbox::{Locked, Outcome, Response};
use redlock_native::engine::{Drift, Instant, Resources, Token, Validity};
use redlock_stages::calls::ttl;
use redlock_stages::names::{names, resources};
use redlock_stages::rows::locks;

fn main() {
    divan::main();
}

const TOGETHER: [u32; 2] = [1, 100];

#[divan::bench(args = TOGETHER)]
fn read_requests(bencher: Bencher, together: u32) {
    let batch = locks(&names(0, together), 10_000.0);
    bencher.counter(ItemsCount::new(together)).bench_local(|| {
        for request in black_box(&batch).requests() {
            black_box(request);
        }
    });
}

#[divan::bench(args = TOGETHER)]
fn write_answers(bencher: Bencher, together: u32) {
    let room = together as usize;
    let mut numbers = vec![0.0; 1 + room * answer::NUMBERS];
    let mut values = vec![0; room * VALUE_LENGTH];
    let names = resources(0, together);
    bencher
        .counter(ItemsCount::new(together))
        .with_inputs(|| names.iter().map(locked).collect::<Vec<_>>())
        .bench_local_values(|responses| {
            let mut rows = Rows::new(&mut numbers, &mut values, Instant::ORIGIN);
            for response in responses {
                rows.write(response);
            }
            rows.finish()
        });
}

fn locked(resources: &Resources) -> Response {
    Response {
        slot: Some(Slot(1)),
        attempts: 1,
        outcome: Outcome::Locked(Locked {
            handle: Handle(0),
            resources: Resources::clone(resources),
            value: Token::from("0123456789abcdef0123456789abcdef"),
            validity: Validity::starting(Instant::ORIGIN, ttl(10_000.0), Drift::default()),
            settings: std::sync::Arc::default(),
        }),
    }
}
