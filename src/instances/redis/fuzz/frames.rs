//! A stream of replies, however it is cut.

use bolero::check;
use bolero::generator::produce;
use redis::Value;

use super::pieces::{Piece, join};
use super::sample_reply::SampleReply;
use crate::instances::redis::protocol::frame::{Replies, Unreadable};

const REPLY_WORDS: [&str; 20] = [
    "+OK\r\n",
    "$-1\r\n",
    "*-1\r\n",
    ":1\r\n",
    "*",
    "$",
    ":",
    "+",
    "-",
    "\r\n",
    "*0\r\n",
    "*1\r\n",
    "*2\r\n",
    "*3\r\n",
    "$1\r\n",
    "$0\r\n\r\n",
    "-MOVED 3999 127.0.0.1:6381\r\n",
    "-NOSCRIPT No matching script.\r\n",
    "16777217",
    "99999999999999999999",
];

/// How long a reply may be, unless that is what matters.
const MOST: usize = 1024 * 1024;

/// What a link makes of a stream that comes in these chunks: the replies, and
/// what is left, in bytes, or what makes it unreadable.
fn read<'stream>(
    chunks: impl IntoIterator<Item = &'stream [u8]>,
    most: usize,
) -> (Vec<Value>, Result<usize, Unreadable>) {
    read_by(Replies::default(), chunks, most)
}

/// The same of a stream of this version of the protocol.
pub(super) fn read_by<'stream>(
    mut replies: Replies,
    chunks: impl IntoIterator<Item = &'stream [u8]>,
    most: usize,
) -> (Vec<Value>, Result<usize, Unreadable>) {
    let mut read = Vec::new();
    let (mut sent, mut taken, mut reads) = (Vec::new(), 0, 0);
    let mut end = Ok(());
    for chunk in chunks {
        replies.room().extend_from_slice(chunk);
        sent.extend_from_slice(chunk);
        reads += 1;
        end = loop {
            match replies.next(most) {
                Ok(Some(reply)) => {
                    let bytes = &sent[taken..sent.len() - replies.waiting()];
                    assert!((1..=most).contains(&bytes.len()));
                    assert!(weight(&reply) <= bytes.len(), "more than was sent");
                    assert_eq!(Some(&reply), parsed_at_once(bytes).as_ref());
                    taken += bytes.len();
                    read.push(reply);
                }
                Ok(None) => break Ok(()),
                Err(unreadable) => break Err(unreadable),
            }
        };
        if end.is_err() {
            break;
        }
        assert!(replies.waiting() <= most, "more is kept than is wanted");
    }
    // A string is skipped, but it is seen at each read that it isn't complete.
    let looked_at = replies.looked_at();
    assert!(looked_at <= sent.len() + reads, "{looked_at} in {reads}");
    let room = replies.room().capacity();
    assert!(
        room <= 2 * sent.len() + 64 * 1024,
        "room for what was only announced"
    );
    (read, end.map(|()| replies.waiting()))
}

/// What the redis crate makes of it, a cut character in an error apart.
fn parsed_at_once(reply: &[u8]) -> Option<Value> {
    if reply.starts_with(b"-") {
        let mended = String::from_utf8_lossy(reply);
        return redis::parse_redis_value(mended.as_bytes()).ok();
    }
    redis::parse_redis_value(reply).ok()
}

/// The replies that all of these bytes begin with.
pub(super) fn replies_in(bytes: &[u8]) -> Vec<Value> {
    read([bytes], MOST).0
}

/// How many bytes it must have come in at least.
pub(super) fn weight(reply: &Value) -> usize {
    match reply {
        Value::Array(parts) | Value::Set(parts) | Value::Push { data: parts, .. } => {
            1 + parts.iter().map(weight).sum::<usize>()
        }
        Value::Map(parts) => {
            let each = |(name, value): &(Value, Value)| weight(name) + weight(value);
            1 + parts.iter().map(each).sum::<usize>()
        }
        Value::BulkString(bytes) => 1 + bytes.len(),
        Value::SimpleString(text) => 1 + text.len(),
        _ => 1,
    }
}

/// However a stream is cut, the same comes of it.
fn a_stream_is_its_bytes(bytes: &[u8]) {
    a_stream_by_it_is_its_bytes(bytes, Replies::default);
}

/// The same by either version of the protocol.
pub(super) fn a_stream_by_it_is_its_bytes(bytes: &[u8], version: fn() -> Replies) {
    for most in [MOST, 64] {
        let read = |chunks: &[&[u8]]| read_by(version(), chunks.iter().copied(), most);
        let whole = read(&[bytes]);
        // Byte by byte, as long as that takes no time.
        let drip = bytes.len() / 1024 + 1;
        let chunks: Vec<_> = bytes.chunks(drip).collect();
        assert_eq!(whole, read(&chunks), "{drip} at a time");
        let step = bytes.len() / 32 + 1;
        for cut in (0..bytes.len()).step_by(step) {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(whole, read(&[one, other]), "cut at {cut}");
        }
    }
}

#[test]
fn frame() {
    check!(name = "frame").for_each(a_stream_is_its_bytes);
}

#[test]
fn frame_of_pieces() {
    check!()
        .with_type::<Vec<Piece>>()
        .for_each(|pieces| a_stream_is_its_bytes(&join(pieces, &REPLY_WORDS)));
}

/// Wherever it is cut, into however many chunks, and however long a reply may be.
#[test]
fn frame_of_chunks() {
    check!()
        .with_type::<(Vec<Piece>, Vec<u8>, u8)>()
        .for_each(|(pieces, lengths, most)| {
            let bytes = join(pieces, &REPLY_WORDS);
            let most = usize::from(*most) + 5;
            let mut rest = &bytes[..];
            let mut chunks = Vec::new();
            for length in lengths {
                let (chunk, after) = rest.split_at(rest.len().min(usize::from(*length)));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            assert_eq!(read(chunks, most), read([&bytes[..]], most));
        });
}

#[test]
fn a_rendered_reply_is_read_back() {
    let several = produce::<Vec<SampleReply>>().with().len(0_usize..5);
    check!()
        .with_generator(several)
        .with_max_depth(4)
        .for_each(|told| {
            let mut bytes = Vec::new();
            for reply in told {
                reply.render(&mut bytes);
            }
            let values: Vec<_> = told.iter().map(SampleReply::value).collect();
            assert_eq!(read([&bytes[..]], MOST), (values, Ok(0)));
            a_stream_is_its_bytes(&bytes);
        });
}

/// Servers cut what they repeat, perhaps within a character.
#[test]
fn an_error_is_one_whatever_its_bytes() {
    check!().with_type::<Vec<u8>>().for_each(|bytes| {
        let mut error = b"-".to_vec();
        error.extend(bytes.iter().filter(|byte| !b"\r\n".contains(byte)));
        error.extend(b"\r\n");
        assert!(matches!(&replies_in(&error)[..], [Value::ServerError(_)]));
    });
}
