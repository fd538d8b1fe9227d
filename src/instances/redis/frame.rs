//! Finds replies in what a server sent. The redis crate parses a reply that is
//! complete; where one ends, and the three shapes that nearly all answers to a
//! lock's commands have, are read here.

use redis::Value;

/// The first reply in `bytes` and its length, or `None` while it is incomplete.
///
/// # Errors
///
/// When `bytes` cannot be the beginning of a reply.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Value, usize)>, NotARedisReply> {
    match bytes {
        [b'+', b'O', b'K', b'\r', b'\n', ..] => return Ok(Some((Value::Okay, 5))),
        [b'$', b'-', b'1', b'\r', b'\n', ..] => return Ok(Some((Value::Nil, 5))),
        [b':', digit @ b'0'..=b'9', b'\r', b'\n', ..] => {
            return Ok(Some((Value::Int(i64::from(digit - b'0')), 4)));
        }
        _ => {}
    }
    let Some(end) = end(bytes, 0)? else {
        return Ok(None);
    };
    match redis::parse_redis_value(&bytes[..end]) {
        Ok(value) => Ok(Some((value, end))),
        Err(_) => Err(NotARedisReply),
    }
}

/// Bytes that no Redis server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotARedisReply;

/// The longest reply anybody needs here; more is not a lock server talking.
const LONGEST: usize = 16 * 1024 * 1024;

/// Nested no deeper than any reply to a command of ours.
const DEEPEST: usize = 8;

/// Where the first reply in `bytes` ends.
fn end(bytes: &[u8], depth: usize) -> Result<Option<usize>, NotARedisReply> {
    if bytes.len() > LONGEST || depth > DEEPEST {
        return Err(NotARedisReply);
    }
    let Some(kind) = bytes.first() else {
        return Ok(None);
    };
    if !b"+-:$*".contains(kind) {
        return Err(NotARedisReply);
    }
    let Some(line) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let after = line + 1;
    if line < 2 || bytes[line - 1] != b'\r' {
        return Err(NotARedisReply);
    }
    if b"+-:".contains(kind) {
        return Ok(Some(after));
    }
    let length: i64 = std::str::from_utf8(&bytes[1..line - 1])
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(NotARedisReply)?;
    let Ok(length) = usize::try_from(length) else {
        return Ok(Some(after));
    };
    if length > LONGEST {
        return Err(NotARedisReply);
    }
    if *kind == b'$' {
        let end = after + length + 2;
        return Ok((bytes.len() >= end).then_some(end));
    }
    let mut at = after;
    for _ in 0..length {
        match end(&bytes[at..], depth + 1)? {
            Some(length) => at += length,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_reply_is_incomplete_and_the_whole_is_parsed() {
        let replies: [(&[u8], Value); 6] = [
            (b"+OK\r\n", Value::Okay),
            (b"$-1\r\n", Value::Nil),
            (b":1\r\n", Value::Int(1)),
            (b":-12\r\n", Value::Int(-12)),
            (b"$3\r\na\nb\r\n", Value::BulkString(b"a\nb".to_vec())),
            (
                b"*2\r\n:1\r\n$-1\r\n",
                Value::Array(vec![Value::Int(1), Value::Nil]),
            ),
        ];
        for (bytes, value) in replies {
            for cut in 0..bytes.len() {
                assert_eq!(first(&bytes[..cut]), Ok(None), "{bytes:?} cut at {cut}");
            }
            assert_eq!(first(bytes), Ok(Some((value, bytes.len()))));
        }
    }

    #[test]
    fn a_server_that_speaks_something_else_is_noticed() {
        assert_eq!(first(b"HTTP/1.1 400 Bad Request\r\n"), Err(NotARedisReply));
        assert_eq!(first(b"$abc\r\n"), Err(NotARedisReply));
        assert_eq!(first(b"$99999999999\r\n"), Err(NotARedisReply));
        assert_eq!(first(&b"*1\r\n".repeat(20)), Err(NotARedisReply));
    }
}
