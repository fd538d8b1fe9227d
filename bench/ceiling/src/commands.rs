//! The bytes of the commands. All names and values are of one length, so that most of a command never changes.

/// Compare and delete, one key: the package's own script.
pub const RELEASE: &str = include_str!("../../../src/instances/redis/scripts/release.lua");

/// The same for many keys, each with a value of its own; answers with a letter for each.
pub const RELEASE_EACH: &str =
    include_str!("../../../src/instances/redis/scripts/release_each.lua");

pub const VALUE_LENGTH: usize = 32;
const NAME_PREFIX: &[u8] = b"bench:";
const NAME_DIGITS: usize = 10;
pub const NAME_LENGTH: usize = NAME_PREFIX.len() + NAME_DIGITS;

pub type Name = [u8; NAME_LENGTH];
pub type Value = [u8; VALUE_LENGTH];

/// As the rest of the benchmark: `bench:` and a number.
pub fn name(mut number: u64) -> Name {
    let mut name = [b'0'; NAME_LENGTH];
    name[..NAME_PREFIX.len()].copy_from_slice(NAME_PREFIX);
    for digit in name[NAME_PREFIX.len()..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    name
}

pub fn value(random: u128) -> Value {
    let mut value = [0; VALUE_LENGTH];
    for (at, byte) in random.to_be_bytes().into_iter().enumerate() {
        value[2 * at] = b"0123456789abcdef"[usize::from(byte >> 4)];
        value[2 * at + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    value
}

pub fn acquire(out: &mut Vec<u8>, name: &Name, value: &Value) {
    out.extend_from_slice(b"*6\r\n$3\r\nSET\r\n$16\r\n");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\r\n$32\r\n");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n$2\r\nNX\r\n$2\r\nPX\r\n$5\r\n10000\r\n");
}

pub fn release(out: &mut Vec<u8>, digest: &[u8], name: &Name, value: &Value) {
    out.extend_from_slice(b"*5\r\n$7\r\nEVALSHA\r\n$40\r\n");
    out.extend_from_slice(digest);
    out.extend_from_slice(b"\r\n$1\r\n1\r\n$16\r\n");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\r\n$32\r\n");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub fn release_each<'a>(
    out: &mut Vec<u8>,
    digest: &[u8],
    locks: impl ExactSizeIterator<Item = (&'a Name, &'a Value)> + Clone,
) {
    let count = locks.len().to_string();
    out.extend_from_slice(
        format!("*{}\r\n$7\r\nEVALSHA\r\n$40\r\n", 3 + 2 * locks.len()).as_bytes(),
    );
    out.extend_from_slice(digest);
    out.extend_from_slice(format!("\r\n${}\r\n{count}\r\n", count.len()).as_bytes());
    for (name, _) in locks.clone() {
        out.extend_from_slice(b"$16\r\n");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\r\n");
    }
    for (_, value) in locks {
        out.extend_from_slice(b"$32\r\n");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

pub fn load_script(script: &str) -> Vec<u8> {
    format!(
        "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n${}\r\n{script}\r\n",
        script.len()
    )
    .into_bytes()
}
