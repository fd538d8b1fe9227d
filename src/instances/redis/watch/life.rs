//! Dials the watch connection, and dials it again whenever it is lost, for as long as
//! somebody watches something.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use super::WatchConnection;
use super::handshake::{Failure, connect};
use crate::engine::{Environment, supervised};
use crate::instances::redis::config::Config;
use crate::instances::redis::dial::{Transport, unreachable};
use crate::instances::redis::timer::Timer;

/// The wait before a dial, after a loss or a failure: from the shortest, doubled each
/// time, to the longest. It is longer than a link's: nobody is kept from a lock by it.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// One that was up for so long was of use: the next is dialled after the shortest pause.
const OF_USE_AFTER: Duration = Duration::from_secs(10);

/// Has the connection dialled, and kept up, until nobody needs it any more.
pub(super) fn begin(connection: &Rc<WatchConnection>) {
    let environment = Rc::clone(&connection.transport.environment);
    let (whose, fallen) = (Rc::downgrade(connection), Rc::downgrade(connection));
    let config = Rc::clone(&connection.config);
    let transport = Rc::clone(&connection.transport);
    let begin = move || {
        live(
            Weak::clone(&whose),
            Rc::clone(&config),
            Rc::clone(&transport),
        )
    };
    let fell = move |what: &str| {
        if let Some(connection) = fallen.upgrade() {
            connection.lost(&unreachable(what.to_owned()));
        }
    };
    let life = supervised(Rc::clone(&environment), begin, fell);
    environment.spawn(Box::pin(life));
}

async fn live(connection: Weak<WatchConnection>, config: Rc<Config>, transport: Rc<Transport>) {
    let environment = transport.environment.as_ref();
    let kept_up = Box::pin(keep_up(&connection, &config, &transport));
    while_needed(&connection, environment, kept_up).await;
    if let Some(connection) = connection.upgrade() {
        connection.closed();
    }
}

async fn keep_up(connection: &Weak<WatchConnection>, config: &Config, transport: &Rc<Transport>) {
    let environment = transport.environment.as_ref();
    let mut pause = Duration::ZERO;
    loop {
        let (cause, is_refusal) = match connect(transport, config).await {
            Ok(mut session) => {
                let Some(begun) = connection.upgrade().map(|connection| {
                    connection.connected();
                    environment.now()
                }) else {
                    return;
                };
                let served = poll_fn(|context| match connection.upgrade() {
                    None => Poll::Ready(None),
                    Some(connection) => session.poll(&connection, context).map(Some),
                });
                let Some(cause) = served.await else {
                    return;
                };
                if environment.now().since(begun) > OF_USE_AFTER {
                    pause = Duration::ZERO;
                }
                (cause, false)
            }
            Err(Failure { cause, is_refusal }) => (cause, is_refusal),
        };
        pause = if is_refusal {
            PAUSE.1
        } else {
            (pause * 2).clamp(PAUSE.0, PAUSE.1)
        };
        if let Some(connection) = connection.upgrade() {
            connection.lost(&cause);
        }
        // Never twice after the same time: a server that comes back is not dialled by
        // everybody at once.
        let wait = pause.mul_f64(0.5 + environment.chance() / 2.0);
        environment.sleep_until(environment.now().after(wait)).await;
    }
}

/// Awaits `future` until nobody needs the connection any more. Whoever comes while it is
/// down is told so.
async fn while_needed(
    connection: &Weak<WatchConnection>,
    environment: &dyn Environment,
    mut future: Pin<Box<impl Future<Output = ()>>>,
) {
    let mut timer = Timer::default();
    poll_fn(|context| {
        let Some(connection) = connection.upgrade() else {
            return Poll::Ready(());
        };
        connection.wake_by(context.waker());
        connection.tell_newcomers();
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        match connection.is_unneeded_at() {
            Some(at) => timer.poll(environment, at, context),
            None => Poll::Pending,
        }
    })
    .await;
}
