//! What was measured, as JSON.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub struct Figures {
    pub elapsed: Duration,
    pub cpu: Duration,
    /// Of each cycle that ended, in nanoseconds.
    pub latencies: Vec<u32>,
    /// Since the start of the process.
    pub cycles_in_all: u64,
}

impl Figures {
    /// Per-cycle figures in microseconds, memory in bytes.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn into_json(mut self) -> String {
        self.latencies.sort_unstable();
        let cycles = self.latencies.len();
        format!(
            concat!(
                r#"{{"cycles":{},"cyclesInAll":{},"cyclesPerSecond":{:.0},"p50":{:.1},"p99":{:.1},"#,
                r#""processCpu":{:.3},"memory":{}}}"#
            ),
            cycles,
            self.cycles_in_all,
            cycles as f64 / self.elapsed.as_secs_f64(),
            self.percentile(50),
            self.percentile(99),
            self.cpu.as_secs_f64() * 1e6 / cycles as f64,
            resident().map_or("null".into(), |bytes| bytes.to_string()),
        )
    }

    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies
            .get(at)
            .map_or(f64::NAN, |&nanoseconds| f64::from(nanoseconds) / 1000.0)
    }
}

/// The CPU time of this process so far.
pub fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// Bytes of memory in use, where the system says it in /proc.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kilobytes| kilobytes * 1024)
}
