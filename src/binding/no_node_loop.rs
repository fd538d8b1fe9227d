//! Where no event loop of Node.js' can wait for the engine's connections, the engine's
//! thread has the engine always.

use std::sync::Arc;

use napi::bindgen_prelude::Env;

use super::driver::Driver;
use crate::instances::redis::Sockets;

/// Nothing: this system has no such thing.
pub(super) struct Readable;

impl Readable {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn sockets(&self) -> impl FnOnce() -> Sockets + Send + use<> {
        Sockets::default
    }
}

/// One environment's event loop.
pub(super) struct NodeLoop;

impl NodeLoop {
    pub(super) fn new(_: Env, _: &Arc<Driver>, _: &Readable, _: bool) -> Self {
        Self
    }

    pub(super) fn asks(&self, _: &Driver, _: u32) {}

    pub(super) fn follow(&self, _: &Driver) {}
}
