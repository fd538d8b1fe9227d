//! A cluster's map of its slots.

use std::rc::Rc;

use bolero::{TypeGenerator, check};

use super::frames::{replies_in, weight};
use super::pieces::{Piece, join};
use super::sample_reply::{SampleReply, bulk};
use super::secrets::{PASSWORD, PASSWORDS, asked, redactor, shows_no_address, shows_none};
use crate::instances::redis::cluster::{Slot, SlotMap};
use crate::instances::redis::config::Address;
use crate::instances::redis::protocol::value::is_host;

pub(super) const SLOTS: u16 = 16_384;

/// More masters than that are no cluster.
const MOST_MASTERS: usize = 1024;

pub(super) fn numbered(slot: u16) -> Slot {
    Slot::numbered(slot).expect("one of them")
}

/// And none that can't be dialled. One that repeats a secret is not shown.
fn a_map_has_owners_that_it_names(bytes: &[u8]) {
    let redactor = redactor();
    for reply in replies_in(bytes) {
        let mut map = match SlotMap::read(&reply, &asked(), &redactor) {
            Ok(map) => map,
            Err(cause) => {
                shows_none(PASSWORDS, &cause);
                continue;
            }
        };
        assert!(map.masters().len() <= weight(&reply).min(MOST_MASTERS));
        assert_eq!(map.is_empty(), map.masters().is_empty());
        for slot in (0..SLOTS).map(numbered) {
            if let Some(owner) = map.owner(slot) {
                assert!(map.masters().contains(owner));
            }
        }
        for master in map.masters() {
            assert!(is_host(&master.host), "{master}");
            shows_no_address(master);
        }
        assert_eq!(Slot::numbered(SLOTS), None);
        if map.masters().len() == MOST_MASTERS {
            continue;
        }
        let before = map.clone();
        let last = numbered(SLOTS - 1);
        map.moved(last, asked());
        assert_eq!(map.owner(last).map(|owner| &**owner), Some(&asked()));
        let mut others = (0..SLOTS - 1).map(numbered);
        assert!(others.all(|slot| map.owner(slot) == before.owner(slot)));
    }
}

const SLOT_WORDS: [&str; 16] = [
    "*1\r\n*3\r\n:0\r\n:5\r\n*3\r\n$1\r\na\r\n:7000\r\n$2\r\nid\r\n",
    "*2\r\n",
    "*3\r\n",
    "*4\r\n",
    ":0\r\n",
    ":16383\r\n",
    ":16384\r\n",
    ":7000\r\n",
    "$1\r\na\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "$1\r\n?\r\n",
    "$3\r\na b\r\n",
    "$12\r\nhunter2-pass\r\n",
    "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.3\r\n",
    "$2\r\nid\r\n",
];

#[test]
fn slots() {
    check!(name = "slots").for_each(a_map_has_owners_that_it_names);
}

#[test]
fn slots_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_map_has_owners_that_it_names(&join(pieces, &SLOT_WORDS)));
}

/// Where a node may say that it is.
#[derive(Clone, Copy, Debug, TypeGenerator)]
pub(super) enum Host {
    Named(u8),
    Nameless,
    Empty,
    Unknown,
    UnknownButForItsIp(u8),
    /// None that can be dialled.
    Absurd,
    /// A server that says what it was sent.
    Secret,
}

impl Host {
    pub(super) fn reply(self) -> SampleReply {
        match self {
            Self::Named(name) => bulk(&format!("node-{name}")),
            Self::Nameless => SampleReply::Nil,
            Self::Empty => bulk(""),
            Self::Unknown | Self::UnknownButForItsIp(_) => bulk("?"),
            Self::Absurd => bulk("a b"),
            Self::Secret => bulk(&format!("x.{PASSWORD}")),
        }
    }

    fn details(self) -> SampleReply {
        match self {
            Self::UnknownButForItsIp(last) => {
                SampleReply::Array(vec![bulk("ip"), bulk(&format!("10.0.0.{last}"))])
            }
            _ => SampleReply::Array(Vec::new()),
        }
    }

    pub(super) fn meant(self) -> Option<String> {
        match self {
            Self::Named(name) => Some(format!("node-{name}")),
            Self::Nameless | Self::Empty => Some(asked().host),
            Self::Unknown | Self::Absurd => None,
            Self::Secret => Some(format!("x.{PASSWORD}")),
            Self::UnknownButForItsIp(last) => Some(format!("10.0.0.{last}")),
        }
    }
}

/// Some slots of one master.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Range {
    first: u16,
    length: u16,
    shift: u8,
    host: Host,
    port: u16,
    id: u8,
}

impl Range {
    fn first(self) -> u16 {
        self.first % SLOTS
    }

    /// Beyond the last slot, or before the first of its own, if it is no range.
    fn last(self) -> i64 {
        let length = self.length >> (3 + self.shift % 13);
        i64::from(self.first()) + i64::from(length) - 1
    }

    fn slots(self) -> i64 {
        self.last() - i64::from(self.first()) + 1
    }

    pub(super) fn reply(self) -> SampleReply {
        let node = vec![
            self.host.reply(),
            SampleReply::Int(self.port.into()),
            bulk(&self.id()),
            self.host.details(),
        ];
        SampleReply::Array(vec![
            SampleReply::Int(self.first().into()),
            SampleReply::Int(self.last()),
            SampleReply::Array(node),
        ])
    }

    fn id(self) -> String {
        format!("{:02x}", self.id)
    }

    fn has(self, slot: u16) -> bool {
        (i64::from(self.first())..=self.last()).contains(&slot.into())
    }
}

#[test]
fn the_last_range_with_a_place_has_a_slot() {
    let redactor = redactor();
    check!().with_type::<Vec<Range>>().for_each(|ranges| {
        let reply = SampleReply::Array(ranges.iter().map(|range| range.reply()).collect()).value();
        let map = SlotMap::read(&reply, &asked(), &redactor);
        let is_map = ranges
            .iter()
            .all(|range| range.slots() > 0 && range.last() < SLOTS.into())
            && ranges.iter().map(|range| range.slots()).sum::<i64>() <= SLOTS.into();
        assert_eq!(map.is_ok(), is_map);
        let Ok(map) = map else {
            return;
        };
        assert_eq!(
            map.id().map(str::to_owned),
            ranges.iter().map(|range| range.id()).min()
        );
        let edges = ranges
            .iter()
            .flat_map(|range| [range.first(), u16::try_from(range.last()).expect("a slot")]);
        for slot in edges.chain([0, SLOTS - 1]) {
            let expected = ranges.iter().rev().find_map(|range| {
                let host = range.host.meant()?;
                range.has(slot).then_some(Address {
                    host,
                    port: range.port,
                })
            });
            let owner = map.owner(numbered(slot)).map(Rc::as_ref);
            assert_eq!(owner, expected.as_ref(), "slot {slot}");
        }
    });
}
