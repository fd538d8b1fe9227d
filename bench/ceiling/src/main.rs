//! The benchmark's ceiling: one thread without Node.js keeps cycles under way, each the lock and the unlock of a
//! resource of its own on a majority of the servers, with the commands that the package sends and nothing else. No
//! deadlines, no validity, no clean-up: what is left is the servers, the kernel and the least that a client must do.
//!
//! `redlock-ceiling HOST:PORT,… CYCLES_UNDER_WAY WARM_UP_SECONDS SECONDS single|merged` prints one line of JSON.

mod client;
mod commands;
mod figures;
mod link;
mod replies;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use client::{Client, Releases};

const USAGE: &str =
    "usage: redlock-ceiling HOST:PORT,… CYCLES_UNDER_WAY WARM_UP_SECONDS SECONDS single|merged";

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, under_way, warm_up, seconds, releases] = &arguments[..] else {
        return Err(USAGE.into());
    };
    let servers = servers
        .split(',')
        .map(str::parse)
        .collect::<Result<Vec<SocketAddr>, _>>()?;
    let releases = match &releases[..] {
        "single" => Releases::Single,
        "merged" => Releases::Merged,
        _ => return Err(USAGE.into()),
    };
    let mut client = Client::connect(&servers, under_way.parse()?, releases)?;
    client.run(Duration::from_secs_f64(warm_up.parse()?))?;
    let figures = client.run(Duration::from_secs_f64(seconds.parse()?))?;
    Ok(figures.into_json())
}
