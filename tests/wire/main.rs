//! What a link makes of what a server sends, which here is one of the test's own
//! that says whatever it is told to ([`fake_server`]).

mod addresses;
mod asker;
mod fake_server;
mod greeting;
mod lost_connections;
mod masters;
mod merged_releases;
mod order;
mod replies;
mod scripts;
mod silent_connections;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "real servers are another test's")]
mod support;
#[path = "../support/watcher.rs"]
mod watcher;
mod watching;
