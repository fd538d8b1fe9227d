//! The slots of a cluster: which one a key is in, and which node has it.

use std::rc::Rc;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use super::command::unexpected;
use super::config::Address;
use super::redact::Redactor;
use crate::engine::Cause;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// How many there are.
const COUNT: u16 = 16_384;

/// More masters than that are no cluster: Redis recommends at most 1000 nodes.
const MOST_MASTERS: usize = 1024;

/// The slot of a key: what stands between the first `{` and the next `}` counts,
/// if there is anything, and else the whole key.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    CRC.checksum(tag.unwrap_or(key)) % COUNT
}

/// Which master has which slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map {
    masters: Vec<Rc<Address>>,
    /// By slot, a place in `masters`.
    owners: Vec<Option<u16>>,
    /// The least of all the nodes' ids, replicas' too, so that it outlives a
    /// failover.
    id: Option<Box<str>>,
}

impl Map {
    /// Reads the reply to CLUSTER SLOTS of the node at `asked`. A place that
    /// repeats a secret is none.
    ///
    /// # Errors
    ///
    /// The node's own error, or [`Cause::Unexpected`] if it is no such reply.
    pub(super) fn read(reply: &Value, asked: &Address, redactor: &Redactor) -> Result<Self, Cause> {
        let ranges = match reply {
            Value::Array(ranges) => ranges,
            Value::ServerError(error) => return Err(redactor.refused(error, &[])),
            other => return Err(unexpected(other)),
        };
        let mut covered = 0;
        let mut map = Self::default();
        for range in ranges {
            let Value::Array(parts) = range else {
                return Err(unexpected(range));
            };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = &parts[..] else {
                return Err(unexpected(range));
            };
            let slots = u16::try_from(*first).ok().zip(u16::try_from(*last).ok());
            let slots = slots.filter(|(first, last)| first <= last && *last < COUNT);
            let Some((first, last)) = slots else {
                return Err(unexpected(range));
            };
            // Each slot is in one range only.
            covered += last - first + 1;
            if covered > COUNT {
                return Err(unexpected(range));
            }
            for id in nodes.iter().filter_map(node_id) {
                if map.id.as_deref().is_none_or(|least| id < least) {
                    map.id = Some(id.into());
                }
            }
            let master = nodes.first().and_then(|node| node_address(node, asked));
            let shows_none = |master: &Address| redactor.clean(&master.host, &[]) == master.host;
            let Some(master) = master.filter(shows_none) else {
                continue;
            };
            let Some(owner) = map.place(master) else {
                return Err(unexpected(reply));
            };
            for slot in first..=last {
                map.set(slot, owner);
            }
        }
        Ok(map)
    }

    /// Whether no slot has a master.
    pub(super) fn is_empty(&self) -> bool {
        self.masters.is_empty()
    }

    /// What tells one cluster from another.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The masters, each once.
    pub(super) fn masters(&self) -> &[Rc<Address>] {
        &self.masters
    }

    /// The master that has `slot`.
    pub(super) fn owner(&self, slot: u16) -> Option<&Rc<Address>> {
        let place = self.owners.get(usize::from(slot)).copied().flatten()?;
        self.masters.get(usize::from(place))
    }

    /// `slot` has moved to `master`. Of a cluster that is full of masters that
    /// it names, the next map must say so.
    pub(super) fn moved(&mut self, slot: u16, master: Address) {
        if let Some(owner) = self.place(master) {
            self.set(slot, owner);
        }
    }

    fn place(&mut self, master: Address) -> Option<usize> {
        let known = self.masters.iter().position(|known| **known == master);
        known.or_else(|| {
            let place = self.masters.len();
            (place < MOST_MASTERS).then(|| {
                self.masters.push(Rc::new(master));
                place
            })
        })
    }

    fn set(&mut self, slot: u16, owner: usize) {
        self.owners.resize(usize::from(COUNT), None);
        self.owners[usize::from(slot)] = u16::try_from(owner).ok();
    }
}

/// Where a node says that it is. None or an empty name is that of the node asked.
fn node_address(node: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = node else {
        return None;
    };
    let [host, Value::Int(port), rest @ ..] = &parts[..] else {
        return None;
    };
    let host = match host {
        Value::Nil => &asked.host,
        host => match text(host)? {
            "" => &asked.host,
            // It is to be called by a name that it doesn't have yet.
            "?" => rest.get(1).and_then(ip)?,
            host => host,
        },
    };
    is_host(host).then_some(Address {
        host: host.to_owned(),
        port: u16::try_from(*port).ok()?,
    })
}

/// Whether that can be a name or an address, as far as its characters go.
pub(super) fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%[]".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// The address among what else is said of a node.
fn ip(details: &Value) -> Option<&str> {
    let Value::Array(details) = details else {
        return None;
    };
    let pair = details.chunks(2).find(|pair| text(&pair[0]) == Some("ip"));
    pair.and_then(|pair| pair.get(1)).and_then(text)
}

fn node_id(node: &Value) -> Option<&str> {
    match node {
        Value::Array(parts) => parts.get(2).and_then(text),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// A node's word that another one is to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// From now on.
    Moved {
        /// For the keys of this slot.
        slot: u16,
        /// The other one.
        to: Address,
    },
    /// This once, while the slot is being moved.
    Ask {
        /// The other one.
        to: Address,
    },
}

impl Redirect {
    /// Reads it from the error of the node at `asked`, if it is one.
    pub(super) fn read(cause: &Cause, asked: &Address) -> Option<Self> {
        let Cause::Refused { code, message } = cause else {
            return None;
        };
        // One that a script has had doesn't lead elsewhere: some of it may have been
        // carried out.
        let mut words = message.strip_prefix(&**code)?.strip_prefix(' ')?.split(' ');
        let slot = words.next()?.parse().ok().filter(|slot| *slot < COUNT)?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = match host {
            "" => &asked.host,
            // It is to be called by a name that it doesn't have yet; a map says more.
            "?" => return None,
            host if is_host(host) => host,
            _ => return None,
        };
        let to = Address {
            host: host.to_owned(),
            port: port.parse().ok()?,
        };
        match &**code {
            "MOVED" => Some(Self::Moved { slot, to }),
            "ASK" => Some(Self::Ask { to }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address {
            host: host.into(),
            port,
        }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn node(host: Value, port: i64, id: &str, details: Vec<Value>) -> Value {
        Value::Array(vec![
            host,
            Value::Int(port),
            bulk(id),
            Value::Array(details),
        ])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        let mut parts = vec![Value::Int(first), Value::Int(last)];
        parts.extend(nodes);
        Value::Array(parts)
    }

    fn read(reply: &Value, asked: &Address) -> Result<Map, Cause> {
        Map::read(reply, asked, &Redactor::default())
    }

    #[test]
    fn a_slot_is_the_keys_checksum() {
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b""), 0);
    }

    #[test]
    fn of_a_key_with_a_tag_only_the_tag_counts() {
        for (key, counted) in [
            ("{user1000}.following", "user1000"),
            ("x{a}y", "a"),
            ("{a}{b}", "a"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
        ] {
            let whole = CRC.checksum(counted.as_bytes()) % COUNT;
            assert_eq!(slot_of(key.as_bytes()), whole, "{key}");
        }
        for key in ["foo{}{bar}", "{}", "a{", "a{b", "a}b{"] {
            let whole = CRC.checksum(key.as_bytes()) % COUNT;
            assert_eq!(slot_of(key.as_bytes()), whole, "{key}");
        }
    }

    #[test]
    fn a_map_has_the_first_node_of_each_range() {
        let reply = Value::Array(vec![
            range(
                0,
                8191,
                vec![
                    node(bulk("10.0.0.1"), 7000, "c", vec![]),
                    node(bulk("10.0.0.4"), 7003, "a", vec![]),
                ],
            ),
            range(8192, 8192, vec![node(bulk(""), 7001, "b", vec![])]),
            range(8193, 8193, vec![node(Value::Nil, 7001, "b", vec![])]),
            range(
                8194,
                8194,
                vec![node(
                    bulk("?"),
                    7002,
                    "d",
                    vec![bulk("ip"), bulk("10.0.0.3")],
                )],
            ),
        ]);
        let map = read(&reply, &address("asked", 1)).expect("a map");
        let owner = |slot| map.owner(slot).map(ToString::to_string);
        assert_eq!(owner(0).as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(owner(8191).as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(owner(8192).as_deref(), Some("asked:7001"));
        assert_eq!(owner(8193).as_deref(), Some("asked:7001"));
        assert_eq!(owner(8194).as_deref(), Some("10.0.0.3:7002"));
        assert_eq!(owner(8195), None);
        assert_eq!(map.id(), Some("a"), "a replica's counts too");
        assert_eq!(map.masters().len(), 3);
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let asked = address("asked", 1);
        for reply in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(-1, 0, vec![])]),
            Value::Array(vec![range(0, 16_384, vec![])]),
            Value::Array(vec![range(0, i64::MAX, vec![])]),
            Value::Array(vec![range(i64::MIN, 0, vec![])]),
            Value::Array(vec![range(2, 1, vec![])]),
        ] {
            assert!(read(&reply, &asked).is_err(), "{reply:?}");
        }
        let nothing = read(&Value::Array(vec![]), &asked).expect("no slots");
        assert!(nothing.is_empty() && nothing.owner(0).is_none());
    }

    #[test]
    fn a_map_with_a_slot_twice_or_with_masters_without_end_is_refused() {
        let asked = address("asked", 1);
        let whole = || range(0, 16_383, vec![node(bulk("a"), 1, "a", vec![])]);
        assert!(read(&Value::Array(vec![whole()]), &asked).is_ok());
        assert!(read(&Value::Array(vec![whole(), whole()]), &asked).is_err());
        let each = |count: i64| {
            let one = |slot| range(slot, slot, vec![node(bulk("a"), slot + 1, "a", vec![])]);
            Value::Array((0..count).map(one).collect())
        };
        let mut full = read(&each(1024), &asked).expect("as many as there may be");
        assert!(read(&each(1025), &asked).is_err());
        full.moved(0, address("b", 1));
        assert_eq!(full.masters().len(), 1024);
    }

    #[test]
    fn a_place_that_no_name_can_be_or_that_shows_a_secret_is_none() {
        let mut config =
            crate::instances::redis::Config::new(crate::instances::redis::Endpoint::Cluster {
                nodes: vec![],
            });
        config.password = Some(String::from("hunter2").into());
        let redactor = Redactor::new(&config);
        for host in ["hunter2", "a hunter2.b", "a b", "a\nb", &"a".repeat(256)] {
            let nodes = vec![node(bulk(host), 1, "a", vec![])];
            let reply = Value::Array(vec![range(0, 0, nodes)]);
            let map = Map::read(&reply, &address("asked", 1), &redactor);
            assert!(map.expect("a map").is_empty(), "{host}");
        }
    }

    #[test]
    fn a_slot_moves_alone() {
        let nodes = vec![node(bulk("a"), 1, "a", vec![])];
        let reply = Value::Array(vec![range(0, 2, nodes)]);
        let mut map = read(&reply, &address("asked", 1)).expect("a map");
        map.moved(1, address("b", 2));
        let owners: Vec<_> = (0..3)
            .map(|slot| map.owner(slot).expect("owned").to_string())
            .collect();
        assert_eq!(owners, ["a:1", "b:2", "a:1"]);
    }

    #[test]
    fn a_redirect_says_where_to() {
        let read = |code: &str, message: &str| {
            let cause = Cause::Refused {
                code: code.into(),
                message: message.into(),
            };
            Redirect::read(&cause, &address("asked", 1))
        };
        let slot = 3999;
        let to = address("10.0.0.1", 7000);
        assert_eq!(
            read("MOVED", "MOVED 3999 10.0.0.1:7000"),
            Some(Redirect::Moved { slot, to })
        );
        let to = address("::1", 7000);
        assert_eq!(read("ASK", "ASK 3999 ::1:7000"), Some(Redirect::Ask { to }));
        let to = address("asked", 7000);
        assert_eq!(
            read("MOVED", "MOVED 3999 :7000"),
            Some(Redirect::Moved { slot, to })
        );
        assert_eq!(read("ERR", "ERR 1 a:1"), None);
        assert_eq!(read("MOVED", "MOVED 3999 ?:7000"), None);
        assert_eq!(read("MOVED", "MOVED nowhere"), None);
        assert_eq!(read("MOVED", "MOVED 16384 a:1"), None);
        for absurd in [
            "9223372036854775808 a:1",
            "-1 a:1",
            "1 a:65536",
            "1 a\u{7}:1",
            "1 …:1",
        ] {
            assert_eq!(read("MOVED", &format!("MOVED {absurd}")), None);
        }
        let long = format!("ASK 1 {}:1", "a".repeat(256));
        assert_eq!(read("ASK", &long), None);
    }
}
