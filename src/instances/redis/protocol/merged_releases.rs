//! The releases of one flush as one command, and what its reply says of each of them.

use redis::{ServerError, Value};

use super::command::{Form, Writer, forbids_digests};
use super::error_code::error_code;
use super::value::unexpected;
use super::words::{begin, number_word, value_word, word};
use crate::engine::{Cause, Question};
use crate::instances::redis::script;

/// So many at most: a server serves nobody else meanwhile.
pub(crate) const MOST_MERGED: usize = 64;

/// Its key was deleted.
pub(crate) const DELETED: u8 = b'1';

/// Its key has another value, or is not there.
pub(crate) const NOT_OURS: u8 = b'0';

/// Its key gave an error.
const FAILED: u8 = b'e';

/// What a reply says.
pub(crate) enum MergedReply {
    /// A letter for each.
    Each(Vec<u8>),
    /// The server doesn't know the script: nothing was done, ask again in full.
    UnknownScript,
    /// An error of the whole call, which one key may be the reason for.
    Refused,
    /// It is no reply to this command but to another.
    Impossible(Cause),
}

impl Writer {
    /// Whether releases may go in one call, as far as the server has shown it.
    pub(crate) fn merges_releases(&self) -> bool {
        !self.capabilities.refuses_merged
    }

    /// From now on each release goes by itself.
    pub(crate) fn stop_merging(&mut self) {
        self.capabilities.refuses_merged = true;
    }

    /// Appends one command for `releases` to `out`, each of which is of one resource.
    pub(crate) fn write_merged<'question>(
        &mut self,
        out: &mut Vec<u8>,
        releases: impl ExactSizeIterator<Item = &'question Question> + Clone,
    ) -> Form {
        let is_known = self.capabilities.is_merged_known && !self.capabilities.refuses_digests;
        let script = &script::RELEASE_EACH;
        begin(out, 3 + 2 * releases.len());
        let form = if is_known {
            word(out, b"EVALSHA");
            word(out, script.digest.as_bytes());
            Form::Digest
        } else {
            word(out, b"EVAL");
            word(out, script.text.as_bytes());
            self.capabilities.is_merged_known = true;
            Form::Text
        };
        number_word(out, releases.len() as u64);
        for release in releases.clone() {
            for resource in release.resources.iter() {
                self.key_word(out, resource);
            }
        }
        for release in releases {
            value_word(out, &release.value);
        }
        form
    }

    /// What `reply` to such a command for so many releases says. What it shows of the
    /// server is remembered.
    pub(crate) fn parse_merged(&mut self, reply: Value, form: Form, count: usize) -> MergedReply {
        match reply {
            Value::ServerError(error) => self.refused(&error, form),
            Value::BulkString(letters)
                if letters.len() == count
                    && letters
                        .iter()
                        .all(|letter| [DELETED, NOT_OURS, FAILED].contains(letter)) =>
            {
                MergedReply::Each(letters)
            }
            other => MergedReply::Impossible(unexpected(&other)),
        }
    }

    fn refused(&mut self, error: &ServerError, form: Form) -> MergedReply {
        let refuses_digests = forbids_digests(error);
        if form == Form::Digest && (refuses_digests || error.code() == "NOSCRIPT") {
            self.capabilities.refuses_digests |= refuses_digests;
            self.capabilities.is_merged_known = false;
            return MergedReply::UnknownScript;
        }
        // Whatever else it is will pass.
        if ["CROSSSLOT", "ERR", "NOPERM"].contains(&error_code(error)) {
            self.stop_merging();
        }
        MergedReply::Refused
    }
}
