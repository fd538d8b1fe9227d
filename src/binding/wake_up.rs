//! JavaScript's wake-up, and whether the process stays alive for it.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use napi::bindgen_prelude::{Env, Function};
use napi::threadsafe_function::{
    ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue,
};
use napi::{Result, Status, sys};

/// Calls JavaScript's `wake`. Weak: it does not keep the process alive unless
/// it is referenced.
type WakeFunction = ThreadsafeFunction<(), UnknownReturnValue, (), Status, false, true>;

/// What calls JavaScript when there is something to drain. The process stays alive
/// for it while requests are unanswered, or somebody waits for something else.
pub(super) struct WakeUp {
    /// Nothing once nobody is to be woken any more.
    function: RefCell<Option<Arc<WakeFunction>>>,
    /// Requests that are not answered yet.
    pending: Cell<u32>,
    /// Whether somebody waits for what is no request.
    is_kept_awake: Cell<bool>,
    /// Whether what was drained has not reached its callers yet.
    is_handing_on: Cell<bool>,
    /// Whether the process stays alive for it now.
    is_referenced: Cell<bool>,
}

impl WakeUp {
    pub(super) fn new(wake: &Function<(), UnknownReturnValue>) -> Result<Self> {
        let function: WakeFunction = wake.build_threadsafe_function().weak::<true>().build()?;
        Ok(Self {
            function: RefCell::new(Some(Arc::new(function))),
            pending: Cell::new(0),
            is_kept_awake: Cell::new(false),
            is_handing_on: Cell::new(false),
            is_referenced: Cell::new(false),
        })
    }

    /// What wakes JavaScript from any thread, for as long as somebody is to be woken.
    pub(super) fn caller(&self) -> impl Fn() + Send + Sync + use<> {
        let function = self.function.borrow().as_ref().map(Arc::downgrade);
        move || {
            if let Some(function) = function.as_ref().and_then(Weak::upgrade) {
                call(&function);
            }
        }
    }

    /// Wakes JavaScript so many times.
    pub(super) fn call(&self, times: u32) {
        if let Some(function) = &*self.function.borrow() {
            for _ in 0..times {
                call(function);
            }
        }
    }

    /// Nobody is woken any more, and the function may be collected.
    pub(super) fn stop(&self) {
        drop(self.function.take());
    }

    /// How many requests are not answered yet.
    pub(super) fn pending(&self) -> u32 {
        self.pending.get()
    }

    /// So many requests are made.
    pub(super) fn asked(&self, count: u32) {
        self.pending.set(self.pending.get() + count);
    }

    /// One of them is answered.
    pub(super) fn answered(&self) {
        self.pending.set(self.pending.get().saturating_sub(1));
    }

    /// Whether somebody waits for what is no request.
    pub(super) fn keep_awake(&self, is_kept_awake: bool) {
        self.is_kept_awake.set(is_kept_awake);
    }

    /// Whether what was drained has not reached its callers yet.
    pub(super) fn hand_on(&self, is_handing_on: bool) {
        self.is_handing_on.set(is_handing_on);
    }

    /// Has the process stay alive, or no longer, by what is pending now.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    pub(super) fn keep_alive(&self, env: &Env) -> Result<()> {
        let alive = self.is_kept_awake.get() || self.is_handing_on.get() || self.pending.get() > 0;
        let function = self.function.borrow();
        let Some(function) = function
            .as_ref()
            .filter(|_| alive != self.is_referenced.get())
        else {
            return Ok(());
        };
        self.is_referenced.set(alive);
        let (env, function) = (env.raw(), function.raw());
        // SAFETY: both are alive: the environment is calling, and the function
        // is held by `self`. Node-API wants this on the environment's thread.
        let status = unsafe {
            if alive {
                sys::napi_ref_threadsafe_function(env, function)
            } else {
                sys::napi_unref_threadsafe_function(env, function)
            }
        };
        napi::check_status!(status)
    }
}

fn call(function: &WakeFunction) {
    // It can only fail when the environment ends, which is told anyway.
    let _ = function.call((), ThreadsafeFunctionCallMode::NonBlocking);
}
