//! Dials a link's server, and dials it again whenever the connection is lost.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::Link;
use super::connections::{End, serve};
use super::pump::{Dialling, Pump};
use crate::engine::{Environment, Instant, supervised};
use crate::instances::redis::config::Config;
use crate::instances::redis::dial::{Transport, dial, unreachable};

/// The wait before a dial, after a failed one: from the shortest, doubled each
/// time, to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// No two dials begin sooner after each other.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(25);

/// A link that is dialled, served until its connection breaks, and dialled again, for
/// as long as somebody holds it.
pub(crate) fn open(config: Config, transport: &Rc<Transport>) -> Rc<Link> {
    let environment = Rc::clone(&transport.environment);
    let link = Rc::new(Link::new(&config, transport));
    let (config, transport) = (Rc::new(config), Rc::clone(transport));
    let (whose, fallen) = (Rc::downgrade(&link), Rc::downgrade(&link));
    let begin = move || {
        dial_and_serve(
            Weak::clone(&whose),
            Rc::clone(&config),
            Rc::clone(&transport),
        )
    };
    let fell = move |what: &str| {
        if let Some(link) = fallen.upgrade() {
            link.disconnected(&unreachable(what.to_owned()));
        }
    };
    let life = supervised(Rc::clone(&environment), begin, fell);
    environment.spawn(Box::pin(life));
    link
}

fn begin_to_dial(config: &Rc<Config>, transport: &Rc<Transport>) -> Dialling {
    let (config, transport) = (Rc::clone(config), Rc::clone(transport));
    Box::pin(async move {
        let dialled = dial(&transport, &config).await?;
        Ok(Pump::new(dialled, &config))
    })
}

async fn dial_and_serve(link: Weak<Link>, config: Rc<Config>, transport: Rc<Transport>) {
    let environment = Rc::clone(&transport.environment);
    let dial = || begin_to_dial(&config, &transport);
    let mut backoff = Duration::ZERO;
    let mut begun = environment.now();
    let mut dialling = dial();
    loop {
        let again;
        match dialling.await {
            Ok(pump) => {
                let Some(since) = link.upgrade().map(|link| {
                    link.connected(&pump);
                    environment.now()
                }) else {
                    return;
                };
                let Some(End {
                    cause,
                    useful,
                    next,
                }) = serve(&link, pump, &dial).await
                else {
                    return;
                };
                // A server that hangs up at once is not dialled in a loop.
                let now = environment.now();
                if useful || now.since(since) > BACKOFF.1 {
                    backoff = Duration::ZERO;
                }
                again = jitter(environment.as_ref(), begun, backoff)
                    .max(begun.after(SHORTEST_INTERVAL));
                let is_dialled = next.is_some() || again <= now.after(BACKOFF.0);
                if let Some(link) = link.upgrade() {
                    link.connection_lost(&cause, is_dialled);
                }
                if let Some(next) = next {
                    dialling = next;
                    continue;
                }
            }
            Err(cause) => {
                let is_passing = link.upgrade().is_some_and(|link| link.dial_failed(&cause));
                if is_passing {
                    backoff = backoff.min(BACKOFF.0);
                }
                again = jitter(
                    environment.as_ref(),
                    environment.now(),
                    backoff.max(SHORTEST_INTERVAL),
                );
            }
        }
        if link.strong_count() == 0 {
            return;
        }
        environment.sleep_until(again).await;
        backoff = (backoff * 2).clamp(BACKOFF.0, BACKOFF.1);
        begun = environment.now();
        dialling = dial();
    }
}

/// When the next dial begins: never twice after the same time, so that a server
/// that comes back is not dialled by everybody at once.
fn jitter(environment: &dyn Environment, from: Instant, wait: Duration) -> Instant {
    from.after(wait.mul_f64(0.5 + environment.chance() / 2.0))
}
