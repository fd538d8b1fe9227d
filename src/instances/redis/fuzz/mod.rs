//! What must hold of whatever a server, a cluster's node or a sentinel says.
//!
//! Each parser is met twice: by bytes as they are, which is what a fuzzer that
//! sees the code's branches needs and what the corpus beside this file keeps, and
//! by pieces of replies, so that a test of a second gets past the first byte.
//! docs/safety.md says how to run them for longer.

mod frames;
mod info;
mod messages;
mod pieces;
mod redirects;
mod sample_reply;
mod secrets;
mod sentinels;
mod slots;
mod votes;
