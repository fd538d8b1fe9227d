//! The addresses that a name stands for, tried beside each other: a dead one costs
//! a moment and not the whole of the dial's time (RFC 8305, "Happy Eyeballs").

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::engine::guarded;
use crate::instances::redis::future_set::FutureSet;
use crate::instances::redis::redact::Redactor;

/// How long an address has for itself before the next one is tried beside it: RFC
/// 8305's Connection Attempt Delay.
const STAGGER: Duration = Duration::from_millis(250);

/// What a name stands for, or why that is not known.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + 'a>>;

/// Who knows what addresses names stand for. Tests bring their own.
pub trait Resolve {
    /// The addresses of `host`, each with `port`, the preferred ones first.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The system's resolver, with a thread of tokio's.
pub(super) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host, port)).await?;
            Ok(addresses.collect())
        })
    }
}

/// Connects to the first address of `host` that takes a connection.
pub(super) async fn connect(
    names: &dyn Resolve,
    host: &str,
    port: u16,
    redactor: &Redactor,
) -> io::Result<TcpStream> {
    // Where the system has no thread to be had, tokio panics. That is a dial that
    // has failed, and not the end of what else is connected.
    let addresses = match guarded(|| names.resolve(host, port)).await {
        Ok(addresses) => addresses?,
        Err(panic) => {
            let what = format!(
                "the name {} can't be looked up now: {panic}",
                redactor.named(&host)
            );
            return Err(io::Error::other(what));
        }
    };
    let mut waiting = interleave(addresses);
    let mut attempts = FutureSet::new();
    let mut failed = None;
    while let Some(address) = waiting.pop_front() {
        attempts.add(TcpStream::connect(address));
        let attempt = attempts.next();
        let connected = if waiting.is_empty() {
            Some(attempt.await)
        } else {
            timeout(STAGGER, attempt).await.ok()
        };
        match connected {
            Some(Some(Ok(stream))) => return Ok(stream),
            // The next one needs not wait.
            Some(Some(Err(error))) => {
                failed.get_or_insert(error);
            }
            Some(None) | None => {}
        }
    }
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    let unknown = || io::Error::other(format!("the name {} has no address", redactor.named(&host)));
    Err(failed.unwrap_or_else(unknown))
}

/// Puts the two families in turns, beginning with that of the first address.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut all = VecDeque::new();
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_beginning_with_the_preferred_one() {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            let parsed = texts.iter().map(|text| text.parse());
            parsed.map(|address| address.expect("valid")).collect()
        };
        let given = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        let wanted = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(interleave(given), wanted);
        let only = parse(&["1.1.1.1:1", "1.1.1.2:1"]);
        assert_eq!(interleave(only.clone()), only);
        assert!(interleave(Vec::new()).is_empty());
    }
}
