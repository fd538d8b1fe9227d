//! How many failures of an instance are told.

use std::cell::Cell;
use std::time::Duration;

use super::cause::Cause;
use super::validity::Instant;

/// So many failures of one instance are told in one [`SPAN`], and the others counted. To
/// tell one costs as much as a lock: where an instance hangs under load, telling them all
/// would halve what the others carry out.
const MOST: u32 = 100;
const SPAN: Duration = Duration::from_secs(1);

/// What was told of one instance.
#[derive(Debug, Default)]
pub(super) struct ErrorReports(Cell<Window>);

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since: Instant,
    told: u32,
    /// Since the last one that was told.
    omitted: u64,
}

impl ErrorReports {
    /// Whether a failure is told at `now`: how many were not since the one before. An
    /// error of a caller's client is always told: it was made already.
    pub(super) fn tell(&self, cause: &Cause, now: Instant) -> Option<u64> {
        let mut window = self.0.get();
        if window.told == 0 || now.since(window.since) >= SPAN {
            (window.since, window.told) = (now, 0);
        }
        let is_told = window.told < MOST || matches!(cause, Cause::Client { .. });
        let omitted = window.omitted;
        if is_told {
            (window.told, window.omitted) = (window.told.saturating_add(1), 0);
        } else {
            window.omitted += 1;
        }
        self.0.set(window);
        is_told.then_some(omitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_told_in_a_second_and_then_how_many_were_not() {
        let at = |millis| Instant::ORIGIN.after(Duration::from_millis(millis));
        let reports = ErrorReports::default();
        let hung = Cause::Overloaded { waiting: 1 };
        for told in 0..250 {
            let expected = (told < MOST).then_some(0);
            assert_eq!(reports.tell(&hung, at(u64::from(told))), expected);
        }
        let client = Cause::Client {
            message: "no".into(),
            reply: None,
            number: 1,
        };
        assert_eq!(reports.tell(&client, at(900)), Some(150));
        assert_eq!(reports.tell(&hung, at(999)), None);
        assert_eq!(reports.tell(&hung, at(1000)), Some(1));
        assert_eq!(reports.tell(&hung, at(1001)), Some(0));
    }
}
