//! Gathering the releases of one flush, which go in one call, until it is written.

use super::gathered::Gathered;
use super::pending::{ExpectedReply, PendingCommand, Release};
use super::pipeline::Pipeline;
use crate::engine::Question;
use crate::instances::redis::protocol::command::Writer;
use crate::instances::redis::protocol::merged_releases::MOST_MERGED;
use crate::instances::redis::weight::weight_of;

impl Pipeline {
    /// Whether `release` may go with those that are gathered.
    pub(super) fn can_gather(&self, release: &Question) -> bool {
        let gathered = self.gathered.as_ref();
        gathered.is_none_or(|gathered| !gathered.may_be_behind(&release.value))
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
