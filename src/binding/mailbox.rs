//! One JavaScript environment's end of the hand-over.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::bindgen_prelude::{
    Env, Float64ArraySlice, Function, JsValue, Uint8ArraySlice, Unknown, Utf16String,
};
use napi::threadsafe_function::{
    ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue,
};
use napi::{Error, Result, Status, sys};
use napi_derive::napi;

use super::config::{self, Config};
use super::context::context;
use super::inbox::{Amendment, ClientAnswer, Errand, Handle, Message, SessionId};
use super::outbox::{Answer, Outbox};
use super::record::{self, Batch, Rows};
use super::runtime::Seat;
use super::session::handed_over;
use crate::engine::{Instant, Resources, Scripts, System, Token, Watch};
use crate::instances::redis;

/// Calls JavaScript's `wake`. Weak: it does not keep the process alive unless
/// it is referenced, which it is while requests are unanswered.
type Wake = ThreadsafeFunction<(), UnknownReturnValue, (), Status, false, true>;

/// One module's exchange with the engine's thread.
#[napi]
pub struct Mailbox {
    seat: Rc<Seat>,
    session: SessionId,
    outbox: Arc<Outbox>,
    /// Nothing once it rests.
    wake: RefCell<Option<Arc<Wake>>>,
    handles: Cell<Handle>,
    /// How many sets of scripts were made known.
    scripts: Cell<u32>,
    /// Requests that are not answered yet.
    pending: Cell<u32>,
    /// Whether somebody waits for what is no request.
    awake: Cell<bool>,
    /// Whether what was drained is not yet handed over.
    turning: Cell<bool>,
    /// Whether the process stays alive for it.
    alive: Cell<bool>,
    /// The locks that are kept, by JavaScript's number for them.
    watches: RefCell<HashMap<u32, Kept>>,
}

struct Kept {
    handle: Handle,
    resources: Resources,
    value: Token,
    watch: Watch,
}

/// A quorum that was opened.
#[napi(object)]
pub struct Opened {
    /// What requests name it by.
    pub handle: u32,
    /// The instances' addresses, in order, without secrets.
    pub addresses: Vec<String>,
}

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

/// The version that this was compiled from: JavaScript of another one speaks
/// another language.
#[napi(catch_unwind)]
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The engine's clock, in ms.
#[napi(catch_unwind)]
#[must_use]
pub fn clock() -> f64 {
    record::millis(System::clock().nanos().into())
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

thread_local! {
    /// That of this thread's environment, once it has had a mailbox.
    static SEAT: RefCell<Weak<Seat>> = RefCell::default();
}

/// The environment's seat, which is left at its end. Modules that come and go, as
/// with the realms of a test runner, share it.
fn seat_of(env: Env) -> Result<Rc<Seat>> {
    if let Some(seat) = SEAT.with_borrow(Weak::upgrade) {
        return Ok(seat);
    }
    let seat = Seat::take().map_err(|error| {
        let reason = format!("the engine's thread could not be started: {error}");
        Error::new(Status::GenericFailure, reason)
    })?;
    let seat = Rc::new(seat);
    env.add_env_cleanup_hook(Rc::clone(&seat), |seat| {
        SEAT.take();
        seat.leave();
    })?;
    SEAT.set(Rc::downgrade(&seat));
    Ok(seat)
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    reason = "napi hands arguments over by value, and an object of them costs more"
)]
#[napi]
impl Mailbox {
    /// `wake` is called on the JavaScript thread when there is something to
    /// drain.
    ///
    /// # Errors
    ///
    /// When the engine's thread can't be started.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, wake: Function<(), UnknownReturnValue>) -> Result<Self> {
        let wake: Wake = wake.build_threadsafe_function().weak::<true>().build()?;
        let wake = Arc::new(wake);
        let woken = Arc::downgrade(&wake);
        let outbox = Arc::new(Outbox::new(move || {
            if let Some(wake) = woken.upgrade() {
                // It can only fail when the environment ends, which is told anyway.
                let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        }));
        let seat = seat_of(env)?;
        let session = seat.enter(Arc::clone(&outbox));
        Ok(Self {
            seat,
            session,
            outbox,
            wake: RefCell::new(Some(wake)),
            handles: Cell::new(0),
            scripts: Cell::new(0),
            pending: Cell::new(0),
            awake: Cell::new(false),
            turning: Cell::new(false),
            alive: Cell::new(false),
            watches: RefCell::default(),
        })
    }

    /// Opens an engine over the instances of `config`, which is JSON.
    ///
    /// # Errors
    ///
    /// When the configuration can't be read.
    #[napi(catch_unwind)]
    pub fn open(&self, config: String) -> Result<Opened> {
        let config = Config::read(&config)
            .map_err(|error| Error::new(Status::InvalidArg, error.to_string()))?;
        let handle = self.handles.get();
        self.handles.set(handle.wrapping_add(1));
        let addresses = config.addresses();
        self.send(Errand::Open(handle, config));
        Ok(Opened { handle, addresses })
    }

    /// Lets the engine go once what it has been asked is answered.
    #[napi(catch_unwind)]
    pub fn close(&self, handle: u32) {
        self.send(Errand::Close(handle));
    }

    /// Makes scripts of the caller's known; an absent one is our own. Returns
    /// what requests name them by.
    #[napi(catch_unwind)]
    pub fn learn(
        &self,
        acquire: Option<String>,
        extend: Option<String>,
        release: Option<String>,
    ) -> u32 {
        let script = |text: Option<String>| text.map(|text| redis::script(&text));
        let number = self.scripts.get() + 1;
        self.scripts.set(number);
        let scripts = Scripts {
            acquire: script(acquire),
            extend: script(extend),
            release: script(release),
        };
        self.send(Errand::Learn(number, Arc::new(scripts)));
        number
    }

    /// No request will name that set of scripts any more.
    #[napi(catch_unwind)]
    pub fn forget(&self, scripts: u32) {
        self.send(Errand::Forget(scripts));
    }

    /// The caller's client at `place` leads here now: `server`, which is JSON,
    /// is where a connection of our own may go; `keep` says whether the connection
    /// there was is still good for releasing the locks that were taken with it.
    ///
    /// # Errors
    ///
    /// When the configuration can't be used; nothing has changed then.
    #[napi(catch_unwind)]
    pub fn amend(&self, handle: u32, place: u32, server: Option<String>, keep: bool) -> Result<()> {
        let server = server.as_deref().map(config::read_server).transpose();
        let server = server.map_err(|error| Error::new(Status::InvalidArg, error.to_string()))?;
        let amendment = Amendment { server, keep };
        self.send(Errand::Amend(handle, place, amendment));
        Ok(())
    }

    /// This thread has come round after a call for the client at this place.
    #[napi(catch_unwind)]
    pub fn came_round(&self, handle: u32, place: u32) {
        self.send(Errand::CameRound(handle, place));
    }

    /// Brings what callers' clients came back with in one tick: four numbers for
    /// each, which are the handle, the place, the ticket, and for how many keys
    /// the script was carried out.
    #[napi(catch_unwind)]
    pub fn applied(&self, answers: &[f64]) {
        self.send(Errand::Applied(answers.to_vec()));
    }

    /// Brings an answer that no script gives.
    #[napi(catch_unwind)]
    pub fn unexpected(&self, handle: u32, place: u32, ticket: u32, what: String) {
        let answer = ClientAnswer::Unexpected(what);
        self.send(Errand::Answer(handle, place, ticket, answer));
    }

    /// The same, of an error: JavaScript's number for it, the first word of the
    /// server's if it is the server's, its text.
    #[napi(catch_unwind)]
    pub fn failed(
        &self,
        handle: u32,
        place: u32,
        ticket: u32,
        number: u32,
        code: Option<String>,
        message: String,
    ) {
        let answer = ClientAnswer::Failed(number, code, message);
        self.send(Errand::Answer(handle, place, ticket, answer));
    }

    /// The same, of what a key has, and for how many milliseconds.
    #[napi(catch_unwind)]
    pub fn seen(
        &self,
        handle: u32,
        place: u32,
        ticket: u32,
        value: Option<String>,
        ttl: Option<f64>,
    ) {
        let answer = ClientAnswer::Seen(value, ttl);
        self.send(Errand::Answer(handle, place, ticket, answer));
    }

    /// Gives up the request of this slot, which is answered all the same.
    #[napi(catch_unwind)]
    pub fn cancel(&self, slot: u32) {
        self.send(Errand::Cancel(slot));
    }

    /// Keeps a lock under `number`, which comes with the event of its loss.
    #[napi(catch_unwind)]
    pub fn keep(
        &self,
        handle: u32,
        number: u32,
        scripts: u32,
        in_context: u32,
        terms: &[f64],
        value: String,
        resources: Vec<String>,
    ) {
        let in_context = context(in_context, &self.outbox);
        let Some(mut hold) = record::hold(number, terms, &value, resources) else {
            return;
        };
        hold.settings.context = in_context;
        let watch = hold.watch();
        let kept = Kept {
            handle,
            resources: Arc::clone(&hold.resources),
            value: hold.value.clone(),
            watch: watch.clone(),
        };
        self.watches.borrow_mut().insert(number, kept);
        self.send(Errand::Keep(handle, scripts, Box::new(hold), watch));
    }

    /// Until when the lock kept under `number` may be believed in, on the
    /// engine's clock in ms; 0 once it is released, or lost before its time.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn until(&self, number: u32) -> f64 {
        let watches = self.watches.borrow();
        let until = watches.get(&number).map(|kept| kept.watch.until());
        until.map_or(0.0, |until| record::millis(until.nanos().into()))
    }

    /// The lock under `number` is kept no longer; it stays as it is.
    #[napi(catch_unwind)]
    pub fn let_go(&self, number: u32) {
        if let Some(kept) = self.watches.borrow_mut().remove(&number) {
            self.send(Errand::LetGo(
                kept.handle,
                kept.resources,
                kept.value,
                number,
            ));
        }
    }

    /// Calls `wake` so many times more, each once all is done that the call before
    /// has set off. The process stays alive until the next drain.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn wake_again(&self, env: Env, times: u32) -> Result<()> {
        self.turning.set(true);
        self.keep_alive(&env)?;
        if let Some(wake) = &*self.wake.borrow() {
            for _ in 0..times {
                let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        }
        Ok(())
    }

    /// Tells, under `number`, that so many milliseconds have passed, of real time.
    /// It does not keep the process alive.
    #[napi(catch_unwind)]
    pub fn wait(&self, number: u32, span: f64) {
        self.send(Errand::Wait(number, record::span(span)));
    }

    /// Whether the process stays alive also while no request is unanswered.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn stay_awake(&self, env: Env, awake: bool) -> Result<()> {
        self.awake.set(awake);
        self.keep_alive(&env)
    }

    /// Nobody needs it any more: `wake` is called no longer, and no longer kept
    /// from being collected. What it is still asked for is not heard; the validity
    /// of kept locks can be looked at.
    #[napi(catch_unwind)]
    pub fn rest(&self) {
        self.seat.part(self.session);
        drop(self.wake.take());
    }

    /// Hands over the first `count` requests in `numbers` and `text`.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn submit(&self, env: Env, numbers: &[f64], count: u32, text: Utf16String) -> Result<()> {
        let pending = self.pending.replace(self.pending.get() + count);
        if pending == 0 {
            self.outbox.expect(true);
        }
        self.keep_alive(&env)?;
        self.send(Errand::Carry(Batch {
            numbers: numbers.to_vec(),
            text: text.to_vec(),
        }));
        Ok(())
    }

    /// Writes the answers there are into `numbers` and `values`; returns their
    /// details, if there are any, as JSON.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn drain(
        &self,
        env: Env,
        mut numbers: Float64ArraySlice,
        mut values: Uint8ArraySlice,
    ) -> Result<Option<String>> {
        let now = System::clock();
        // SAFETY: the arrays belong to lib/native.js, which passes them to
        // nobody else, and no JavaScript runs before this call returns.
        let (numbers, values) = unsafe { (numbers.as_mut(), values.as_mut()) };
        let mut rows = Rows::new(numbers, values, now);
        let before = self.pending.get();
        // Contexts that end with what is written here come along, without waking
        // anybody for them.
        let first = self.outbox.take_first(rows.room());
        self.write(first, &mut rows, now);
        let left = self.outbox.take(rows.room_left());
        self.turning.set(false);
        self.write(left, &mut rows, now);
        if before > 0 && self.pending.get() == 0 {
            self.outbox.expect(false);
        }
        self.keep_alive(&env)?;
        Ok(rows.finish())
    }

    fn write(&self, answers: impl IntoIterator<Item = Answer>, rows: &mut Rows, now: Instant) {
        for answer in answers {
            let answered = u32::from(answer.is_of_request());
            self.pending
                .set(self.pending.get().saturating_sub(answered));
            let (answer, dead) = handed_over(answer, now);
            if let Some(locked) = dead {
                self.send(Errand::TakeBack(Box::new(locked)));
            }
            rows.write(answer);
        }
    }

    fn send(&self, errand: Errand) {
        let message = Message::Session(self.session, errand);
        self.seat.inbox.push(message);
    }

    /// Whether the process stays alive for what is pending.
    fn keep_alive(&self, env: &Env) -> Result<()> {
        let alive = self.awake.get() || self.turning.get() || self.pending.get() > 0;
        let wake = self.wake.borrow();
        let Some(wake) = wake.as_ref().filter(|_| alive != self.alive.get()) else {
            return Ok(());
        };
        self.alive.set(alive);
        let (env, wake) = (env.raw(), wake.raw());
        // SAFETY: both are alive: the environment is calling, and the function
        // is held by `self`. Node-API wants this on the environment's thread.
        let status = unsafe {
            if alive {
                sys::napi_ref_threadsafe_function(env, wake)
            } else {
                sys::napi_unref_threadsafe_function(env, wake)
            }
        };
        napi::check_status!(status)
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.seat.part(self.session);
    }
}
