//! Where the master is, as sentinels have it: all of them are asked at once when
//! a link is dialled, and every second for as long as it is up.
//!
//! One sentinel may be cut off together with an old master and go on naming it,
//! so that what most of them say counts, not what the first says.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use redis::{Value, cmd};

use super::command::unexpected;
use super::config::{Address, Config, Sentinels};
use super::dial::{Dialled, dial_server, request, unasked, unreachable};
use super::frame::Replies;
use super::network::{Network, Stream};
use super::redact::Redactor;
use super::slots::is_host;
use super::together::Together;
use crate::engine::{Cause, Rule, until, within};

/// Resolves when another server is the master.
pub(super) type Watch = Pin<Box<dyn Future<Output = Cause>>>;

/// How often a sentinel is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What one sentinel may take to answer, if the dial's own time allows it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the first sentinel's answer waits for those of the others.
const GRACE: Duration = Duration::from_millis(200);

/// Connects to the master.
///
/// # Errors
///
/// [`Cause::Unreachable`] where no sentinel names one, or one that can't be
/// reached or is none; [`Cause::Refused`] with the master's own error.
pub(super) async fn dial(
    network: &Rc<Network>,
    config: &Config,
    sentinels: &Sentinels,
) -> Result<Dialled, Cause> {
    let attempt = async {
        let mut council = Council::convene(network, config, sentinels);
        let mut master = council.agree().await?;
        loop {
            // A master that hangs is waited for only until another is named.
            let dialled = tokio::select! {
                biased;
                dialled = dial_master(network, config, &master) => dialled?,
                other = council.another_than(&master) => {
                    master = other;
                    continue;
                }
            };
            let (votes, all) = (council.votes_for(&master), council.members.len());
            if dialled.greeting.master.is_none() && votes <= all / 2 && Rule::Role.is_kept() {
                return Err(unreachable(format!(
                    "only {votes} of {all} sentinels name {master}, which does not say whether it \
                     is a master (may its user read ROLE or INFO?)"
                )));
            }
            let watch: Watch = Box::pin(async move {
                let other = council.another_than(&master).await;
                unreachable(format!(
                    "the sentinels name another master now: {other} in place of {master}"
                ))
            });
            return Ok(Dialled {
                watch: Some(watch),
                ..dialled
            });
        }
    };
    let limit = config.connect_timeout;
    match within(network.environment.as_ref(), limit, attempt).await {
        Some(dialled) => dialled,
        None => Err(unreachable(format!(
            "no master was reached within {} ms through the sentinels; is it hung, or a firewall in \
             between?",
            limit.as_millis()
        ))),
    }
}

async fn dial_master(
    network: &Network,
    config: &Config,
    master: &Address,
) -> Result<Dialled, Cause> {
    let place = config.at(master);
    let mut dialled = dial_server(network, &place)
        .await
        .map_err(|cause| match cause {
            Cause::Unreachable { what } => unreachable(format!(
                "the master that the sentinels name, {}: {what}",
                place.address()
            )),
            other => other,
        })?;
    if dialled.greeting.master.is_none() {
        dialled.greeting.master = role(&mut dialled.stream, &place).await?;
    }
    if dialled.greeting.master == Some(false) && Rule::Role.is_kept() {
        return Err(unreachable(format!(
            "the sentinels name {}, which says that it is a replica; is a failover under way?",
            place.address()
        )));
    }
    Ok(dialled)
}

/// Whether a server that doesn't show its INFO is a master; `None` if it doesn't
/// say that either.
async fn role(stream: &mut Box<dyn Stream>, place: &Config) -> Result<Option<bool>, Cause> {
    let mut heard = Replies::default();
    let reply = request(stream, &mut heard, &cmd("ROLE"), place).await?;
    match reply {
        _ if heard.waiting() > 0 => Err(unasked()),
        Value::Array(parts) => Ok(parts.first().and_then(text).map(|role| role == "master")),
        Value::ServerError(_) => Ok(None),
        other => Err(unexpected(&other)),
    }
}

/// The sentinels, and what each of them said last.
struct Council {
    network: Rc<Network>,
    members: Vec<Rc<Member>>,
    said: Vec<Option<Statement>>,
    asking: Together<Heard>,
}

/// One sentinel.
struct Member {
    address: Address,
    place: Config,
    service: Box<str>,
}

/// The master's address, or why there is none: a sentence.
type Statement = Result<Address, Rc<str>>;

/// A sentinel's answer, and the connection for the next question.
struct Heard {
    index: usize,
    said: Statement,
    line: Option<Line>,
}

struct Line {
    stream: Box<dyn Stream>,
    heard: Replies,
}

impl Council {
    fn convene(network: &Rc<Network>, config: &Config, sentinels: &Sentinels) -> Self {
        let member = |address: &Address| {
            Rc::new(Member {
                address: address.clone(),
                place: Config {
                    tls: sentinels.tls.clone(),
                    username: sentinels.username.clone(),
                    password: sentinels.password.clone(),
                    db: 0,
                    connect_timeout: PATIENCE.min(config.connect_timeout / 2),
                    ..config.at(address)
                },
                service: sentinels.service.as_str().into(),
            })
        };
        let members: Vec<_> = sentinels.addresses.iter().map(member).collect();
        let mut council = Self {
            network: Rc::clone(network),
            said: vec![None; members.len()],
            members,
            asking: Together::new(),
        };
        for index in 0..council.members.len() {
            council.ask(index, None, Duration::ZERO);
        }
        council
    }

    /// Whom a majority names, or else, after a moment, whom most of those name
    /// that have answered.
    async fn agree(&mut self) -> Result<Address, Cause> {
        let mut grace = None;
        loop {
            let named = self
                .named()
                .map(|(address, votes)| (address.clone(), votes));
            if let Some((address, votes)) = &named
                && *votes > self.members.len() / 2
            {
                return Ok(address.clone());
            }
            let mut complete = self.said.iter().all(Option::is_some);
            if named.is_some() && !complete {
                let environment = Rc::clone(&self.network.environment);
                let at = *grace.get_or_insert_with(|| environment.now().after(GRACE));
                complete = until(environment.as_ref(), at, self.hear()).await.is_none();
            } else if !complete {
                self.hear().await;
            }
            if complete {
                return named
                    .map(|(address, _)| address)
                    .ok_or_else(|| self.complaint());
            }
        }
    }

    /// Resolves when more of them name another master than name this one.
    async fn another_than(&mut self, master: &Address) -> Address {
        loop {
            if let Some((named, votes)) = self.named()
                && votes > self.votes_for(master)
            {
                return named.clone();
            }
            self.hear().await;
        }
    }

    /// Who is named most often, and how often; the first of several.
    fn named(&self) -> Option<(&Address, usize)> {
        let mut votes: BTreeMap<&Address, (usize, Reverse<usize>)> = BTreeMap::new();
        for (index, said) in self.said.iter().enumerate() {
            if let Some(Ok(address)) = said {
                votes.entry(address).or_insert((0, Reverse(index))).0 += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, rank)| *rank);
        most.map(|(address, (votes, _))| (address, votes))
    }

    fn votes_for(&self, master: &Address) -> usize {
        let names = |said: &&Option<Statement>| matches!(said, Some(Ok(named)) if named == master);
        self.said.iter().filter(names).count()
    }

    /// Takes the next answer, whose sentinel is then asked again after a pause.
    async fn hear(&mut self) {
        match self.asking.next().await {
            Some(Heard { index, said, line }) => {
                self.said[index] = Some(said);
                self.ask(index, line, PAUSE);
            }
            None => pending().await,
        }
    }

    fn ask(&mut self, index: usize, mut line: Option<Line>, pause: Duration) {
        let member = Rc::clone(&self.members[index]);
        let network = Rc::clone(&self.network);
        self.asking.add(async move {
            let environment = network.environment.as_ref();
            environment
                .sleep_until(environment.now().after(pause))
                .await;
            let limit = member.place.connect_timeout;
            let said = match within(environment, limit, member.ask(&network, &mut line)).await {
                Some(said) => said,
                None => Err(unreachable(format!(
                    "no answer within {} ms",
                    limit.as_millis()
                ))),
            };
            if said.is_err() {
                line = None;
            }
            let said = said.map_err(|cause| member.explain(&cause));
            Heard { index, said, line }
        });
    }

    /// What all of them complain of.
    fn complaint(&self) -> Cause {
        let mut what = String::new();
        for said in self.said.iter().flatten() {
            if let Err(sentence) = said {
                let separator = if what.is_empty() { "" } else { "; " };
                // Writing to a string can't fail.
                let _ = write!(what, "{separator}{sentence}");
            }
        }
        unreachable(what)
    }
}

impl Member {
    async fn ask(&self, network: &Network, line: &mut Option<Line>) -> Result<Address, Cause> {
        let open = match line.take() {
            Some(open) => open,
            None => Line {
                stream: dial_server(network, &self.place).await?.stream,
                heard: Replies::default(),
            },
        };
        let Line { stream, heard } = line.insert(open);
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.service);
        let reply = request(stream, heard, &question, &self.place).await?;
        named(reply, &self.service, &Redactor::new(&self.place))
    }

    /// Why it named nobody, and what to do.
    fn explain(&self, cause: &Cause) -> Rc<str> {
        let hint = match cause.reply() {
            Some("NOAUTH") => "give sentinelPassword",
            Some("WRONGPASS") => "check sentinelUsername and sentinelPassword",
            Some("NOPERM") => "allow sentinelUsername SENTINEL get-master-addr-by-name",
            Some("ERR") => "is this the port of a sentinel, as 26379, and not of a server?",
            _ => "",
        };
        let separator = if hint.is_empty() { "" } else { "; " };
        let what = match cause {
            Cause::Unreachable { what } => what.to_string(),
            Cause::Refused { message, .. } => message.to_string(),
            other => other.to_string(),
        };
        format!("the sentinel {}: {what}{separator}{hint}", self.address).into()
    }
}

/// The master of `service`, from a sentinel's reply.
pub(super) fn named(reply: Value, service: &str, redactor: &Redactor) -> Result<Address, Cause> {
    match reply {
        Value::Array(parts) => match &parts[..] {
            [host, port] => text(host)
                .zip(text(port).and_then(|port| port.parse().ok()))
                .filter(|(host, _)| is_host(host) && redactor.clean(host, &[]) == *host)
                .map(|(host, port)| Address {
                    host: host.to_owned(),
                    port,
                })
                .ok_or_else(|| unexpected(&Value::Array(parts))),
            _ => Err(unexpected(&Value::Array(parts))),
        },
        Value::Nil => Err(unreachable(format!(
            "it knows no service of the name \"{service}\"; is that what sentinel.conf calls it?"
        ))),
        Value::ServerError(error) => Err(redactor.refused(&error, &[])),
        other => Err(unexpected(&other)),
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sockets::Sockets;
    use super::*;
    use crate::engine::System;

    fn address(port: u16) -> Address {
        Address {
            host: "h".into(),
            port,
        }
    }

    fn council(said: &[Option<u16>]) -> Council {
        Council {
            network: Network::new(Rc::new(System), Rc::new(Sockets::default())),
            members: Vec::new(),
            said: said
                .iter()
                .map(|said| said.map(|port| Ok(address(port))))
                .collect(),
            asking: Together::new(),
        }
    }

    #[test]
    fn the_master_is_whom_most_of_the_sentinels_name() {
        let named = |said: &[Option<u16>]| {
            council(said)
                .named()
                .map(|(address, votes)| (address.port, votes))
        };
        assert_eq!(named(&[None, None]), None);
        assert_eq!(named(&[Some(1), Some(2), Some(2)]), Some((2, 2)));
        assert_eq!(named(&[None, Some(2), Some(1)]), Some((2, 1)));
    }
}
