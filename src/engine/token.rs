//! The value a lock is stored under: what tells this holder's key from another's.

use std::fmt;
use std::sync::Arc;

use super::environment::Environment;

/// A lock's value. It proves ownership, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Arc<str>);

impl Token {
    /// A fresh value: 16 random bytes as 32 hexadecimal digits.
    ///
    /// One is made for every attempt, never reused by a retry: a release of the
    /// first attempt that arrives late must not delete the key of the second.
    #[must_use]
    pub fn random(environment: &dyn Environment) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 16];
        environment.fill_random(&mut bytes);
        let mut text = String::with_capacity(32);
        for byte in bytes {
            text.push(DIGITS[usize::from(byte >> 4)].into());
            text.push(DIGITS[usize::from(byte & 15)].into());
        }
        Self(text.into())
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Token {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
