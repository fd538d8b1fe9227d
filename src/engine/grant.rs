//! What a request that succeeded came to.

use super::token::Token;
use super::validity::Validity;

/// A lock that was acquired.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The value it is stored under: the winning attempt's.
    pub value: Token,
    /// From when until when it may be believed in.
    pub validity: Validity,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
}

/// A lock that was extended.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    /// From when until when it may be believed in now.
    pub validity: Validity,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
}
