//! Node.js' event loop, as far as the engine is run by it: it finds out that a server
//! has answered.
//!
//! libuv is not linked: Node.js has it, and exports it. Where it doesn't, and where the
//! event loop is not Node.js', the engine's thread has the engine always.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use libloading::os::unix::Library;
use napi::bindgen_prelude::Env;
use napi::sys;

use super::driver::Driver;
use super::wake_up;
use crate::engine::{Instant, System};
use crate::instances::redis::{self, Sockets};

/// With no more than so many requests under way, JavaScript's thread is the better one.
const FEW: u32 = 8;

/// Requests come one after the other if there is no more than this between them.
const SOON: Duration = Duration::from_millis(5);

/// After so many that came so, more are expected: changing hands costs more than one or
/// two requests save.
const STREAK: u32 = 8;

/// Where the engine's thread had to take the engine back before a server had answered, it keeps
/// it for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// So often the loop may find something to be read between two requests.
const MOST_CALLS: u32 = 1000;

/// What tells that a connection has something to be read, if the system has that.
pub(super) struct Readable(Option<Arc<redis::Readable>>);

impl Readable {
    pub(super) fn new() -> Self {
        Self(redis::Readable::new().ok().map(Arc::new))
    }

    /// Makes sockets that it tells of.
    pub(super) fn sockets(&self) -> impl FnOnce() -> Sockets + Send + use<> {
        let readable = self.0.clone();
        move || {
            let sockets = Sockets::default();
            match readable {
                Some(readable) => sockets.told_by(readable),
                None => sockets,
            }
        }
    }
}

/// One environment's event loop.
pub(super) struct NodeLoop {
    watch: Option<Rc<Watch>>,
    /// When requests were last made.
    asked: Cell<Instant>,
    /// How many came one after the other.
    streak: Cell<u32>,
}

impl NodeLoop {
    pub(super) fn new(env: Env, driver: &Arc<Driver>, readable: &Readable, is_node: bool) -> Self {
        let readable = readable.0.as_ref().filter(|_| is_node);
        Self {
            watch: readable
                .and_then(|readable| Watch::open(env, Arc::clone(driver), Arc::clone(readable))),
            asked: Cell::new(Instant::ORIGIN),
            streak: Cell::new(0),
        }
    }

    /// Requests are about to be handed over, with which so many are under way: says who
    /// should run the engine.
    pub(super) fn asks(&self, driver: &Driver, under_way: u32) {
        let Some(watch) = &self.watch else {
            return;
        };
        let now = System::clock();
        let before = self.asked.replace(now);
        watch.calls.set(0);
        let is_next = under_way <= FEW && now.since(before) < SOON;
        let streak = if is_next { self.streak.get() + 1 } else { 0 };
        self.streak.set(streak.min(STREAK));
        if under_way > FEW {
            driver.recall();
        } else if streak >= STREAK && !driver.is_lent() && now >= watch.paused.get() {
            driver.want();
        }
    }

    /// Waits for servers' answers, if JavaScript has the engine now.
    pub(super) fn follow(&self, driver: &Driver) {
        if let Some(watch) = &self.watch {
            if driver.is_lent() {
                watch.start();
            } else {
                watch.stop();
            }
        }
    }
}

/// What the event loop calls when a connection has something to be read.
struct Watch {
    libuv: Libuv,
    /// libuv's handle, which lives until `closed` is called.
    handle: UnsafeCell<Box<[u64]>>,
    is_closed: Cell<bool>,
    is_watching: Cell<bool>,
    /// How often it was called since requests were made.
    calls: Cell<u32>,
    /// Until when the engine's thread keeps the engine.
    paused: Cell<Instant>,
    driver: Arc<Driver>,
    /// Has to live for as long as it is watched.
    _readable: Arc<redis::Readable>,
    /// By which the environment's end waits for the handle's.
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
}

impl Watch {
    fn open(env: Env, driver: Arc<Driver>, readable: Arc<redis::Readable>) -> Option<Rc<Self>> {
        let libuv = Libuv::of_this_process()?;
        // SAFETY: it only looks the number up.
        let size = unsafe { (libuv.handle_size)(POLL) };
        let descriptor = readable.as_raw_fd();
        let watch = Rc::new(Self {
            libuv,
            handle: UnsafeCell::new(vec![0; size.div_ceil(size_of::<u64>())].into()),
            is_closed: Cell::new(false),
            is_watching: Cell::new(false),
            calls: Cell::new(0),
            paused: Cell::new(Instant::ORIGIN),
            driver,
            _readable: readable,
            hook: Cell::new(ptr::null_mut()),
        });
        let handle = watch.handle();
        let mut hook = ptr::null_mut();
        // SAFETY: this is the environment's thread. The handle has room for what libuv
        // keeps there, and lives until `closed` is called, since it holds a reference
        // to its owner; which `closed` gives up.
        unsafe {
            let mut event_loop = ptr::null_mut();
            if sys::napi_get_uv_event_loop(env.raw(), &raw mut event_loop) != sys::Status::napi_ok
                || (libuv.poll_init)(event_loop.cast(), handle, descriptor) != 0
            {
                return None;
            }
            handle
                .cast::<*const Self>()
                .write(Rc::into_raw(Rc::clone(&watch)));
            // It does not keep the process alive: requests do.
            (libuv.unref)(handle);
            sys::napi_add_async_cleanup_hook(env.raw(), Some(ended), handle, &raw mut hook);
        }
        watch.hook.set(hook);
        Some(watch)
    }

    fn handle(&self) -> *mut c_void {
        // SAFETY: nothing but libuv looks into it.
        unsafe { (*self.handle.get()).as_mut_ptr().cast() }
    }

    fn start(&self) {
        if !self.is_closed.get() && !self.is_watching.replace(true) {
            // SAFETY: the handle is open, and this is its loop's thread.
            unsafe { (self.libuv.poll_start)(self.handle(), READABLE, found) };
        }
    }

    fn stop(&self) {
        if self.is_watching.replace(false) {
            // SAFETY: as in `start`.
            unsafe { (self.libuv.poll_stop)(self.handle()) };
        }
    }

    /// Something is to be read.
    fn found(&self) {
        self.calls.set(self.calls.get() + 1);
        let (is_lent, woken) = wake_up::collect(|| self.driver.answered());
        if !is_lent || self.calls.get() > MOST_CALLS {
            self.driver.recall();
            self.stop();
            self.paused.set(System::clock().after(PAUSE));
        }
        woken.call();
    }

    /// The environment ends.
    fn close(&self) {
        self.stop();
        self.driver.recall();
        if !self.is_closed.replace(true) {
            // SAFETY: it is open, and this is its loop's thread.
            unsafe { (self.libuv.close)(self.handle(), closed) };
        }
    }
}

/// The `Watch` that a handle of ours belongs to.
///
/// # Safety
///
/// `closed` was not called for the handle yet.
unsafe fn watch_of(handle: *mut c_void) -> Rc<Watch> {
    // SAFETY: a handle begins with what its user has put there, which is a reference that
    // `closed` gives up.
    unsafe {
        let watch = handle.cast::<*const Watch>().read();
        Rc::increment_strong_count(watch);
        Rc::from_raw(watch)
    }
}

unsafe extern "C" fn found(handle: *mut c_void, _: c_int, _: c_int) {
    // SAFETY: nothing is found any more once the handle is being closed.
    let watch = unsafe { watch_of(handle) };
    // A panic must not go through libuv; its own report says where it was.
    let _ = catch_unwind(AssertUnwindSafe(|| watch.found()));
}

unsafe extern "C" fn ended(_: sys::napi_async_cleanup_hook_handle, handle: *mut c_void) {
    // SAFETY: the hook is removed by `closed`.
    let watch = unsafe { watch_of(handle) };
    watch.close();
}

unsafe extern "C" fn closed(handle: *mut c_void) {
    // SAFETY: it is called once.
    let watch = unsafe {
        let watch = watch_of(handle);
        Rc::decrement_strong_count(Rc::as_ptr(&watch));
        watch
    };
    let hook = watch.hook.replace(ptr::null_mut());
    if !hook.is_null() {
        // SAFETY: it was added, and is removed here alone.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    }
}

/// The functions of libuv that are needed.
#[derive(Clone, Copy)]
struct Libuv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut c_void, c_int, Found) -> c_int,
    poll_stop: unsafe extern "C" fn(*mut c_void) -> c_int,
    close: unsafe extern "C" fn(*mut c_void, Closed),
    unref: unsafe extern "C" fn(*mut c_void),
}

type Found = unsafe extern "C" fn(*mut c_void, c_int, c_int);
type Closed = unsafe extern "C" fn(*mut c_void);

/// libuv's `UV_POLL`, the kind of handle.
const POLL: c_int = 8;
/// libuv's `UV_READABLE`.
const READABLE: c_int = 1;

impl Libuv {
    /// Node.js' own, if it exports it.
    fn of_this_process() -> Option<Self> {
        let process = Library::this();
        // SAFETY: these are libuv's public functions, whose types don't change within
        // its first major version.
        unsafe {
            Some(Self {
                handle_size: *process.get(b"uv_handle_size").ok()?,
                poll_init: *process.get(b"uv_poll_init").ok()?,
                poll_start: *process.get(b"uv_poll_start").ok()?,
                poll_stop: *process.get(b"uv_poll_stop").ok()?,
                close: *process.get(b"uv_close").ok()?,
                unref: *process.get(b"uv_unref").ok()?,
            })
        }
    }
}
