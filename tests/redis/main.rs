//! The engine over real redis-servers.

mod connections;
mod keys;
mod merged_releases;
mod outages;
mod same_server;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
#[path = "../support/watcher.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod watcher;
mod watching;

use redlock_native::engine::Event;
use support::Events;

/// The commands that failed.
fn failures(events: &Events) -> Vec<Event> {
    let failed = |event: &&Event| matches!(event, Event::ClientError { .. });
    events.borrow().iter().filter(failed).cloned().collect()
}
