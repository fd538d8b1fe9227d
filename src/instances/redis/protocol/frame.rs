//! Finds replies in what a server sent. The redis crate parses a reply that is
//! complete; where one ends, and the shapes that nearly all answers to a lock's
//! commands have, are read here.
//!
//! Each byte is looked at once, however slowly a reply arrives, and nothing is
//! allocated because a server announces that much is to come.

use std::rc::Rc;

use redis::Value;

use crate::engine::Cause;

/// What a server has sent and nobody has taken yet.
///
/// On connections that ask for votes it is the protocol's version 2: what only version 3 has,
/// as a message that nobody asked for, is none of theirs.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    bytes: Vec<u8>,
    /// Where the first reply begins that was not taken.
    start: usize,
    scan: Scan,
}

/// Why bytes can't be the beginning of a reply that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// No Redis server sends them.
    NotRedis,
    /// It is longer, or has more parts, than any that is wanted.
    TooLong,
}

/// A buffer that a burst has blown up beyond this is given back.
const LARGEST_KEPT: usize = 256 * 1024;
const READ_AT_ONCE: usize = 16 * 1024;

impl Replies {
    /// Of a connection that has switched to version 3 of the protocol.
    pub(crate) fn of_version_3() -> Self {
        Self {
            scan: Scan {
                is_version_3: true,
                ..Scan::default()
            },
            ..Self::default()
        }
    }

    /// The buffer, with room for what comes next.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.bytes.shrink_to(LARGEST_KEPT);
            self.start = 0;
        }
        self.bytes.reserve(READ_AT_ONCE);
        &mut self.bytes
    }

    /// How many bytes wait, a part of a reply included.
    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Takes the first reply, which may be `most` bytes long; `None` while it is
    /// incomplete.
    ///
    /// # Errors
    ///
    /// When the bytes can't be the beginning of such a reply. There is no next one then.
    pub(crate) fn next(&mut self, most: usize) -> Result<Option<Value>, Unreadable> {
        if let Some(value) = self.next_usual(most) {
            return Ok(Some(value));
        }
        let bytes = &self.bytes[self.start..];
        let Some(end) = self.scan.end(bytes, most)? else {
            return Ok(None);
        };
        let value = parse(&bytes[..end])?;
        self.start += end;
        self.scan = Scan {
            is_version_3: self.scan.is_version_3,
            #[cfg(test)]
            looked_at: self.scan.looked_at,
            ..Scan::default()
        };
        Ok(Some(value))
    }

    /// Takes the first reply if it is one of the shapes that nearly all have, none of which
    /// is longer than [`LONGEST_USUAL`].
    #[inline]
    pub(crate) fn next_usual(&mut self, most: usize) -> Option<Value> {
        if self.scan.at > 0 {
            return None;
        }
        let (value, length) = usual(&self.bytes[self.start..])?;
        (length <= most).then(|| {
            self.start += length;
            value
        })
    }

    /// How many bytes have been looked at, all replies together.
    #[cfg(test)]
    pub(crate) fn looked_at(&self) -> usize {
        self.scan.looked_at
    }
}

/// In bytes: a string of two digits' length, with those.
pub(crate) const LONGEST_USUAL: usize = b"$99\r\n".len() + 99 + b"\r\n".len();

/// The shapes that nearly all replies have.
fn usual(bytes: &[u8]) -> Option<(Value, usize)> {
    match bytes {
        [b'+', b'O', b'K', b'\r', b'\n', ..] => Some((Value::Okay, 5)),
        [b'$', b'-', b'1', b'\r', b'\n', ..] => Some((Value::Nil, 5)),
        [b':', digit @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((Value::Int(i64::from(digit - b'0')), 4))
        }
        [
            b'$',
            tens @ b'1'..=b'9',
            ones @ b'0'..=b'9',
            b'\r',
            b'\n',
            rest @ ..,
        ] => short_string(
            rest,
            usize::from(tens - b'0') * 10 + usize::from(ones - b'0'),
            5,
        ),
        [b'$', ones @ b'1'..=b'9', b'\r', b'\n', rest @ ..] => {
            short_string(rest, usize::from(ones - b'0'), 4)
        }
        _ => None,
    }
}

/// One of this length, if `bytes` have all of it; what announces it is `head` bytes long.
fn short_string(bytes: &[u8], length: usize, head: usize) -> Option<(Value, usize)> {
    let (string, rest) = bytes.split_at_checked(length)?;
    let is_whole = rest.starts_with(b"\r\n");
    is_whole.then(|| (Value::BulkString(string.to_vec()), head + length + 2))
}

/// A reply that is complete, and all of it `bytes`.
fn parse(bytes: &[u8]) -> Result<Value, Unreadable> {
    // Servers cut what they repeat in an error, perhaps in the middle of a character.
    let mended = match bytes {
        [b'-', ..] => String::from_utf8_lossy(bytes),
        _ => return redis::parse_redis_value(bytes).map_err(|_| Unreadable::NotRedis),
    };
    redis::parse_redis_value(mended.as_bytes()).map_err(|_| Unreadable::NotRedis)
}

impl From<Unreadable> for Cause {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unexpected {
            what: Rc::from(match unreadable {
                Unreadable::NotRedis => "bytes that are not the Redis protocol",
                Unreadable::TooLong => "a reply that is too long for any",
            }),
        }
    }
}

/// What version 3 of the protocol has beside version 2, as far as servers answer with it:
/// messages, maps, sets, nulls, doubles, booleans, big numbers and texts.
const VERSION_3: &[u8] = b">%~_,#(=";

/// The longest line: an error, or the length of what follows it.
const LONGEST_LINE: usize = 64 * 1024;

/// Nested no deeper than any reply to a command of ours.
const DEEPEST: usize = 8;

/// The parts of all arrays of one reply. The map of a cluster whose every slot
/// is a range of its own has as many.
const MOST_PARTS: usize = 1 << 19;

/// How far the first reply has been looked at.
#[derive(Debug, Default)]
struct Scan {
    is_version_3: bool,
    /// Up to here.
    at: usize,
    /// Where the line begins that is being looked at.
    line: usize,
    /// Where the string that is being skipped ends, with its line break.
    string: Option<usize>,
    /// How many parts are still to come of each array that is open.
    open: [usize; DEEPEST],
    /// How many arrays are.
    depth: usize,
    /// How many parts all arrays have announced.
    parts: usize,
    /// What it has cost, all replies together.
    #[cfg(test)]
    looked_at: usize,
}

impl Scan {
    /// Where the reply ends that `bytes` begin with; they have grown since it was
    /// asked before.
    fn end(&mut self, bytes: &[u8], most: usize) -> Result<Option<usize>, Unreadable> {
        loop {
            let Some(is_whole) = self.part(bytes, most)? else {
                return Ok(None);
            };
            if is_whole && self.close() {
                return Ok(Some(self.at));
            }
        }
    }

    /// Looks at the next line, or skips the next string. Returns whether a part
    /// ends with it; `None` while it is incomplete.
    fn part(&mut self, bytes: &[u8], most: usize) -> Result<Option<bool>, Unreadable> {
        if let Some(end) = self.string {
            self.count(1);
            let Some(tail) = bytes.get(end - 2..end) else {
                return Ok(None);
            };
            self.string = None;
            (self.at, self.line) = (end, end);
            return if tail == b"\r\n" {
                Ok(Some(true))
            } else {
                Err(Unreadable::NotRedis)
            };
        }
        let Some(line) = self.line(bytes, most)? else {
            return Ok(None);
        };
        let (kind, rest) = line.split_first().ok_or(Unreadable::NotRedis)?;
        // A line of these is all there is of it. What it says is seen to by who parses it.
        if b"+-_,#(".contains(kind) {
            return Ok(Some(true));
        }
        if *kind == b'>' && self.depth > 0 {
            return Err(Unreadable::NotRedis);
        }
        let number: i64 = str::from_utf8(rest)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(Unreadable::NotRedis)?;
        if *kind == b':' || number == -1 && b"$*".contains(kind) {
            return Ok(Some(true));
        }
        if number < 0 {
            return Err(Unreadable::NotRedis);
        }
        let length = usize::try_from(number).map_err(|_| Unreadable::TooLong)?;
        if length > most {
            return Err(Unreadable::TooLong);
        }
        if b"$=".contains(kind) {
            let end = self.at + length + 2;
            self.string = Some(end);
            return if end > most {
                Err(Unreadable::TooLong)
            } else {
                Ok(Some(false))
            };
        }
        if length == 0 {
            return Ok(Some(true));
        }
        // Of a map each key is a part, and each value.
        let length = if *kind == b'%' { 2 * length } else { length };
        self.parts += length;
        if self.parts > MOST_PARTS || self.depth == DEEPEST {
            return Err(Unreadable::TooLong);
        }
        self.open[self.depth] = length;
        self.depth += 1;
        Ok(Some(false))
    }

    /// The next line without its break, and past it.
    fn line<'bytes>(
        &mut self,
        bytes: &'bytes [u8],
        most: usize,
    ) -> Result<Option<&'bytes [u8]>, Unreadable> {
        let Some(kind) = bytes.get(self.line) else {
            return Ok(None);
        };
        let is_known = b"+-:$*".contains(kind) || self.is_version_3 && VERSION_3.contains(kind);
        if !is_known {
            return Err(Unreadable::NotRedis);
        }
        let rest = &bytes[self.at..];
        let found = rest.iter().position(|byte| *byte == b'\n');
        let looked_at = found.map_or(rest.len(), |place| place + 1);
        self.count(looked_at);
        self.at += looked_at;
        let too_long = self.at - self.line > LONGEST_LINE || self.at > most;
        if too_long {
            return Err(Unreadable::TooLong);
        }
        if found.is_none() {
            return Ok(None);
        }
        let line = &bytes[self.line..self.at - 1];
        self.line = self.at;
        match line.split_last() {
            Some((b'\r', line)) => Ok(Some(line)),
            _ => Err(Unreadable::NotRedis),
        }
    }

    /// A part has ended. Returns whether the whole reply has.
    fn close(&mut self) -> bool {
        while let Some(open) = self.depth.checked_sub(1) {
            self.open[open] -= 1;
            if self.open[open] > 0 {
                return false;
            }
            self.depth = open;
        }
        true
    }

    #[cfg(test)]
    fn count(&mut self, steps: usize) {
        self.looked_at += steps;
    }

    #[cfg(not(test))]
    #[inline]
    fn count(&mut self, _: usize) {
        let _ = self;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 100_000;

    /// All replies in `pieces`, which arrive one after another, and what ends them.
    fn read<'piece>(
        pieces: impl IntoIterator<Item = &'piece [u8]>,
    ) -> (Vec<Value>, Option<Unreadable>, Replies) {
        let mut replies = Replies::default();
        let mut values = Vec::new();
        for piece in pieces {
            replies.room().extend(piece);
            loop {
                match replies.next(MOST) {
                    Ok(Some(value)) => values.push(value),
                    Ok(None) => break,
                    Err(unreadable) => return (values, Some(unreadable), replies),
                }
            }
        }
        (values, None, replies)
    }

    fn read_whole(bytes: &[u8]) -> Result<Option<Value>, Unreadable> {
        let (values, end, _) = read([bytes]);
        end.map_or(Ok(values.into_iter().next()), Err)
    }

    #[test]
    fn every_prefix_of_a_reply_is_incomplete_and_the_whole_is_parsed() {
        let replies: [(&[u8], Value); 9] = [
            (b"+OK\r\n", Value::Okay),
            (b"$-1\r\n", Value::Nil),
            (b"*-1\r\n", Value::Nil),
            (b":1\r\n", Value::Int(1)),
            (b":-12\r\n", Value::Int(-12)),
            (b"$3\r\na\nb\r\n", Value::BulkString(b"a\nb".to_vec())),
            (
                b"$12\r\n01e\r\n01e01e0\r\n",
                Value::BulkString(b"01e\r\n01e01e0".to_vec()),
            ),
            (b"*0\r\n", Value::Array(vec![])),
            (
                b"*2\r\n*2\r\n:1\r\n:2\r\n$-1\r\n",
                Value::Array(vec![
                    Value::Array(vec![Value::Int(1), Value::Int(2)]),
                    Value::Nil,
                ]),
            ),
        ];
        for (bytes, value) in replies {
            for cut in 0..bytes.len() {
                assert_eq!(
                    read_whole(&bytes[..cut]),
                    Ok(None),
                    "{bytes:?} cut at {cut}"
                );
            }
            assert_eq!(read_whole(bytes), Ok(Some(value)));
        }
    }

    #[test]
    fn a_server_that_speaks_something_else_is_noticed() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"$abc\r\n",
            b"$-2\r\n",
            b":\r\n",
            b":99999999999999999999\r\n",
            b"+OK\n",
            b"$1\r\nabc",
            b"%1\r\n",
        ] {
            assert_eq!(read_whole(bytes), Err(Unreadable::NotRedis), "{bytes:?}");
        }
    }

    #[test]
    fn what_version_3_has_is_read_where_it_is_spoken_and_is_not_redis_elsewhere() {
        let text = |text: &str| Value::BulkString(text.into());
        let message = |what| Value::Push {
            kind: redis::PushKind::Invalidate,
            data: vec![what],
        };
        let replies: [(&[u8], Value); 8] = [
            (b"_\r\n", Value::Nil),
            (
                b"*2\r\n_\r\n:-2\r\n",
                Value::Array(vec![Value::Nil, Value::Int(-2)]),
            ),
            (
                b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\na\nb\r\n",
                message(Value::Array(vec![text("a\nb")])),
            ),
            (b">2\r\n$10\r\ninvalidate\r\n_\r\n", message(Value::Nil)),
            (
                b"%2\r\n$5\r\nproto\r\n:3\r\n$1\r\nm\r\n*1\r\n%0\r\n",
                Value::Map(vec![
                    (text("proto"), Value::Int(3)),
                    (text("m"), Value::Array(vec![Value::Map(vec![])])),
                ]),
            ),
            (b"~1\r\n:1\r\n", Value::Set(vec![Value::Int(1)])),
            (b"#t\r\n", Value::Boolean(true)),
            (b",1.5\r\n", Value::Double(1.5)),
        ];
        for (bytes, value) in replies {
            for cut in 0..=bytes.len() {
                let mut replies = Replies::of_version_3();
                replies.room().extend(&bytes[..cut]);
                let whole = (cut == bytes.len()).then(|| value.clone());
                assert_eq!(replies.next(MOST), Ok(whole), "{bytes:?} cut at {cut}");
            }
            assert_eq!(read_whole(bytes), Err(Unreadable::NotRedis), "{bytes:?}");
        }
        let within_a_reply = b"*1\r\n>1\r\n$10\r\ninvalidate\r\n";
        let mut replies = Replies::of_version_3();
        replies.room().extend(within_a_reply);
        assert_eq!(replies.next(MOST), Err(Unreadable::NotRedis));
    }

    #[test]
    fn what_is_too_long_is_refused_as_soon_as_that_is_known() {
        let endless_line = [&b"-"[..], &b"x".repeat(LONGEST_LINE)].concat();
        for bytes in [
            &b"$99999999999\r\n"[..],
            b"$100001\r\n",
            b"*9223372036854775807\r\n",
            b"*100001\r\n",
            &b"*1\r\n".repeat(DEEPEST + 1),
            &endless_line,
        ] {
            assert_eq!(read_whole(bytes), Err(Unreadable::TooLong), "{bytes:?}");
        }
        let string = [&b"$60000\r\n"[..], &b"x".repeat(60_000), b"\r\n"].concat();
        let two = [b"*2\r\n", &string[..], b"$60000\r\n"].concat();
        assert_eq!(read_whole(&two), Err(Unreadable::TooLong));
    }

    #[test]
    fn an_error_that_was_cut_inside_a_character_is_still_one() {
        let read = read_whole(b"-ERR of '\xc3'\r\n").expect("readable");
        let Some(Value::ServerError(error)) = read else {
            panic!("{read:?}");
        };
        assert_eq!(error.code(), "ERR");
    }

    #[test]
    fn a_byte_is_looked_at_once_however_slowly_a_reply_arrives() {
        let strings = b"$5\r\nab\ncd\r\n".repeat(2000);
        let bytes = [
            b"*2000\r\n",
            &strings[..],
            b"-",
            &b"x".repeat(60_000),
            b"\r\n",
        ]
        .concat();
        let (values, end, replies) = read(bytes.chunks(1));
        assert_eq!((values.len(), end), (2, None));
        let looked_at = replies.looked_at();
        // A string's bytes are skipped, but each time one of them arrives it is
        // seen that it is not the last.
        assert!(looked_at <= 2 * bytes.len(), "{looked_at}");
    }

    #[test]
    fn what_is_announced_takes_no_memory() {
        let mut replies = Replies::default();
        replies.room().extend(b"*90000\r\n$90000\r\n");
        assert_eq!(replies.next(MOST), Ok(None));
        assert!(replies.bytes.capacity() <= 2 * READ_AT_ONCE);
    }

    /// Bytes that are replies, nearly are, or aren't.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => prop::sample::select(vec![
                "+OK\r\n", "$-1\r\n", ":0\r\n", ":1\r\n", ":-1\r\n", "*2\r\n", "*1\r\n", "*0\r\n",
                "*-1\r\n", "$0\r\n\r\n", "$3\r\na\r\n\r\n", "$12\r\n01e01e01e01e\r\n", "-ERR no\r\n", "-NOSCRIPT\r\n",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            1 => "[-+:$*\r\n0-9a]{0,6}".prop_map(String::into_bytes),
            1 => vec(any::<u8>(), 0..4),
        ];
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn however_bytes_are_split_they_are_the_same_replies(
            bytes in bytes(),
            cuts in vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (values, end, replies) = read([&bytes[..]]);
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            let (split, split_end, rest) = read(pieces);
            prop_assert_eq!((&split, split_end), (&values, end));
            if end.is_none() {
                prop_assert_eq!(rest.waiting(), replies.waiting());
            }
            let (each, each_end, _) = read(bytes.chunks(1));
            prop_assert_eq!((&each, each_end), (&values, end));
        }
    }
}
