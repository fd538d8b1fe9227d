//! What is asked for.

use std::sync::Arc;

use super::super::question::Resources;
use super::super::settings::Settings;
use super::super::validity::Ttl;

/// A lock that is asked for, and how.
pub(in crate::engine) struct AcquireRequest {
    pub(in crate::engine) resources: Resources,
    pub(in crate::engine) ttl: Ttl,
    pub(in crate::engine) settings: Arc<Settings>,
}
