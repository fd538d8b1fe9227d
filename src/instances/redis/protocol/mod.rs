//! The Redis protocol as far as locks need it: commands out, replies in.

pub(super) mod command;
pub(super) mod error_code;
pub(super) mod frame;
pub(super) mod merged_releases;
pub(super) mod value;
mod words;
