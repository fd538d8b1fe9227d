//! Where the master is, as sentinels have it: all of them are asked at once when
//! a link is dialled, and every second for as long as it is up.
//!
//! One sentinel may be cut off together with an old master and go on naming it,
//! so that what most of them say counts, not what the first says.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use redis::{Value, cmd};

use super::cause::{unasked, unreachable};
use super::server::{self, Dialled, MasterChange, request};
use super::stream::Stream;
use super::transport::Transport;
use crate::engine::{Cause, SafetyRule, quoted, until, within};
use crate::instances::redis::config::{Address, Config, Sentinels};
use crate::instances::redis::future_set::FutureSet;
use crate::instances::redis::protocol::frame::Replies;
use crate::instances::redis::protocol::value::{is_host, text, unexpected};
use crate::instances::redis::redact::Redactor;

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
    transport: &Rc<Transport>,
    config: &Config,
    sentinels: &Sentinels,
) -> Result<Dialled, Cause> {
    let redactor = Redactor::new(config);
    let attempt = async {
        let mut poll = SentinelPoll::start(transport, config, sentinels);
        let mut master = poll.agree().await?;
        loop {
            // A master that hangs is waited for only until another is named.
            let dialled = tokio::select! {
                biased;
                dialled = dial_master(transport, config, &master, &redactor) => dialled?,
                other = poll.another_than(&master) => {
                    master = other;
                    continue;
                }
            };
            let (votes, all) = (poll.votes_for(&master), poll.sentinels.len());
            if dialled.greeting.master.is_none() && votes <= all / 2 && SafetyRule::Role.is_kept() {
                return Err(unreachable(format!(
                    "only {votes} of {all} sentinels name {}, which does not say whether it is a \
                     master (may its user read ROLE or INFO?)",
                    redactor.named(&master)
                )));
            }
            let redactor = redactor.clone();
            let master_change: MasterChange = Box::pin(async move {
                let other = poll.another_than(&master).await;
                unreachable(format!(
                    "the sentinels name another master now: {} in place of {}",
                    redactor.named(&other),
                    redactor.named(&master)
                ))
            });
            return Ok(Dialled {
                master_change: Some(master_change),
                ..dialled
            });
        }
    };
    let limit = config.connect_timeout;
    match within(transport.environment.as_ref(), limit, attempt).await {
        Some(dialled) => dialled,
        None => Err(unreachable(format!(
            "no master was reached within {} ms through the sentinels; is it hung, or a firewall in \
             between?",
            limit.as_millis()
        ))),
    }
}

async fn dial_master(
    transport: &Transport,
    config: &Config,
    master: &Address,
    redactor: &Redactor,
) -> Result<Dialled, Cause> {
    let server = config.at(master);
    let mut dialled = server::dial(transport, &server)
        .await
        .map_err(|cause| match cause {
            Cause::Unreachable { what } => unreachable(format!(
                "the master that the sentinels name, {}: {what}",
                redactor.named(&server.address())
            )),
            other => other,
        })?;
    if dialled.greeting.master.is_none() {
        dialled.greeting.master = role(&mut dialled.stream, &server).await?;
    }
    if dialled.greeting.master == Some(false) && SafetyRule::Role.is_kept() {
        return Err(unreachable(format!(
            "the sentinels name {}, which says that it is a replica; is a failover under way?",
            redactor.named(&server.address())
        )));
    }
    Ok(dialled)
}

/// Whether a server that doesn't show its INFO is a master; `None` if it doesn't
/// say that either.
async fn role(stream: &mut Box<dyn Stream>, config: &Config) -> Result<Option<bool>, Cause> {
    let mut heard = Replies::default();
    let reply = request(stream, &mut heard, &cmd("ROLE"), config).await?;
    match reply {
        _ if heard.waiting() > 0 => Err(unasked()),
        Value::Array(parts) => Ok(parts.first().and_then(text).map(|role| role == "master")),
        Value::ServerError(_) => Ok(None),
        other => Err(unexpected(&other)),
    }
}

/// The sentinels, and what each of them said last.
struct SentinelPoll {
    transport: Rc<Transport>,
    sentinels: Vec<Rc<Sentinel>>,
    opinions: Vec<Option<Opinion>>,
    asking: FutureSet<SentinelAnswer>,
}

/// One sentinel.
struct Sentinel {
    address: Address,
    config: Config,
    service: Box<str>,
}

/// The master's address, or why there is none: a sentence.
type Opinion = Result<Address, Rc<str>>;

/// A sentinel's answer, and the connection for the next question.
struct SentinelAnswer {
    index: usize,
    opinion: Opinion,
    connection: Option<SentinelConnection>,
}

struct SentinelConnection {
    stream: Box<dyn Stream>,
    heard: Replies,
}

impl SentinelPoll {
    fn start(transport: &Rc<Transport>, config: &Config, group: &Sentinels) -> Self {
        let sentinel = |address: &Address| {
            Rc::new(Sentinel {
                address: address.clone(),
                config: Config {
                    tls: group.tls.clone(),
                    username: group.username.clone(),
                    password: group.password.clone(),
                    db: 0,
                    connect_timeout: PATIENCE.min(config.connect_timeout / 2),
                    ..config.at(address)
                },
                service: group.service.as_str().into(),
            })
        };
        let sentinels: Vec<_> = group.addresses.iter().map(sentinel).collect();
        let mut poll = Self {
            transport: Rc::clone(transport),
            opinions: vec![None; sentinels.len()],
            sentinels,
            asking: FutureSet::new(),
        };
        for index in 0..poll.sentinels.len() {
            poll.ask(index, None, Duration::ZERO);
        }
        poll
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
                && *votes > self.sentinels.len() / 2
            {
                return Ok(address.clone());
            }
            let mut complete = self.opinions.iter().all(Option::is_some);
            if named.is_some() && !complete {
                let environment = Rc::clone(&self.transport.environment);
                let at = *grace.get_or_insert_with(|| environment.now().after(GRACE));
                complete = until(environment.as_ref(), at, self.next_answer())
                    .await
                    .is_none();
            } else if !complete {
                self.next_answer().await;
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
            self.next_answer().await;
        }
    }

    /// Who is named most often, and how often; the first of several.
    fn named(&self) -> Option<(&Address, usize)> {
        let mut votes: BTreeMap<&Address, (usize, Reverse<usize>)> = BTreeMap::new();
        for (index, said) in self.opinions.iter().enumerate() {
            if let Some(Ok(address)) = said {
                votes.entry(address).or_insert((0, Reverse(index))).0 += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, rank)| *rank);
        most.map(|(address, (votes, _))| (address, votes))
    }

    fn votes_for(&self, master: &Address) -> usize {
        let names = |said: &&Option<Opinion>| matches!(said, Some(Ok(named)) if named == master);
        self.opinions.iter().filter(names).count()
    }

    /// Takes the next answer, whose sentinel is then asked again after a pause.
    async fn next_answer(&mut self) {
        match self.asking.next().await {
            Some(SentinelAnswer {
                index,
                opinion,
                connection,
            }) => {
                self.opinions[index] = Some(opinion);
                self.ask(index, connection, PAUSE);
            }
            None => pending().await,
        }
    }

    fn ask(&mut self, index: usize, mut connection: Option<SentinelConnection>, pause: Duration) {
        let sentinel = Rc::clone(&self.sentinels[index]);
        let transport = Rc::clone(&self.transport);
        self.asking.add(async move {
            let environment = transport.environment.as_ref();
            environment
                .sleep_until(environment.now().after(pause))
                .await;
            let limit = sentinel.config.connect_timeout;
            let said = match within(
                environment,
                limit,
                sentinel.ask(&transport, &mut connection),
            )
            .await
            {
                Some(said) => said,
                None => Err(unreachable(format!(
                    "no answer within {} ms",
                    limit.as_millis()
                ))),
            };
            if said.is_err() {
                connection = None;
            }
            let opinion = said.map_err(|cause| sentinel.explain(&cause));
            SentinelAnswer {
                index,
                opinion,
                connection,
            }
        });
    }

    /// What all of them complain of.
    fn complaint(&self) -> Cause {
        let mut what = String::new();
        for said in self.opinions.iter().flatten() {
            if let Err(sentence) = said {
                let separator = if what.is_empty() { "" } else { "; " };
                // Writing to a string can't fail.
                let _ = write!(what, "{separator}{sentence}");
            }
        }
        unreachable(what)
    }
}

impl Sentinel {
    async fn ask(
        &self,
        transport: &Transport,
        connection: &mut Option<SentinelConnection>,
    ) -> Result<Address, Cause> {
        let open = match connection.take() {
            Some(open) => open,
            None => SentinelConnection {
                stream: server::dial(transport, &self.config).await?.stream,
                heard: Replies::default(),
            },
        };
        let SentinelConnection { stream, heard } = connection.insert(open);
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.service);
        let reply = request(stream, heard, &question, &self.config).await?;
        master_of(reply, &self.service, &Redactor::new(&self.config))
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
            Cause::Refused { message, .. } => quoted(message),
            other => other.to_string(),
        };
        format!("the sentinel {}: {what}{separator}{hint}", self.address).into()
    }
}

/// The master of `service`, from a sentinel's reply.
pub(crate) fn master_of(
    reply: Value,
    service: &str,
    redactor: &Redactor,
) -> Result<Address, Cause> {
    match reply {
        Value::Array(parts) => match &parts[..] {
            [host, port] => text(host)
                .zip(text(port).and_then(|port| port.parse().ok()))
                .filter(|(host, _)| is_host(host))
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

    fn poll(said: &[Option<u16>]) -> SentinelPoll {
        SentinelPoll {
            transport: Rc::new(Transport::new(Rc::new(System), Rc::new(Sockets::default()))),
            sentinels: Vec::new(),
            opinions: said
                .iter()
                .map(|said| said.map(|port| Ok(address(port))))
                .collect(),
            asking: FutureSet::new(),
        }
    }

    #[test]
    fn the_master_is_whom_most_of_the_sentinels_name() {
        let named = |said: &[Option<u16>]| {
            poll(said)
                .named()
                .map(|(address, votes)| (address.port, votes))
        };
        assert_eq!(named(&[None, None]), None);
        assert_eq!(named(&[Some(1), Some(2), Some(2)]), Some((2, 2)));
        assert_eq!(named(&[None, Some(2), Some(1)]), Some((2, 1)));
    }
}
