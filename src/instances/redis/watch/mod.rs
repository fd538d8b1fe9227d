//! The watch connection: a second connection to one server, which tells of keys that
//! change. Nothing is decided by it, and no vote goes by it.
//!
//! - It is dialled when somebody first watches a key, in the link's ways, and closed when
//!   nobody has for a while. While it can't be had it is dialled again, less and less often.
//! - The server keeps which keys were read on it (`CLIENT TRACKING`) and tells once of the
//!   next change to each. So whoever wants to be told again looks at the key again, which
//!   is a script that reads it: what it has, and that it is watched, in one step.
//! - A look is a sign of life as well. Where one is not answered in time the connection is
//!   given up, and where none is due a PING takes its place.
//!
//! `watched_key` is what whoever watches a key holds; `life` has it dialled, served, and dialled again; `session` moves the bytes while it is
//! up; `watched_keys` are what is watched, and by whom; `looks` what is on its way to the
//! server.

mod handshake;
mod life;
mod looks;
mod message;
mod notice;
mod session;
pub(super) mod watched_key;
mod watched_keys;

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use looks::{Due, Looks, Next};
use notice::Notice;
use redis::Value;
use watched_keys::WatchedKeys;

use super::config::Config;
use super::dial::Transport;
use super::protocol::frame::Replies;
use crate::engine::{Cause, Environment, Instant, Observer, quoted};

/// How long it is kept after the last key was let go of: whoever waits for one lock soon
/// waits for the next.
const KEPT_UNUSED: Duration = Duration::from_secs(10);

/// The longest reply or message is one that has the longest key, and so much beside it: a
/// value's beginning, or what a server says of itself.
const LONGEST_BESIDE_KEY: usize = 64 * 1024;

/// A connection on which one server tells of changes.
pub(super) struct WatchConnection {
    config: Rc<Config>,
    transport: Rc<Transport>,
    state: RefCell<State>,
    /// Who is told when it begins to tell of changes, or ceases to.
    observers: RefCell<Vec<(usize, Weak<dyn Observer>)>>,
}

struct State {
    phase: Phase,
    keys: WatchedKeys,
    looks: Looks,
    /// Who is to be told what, once the state is free.
    notices: Vec<Notice>,
    /// Why nothing told of changes when that was last tried.
    trouble: Option<Rc<str>>,
    /// Since when nothing is watched.
    unused_since: Option<Instant>,
    /// That of its task.
    waker: Option<Waker>,
}

enum Phase {
    /// There is none, as nobody watches anything.
    Idle,
    /// The first dial since somebody does.
    Dialling,
    Up,
    /// It was lost, or could not be had. It is dialled again now and then.
    Down(Cause),
}

impl WatchConnection {
    /// One that nobody dials yet.
    pub(super) fn new(config: Config, transport: Rc<Transport>) -> Rc<Self> {
        let state = State {
            phase: Phase::Idle,
            keys: WatchedKeys::under(&config.key_prefix),
            looks: Looks::of(&config),
            notices: Vec::new(),
            trouble: None,
            unused_since: None,
            waker: None,
        };
        Rc::new(Self {
            config: Rc::new(config),
            transport,
            state: RefCell::new(state),
            observers: RefCell::default(),
        })
    }

    /// Has `observer` told, as the instance numbered `index`, when that changes which
    /// [`WatchConnection::trouble`] says.
    pub(super) fn observe(&self, index: usize, observer: Weak<dyn Observer>) {
        let mut observers = self.observers.borrow_mut();
        observers.retain(|(_, observer)| observer.strong_count() > 0);
        observers.push((index, observer));
    }

    fn tell_observers(&self) {
        let observers = self.observers.borrow().clone();
        for (index, observer) in observers {
            if let Some(observer) = observer.upgrade() {
                observer.wakeups_changed(index);
            }
        }
    }

    /// Why nothing tells of changes, if it was tried and nothing does.
    pub(super) fn trouble(&self) -> Option<Rc<str>> {
        let state = self.state.borrow();
        if state.keys.are_too_many() {
            return Some("as many keys as may be are watched there already".into());
        }
        state.trouble.clone()
    }

    fn environment(&self) -> &dyn Environment {
        self.transport.environment.as_ref()
    }

    /// Somebody looks at a key.
    fn look(&self, name: &[u8], number: u64) {
        let mut state = self.state.borrow_mut();
        let State { phase, keys, .. } = &mut *state;
        match phase {
            Phase::Down(_) => keys.look_in_vain(name, number),
            Phase::Idle | Phase::Dialling | Phase::Up => keys.look(name, number),
        }
        state.wake();
    }

    /// Somebody lets go of a key.
    fn unwatch(&self, name: &[u8], number: u64) {
        let now = self.environment().now();
        let mut state = self.state.borrow_mut();
        state.keys.remove(name, number);
        if state.keys.are_unused() {
            state.unused_since = Some(now);
            state.wake();
        }
    }

    /// When it is to be closed if nobody watches anything till then.
    fn is_unneeded_at(&self) -> Option<Instant> {
        let since = self.state.borrow().unused_since;
        since.map(|since| since.after(KEPT_UNUSED))
    }

    /// Its task is to be woken by this.
    fn wake_by(&self, waker: &Waker) {
        let mut state = self.state.borrow_mut();
        if !state
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            state.waker = Some(waker.clone());
        }
    }

    /// The server tells of changes from now on.
    fn connected(&self) {
        let now = self.environment().now();
        {
            let mut state = self.state.borrow_mut();
            let State {
                phase,
                keys,
                looks,
                notices,
                trouble,
                ..
            } = &mut *state;
            *phase = Phase::Up;
            *trouble = None;
            looks.begin(now);
            keys.begin(notices);
        }
        self.tell();
        self.tell_observers();
    }

    /// Nothing tells of changes from now on.
    fn lost(&self, cause: &Cause) {
        {
            let mut state = self.state.borrow_mut();
            let State {
                phase,
                keys,
                looks,
                notices,
                trouble,
                ..
            } = &mut *state;
            *phase = Phase::Down(cause.clone());
            *trouble = Some(reason(cause));
            looks.forget();
            keys.end(cause, notices);
        }
        self.tell();
        self.tell_observers();
    }

    /// Nobody watches anything any more.
    fn closed(&self) {
        let mut state = self.state.borrow_mut();
        let State {
            phase, keys, looks, ..
        } = &mut *state;
        *phase = Phase::Idle;
        looks.forget();
        keys.forget_unused();
    }

    /// Those who have come while it is down are told so.
    fn tell_newcomers(&self) {
        {
            let mut state = self.state.borrow_mut();
            let State {
                phase,
                keys,
                notices,
                ..
            } = &mut *state;
            if let Phase::Down(cause) = phase {
                keys.tell_newcomers(cause, notices);
            }
        }
        self.tell();
    }

    /// Takes all that has come, and tells of it.
    ///
    /// # Errors
    ///
    /// When a reply is none to what was asked: the connection is of no use any more.
    fn receive(&self, heard: &mut Replies) -> Result<(), Cause> {
        let received = self.take(heard);
        self.tell();
        received
    }

    fn take(&self, heard: &mut Replies) -> Result<(), Cause> {
        let now = self.environment().now();
        let mut state = self.state.borrow_mut();
        let State {
            keys,
            looks,
            notices,
            ..
        } = &mut *state;
        let most = LONGEST_BESIDE_KEY + keys.longest();
        while let Some(reply) = heard.next(most)? {
            match reply {
                Value::Push { kind, data } => keys.hear(&message::read(&kind, &data), notices),
                reply => looks.answered(reply, now, keys, notices)?,
            }
        }
        Ok(())
    }

    /// Tells whoever is to be told something. They may come back here.
    fn tell(&self) {
        let notices = std::mem::take(&mut self.state.borrow_mut().notices);
        for notice in notices {
            notice.tell();
        }
    }
}

impl State {
    /// What comes next if the server says nothing. Whether it is there matters to nobody
    /// while nothing is watched.
    fn due(&self) -> Option<Next> {
        let due = self.looks.due();
        let matters = self.unused_since.is_none() || matches!(due.what, Due::Answer { .. });
        matters.then_some(due)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for WatchConnection {
    fn drop(&mut self) {
        // Its task ends when it finds it gone.
        self.state.get_mut().wake();
    }
}

/// Why nothing tells of changes, for people.
fn reason(cause: &Cause) -> Rc<str> {
    match cause {
        // What is known to help a lock does not help here.
        Cause::Refused { message, .. } => format!(
            "the server does not tell of changes: {} (it needs Redis 6 or newer, and a \
             user who may use HELLO and CLIENT TRACKING)",
            quoted(message)
        )
        .into(),
        Cause::Unexpected { what } => {
            format!("the server does not tell of changes: it answers with {what}").into()
        }
        other => other.to_string().into(),
    }
}
