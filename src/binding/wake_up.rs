//! JavaScript's wake-up, and whether the process stays alive for it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ptr;
use std::rc::{self, Rc};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use napi::bindgen_prelude::{Env, Function, FunctionRef, JsValue as _};
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
    /// The same, for this thread.
    here: RefCell<Option<Rc<WokenHere>>>,
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
    pub(super) fn new(env: Env, wake: &Function<(), UnknownReturnValue>) -> Result<Self> {
        let function: WakeFunction = wake.build_threadsafe_function().weak::<true>().build()?;
        let function = Arc::new(function);
        Ok(Self {
            here: RefCell::new(Some(WokenHere::new(env, wake.create_ref()?, &function))),
            function: RefCell::new(Some(function)),
            pending: Cell::new(0),
            is_kept_awake: Cell::new(false),
            is_handing_on: Cell::new(false),
            is_referenced: Cell::new(false),
        })
    }

    /// What wakes JavaScript from any thread, for as long as somebody is to be woken.
    pub(super) fn caller(&self) -> impl Fn() + Send + Sync + use<> {
        let function = self.function.borrow().as_ref().map(Arc::downgrade);
        let here = self.here.borrow().as_ref().map(|here| here.number);
        let own = thread::current().id();
        move || {
            if here.is_some_and(|here| thread::current().id() == own && is_collected(here)) {
                return;
            }
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
        drop(self.here.take());
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

/// How JavaScript is woken where its own thread has run the engine.
struct WokenHere {
    number: u64,
    env: Env,
    function: FunctionRef<(), UnknownReturnValue>,
    elsewhere: Weak<WakeFunction>,
}

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ALL_HERE: RefCell<BTreeMap<u64, rc::Weak<WokenHere>>> = RefCell::default();
    /// Who is to be woken, while that is collected.
    static COLLECTED: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
}

/// Notes who is to be woken, where that is collected.
fn is_collected(number: u64) -> bool {
    COLLECTED.with_borrow_mut(|collected| match collected {
        Some(collected) => {
            collected.push(number);
            true
        }
        None => false,
    })
}

/// Does what may wake JavaScript from its own thread; returns who is to be woken.
pub(super) fn collect<T>(work: impl FnOnce() -> T) -> (T, Woken) {
    COLLECTED.set(Some(Vec::new()));
    let _collecting = Collecting;
    let outcome = work();
    (outcome, Woken(COLLECTED.take().unwrap_or_default()))
}

/// A panic leaves nobody asleep who counts as woken.
struct Collecting;

impl Drop for Collecting {
    fn drop(&mut self) {
        // Nobody is left where there was none.
        Woken(COLLECTED.take().unwrap_or_default()).call_later();
    }
}

/// Those who are to be woken.
#[must_use]
pub(super) struct Woken(Vec<u64>);

impl Woken {
    /// Calls them, from the event loop.
    pub(super) fn call(self) {
        self.each(WokenHere::call);
    }

    /// Has the event loop call them once what runs now is done.
    pub(super) fn call_later(self) {
        self.each(|here| {
            if let Some(function) = here.elsewhere.upgrade() {
                call(&function);
            }
        });
    }

    fn each(self, wake: impl Fn(&WokenHere)) {
        for number in self.0 {
            let here = ALL_HERE.with_borrow(|all| all.get(&number).and_then(rc::Weak::upgrade));
            if let Some(here) = here {
                wake(&here);
            }
        }
    }
}

impl WokenHere {
    fn new(
        env: Env,
        function: FunctionRef<(), UnknownReturnValue>,
        elsewhere: &Arc<WakeFunction>,
    ) -> Rc<Self> {
        let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed);
        let here = Rc::new(Self {
            number,
            env,
            function,
            elsewhere: Arc::downgrade(elsewhere),
        });
        ALL_HERE.with_borrow_mut(|all| all.insert(number, Rc::downgrade(&here)));
        here
    }

    fn call(&self) {
        let env = self.env.raw();
        let mut scope = ptr::null_mut();
        // SAFETY: this is the environment's thread, and its event loop calls: no JavaScript
        // runs. What is made in the scope does not leave it.
        unsafe {
            if sys::napi_open_handle_scope(env, &raw mut scope) != sys::Status::napi_ok {
                return;
            }
            if let Ok(function) = self.function.borrow_back(&self.env) {
                // One that nobody else has: what is called on it counts as its asynchronous
                // resource, which has its contexts and its domain.
                let mut this = ptr::null_mut();
                sys::napi_create_object(env, &raw mut this);
                let (no_context, no_values) = (ptr::null_mut(), ptr::null());
                let mut result = ptr::null_mut();
                let status = sys::napi_make_callback(
                    env,
                    no_context,
                    this,
                    function.raw(),
                    0,
                    no_values,
                    &raw mut result,
                );
                if status == sys::Status::napi_pending_exception {
                    let mut error = ptr::null_mut();
                    sys::napi_get_and_clear_last_exception(env, &raw mut error);
                    sys::napi_fatal_exception(env, error);
                }
            }
            sys::napi_close_handle_scope(env, scope);
        }
    }
}

impl Drop for WokenHere {
    fn drop(&mut self) {
        ALL_HERE.with_borrow_mut(|all| all.remove(&self.number));
    }
}
