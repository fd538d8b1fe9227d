//! One JavaScript module's end of the hand-over.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::{Env, Float64ArraySlice, Function, Uint8ArraySlice, Utf16String};
use napi::threadsafe_function::UnknownReturnValue;
use napi::{Error, Result, Status};
use napi_derive::napi;

use super::client_rows::Questions;
use super::command::{ClientReply, ClientUpdate, Command};
use super::config::{self, Config};
use super::context::context;
use super::decode::{self, Batch};
use super::encode::Rows;
use super::engine_thread::EngineThread;
use super::ids::{ContextId, Handle, Index, KeptId, ScriptsId, SessionId, Slot, TimerId};
use super::kept_locks::KeptLocks;
use super::numbers::{clock_millis, span};
use super::outbox::{Outbox, Response};
use super::wake_up::WakeUp;
use crate::engine::{Instant, Scripts, System};
use crate::instances::client::port::Ticket;
use crate::instances::redis;

/// One module's exchange with the engine's thread.
#[napi]
pub struct Mailbox {
    thread: Rc<EngineThread>,
    session: SessionId,
    outbox: Arc<Outbox>,
    wake_up: WakeUp,
    next_handle: Cell<Handle>,
    last_scripts: Cell<ScriptsId>,
    kept_locks: RefCell<KeptLocks>,
    /// What callers' clients are asked, by the last drain.
    questions: RefCell<Questions>,
}

/// A quorum that was opened.
#[napi(object)]
pub struct Opened {
    /// What requests name it by.
    pub handle: u32,
    /// The instances' addresses, in order, without secrets.
    pub addresses: Vec<String>,
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    reason = "napi hands arguments over by value, and an object of them costs more"
)]
#[napi]
impl Mailbox {
    /// `wake` is called on the JavaScript thread when there is something to
    /// drain. `is_node` says whether the event loop is Node.js' own.
    ///
    /// # Errors
    ///
    /// When the engine's thread can't be started.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, wake: Function<(), UnknownReturnValue>, is_node: bool) -> Result<Self> {
        let wake_up = WakeUp::new(env, &wake)?;
        let thread = EngineThread::of(env, is_node)?;
        let (telling, wake) = (thread.telling(), wake_up.caller());
        let outbox = Arc::new(Outbox::new(move || {
            telling();
            wake();
        }));
        let session = thread.begin(Arc::clone(&outbox));
        Ok(Self {
            thread,
            session,
            outbox,
            wake_up,
            next_handle: Cell::new(Handle(0)),
            last_scripts: Cell::new(ScriptsId(0)),
            kept_locks: RefCell::default(),
            questions: RefCell::default(),
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
        let handle = self.next_handle.get();
        self.next_handle.set(Handle(handle.0.wrapping_add(1)));
        let addresses = config.addresses();
        self.send(Command::Open { handle, config });
        Ok(Opened {
            handle: handle.0,
            addresses,
        })
    }

    /// Closes an engine once all that it was asked is answered.
    #[napi(catch_unwind)]
    pub fn close(&self, handle: u32) {
        self.send(Command::Close(Handle(handle)));
    }

    /// Makes a set of the caller's scripts known; one that is absent is our own.
    /// Returns the number by which requests name the set.
    #[napi(catch_unwind)]
    pub fn add_scripts(
        &self,
        acquire: Option<String>,
        extend: Option<String>,
        release: Option<String>,
    ) -> u32 {
        let script = |text: Option<String>| text.map(|text| redis::script(&text));
        let number = ScriptsId(self.last_scripts.get().0 + 1);
        self.last_scripts.set(number);
        let scripts = Scripts {
            acquire: script(acquire),
            extend: script(extend),
            release: script(release),
        };
        self.send(Command::AddScripts {
            number,
            scripts: Arc::new(scripts),
        });
        number.0
    }

    /// Forgets a set of scripts, which no request will name any more.
    #[napi(catch_unwind)]
    pub fn remove_scripts(&self, scripts: u32) {
        self.send(Command::RemoveScripts(ScriptsId(scripts)));
    }

    /// Says where the caller's client at `instance` leads from now on: `server`, which
    /// is JSON, is where a connection of our own may go, and is absent if there can't
    /// be one; `retain` says whether the connection there was may still release the
    /// locks that were taken with it.
    ///
    /// # Errors
    ///
    /// When the configuration can't be used; nothing has changed then.
    #[napi(catch_unwind)]
    pub fn update_client(
        &self,
        handle: u32,
        instance: u32,
        server: Option<String>,
        retain: bool,
    ) -> Result<()> {
        let server = server.as_deref().map(config::read_server).transpose();
        let server = server.map_err(|error| Error::new(Status::InvalidArg, error.to_string()))?;
        self.send(Command::UpdateClient {
            handle: Handle(handle),
            index: Index(instance),
            update: ClientUpdate { server, retain },
        });
        Ok(())
    }

    /// Answers a `call` event for the client at `instance`: this thread is not busy.
    #[napi(catch_unwind)]
    pub fn came_round(&self, handle: u32, instance: u32) {
        self.send(Command::CameRound {
            handle: Handle(handle),
            index: Index(instance),
        });
    }

    /// Brings what callers' clients have replied to scripts in one tick: four numbers
    /// each, which are the handle, the instance, the ticket, and for how many keys
    /// the script was carried out.
    #[napi(catch_unwind)]
    pub fn client_applied(&self, replies: &[f64]) {
        self.send(Command::ClientsApplied(replies.to_vec()));
    }

    /// Brings a client's reply of a kind that no script gives.
    #[napi(catch_unwind)]
    pub fn client_unexpected(&self, handle: u32, instance: u32, ticket: u32, what: String) {
        self.reply(handle, instance, ticket, ClientReply::Unexpected(what));
    }

    /// Brings a client's error: JavaScript's number for it, its first word (`code`) if
    /// it is the server's, and its text.
    #[napi(catch_unwind)]
    pub fn client_failed(
        &self,
        handle: u32,
        instance: u32,
        ticket: u32,
        number: u32,
        code: Option<String>,
        message: String,
    ) {
        let reply = ClientReply::Failed {
            number,
            code,
            message,
        };
        self.reply(handle, instance, ticket, reply);
    }

    /// Brings what a client has seen: what a key has, and for how many milliseconds.
    #[napi(catch_unwind)]
    pub fn client_saw(
        &self,
        handle: u32,
        instance: u32,
        ticket: u32,
        value: Option<String>,
        ttl: Option<f64>,
    ) {
        self.reply(handle, instance, ticket, ClientReply::Seen { value, ttl });
    }

    /// Gives up the request of this slot. It is answered all the same, perhaps with
    /// what it wanted.
    #[napi(catch_unwind)]
    pub fn cancel(&self, slot: u32) {
        self.send(Command::Cancel(Slot(slot)));
    }

    /// Keeps a lock under `number`, which comes with the event of its loss.
    #[napi(catch_unwind)]
    pub fn watch(
        &self,
        handle: u32,
        number: u32,
        scripts: u32,
        in_context: u32,
        renewal: &[f64],
        value: String,
        resources: Vec<String>,
    ) {
        let (handle, number) = (Handle(handle), KeptId(number));
        let context = context(ContextId(in_context), &self.outbox);
        let Some(mut request) = decode::watch_request(number, renewal, &value, resources) else {
            return;
        };
        request.settings.context = context;
        let watch = self.kept_locks.borrow_mut().add(number, handle, &request);
        self.send(Command::Watch {
            handle,
            scripts: ScriptsId(scripts),
            request: Box::new(request),
            watch,
        });
    }

    /// Until when the lock kept under `number` may be believed in, on the
    /// engine's clock in ms; 0 once it is released, or lost before its time.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn watched_until(&self, number: u32) -> f64 {
        let until = self.kept_locks.borrow().until(KeptId(number));
        until.map_or(0.0, clock_millis)
    }

    /// Why the lock kept under `number` may not be believed in any more at the engine's
    /// clock, as the number of one of the reasons in `constants()`; 0 while it may.
    /// The validity's end and the reason are read in one piece.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn ended_by(&self, number: u32) -> u32 {
        let now = System::clock();
        let ended = self.kept_locks.borrow().ended_by(KeptId(number), now);
        ended.map_or(0, |loss| loss.number().into())
    }

    /// Ends the keeping of the lock under `number`, which itself stays as it is.
    #[napi(catch_unwind)]
    pub fn unwatch(&self, number: u32) {
        let number = KeptId(number);
        let kept = self.kept_locks.borrow_mut().remove(number);
        if let Some(kept) = kept {
            self.send(Command::LetGo {
                handle: kept.handle,
                number,
                resources: kept.resources,
                value: kept.value,
            });
        }
    }

    /// Calls `wake` so many times more, each time once all is done that the call before
    /// has set off. The process stays alive until the next drain.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn wake_again(&self, env: Env, times: u32) -> Result<()> {
        self.wake_up.hand_on(true);
        self.wake_up.keep_alive(&env)?;
        self.wake_up.call(times);
        Ok(())
    }

    /// Says whether each vote is told as it comes, whoever has asked for it.
    #[napi(catch_unwind)]
    pub fn tell_votes(&self, are_told: bool) {
        self.send(Command::TellVotes(are_told));
    }

    /// Has JavaScript told, under `number`, when so many milliseconds of real time have
    /// passed. It does not keep the process alive.
    #[napi(catch_unwind)]
    pub fn wait(&self, number: u32, millis: f64) {
        self.send(Command::Wait {
            timer: TimerId(number),
            span: span(millis),
        });
    }

    /// Whether this thread runs the engine now, in place of the engine's own.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn has_engine(&self) -> bool {
        self.thread.has_engine()
    }

    /// Says whether the process is to stay alive also while no request is unanswered.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn keep_alive(&self, env: Env, awake: bool) -> Result<()> {
        self.wake_up.keep_awake(awake);
        self.wake_up.keep_alive(&env)
    }

    /// Ends the exchange, as nobody needs it any more: `wake` is not called again, and
    /// may be collected. Whatever else is asked for is not heard, but the validity of
    /// kept locks can still be looked at.
    #[napi(catch_unwind)]
    pub fn rest(&self) {
        self.thread.end(self.session);
        self.wake_up.stop();
    }

    /// Hands over `count` requests, which are the first `used` of `numbers`, and `text`.
    ///
    /// # Errors
    ///
    /// When the environment is ending.
    #[napi(catch_unwind)]
    pub fn submit(
        &self,
        env: Env,
        numbers: &[f64],
        used: u32,
        count: u32,
        text: Utf16String,
    ) -> Result<()> {
        let numbers = numbers.get(..used as usize).unwrap_or(numbers);
        if self.wake_up.pending() == 0 {
            self.outbox.expect(true);
        }
        self.wake_up.asked(count);
        self.wake_up.keep_alive(&env)?;
        let batch = Batch::new(numbers.to_vec(), &text);
        let under_way = self.wake_up.pending();
        self.thread.submit(self.session, batch, under_way);
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
        self.thread.has_come();
        let now = System::clock();
        // SAFETY: the arrays belong to lib/native, which passes them to
        // nobody else, and no JavaScript runs before this call returns.
        let (numbers, values) = unsafe { (numbers.as_mut(), values.as_mut()) };
        let mut rows = Rows::new(numbers, values, now);
        let before = self.wake_up.pending();
        // Contexts that end with what is written here come along, without waking
        // anybody for them.
        let mut first = self.outbox.take_first(rows.room());
        self.write(&mut first, &mut rows, now);
        let mut left = self.outbox.take(rows.room_left());
        self.wake_up.hand_on(false);
        self.write(&mut left, &mut rows, now);
        self.outbox.give_back(first);
        if before > 0 && self.wake_up.pending() == 0 {
            self.outbox.expect(false);
        }
        self.wake_up.keep_alive(&env)?;
        self.questions.replace(rows.take_questions());
        Ok(rows.finish())
    }

    /// Writes what callers' clients are asked, by the last drain, into `numbers`;
    /// returns the text that goes with it. `None` if there is too little room.
    #[napi(catch_unwind)]
    pub fn questions(&self, mut numbers: Float64ArraySlice) -> Option<String> {
        let mut questions = self.questions.borrow_mut();
        // SAFETY: the array belongs to lib/native, which passes it to nobody else,
        // and no JavaScript runs before this call returns.
        let room = unsafe { numbers.as_mut() };
        let written = room.get_mut(..questions.numbers.len())?;
        written.copy_from_slice(&questions.numbers);
        Some(std::mem::take(&mut *questions).text)
    }

    fn write(&self, responses: &mut VecDeque<Response>, rows: &mut Rows, now: Instant) {
        for mut response in responses.drain(..) {
            if response.slot.is_some() {
                self.wake_up.answered();
            }
            if let Some(locked) = response.check_at(now) {
                self.send(Command::TakeBack(Box::new(locked)));
            }
            rows.write(response);
        }
    }

    fn reply(&self, handle: u32, instance: u32, ticket: u32, reply: ClientReply) {
        self.send(Command::ClientReplied {
            handle: Handle(handle),
            index: Index(instance),
            ticket: Ticket(ticket),
            reply,
        });
    }

    fn send(&self, command: Command) {
        self.thread.send(self.session, command);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.thread.end(self.session);
    }
}
