//! The stages of a lock by themselves, always the same way: no clock, no chance, no
//! network, no thread. What a run takes depends on the code alone.
//!
//! - [`calls`]: an engine that is called directly, over [`member`]s that answer in
//!   batches, as links do, or over tables in memory.
//! - [`rows`]: the same requests as JavaScript hands them over, in rows.
//! - [`link`]: questions put to a server over a stream in memory.
//! - [`world`] is the clock, the chance and the tasks of all of them.

pub mod calls;
pub mod link;
pub mod member;
pub mod names;
pub mod rows;
pub mod world;

/// Runs a number of cycles, each a lock that is taken and released or, one in ten, refused.
pub type Run = fn(u32);

/// What can be run, by name.
pub const PARTS: [(&str, Run); 4] = [
    ("engine", calls::over_members),
    ("memory", calls::over_memory),
    ("rows", rows::over_memory),
    ("link", link::to_a_server),
];

/// So many cycles are under way together.
pub const TOGETHER: u32 = 100;
