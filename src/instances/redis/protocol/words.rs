//! The bytes of a command: a number of words, each with its length before it.

/// Begins a command of so many words.
pub(super) fn begin(out: &mut Vec<u8>, words: usize) {
    head(out, b'*', words);
}

/// A word in one piece.
pub(super) fn word(out: &mut Vec<u8>, word: &[u8]) {
    joined_word(out, word, &[]);
}

/// A word in two pieces.
pub(super) fn joined_word(out: &mut Vec<u8>, first: &[u8], rest: &[u8]) {
    head(out, b'$', first.len() + rest.len());
    out.extend_from_slice(first);
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\r\n");
}

/// A word that is a number.
pub(super) fn number_word(out: &mut Vec<u8>, number: u64) {
    let mut room = [0; LONGEST_NUMBER];
    word(out, digits(number, &mut room));
}

fn head(out: &mut Vec<u8>, kind: u8, number: usize) {
    let mut room = [0; LONGEST_NUMBER];
    out.push(kind);
    // No target has more than 64 bits.
    out.extend_from_slice(digits(number as u64, &mut room));
    out.extend_from_slice(b"\r\n");
}

/// How many digits 64 bits have at most.
const LONGEST_NUMBER: usize = 20;

/// Those of `number`, without the machinery that formats.
fn digits(number: u64, room: &mut [u8; LONGEST_NUMBER]) -> &[u8] {
    let mut rest = number;
    let mut first = LONGEST_NUMBER;
    loop {
        first -= 1;
        room[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &room[first..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_as_the_redis_crate_writes_it() {
        for number in [0, 7, 10, 99, 60_000, u64::MAX] {
            let mut out = Vec::new();
            begin(&mut out, 4);
            word(&mut out, b"SET");
            joined_word(&mut out, b"the:", "\u{fc}".as_bytes());
            word(&mut out, b"");
            number_word(&mut out, number);
            let mut command = redis::cmd("SET");
            command.arg("the:\u{fc}").arg("").arg(number);
            assert_eq!(out, command.get_packed_command());
        }
    }
}
