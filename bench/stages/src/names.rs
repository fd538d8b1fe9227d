//! What is locked.

use std::rc::Rc;
use std::sync::Arc;

use redlock_native::engine::Resources;

use crate::TOGETHER;

/// Somebody else has what begins with this.
pub const HELD: &str = "held:";

/// So many batches have names of their own; then they come again. In each process a hash
/// map has other collisions, which a few names would meet again and again.
pub const SETS: u32 = 20;

/// One name for each of a batch of cycles; one in ten is held by somebody else.
#[must_use]
pub fn names(set: u32, count: u32) -> Vec<String> {
    let name = |number: u32| {
        let held = if number % 10 == 9 { HELD } else { "free:" };
        format!("{held}resource:{:04}", set * count + number)
    };
    (0..count).map(name).collect()
}

/// The same for who asks without rows.
#[must_use]
pub fn resources(set: u32, count: u32) -> Vec<Resources> {
    let names = names(set, count).into_iter();
    names
        .map(|name| Arc::new([name.into_boxed_str()]) as Resources)
        .collect()
}

/// Names for so many cycles, batch by batch.
pub fn batches<Name>(
    cycles: u32,
    make: impl Fn(u32, u32) -> Vec<Name>,
) -> impl Iterator<Item = Rc<[Name]>> {
    let sets: Vec<Rc<[Name]>> = (0..SETS).map(|set| make(set, TOGETHER).into()).collect();
    let batches = (cycles / TOGETHER) as usize;
    sets.into_iter().cycle().take(batches)
}

/// Whether it is held by somebody else.
#[must_use]
pub fn is_held(name: &str) -> bool {
    name.starts_with(HELD)
}
