//! The releases of one flush that go in one call, until it is written.

use std::hash::{Hash as _, Hasher};
use std::rc::Rc;

use super::pipeline::{ExpectedReply, PendingCommand, Pipeline};
use crate::engine::{Question, Responder, Token};
use crate::instances::redis::protocol::command::Writer;
use crate::instances::redis::protocol::merged_releases::MOST_MERGED;
use crate::instances::redis::weight::weight_of;

/// A release, and who waits for it.
pub(super) struct Release {
    pub(super) question: Rc<Question>,
    /// Nobody waits for the answer to an owed release.
    pub(super) responder: Option<Responder>,
}

impl Release {
    /// Itself; nobody waits for what is left.
    pub(super) fn take(&mut self) -> Self {
        Self {
            question: Rc::clone(&self.question),
            responder: self.responder.take(),
        }
    }
}

/// Where the releases of one flush that go in one call have their place: where the first
/// of them was asked for. What is asked for after that one is behind all of them, so
/// that a release comes before the acquires that may wait for it.
///
/// A release must not come before its own acquire: one whose value something behind
/// may have goes by itself, behind that.
pub(super) struct Gathered {
    /// In the bytes that are to be written.
    at: usize,
    /// How many commands are behind.
    behind: usize,
    values_behind: Values,
}

impl Gathered {
    fn at(at: usize) -> Self {
        Self {
            at,
            behind: 0,
            values_behind: Values::default(),
        }
    }

    /// This comes behind.
    pub(super) fn put_behind(&mut self, command: &ExpectedReply) {
        self.behind += 1;
        if let ExpectedReply::Vote { question, .. } = command {
            self.values_behind.add(&question.value);
        }
    }
}

impl Pipeline {
    /// Whether `release` may go with those that are gathered.
    pub(super) fn can_gather(&self, release: &Question) -> bool {
        let gathered = self.gathered.as_ref();
        gathered.is_none_or(|gathered| !gathered.values_behind.may_have(&release.value))
    }

    /// Has a release go with the others of this flush.
    pub(super) fn gather(&mut self, release: Release) {
        if self.gathered.is_none() {
            let none = ExpectedReply::Releases {
                releases: Vec::new(),
                form: None,
            };
            self.expect(self.out.len(), none);
            self.gathered = Some(Gathered::at(self.out.len()));
        }
        let Some(place) = self.place_of_gathered() else {
            return;
        };
        let pending = &mut self.unanswered[place];
        if let ExpectedReply::Releases { releases, .. } = &mut pending.expected {
            let weight = weight_of(&release.question);
            pending.weight += weight;
            self.weight += weight;
            self.questions += 1;
            releases.push(release);
        }
    }

    fn place_of_gathered(&self) -> Option<usize> {
        let gathered = self.gathered.as_ref()?;
        self.unanswered.len().checked_sub(gathered.behind + 1)
    }

    /// Makes commands of what is gathered: it is to be written now.
    pub(super) fn encode_gathered(&mut self, writer: &mut Writer) {
        let Some(place) = self.place_of_gathered() else {
            return;
        };
        let (Some(gathered), ExpectedReply::Releases { releases, .. }) =
            (self.gathered.take(), &mut self.unanswered[place].expected)
        else {
            return;
        };
        let mut releases = std::mem::take(releases);
        let begin = self.out.len();
        let mut next = place;
        while !releases.is_empty() {
            let rest = releases.split_off(releases.len().min(MOST_MERGED));
            let weight = releases.iter().map(|one| weight_of(&one.question)).sum();
            let expected = encode(&mut self.out, releases, writer);
            if next == place {
                let first = &mut self.unanswered[place];
                (first.weight, first.expected) = (weight, expected);
            } else {
                let another = PendingCommand::unwritten(weight, expected);
                self.unanswered.insert(next, another);
                self.fresh += 1;
            }
            next += 1;
            releases = rest;
        }
        let behind = begin - gathered.at;
        self.out[gathered.at..].rotate_left(behind);
    }
}

/// Appends what is one command.
fn encode(out: &mut Vec<u8>, mut releases: Vec<Release>, writer: &mut Writer) -> ExpectedReply {
    if releases.len() == 1
        && let Some(Release {
            question,
            responder,
        }) = releases.pop()
    {
        let form = writer.write(out, &question);
        return ExpectedReply::Vote {
            question,
            form,
            responder,
            is_doubted: false,
        };
    }
    let questions = releases.iter().map(|release| &*release.question);
    let form = Some(writer.write_merged(out, questions));
    ExpectedReply::Releases { releases, form }
}

/// Which values some commands may have: all that they have, and few others.
struct Values([u64; Self::WORDS]);

impl Values {
    const WORDS: usize = 128;

    fn add(&mut self, value: &Token) {
        let (word, bit) = place(value);
        self.0[word] |= bit;
    }

    fn may_have(&self, value: &Token) -> bool {
        let (word, bit) = place(value);
        self.0[word] & bit != 0
    }
}

impl Default for Values {
    fn default() -> Self {
        Self([0; Self::WORDS])
    }
}

fn place(value: &Token) -> (usize, u64) {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hash);
    // Of the product, the upper bits depend on all.
    let mixed = hash.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (mixed >> 32) as usize % Values::WORDS;
    (word, 1 << (mixed >> 58))
}

/// FNV-1a: short, the same every time, and no more is needed where a value that is
/// taken for another only has its release go by itself.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
