//! The slots of a cluster: which one a key is in, and which node has it.

use std::fmt;
use std::rc::Rc;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use crate::engine::Cause;
use crate::instances::redis::config::Address;
use crate::instances::redis::protocol::value::{is_host, text, unexpected};
use crate::instances::redis::redact::Redactor;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// How many there are.
const COUNT: u16 = 16_384;

/// More masters than that are no cluster: Redis recommends at most 1000 nodes.
const MOST_MASTERS: usize = 1024;

/// A slot's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u16);

impl Slot {
    /// The slot of this number, if there is one.
    pub(crate) fn numbered(number: u16) -> Option<Self> {
        (number < COUNT).then_some(Self(number))
    }

    /// The slot of a key: what stands between the first `{` and the next `}` counts,
    /// if there is anything, and else the whole key.
    pub(super) fn of(key: &[u8]) -> Self {
        let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
            let rest = &key[open + 1..];
            let close = rest.iter().position(|byte| *byte == b'}')?;
            (close > 0).then(|| &rest[..close])
        });
        Self(CRC.checksum(tag.unwrap_or(key)) % COUNT)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which master has which slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    masters: Vec<Rc<Address>>,
    /// By slot.
    owners: Vec<Option<MasterIndex>>,
    /// The least of all the nodes' ids, replicas' too, so that it outlives a
    /// failover.
    id: Option<Box<str>>,
}

/// Which of a map's masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MasterIndex(u16);

impl SlotMap {
    /// Reads the reply to CLUSTER SLOTS of the node at `asked`. The addresses may repeat a
    /// secret, and are shown as [`Redactor::named`] has them.
    ///
    /// # Errors
    ///
    /// The node's own error, or [`Cause::Unexpected`] if it is no such reply.
    pub(crate) fn read(reply: &Value, asked: &Address, redactor: &Redactor) -> Result<Self, Cause> {
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
            let Some(master) = master else {
                continue;
            };
            let Some(owner) = map.index_of(master) else {
                return Err(unexpected(reply));
            };
            for slot in first..=last {
                map.set(Slot(slot), owner);
            }
        }
        Ok(map)
    }

    /// Whether no slot has a master.
    pub(crate) fn is_empty(&self) -> bool {
        self.masters.is_empty()
    }

    /// What tells one cluster from another.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The masters, each once.
    pub(crate) fn masters(&self) -> &[Rc<Address>] {
        &self.masters
    }

    /// The master that has `slot`.
    pub(crate) fn owner(&self, slot: Slot) -> Option<&Rc<Address>> {
        let MasterIndex(index) = self.owners.get(usize::from(slot.0)).copied().flatten()?;
        self.masters.get(usize::from(index))
    }

    /// `slot` has moved to `master`. Of a cluster that is full of masters that
    /// it names, the next map must say so.
    pub(crate) fn moved(&mut self, slot: Slot, master: Address) {
        if let Some(owner) = self.index_of(master) {
            self.set(slot, owner);
        }
    }

    fn index_of(&mut self, master: Address) -> Option<MasterIndex> {
        let known = self.masters.iter().position(|known| **known == master);
        let index = known.unwrap_or(self.masters.len());
        if index >= MOST_MASTERS {
            return None;
        }
        if known.is_none() {
            self.masters.push(Rc::new(master));
        }
        u16::try_from(index).ok().map(MasterIndex)
    }

    fn set(&mut self, slot: Slot, owner: MasterIndex) {
        self.owners.resize(usize::from(COUNT), None);
        self.owners[usize::from(slot.0)] = Some(owner);
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

    fn read(reply: &Value, asked: &Address) -> Result<SlotMap, Cause> {
        SlotMap::read(reply, asked, &Redactor::default())
    }

    #[test]
    fn a_slot_is_the_keys_checksum() {
        assert_eq!(Slot::of(b"123456789").0, 0x31C3);
        assert_eq!(Slot::of(b"foo").0, 12_182);
        assert_eq!(Slot::of(b"").0, 0);
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
            assert_eq!(Slot::of(key.as_bytes()).0, whole, "{key}");
        }
        for key in ["foo{}{bar}", "{}", "a{", "a{b", "a}b{"] {
            let whole = CRC.checksum(key.as_bytes()) % COUNT;
            assert_eq!(Slot::of(key.as_bytes()).0, whole, "{key}");
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
        let owner = |slot| map.owner(Slot(slot)).map(ToString::to_string);
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
        assert!(nothing.is_empty() && nothing.owner(Slot(0)).is_none());
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
        full.moved(Slot(0), address("b", 1));
        assert_eq!(full.masters().len(), 1024);
    }

    #[test]
    fn a_place_that_no_name_can_be_is_none() {
        for host in ["a b", "a\nb", &"a".repeat(256)] {
            let nodes = vec![node(bulk(host), 1, "a", vec![])];
            let reply = Value::Array(vec![range(0, 0, nodes)]);
            let map = read(&reply, &address("asked", 1));
            assert!(map.expect("a map").is_empty(), "{host}");
        }
    }

    #[test]
    fn a_slot_moves_alone() {
        let nodes = vec![node(bulk("a"), 1, "a", vec![])];
        let reply = Value::Array(vec![range(0, 2, nodes)]);
        let mut map = read(&reply, &address("asked", 1)).expect("a map");
        map.moved(Slot(1), address("b", 2));
        let owners: Vec<_> = (0..3)
            .map(|slot| map.owner(Slot(slot)).expect("owned").to_string())
            .collect();
        assert_eq!(owners, ["a:1", "b:2", "a:1"]);
    }
}
