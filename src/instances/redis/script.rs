//! The scripts that make an operation atomic on one server.

use std::sync::LazyLock;

use crate::engine::Script;

/// Takes several resources at once. One is taken with a plain SET, unless it
/// must be told who has it.
pub(super) static ACQUIRE: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/acquire.lua")));

/// The same on a connection on which nothing was taken yet: sees first that what
/// is taken can be released.
pub(super) static FIRST_ACQUIRE: LazyLock<Script> = LazyLock::new(|| script(FIRST_TEXT));

const FIRST_TEXT: &str = concat!(
    include_str!("scripts/proof.lua"),
    include_str!("scripts/acquire.lua")
);

/// Takes one resource for who stands in its queue, in its turn.
pub(super) static ACQUIRE_FAIR: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/acquire_fair.lua")));

/// The same as [`FIRST_ACQUIRE`].
pub(super) static FIRST_ACQUIRE_FAIR: LazyLock<Script> = LazyLock::new(|| script(FIRST_FAIR_TEXT));

const FIRST_FAIR_TEXT: &str = concat!(
    include_str!("scripts/proof.lua"),
    include_str!("scripts/acquire_fair.lua")
);

/// Extends what the holder has.
pub(super) static EXTEND: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/extend.lua")));

/// Deletes what the holder has.
pub(super) static RELEASE: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/release.lua")));

/// Deletes what several holders have, each one key.
pub(super) static RELEASE_EACH: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/release_each.lua")));

/// Says what a key has.
pub(super) static INSPECT: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/inspect.lua")));

/// The texts of the scripts that acquire, extend, release and inspect, and of the
/// one that acquires first on a connection, for those who run them elsewhere or
/// write their own from them.
#[must_use]
pub fn default_texts() -> [&'static str; 5] {
    [
        &ACQUIRE.text,
        &EXTEND.text,
        &RELEASE.text,
        &INSPECT.text,
        FIRST_TEXT,
    ]
}

/// The text of the script that releases several locks at once, each by itself.
#[must_use]
pub fn release_each_text() -> &'static str {
    &RELEASE_EACH.text
}

/// The texts of the scripts that acquire for who stands in a queue: any, and the first on
/// a connection.
#[must_use]
pub fn fair_texts() -> [&'static str; 2] {
    [&ACQUIRE_FAIR.text, FIRST_FAIR_TEXT]
}

/// A text with the digest servers know it by.
#[must_use]
pub fn script(text: &str) -> Script {
    Script {
        text: text.into(),
        digest: redis::Script::new(text).get_hash().into(),
    }
}
