//! The bytes of a command: a number of words, each with its length before it.

use crate::engine::Token;

/// Begins a command of so many words.
pub(super) fn begin(out: &mut Vec<u8>, words: usize) {
    head(out, b'*', words);
}

/// A word in one piece.
pub(super) fn word(out: &mut Vec<u8>, word: &[u8]) {
    joined_word(out, word, &[]);
}

/// A word in two pieces.
#[inline]
pub(super) fn joined_word(out: &mut Vec<u8>, first: &[u8], rest: &[u8]) {
    head(out, b'$', first.len() + rest.len());
    // Few have a prefix.
    if !first.is_empty() {
        out.extend_from_slice(first);
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\r\n");
}

/// A lock's value.
pub(super) fn value_word(out: &mut Vec<u8>, value: &Token) {
    const ROOM: &[u8; 39] = b"$32\r\n                                \r\n";
    if let Some(digits) = value.digits() {
        // Of a length that the compiler knows, which is quicker.
        let mut word = *ROOM;
        word[5..37].copy_from_slice(&digits);
        out.extend_from_slice(&word);
    } else {
        word(out, value.text().as_bytes());
    }
}

/// A word that is a number.
pub(super) fn number_word(out: &mut Vec<u8>, number: u64) {
    let mut room = [0; LONGEST_NUMBER];
    word(out, digits(number, &mut room));
}

#[inline]
fn head(out: &mut Vec<u8>, kind: u8, number: usize) {
    if number < 100 {
        let [tens, ones] = PAIRS[number];
        if number < 10 {
            out.extend_from_slice(&[kind, ones, b'\r', b'\n']);
        } else {
            out.extend_from_slice(&[kind, tens, ones, b'\r', b'\n']);
        }
    } else {
        long_head(out, kind, number);
    }
}

#[cold]
fn long_head(out: &mut Vec<u8>, kind: u8, number: usize) {
    let mut room = [0; LONGEST_NUMBER];
    out.push(kind);
    // No target has more than 64 bits.
    out.extend_from_slice(digits(number as u64, &mut room));
    out.extend_from_slice(b"\r\n");
}

/// How many digits 64 bits have at most.
const LONGEST_NUMBER: usize = 20;

/// The two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number: u8 = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// Those of `number`, without the machinery that formats.
fn digits(number: u64, room: &mut [u8; LONGEST_NUMBER]) -> &[u8] {
    let mut rest = number;
    let mut first = LONGEST_NUMBER;
    while rest >= 100 {
        first -= 2;
        room[first..first + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    let [tens, ones] = PAIRS[(rest % 100) as usize];
    first -= 1;
    room[first] = ones;
    if rest >= 10 {
        first -= 1;
        room[first] = tens;
    }
    &room[first..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [&str; 2] = ["0123456789abcdef0123456789abcdef", "a caller's own"];

    #[test]
    fn a_command_is_written_as_the_redis_crate_writes_it() {
        for number in [0, 7, 10, 99, 100, 101, 1009, 60_000, 123_456, u64::MAX] {
            let mut out = Vec::new();
            let long = "x".repeat(1234);
            begin(&mut out, 7);
            word(&mut out, b"SET");
            joined_word(&mut out, b"the:", "\u{fc}".as_bytes());
            word(&mut out, b"");
            number_word(&mut out, number);
            joined_word(&mut out, b"", long.as_bytes());
            for value in VALUES {
                value_word(&mut out, &Token::from(value));
            }
            let mut command = redis::cmd("SET");
            command
                .arg("the:\u{fc}")
                .arg("")
                .arg(number)
                .arg(long)
                .arg(&VALUES);
            assert_eq!(out, command.get_packed_command());
        }
    }
}
