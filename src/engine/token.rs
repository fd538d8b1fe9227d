//! The value a lock is stored under: what tells this holder's key from another's.

use std::array;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::environment::Environment;

/// How many bytes a value of ours has; its text has two digits for each.
const BYTES: usize = 16;

/// A lock's value. It proves ownership, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(Value);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    /// What reads as 32 hexadecimal digits in lower case, as all values of ours do:
    /// always in this form, so that equal texts are equal values.
    Digits([u8; BYTES]),
    /// Any other, which is a caller's own.
    Text(Arc<str>),
}

impl Token {
    /// A fresh value: 16 random bytes, which read as 32 hexadecimal digits.
    ///
    /// One is made for every attempt, never reused by a retry: a release of the
    /// first attempt that arrives late must not delete the key of the second.
    #[must_use]
    pub fn random(environment: &dyn Environment) -> Self {
        let mut bytes = [0; BYTES];
        environment.fill_random(&mut bytes);
        Self(Value::Digits(bytes))
    }

    /// As it is stored.
    #[must_use]
    #[inline]
    pub fn text(&self) -> TokenText<'_> {
        TokenText(match &self.0 {
            Value::Digits(bytes) => Text::Digits(digits_of_all(bytes)),
            Value::Text(text) => Text::Borrowed(text),
        })
    }

    /// Its text in UTF-8, if it reads as a value of ours does.
    #[must_use]
    #[inline]
    pub fn digits(&self) -> Option<[u8; 2 * BYTES]> {
        match &self.0 {
            Value::Digits(bytes) => Some(digits_of_all(bytes)),
            Value::Text(_) => None,
        }
    }

    /// How many bytes its text has.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty one is no special case"
    )]
    pub fn len(&self) -> usize {
        match &self.0 {
            Value::Digits(_) => 2 * BYTES,
            Value::Text(text) => text.len(),
        }
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(match digits(text.as_bytes()) {
            Some(bytes) => Value::Digits(bytes),
            None => Value::Text(text.into()),
        })
    }
}

/// What these stand for, if they are as many hexadecimal digits in lower case as a
/// value of ours has.
fn digits(text: &[u8]) -> Option<[u8; BYTES]> {
    let text: &[u8; 2 * BYTES] = text.try_into().ok()?;
    // All at once, whatever they are: what is no digit stands for something that reads otherwise.
    let numbers = text.map(number_of);
    let bytes = array::from_fn(|at| numbers[2 * at] << 4 | numbers[2 * at + 1]);
    (digits_of_all(&bytes) == *text).then_some(bytes)
}

/// The digits of a value. Not inlined: the compiler does eight bytes at once here, and not
/// where the digits are to be at an odd address.
#[inline(never)]
fn digits_of_all(bytes: &[u8; BYTES]) -> [u8; 2 * BYTES] {
    let mut digits = [0; 2 * BYTES];
    let pairs = digits.as_chunks_mut().0.iter_mut();
    for (pair, byte) in pairs.zip(bytes.map(digits_of)) {
        *pair = byte.to_le_bytes();
    }
    digits
}

/// A byte's two digits, the first one lower: without a branch or a table, which would
/// take a sixth of what a command takes.
#[inline]
const fn digits_of(byte: u8) -> u16 {
    let byte = byte as u16;
    let halves = (byte >> 4 | byte << 8) & 0x0f0f;
    // What is ten or more has a letter.
    let letters = (halves + 0x0606) >> 4 & 0x0101;
    halves + 0x3030 + letters * (b'a' - b'0' - 10) as u16
}

/// What a digit stands for: letters have a bit that figures have not.
#[inline]
const fn number_of(digit: u8) -> u8 {
    (digit & 0x0f).wrapping_add((digit >> 6) * 9) & 0x0f
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            // Random already, if it is ours. A caller's own may count in either half.
            Value::Digits(bytes) => {
                let [one, other] = [0, 8].map(|at| {
                    let half = std::array::from_fn(|place| bytes[at + place]);
                    u64::from_be_bytes(half)
                });
                state.write_u64(one ^ other);
            }
            Value::Text(text) => state.write(text.as_bytes()),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// A value's text.
pub struct TokenText<'token>(Text<'token>);

enum Text<'token> {
    Digits([u8; 2 * BYTES]),
    Borrowed(&'token str),
}

impl TokenText<'_> {
    /// In UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Digits(digits) => digits,
            Text::Borrowed(text) => text.as_bytes(),
        }
    }
}

impl Deref for TokenText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Text::Digits(digits) => str::from_utf8(digits).unwrap_or_default(),
            Text::Borrowed(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::DefaultHasher;

    use super::*;
    use crate::engine::System;

    #[test]
    fn a_value_is_stored_as_it_was_given() {
        let ours = "00ff".repeat(8);
        let others = ["g".repeat(32), "é".repeat(16), "`".repeat(32)];
        let [one, other, third] = &others;
        let upper = ours.to_uppercase();
        for text in [
            "",
            "v",
            "00FF",
            &ours,
            &upper,
            &ours[1..],
            one,
            other,
            third,
        ] {
            let token = Token::from(text);
            assert_eq!((&*token.text(), token.len()), (text, text.len()));
            assert_eq!(token.text().as_bytes(), text.as_bytes());
            let is_ours = *text == *ours;
            let digits = token.digits();
            assert_eq!(
                digits.as_ref().map(|all| &all[..]),
                is_ours.then_some(text.as_bytes())
            );
        }
    }

    #[test]
    fn each_byte_has_its_two_digits() {
        for byte in 0..=u8::MAX {
            let digits = digits_of(byte).to_le_bytes();
            assert_eq!(digits, format!("{byte:02x}").as_bytes());
        }
    }

    #[test]
    fn a_value_of_ours_that_comes_back_is_the_same() {
        let ours = Token::random(&System);
        let back = Token::from(&*ours.text());
        assert_eq!(ours.len(), 32);
        assert!(ours == back && ours != Token::random(&System));
    }

    #[test]
    fn values_that_count_are_told_apart_by_their_hashes() {
        let hashes = |text: fn(u32) -> String| {
            let hash = |number| {
                let mut hasher = DefaultHasher::new();
                Token::from(&*text(number)).hash(&mut hasher);
                hasher.finish()
            };
            (0..100).map(hash).collect::<HashSet<u64>>().len()
        };
        assert_eq!(hashes(|number| format!("{number:032x}")), 100);
        assert_eq!(hashes(|number| format!("{number:016x}{:016x}", 7)), 100);
    }
}
