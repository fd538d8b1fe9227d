//! What is locked.

use std::sync::Arc;

use redlock_native::engine::Resources;

/// Somebody else has what begins with this.
pub const HELD: &str = "held:";

/// One name for each of a batch of cycles; one in ten is held by somebody else.
pub fn names(count: u32) -> Vec<String> {
    let name = |number: u32| {
        let held = if number % 10 == 9 { HELD } else { "free:" };
        format!("{held}resource:{number:04}")
    };
    (0..count).map(name).collect()
}

/// The same for who asks without rows.
pub fn resources(count: u32) -> Vec<Resources> {
    let names = names(count).into_iter();
    names
        .map(|name| Arc::new([name.into_boxed_str()]) as Resources)
        .collect()
}

/// Whether it is held by somebody else.
pub fn is_held(name: &str) -> bool {
    name.starts_with(HELD)
}
