//! Whether any connection has something to be read, as one descriptor: an event loop
//! that is not tokio's can wait for that.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::event::epoll;

/// Readable while any of the connections is, until that is read from it.
pub struct Readable(OwnedFd);

impl Readable {
    /// Of no connection yet.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Of `connection` too, until it is closed.
    pub(super) fn add(&self, connection: &impl AsFd) {
        let data = epoll::EventData::new_u64(0);
        // Without it, whoever waits comes a millisecond later.
        let _ = epoll::add(&self.0, connection, data, epoll::EventFlags::IN);
    }
}

impl AsRawFd for Readable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
