//! The scripts that make an operation atomic on one server.

use std::sync::LazyLock;

/// A script and what servers know it by.
pub(super) struct Script {
    pub(super) text: &'static str,
    /// SHA-1, in hexadecimal.
    pub(super) digest: String,
}

/// Takes several resources at once. One is taken with a plain SET.
pub(super) static ACQUIRE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/acquire.lua")));

/// Extends what the holder has.
pub(super) static EXTEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/extend.lua")));

/// Deletes what the holder has.
pub(super) static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));

impl Script {
    fn new(text: &'static str) -> Self {
        let digest = redis::Script::new(text).get_hash().to_owned();
        Self { text, digest }
    }
}
