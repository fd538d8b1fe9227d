//! Real redis-servers for tests: started on ports they are found free, stopped
//! when dropped.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use redlock_native::engine::{
    Cause, Engine, Event, Failure, Instance, Resources, Retry, Settings, System, Ttl, Vote,
};
use redlock_native::instances::redis::{Config, Endpoint, Network, Server, Sockets};
use tokio::runtime::{Builder, LocalOptions};

/// A redis-server of this test's own.
pub struct RedisServer {
    child: Child,
    pub port: u16,
    program: String,
    args: Vec<String>,
}

impl RedisServer {
    /// Starts a server with these arguments beside the port.
    pub fn start(args: &[&str]) -> Self {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let args: Vec<String> = args.iter().map(|arg| (*arg).into()).collect();
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = launch(&program, port, &args) {
                return Self {
                    child,
                    port,
                    program,
                    args,
                };
            }
        }
        panic!("{program} does not start; set REDIS_SERVER to a redis-server or valkey-server");
    }

    pub fn config(&self) -> Config {
        Config::new(Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port: self.port,
        })
    }

    /// Sends one command as an administrator would.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(("127.0.0.1", self.port)).expect("an address");
        let mut connection = client.get_connection().expect("a connection");
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query(&mut connection).expect("a reply")
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("its end");
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.child = launch(&self.program, self.port, &self.args).expect("the port is still free");
    }

    /// SIGSTOP: accepts connections and bytes, answers nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server if it is ready, `None` if it could not have the port.
fn launch(program: &str, port: u16, args: &[String]) -> Option<Child> {
    let mut child = Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} can't be started: {error}"));
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let ready = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("Ready to accept connections"));
    // Its later lines must go somewhere, or it would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    if !ready {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    Some(child)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").port()
}

/// Runs a test on the engine's kind of runtime.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime")
        .block_on(test)
}

/// An engine over servers with these configurations, and what it tells.
pub fn engine(configs: impl IntoIterator<Item = Config>) -> (Engine, Events) {
    engine_on(&network(), configs)
}

/// The system's network.
pub fn network() -> Rc<Network> {
    Network::new(Rc::new(System), Rc::new(Sockets::default()))
}

/// As [`engine`], with connections that all engines on `network` share.
pub fn engine_on(
    network: &Rc<Network>,
    configs: impl IntoIterator<Item = Config>,
) -> (Engine, Events) {
    let instances = configs
        .into_iter()
        .map(|config| Rc::new(Server::open(config, network)) as Rc<dyn Instance>)
        .collect();
    let events = Events::default();
    let heard = Rc::clone(&events);
    let engine = Engine::new(
        instances,
        network.environment(),
        Rc::default(),
        Rc::default(),
        move |event| {
            heard.borrow_mut().push(event);
        },
    );
    (engine, events)
}

pub type Events = Rc<std::cell::RefCell<Vec<Event>>>;

pub fn resources(names: &[&str]) -> Resources {
    names.iter().map(|name| Box::from(*name)).collect()
}

pub fn ttl(millis: u32) -> Ttl {
    Ttl::new(millis.into(), Settings::default().drift).expect("long enough")
}

/// One attempt, with events.
pub fn once() -> Settings {
    Settings {
        retry: Retry::never(),
        report: true,
        ..Settings::default()
    }
}

/// Waits until `condition` holds; what it waits for has no deadline of its own,
/// so the bound is generous.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited 20 s in vain for {what}");
}

/// The causes of a failure's failed votes, by instance.
pub fn causes(failure: &Failure) -> Vec<Option<&Cause>> {
    let failed = |vote| match vote {
        &Some(Vote::Failed(ref cause)) => Some(cause),
        _ => None,
    };
    failure.votes.iter().map(failed).collect()
}
