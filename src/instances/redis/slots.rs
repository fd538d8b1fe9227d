//! The slots of a cluster: which one a key is in, and which node has it.

use std::rc::Rc;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use super::command::{refused, unexpected};
use super::config::Address;
use crate::engine::Cause;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// How many there are.
const COUNT: u16 = 16_384;

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
    /// Reads the reply to CLUSTER SLOTS of the node at `asked`.
    ///
    /// # Errors
    ///
    /// The node's own error, or [`Cause::Unexpected`] if it is no such reply.
    pub(super) fn read(reply: &Value, asked: &Address) -> Result<Self, Cause> {
        let ranges = match reply {
            Value::Array(ranges) => ranges,
            Value::ServerError(error) => return Err(refused(error, &[])),
            other => return Err(unexpected(other)),
        };
        let mut map = Self::default();
        for range in ranges {
            let Value::Array(parts) = range else {
                return Err(unexpected(range));
            };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = &parts[..] else {
                return Err(unexpected(range));
            };
            let slots = u16::try_from(*first).ok().zip(u16::try_from(*last).ok());
            let Some((first, last)) = slots.filter(|(_, last)| *last < COUNT) else {
                return Err(unexpected(range));
            };
            for id in nodes.iter().filter_map(node_id) {
                if map.id.as_deref().is_none_or(|least| id < least) {
                    map.id = Some(id.into());
                }
            }
            let Some(master) = nodes.first().and_then(|node| node_address(node, asked)) else {
                continue;
            };
            let owner = map.place(master);
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

    /// `slot` has moved to `master`.
    pub(super) fn moved(&mut self, slot: u16, master: Address) {
        let owner = self.place(master);
        self.set(slot, owner);
    }

    fn place(&mut self, master: Address) -> usize {
        let known = self.masters.iter().position(|known| **known == master);
        known.unwrap_or_else(|| {
            self.masters.push(Rc::new(master));
            self.masters.len() - 1
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
    Some(Address {
        host: host.to_owned(),
        port: u16::try_from(*port).ok()?,
    })
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
        let mut words = message.split(' ').skip(1);
        let slot = words.next()?.parse().ok().filter(|slot| *slot < COUNT)?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = match host {
            "" => &asked.host,
            // It is to be called by a name that it doesn't have yet; a map says more.
            "?" => return None,
            host => host,
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
        let map = Map::read(&reply, &address("asked", 1)).expect("a map");
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
        ] {
            assert!(Map::read(&reply, &asked).is_err(), "{reply:?}");
        }
        let nothing = Map::read(&Value::Array(vec![]), &asked).expect("no slots");
        assert!(nothing.is_empty() && nothing.owner(0).is_none());
    }

    #[test]
    fn a_slot_moves_alone() {
        let nodes = vec![node(bulk("a"), 1, "a", vec![])];
        let reply = Value::Array(vec![range(0, 2, nodes)]);
        let mut map = Map::read(&reply, &address("asked", 1)).expect("a map");
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
    }
}
