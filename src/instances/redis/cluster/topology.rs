//! A cluster's map of its slots: how it is learnt, and when it is learnt anew.

use std::collections::{HashSet, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::sync::oneshot;

use super::slots::SlotMap;
use super::{Cluster, Node, Nodes, Phase};
use crate::engine::{Cause, ConnectionState, supervised, within};
use crate::instances::redis::config::{Address, Config};
use crate::instances::redis::future_set::FutureSet;
use crate::instances::redis::link::Link;
use crate::instances::redis::link_registry::Links;
use crate::instances::redis::redact::Redactor;

/// How long one node may take to give a map before another one is asked too.
const SLOW_NODE: Duration = Duration::from_millis(200);

/// The wait before the map is learnt again: from the shortest, doubled each time
/// that it was the same, to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A cluster whose map is learnt, first from the nodes at `seeds`, for as long as
/// somebody holds it.
pub(crate) fn open(config: Config, seeds: &[Address], links: &Rc<Links>) -> Rc<Cluster> {
    let cluster = Cluster::new(config, seeds, links);
    let environment = &cluster.environment;
    let (whose, fallen) = (Rc::downgrade(&cluster), Rc::downgrade(&cluster));
    let begin = move || refresh_loop(Weak::clone(&whose));
    let fell = move |what: &str| {
        if let Some(cluster) = fallen.upgrade() {
            cluster.map_unknown(&Cause::Unreachable { what: what.into() });
        }
    };
    let life = supervised(Rc::clone(environment), begin, fell);
    environment.spawn(Box::pin(life));
    cluster
}

impl Cluster {
    /// A map was learnt. Returns whether it is another than before.
    fn map_learnt(&self, map: SlotMap) -> bool {
        let keyspace = map
            .id()
            .map(|id| format!("cluster {id}/{}", self.nodes.config.key_prefix))
            .map(Rc::from);
        let masters = map.masters().to_vec();
        let (changed, waiting) = {
            let mut state = self.state.borrow_mut();
            let changed = state.map != map;
            state.map = map;
            state.weight = 0;
            let waiting = match std::mem::replace(&mut state.phase, Phase::Known) {
                Phase::Learning(waiting) => waiting,
                _ => VecDeque::new(),
            };
            (changed, waiting)
        };
        for master in &masters {
            self.link(master);
        }
        self.drop_other_nodes(&masters);
        let same = match &*self.observers.state() {
            ConnectionState::Ready { keyspace: before } => *before == keyspace,
            _ => false,
        };
        if !same {
            self.observers.tell(&ConnectionState::Ready { keyspace });
        }
        for (question, reply) in waiting {
            if question.is_wanted(self.environment.now(), Some(&reply)) {
                self.ask(&question, reply);
            } else {
                reply.fail(Cause::Withdrawn);
            }
        }
        self.send_owed();
        changed
    }

    /// Nodes that are no masters now are kept only for the answers they owe.
    fn drop_other_nodes(&self, masters: &[Rc<Address>]) {
        let masters: HashSet<&Rc<Address>> = masters.iter().collect();
        let mut gone = Vec::new();
        let mut state = self.state.borrow_mut();
        state.nodes.retain(|address, node| {
            let stays = masters.contains(address) || !node.link.is_idle();
            if !stays {
                gone.push(Rc::clone(&node.link));
            }
            stays
        });
        drop(state);
        // Only now: a link's end is told to its observers.
        drop(gone);
    }

    /// Nobody could give a map.
    fn map_unknown(&self, cause: &Cause) {
        let now = self.environment.now();
        let mut failed = VecDeque::new();
        {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            match &mut state.phase {
                // The old one may still do.
                Phase::Known => {}
                Phase::Learning(waiting) => {
                    state.weight = 0;
                    failed = std::mem::take(waiting);
                    state.phase = Phase::Unknown(now, cause.clone());
                }
                Phase::Unknown(_, before) => *before = cause.clone(),
            }
            for (question, _) in &failed {
                state.owe(question, now);
            }
        }
        for (_, reply) in failed {
            reply.fail(cause.clone());
        }
        self.observers.tell_down(cause);
    }

    /// The nodes that may know the map, each time beginning with another: one
    /// may be cut off from the rest and not know that.
    fn whom_to_ask(&self, turn: usize) -> Vec<Rc<Address>> {
        let mut masters = self.state.borrow().map.masters().to_vec();
        let mut seeds = self.seeds.clone();
        for addresses in [&mut masters, &mut seeds] {
            if !addresses.is_empty() {
                let first = turn % addresses.len();
                addresses.rotate_left(first);
            }
        }
        masters.extend(seeds);
        let mut seen = HashSet::new();
        masters.retain(|address| seen.insert(Rc::clone(address)));
        masters
    }

    /// Whether there is something that a newer map may mend.
    fn is_unsettled(&self) -> bool {
        let state = self.state.borrow();
        let masters = state.map.masters();
        let is_up = |node: &Node| node.link.is_up();
        !state.owed.is_empty()
            || !matches!(state.phase, Phase::Known)
            || !self.is_known()
            || state.nodes.len() > masters.len()
            || !masters
                .iter()
                .all(|master| state.nodes.get(master).is_some_and(is_up))
    }
}

/// Learns the map, and learns it anew whenever that is wanted, for as long as
/// somebody holds the cluster.
async fn refresh_loop(cluster: Weak<Cluster>) {
    let mut backoff = Duration::ZERO;
    let mut turn = 0;
    loop {
        let Some((nodes, whom, wanted, environment)) = cluster.upgrade().map(|cluster| {
            (
                cluster.nodes.clone(),
                cluster.whom_to_ask(turn),
                Rc::clone(&cluster.refresh_wanted),
                Rc::clone(&cluster.environment),
            )
        }) else {
            return;
        };
        // They stay open until the cluster has taken those that it needs.
        let mut links = Vec::new();
        let learnt = fetch(&nodes, &whom, &mut links).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        let changed = match learnt {
            Ok(map) => cluster.map_learnt(map),
            Err(cause) => {
                cluster.map_unknown(&cause);
                false
            }
        };
        drop(links);
        let unsettled = cluster.is_unsettled();
        drop(cluster);
        backoff = if changed {
            BACKOFF.0
        } else {
            (backoff * 2).clamp(BACKOFF.0, BACKOFF.1)
        };
        turn += 1;
        if !unsettled {
            let idle_since = environment.now();
            wanted.notified().await;
            if environment.now().since(idle_since) > BACKOFF.1 {
                backoff = Duration::ZERO;
            }
        }
        let pause = backoff.mul_f64(0.5 + environment.chance() / 2.0);
        environment
            .sleep_until(environment.now().after(pause))
            .await;
    }
}

/// The first map that one of the nodes gives. They are asked one after another,
/// the next one as soon as the last has failed or is slow.
async fn fetch(
    nodes: &Nodes,
    whom: &[Rc<Address>],
    links: &mut Vec<Rc<Link>>,
) -> Result<SlotMap, Cause> {
    let mut asked = FutureSet::new();
    let mut whom = whom.iter().peekable();
    let mut failure: Option<Cause> = None;
    loop {
        if let Some(address) = whom.next() {
            let link = nodes.link(address);
            links.push(Rc::clone(&link));
            let redactor = Redactor::new(&nodes.config);
            asked.add(ask_for_map(link, Rc::clone(address), redactor));
        } else if asked.is_empty() {
            return Err(failure.unwrap_or(Cause::Dropped));
        }
        let answer = if whom.peek().is_some() {
            let environment = nodes.links.transport.environment.as_ref();
            within(environment, SLOW_NODE, asked.next()).await
        } else {
            Some(asked.next().await)
        };
        match answer {
            Some(Some(Ok(map))) => return Ok(map),
            Some(Some(Err(cause))) if !failure.as_ref().is_some_and(is_an_answer) => {
                // What a node says says more than that one can't be reached.
                failure = Some(cause);
            }
            _ => {}
        }
    }
}

fn is_an_answer(cause: &Cause) -> bool {
    cause.reply().is_some()
}

async fn ask_for_map(
    link: Rc<Link>,
    address: Rc<Address>,
    redactor: Redactor,
) -> Result<SlotMap, Cause> {
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    let (tell, told) = oneshot::channel::<Result<Value, Cause>>();
    let on_reply = move |reply| {
        // Another node may have answered first.
        let _ = tell.send(reply);
    };
    link.call(&question, Box::new(on_reply));
    let node = redactor.named(&address);
    let of_node = |cause| match cause {
        Cause::Unreachable { what } | Cause::Lost { what } => Cause::Unreachable {
            what: format!("the node {node}: {what}").into(),
        },
        other => other,
    };
    let reply = told.await.unwrap_or(Err(Cause::Dropped)).map_err(of_node)?;
    let map = SlotMap::read(&reply, &address, &redactor)?;
    if map.is_empty() {
        return Err(Cause::Unreachable {
            what: format!("the node {node} knows of no slots; has the cluster been created?")
                .into(),
        });
    }
    Ok(map)
}
