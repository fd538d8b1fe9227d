//! What a node answers for a key that it doesn't have: MOVED and ASK. They
//! are followed in `routing.rs`.

use super::slots::Slot;
use crate::engine::Cause;
use crate::instances::redis::config::Address;
use crate::instances::redis::protocol::value::is_host;

/// A node's answer that another one is to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// From now on.
    Moved {
        /// For the keys of this slot.
        slot: Slot,
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
    pub(crate) fn read(cause: &Cause, asked: &Address) -> Option<Self> {
        let Cause::Refused { code, message } = cause else {
            return None;
        };
        // One that a script has had doesn't lead elsewhere: some of it may have been
        // carried out.
        let mut words = message.strip_prefix(&**code)?.strip_prefix(' ')?.split(' ');
        let slot = words.next()?.parse().ok().and_then(Slot::numbered)?;
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

    #[test]
    fn a_redirect_says_where_to() {
        let read = |code: &str, message: &str| {
            let cause = Cause::Refused {
                code: code.into(),
                message: message.into(),
            };
            Redirect::read(&cause, &address("asked", 1))
        };
        let slot = Slot::numbered(3999).expect("one of them");
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
