//! What the addon exports beside its mailbox and its constants.

use napi::bindgen_prelude::{Env, JsValue, Unknown};
use napi::{Result, sys};
use napi_derive::napi;

use super::numbers::clock_millis;
use crate::engine::System;
use crate::instances::redis;

/// The texts of our own scripts.
#[napi(object)]
pub struct DefaultScripts {
    /// Takes resources.
    pub acquire: String,
    /// Says what a key has.
    pub inspect: String,
    /// Extends them.
    pub extend: String,
    /// Releases them.
    pub release: String,
    /// Takes resources, once it has seen that what is taken can be released.
    pub first: String,
}

/// Our own scripts, for those who write theirs from them.
#[napi(catch_unwind)]
#[must_use]
pub fn default_scripts() -> DefaultScripts {
    let [acquire, extend, release, inspect, first] = redis::default_texts().map(str::to_owned);
    DefaultScripts {
        acquire,
        inspect,
        extend,
        release,
        first,
    }
}

/// The version, as `npm run package` finds it in the file: it can't load one that is for another
/// platform.
const IMPRINT: &str = concat!("redlock-native@", env!("CARGO_PKG_VERSION"), ";");

/// The version that this was compiled from: JavaScript of another one speaks
/// another language.
#[napi(catch_unwind)]
#[must_use]
pub fn version() -> &'static str {
    &IMPRINT["redlock-native@".len()..IMPRINT.len() - ";".len()]
}

/// The engine's clock, in ms.
#[napi(catch_unwind)]
#[must_use]
pub fn clock() -> f64 {
    clock_millis(System::clock())
}

/// Throws `error` where nobody can catch it: it is an `uncaughtException`, at once
/// and whatever has been put in the place of JavaScript's own ways to do so.
///
/// # Errors
///
/// When the environment is ending.
#[napi]
pub fn raise(env: Env, error: Unknown) -> Result<()> {
    // SAFETY: both are alive, as JavaScript is calling.
    napi::check_status!(unsafe { sys::napi_fatal_exception(env.raw(), error.raw()) })
}
